"""Models read whole: every call within its own derived bound, all of them together close by."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tests.frontends.torch.callwise import Judge  # noqa: E402
from tests.frontends.torch.models import EXTRA, MODELS, made  # noqa: E402
from tests.frontends.torch.one import arrays_for, both, tensors_of  # noqa: E402

from drawloom.frontends.torch import read_exported  # noqa: E402
from drawloom.frontends.torch.read import plain_program  # noqa: E402
from drawloom.frontends.torch.values import array_of  # noqa: E402
from drawloom.graph.rounding import wide  # noqa: E402

CLOSE = 1e-5
"""Of the largest value: by how much these networks differ between PyTorch's own exporters."""

# What stays whole, as many times as the model has a module for it.
WHOLE = {
    "llama": {"Attention": 2, "Silu": 2, "MatMul": 15},
    "gpt2": {"Attention": 2, "LayerNormalization": 5},
    "bert": {"Attention": 2, "LayerNormalization": 5, "Gelu": 2},
    "vit": {"Attention": 2, "LayerNormalization": 5, "Gelu": 2},
    "unet": {"GroupNormalization": 21},
    "resnet50": {"Conv": 53, "BatchNormalization": 53, "MaxPool": 1},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(MODELS))
def test_a_model_is_read_and_computes_what_pytorch_computes(name: str) -> None:
    pytest.importorskip(EXTRA.get(name, "transformers"))
    model, args, kwargs = made(name)
    with torch.no_grad():
        program = plain_program(torch.export.export(model, args, kwargs, strict=False))
        judge = Judge(program.module())
        judge.run(*torch.utils._pytree.tree_leaves((args, kwargs)))
        wanted = tensors_of(model(*args, **kwargs))
    assert judge.judged
    assert judge.unbounded <= judge.judged // 20
    graph = read_exported(program)
    found = both(graph, arrays_for(graph, tensors_of((args, kwargs))))
    for (values, bound), tensor in zip(found.values(), wanted, strict=True):
        eager = array_of(tensor)
        assert np.all(bound.holds(eager))
        away = np.abs(wide(values) - wide(eager)).max()
        assert away <= CLOSE * np.abs(eager).max()
        assert np.abs(eager).max() > 0.1
    ops = [node.op for node in graph.nodes]
    assert {op: ops.count(op) for op in WHOLE.get(name, {})} == WHOLE.get(name, {})
