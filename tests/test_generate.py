"""Text from the byte-level Llama on the simulated chip."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from examples.byte_llama import data, export

from drawloom.errors import InputError
from drawloom.generate import Generator, Sampling

FOLDER = Path(data.__file__).parent
PROMPT = b"def evaluate(self, "


@cache
def generator(tokens: int, precision: str = "f16", weights: str = "float") -> Generator:
    return Generator.of(
        FOLDER, prompt_tokens=len(PROMPT), tokens=tokens, precision=precision, weights=weights
    )


def by_onnx_runtime(prompt: bytes, n: int) -> list[int]:
    """The likeliest tokens by the exported model, the whole text read again for each."""
    ids = list(prompt)
    for _ in range(n):
        model = export.prefill(len(ids)).SerializeToString()
        session = onnxruntime.InferenceSession(model)
        logits = session.run(None, {"input_ids": np.array([ids], np.int64)})[0]
        ids.append(int(np.argmax(np.asarray(logits)[0, -1])))
    return ids[len(prompt) :]


@pytest.fixture(scope="module")
def wanted() -> list[int]:
    return by_onnx_runtime(PROMPT, 8)


def test_the_tokens_are_those_of_the_model(wanted: list[int]) -> None:
    assert list(generator(8).stream(list(PROMPT))) == wanted


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bf16", "f32"])
def test_so_are_those_of_other_precisions(wanted: list[int], precision: str) -> None:
    assert list(generator(8, precision).stream(list(PROMPT))) == wanted


def test_tokens_come_one_at_a_time(wanted: list[int]) -> None:
    stream = generator(8).stream(list(PROMPT))
    assert [next(stream), next(stream)] == wanted[:2]


def test_the_caches_stay_where_they_are() -> None:
    it = generator(8)
    made = {
        name.removeprefix("present."): region.address
        for name, region in it.prefill.program.named("output").items()
        if name.startswith("present.")
    }
    brought, grown = (
        {
            name.partition(".")[2]: region.address
            for name, region in it.decode.program.named(kind).items()
            if name.startswith(("past.", "present."))
        }
        for kind in ("input", "output")
    )
    assert len(made) == 8
    assert made == brought == grown


def test_a_step_writes_its_own_row_of_the_cache_and_no_more() -> None:
    trace = generator(8).decode.time()
    config = json.loads((FOLDER / "config.json").read_text())
    row = config["num_key_value_heads"] * config["head_dim"] * 2
    names = [row_.node for row_ in trace.by_node()]
    written = {
        r.node: r.dram_written for r in trace.by_node() if r.node.endswith((".key", ".value"))
    }
    assert names
    assert written
    # Four layers, folded: each node stands for all of them.
    assert set(written.values()) == {config["num_hidden_layers"] * row}


def test_drawn_tokens_depend_on_the_seed_alone() -> None:
    it = generator(8)
    hot = [list(islice(it.stream(list(PROMPT), Sampling(2.0, seed)), 4)) for seed in (1, 1, 2)]
    assert hot[0] == hot[1] != hot[2]


def test_a_prompt_of_another_length_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        list(generator(8).stream([1, 2, 999]))
    assert caught.value.text() == (
        "error[generate.prompt]: this prompt cannot be read\n"
        "  prompt: 3 tokens (19 tokens)\n"
        "  prompt[2]: 999 (0 to 255)"
    )


def test_a_model_without_weights_makes_no_text() -> None:
    with pytest.raises(InputError, match="only a model with its weights makes text"):
        Generator.of("llama-3-8b", prompt_tokens=1, tokens=1)


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "drawloom", "generate", str(FOLDER), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command_prints_the_text_and_what_it_took(wanted: list[int]) -> None:
    made = run("--prompt", PROMPT.decode(), "--tokens", "8")
    assert made.stdout == bytes(wanted).decode() + "\n"
    assert "8 tokens on tx81 in f16: " in made.stderr


@pytest.mark.slow
def test_the_command_takes_numbers_and_gives_json(wanted: list[int]) -> None:
    asked = run("--token-ids", ",".join(map(str, PROMPT)), "-n", "3", "--json")
    assert json.loads(asked.stdout)["token_ids"] == wanted[:3]


def test_the_command_wants_one_prompt() -> None:
    made = run()
    assert made.returncode == 2
    assert "give --prompt or --token-ids, one of them" in made.stderr


@pytest.mark.slow
def test_64_tokens_are_those_of_the_model() -> None:
    assert list(generator(64).stream(list(PROMPT))) == by_onnx_runtime(PROMPT, 64)


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["int8", "int4"])
def test_weights_as_codes_still_make_text(weights: str) -> None:
    """Codes change tokens; the text stays one that this model could have written."""
    made = bytes(generator(24, weights=weights).stream(list(PROMPT)))
    assert made.isascii()
    assert b"self" in made or b"_" in made
