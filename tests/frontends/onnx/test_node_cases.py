"""ONNX's own node cases: what is read is right, what is refused is known."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from tests.frontends.onnx.cases import node_cases, verdict

from drawloom.frontends.onnx import read_onnx
from drawloom.frontends.rewrite import simplify

PASSES = 1688


def simplified(*args: Any) -> Any:
    return simplify(read_onnx(*args))


def reason(word: str) -> str:
    """Return why a case is refused, without names and numbers."""
    line = word.splitlines()[1].strip() if "\n" in word else word
    line = re.sub(r"^(node|input|initializer) '.*?' ?", "", line)
    return re.sub(r", opset \d+", "", line).replace("'", "")


@pytest.fixture(scope="module")
def cases() -> list[Any]:
    return node_cases()


@pytest.mark.slow
@pytest.mark.parametrize("read", [read_onnx, simplified])
def test_node_cases(cases: list[Any], read: Any, golden: Callable[[str, str], None]) -> None:
    verdicts = {case.name: verdict(case, read) for case in cases}
    count = Counter(word.split()[0] for word in verdicts.values())
    assert [name for name, word in verdicts.items() if word.startswith("wrong")] == []
    assert count["pass"] == PASSES
    rows = [f"{reason(w)}  <- {name}" for name, w in verdicts.items() if w.startswith("refused")]
    golden("onnx_refused.txt", "\n".join(sorted(rows)) + "\n")
