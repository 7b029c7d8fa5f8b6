"""Mixtures on several chips: a slice of every expert, or whole experts, for each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.plans import test_spans as spans

from drawloom.check import check_span
from drawloom.chip.files import load_chip
from drawloom.execute.span import execute_span
from drawloom.flow import compile
from drawloom.frontends.hf import Request
from drawloom.plans.cut import cut
from drawloom.plans.span import Spread, compile_span

MIXTURE = {
    **spans.SMALL, "model_type": "mixtral", "num_local_experts": 8, "num_experts_per_tok": 2,
    "num_key_value_heads": 4,
}  # fmt: skip
STEP = Request("decode", batch=2, context=15)
PROMPT = Request("prefill", batch=1, tokens=5)


@pytest.mark.parametrize(
    ("request_", "spread"),
    [
        pytest.param(STEP, Spread(2, experts=True), marks=pytest.mark.slow),
        pytest.param(STEP, Spread(2), marks=pytest.mark.slow),
        pytest.param(STEP, Spread(4, experts=True), marks=pytest.mark.slow),
        pytest.param(PROMPT, Spread(2), marks=pytest.mark.slow),
        pytest.param(PROMPT, Spread(4, experts=True), marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_a_mixture_on_several_chips_is_that_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request_: Request, spread: Spread
) -> None:
    monkeypatch.setattr(spans, "SMALL", MIXTURE)
    graph, inputs = spans.llama(tmp_path, request_)
    span = compile_span(graph, "rex1032", spread)
    assert check_span(span, load_chip("tx81")) == ()
    one, many = compile(graph).run(inputs), execute_span(span, inputs)
    for name, value in one.items():
        assert np.abs(many[name] - value.astype(np.float64)).max() < 0.02, name
    # Experts are most of the weights, and none is held twice.
    ends = ("w1.weight", "w2.weight", "w3.weight")
    stacks = sum(kind.bytes for value, kind in graph.types.items() if value.endswith(ends))
    programs = (compile(graph).program, span.programs[0])
    alone, apart = (sum(held.size for _, held in program.data) for program in programs)
    assert stacks > 0
    assert apart < alone - 0.9 * stacks * (1 - 1 / spread.tensor)


def test_whole_experts_end_in_one_sum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans, "SMALL", MIXTURE)
    graph, _ = spans.llama(tmp_path, STEP)
    name = "model.layers.0.block_sparse_moe.experts.w1.weight"
    for whole, held in ((True, (4, 128, 256)), (False, (8, 128, 128))):
        parts = cut(graph, 2, whole_experts=whole)
        shapes = [
            kind.shape
            for stage in parts.stages
            for value, kind in stage.graphs[1].types.items()
            if value.startswith(name)
        ]
        assert shapes == [held]
        kinds = [e.kind for stage in parts.stages for e in stage.exchanges]
        # What chooses experts is worked out by each chip.
        assert kinds == ["sum", "sum"]
