"""What is read ahead, in exchanges and in pauses of programs, leaves no race behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from drawloom.check.spans import check_span
from drawloom.chip.files import load_chip
from drawloom.frontends.hf import Request
from drawloom.plans.span import Spread, compile_span

CONFIG = {
    "model_type": "llama", "hidden_size": 1024, "intermediate_size": 4096, "vocab_size": 1024,
    "num_attention_heads": 16, "num_key_value_heads": 4, "num_hidden_layers": 3,
    "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "max_position_embeddings": 512,
    "hidden_act": "silu", "tie_word_embeddings": False, "torch_dtype": "float16",
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("batch", [16, 64])
def test_reads_that_told_that_others_were_done_are_not_missed(tmp_path: Path, batch: int) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(CONFIG), encoding="utf-8")
    request = Request("decode", batch=batch, context=63)
    span = compile_span(str(path), "rex1032", Spread(2), request=request)
    assert check_span(span, load_chip("tx81")) == ()
