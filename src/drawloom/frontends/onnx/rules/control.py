"""Branches whose condition is known: only the branch taken is read."""

from __future__ import annotations

from collections.abc import Sequence

from drawloom.frontends.onnx.call import Call, Rule


def _if(call: Call) -> Sequence[str]:
    taken = "then_branch" if call.scalar(0, "condition") else "else_branch"
    return call.branch(call.need(taken))


RULES: dict[str, Rule] = {"If": _if}
