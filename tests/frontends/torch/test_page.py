"""The programs of docs/pytorch.md run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

PAGE = Path(__file__).parents[3] / "docs" / "pytorch.md"
PROGRAMS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)


def test_the_page_has_its_programs() -> None:
    assert len(PROGRAMS) == 4


@pytest.mark.parametrize("number", range(4))
def test_a_program_of_the_page_runs(number: int) -> None:
    torch._dynamo.reset()
    try:
        torch._dynamo.lookup_backend("drawloom")
    except torch._dynamo.exc.InvalidBackend:
        # drawloom is not installed, only on the path: no entry point leads to it
        from drawloom.torch_backend import backend

        torch._dynamo.register_backend(backend, "drawloom")
    exec(PROGRAMS[number], {})
