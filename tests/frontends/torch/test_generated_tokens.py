"""The byte-level Llama on the simulated chip makes the tokens that PyTorch makes."""

from __future__ import annotations

from pathlib import Path

import pytest
from examples.byte_llama import data

from drawloom.generate import Generator

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

FOLDER = Path(data.__file__).parent
PROMPT = list(b"    def __init__(self, ")
TOKENS = 64


@pytest.mark.parametrize("precision", ["f16", "f32"])
def test_64_tokens_are_those_of_torch(precision: str) -> None:
    model = transformers.LlamaForCausalLM.from_pretrained(FOLDER, dtype=torch.float32).eval()
    with torch.no_grad():
        made = model.generate(
            torch.tensor([PROMPT]), max_new_tokens=TOKENS, min_new_tokens=TOKENS, do_sample=False
        )
    wanted = made[0, len(PROMPT) :].tolist()
    it = Generator.of(FOLDER, prompt_tokens=len(PROMPT), tokens=TOKENS, precision=precision)
    assert list(it.stream(PROMPT)) == wanted
