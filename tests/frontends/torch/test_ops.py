"""Every call means what PyTorch says: the graph's values lie within their derived bounds.

Exporting has a fixed cost, so that a family of calls is exported as one module.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from tests.frontends.torch.cases import FAMILIES  # noqa: E402
from tests.frontends.torch.one import arrays_for, both, need_agreement, tensors_of  # noqa: E402

from drawloom.frontends.torch import read_module  # noqa: E402
from drawloom.frontends.torch.values import array_of  # noqa: E402


class Family(torch.nn.Module):
    """Many functions at once, each of its own arguments."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.cases = FAMILIES[name]

    def forward(self, *args: Any) -> dict[str, Any]:
        left = iter(args)
        rows = [(n, f, [next(left) for _ in given]) for n, (f, given) in self.cases.items()]
        return {name: function(*given) for name, function, given in rows}


@cache
def evaluated(name: str) -> dict[str, Any]:
    args = tuple(a for _, given in FAMILIES[name].values() for a in given)
    graph = read_module(Family(name).eval(), args)
    return both(graph, arrays_for(graph, args))


@pytest.mark.parametrize(
    ("family", "case"), [(f, case) for f, cases in FAMILIES.items() for case in cases]
)
def test_a_call_means_what_pytorch_says(family: str, case: str) -> None:
    function, args = FAMILIES[family][case]
    found = [v for n, v in evaluated(family).items() if n == case or n.startswith(f"{case}.")]
    wanted = tensors_of(function(*args))
    assert len(found) == len(wanted)
    for (made, known), tensor in zip(found, wanted, strict=True):
        need_agreement(case, made, known, array_of(tensor))
