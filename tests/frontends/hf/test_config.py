"""Configurations and requests: what is read, and what a person is told who gets one wrong."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.frontends.hf.tiny import DECODERS, DEEPSEEK, LLAMA

from drawloom.errors import InputError, Unsupported
from drawloom.frontends.hf import Request, catalog_names, model_graph, read_config
from drawloom.frontends.hf.config import catalog_entry
from drawloom.graph.dtypes import DType

DOCS = Path(__file__).parents[3] / "docs"
UNET = {
    "_class_name": "UNet2DModel",
    "sample_size": 30,
    "block_out_channels": [32, 40, 64],
    "down_block_types": ["DownBlock2D", "KDownBlock2D"],
    "up_block_types": ["UpBlock2D", "UpBlock2D", "UpBlock2D"],
    "upsample_type": "resnet",
}


def message(where: Any) -> str:
    with pytest.raises(InputError) as error:
        read_config(where)
    return error.value.text()


def test_a_configuration_is_read_from_a_folder_a_file_or_a_dictionary(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    (tmp_path / "mine.json").write_text(json.dumps(LLAMA))
    found = [read_config(w) for w in (tmp_path, tmp_path / "config.json", LLAMA)]
    assert found[0].figures == found[1].figures == found[2].figures
    assert [c.name for c in found] == [tmp_path.name, tmp_path.name, "config"]
    assert read_config(str(tmp_path / "mine.json")).name == "mine"


def test_all_that_is_wrong_is_said_at_once() -> None:
    said = {**LLAMA, "hidden_size": -4, "tie_word_embeddings": "no", "torch_dtype": "int8"}
    del said["vocab_size"]
    assert message(said) == (
        "error[hf.config]: 'config' is not a configuration of a llama\n"
        "  torch_dtype: 'int8' (input should be 'float32', 'float16' or 'bfloat16')\n"
        "  vocab_size: missing (must be given)\n"
        "  hidden_size: -4 (input should be greater than 0)\n"
        "  tie_word_embeddings: 'no' (input should be a valid boolean)"
    )


def test_figures_that_do_not_fit_together_are_told() -> None:
    assert message({**LLAMA, "num_attention_heads": 5, "rope_scaling": {"type": "linear"}}) == (
        "error[hf.config]: the figures of 'config' do not fit together\n"
        "  num_attention_heads: 5 (a divisor of hidden_size, 32)\n"
        "  num_key_value_heads: 2 (a divisor of num_attention_heads, 5)\n"
        "  rope_scaling.factor: missing (a number above 0)"
    )
    assert message({**DEEPSEEK, "model_type": "deepseek_v3", "n_group": 3, "topk_group": 4}) == (
        "error[hf.config]: the figures of 'config' do not fit together\n"
        "  n_group: 3 (a divisor of the 8 experts)\n"
        "  topk_group: 4 (from 1 to the 3 groups)"
    )


def test_what_is_sound_and_not_known_is_unsupported() -> None:
    with pytest.raises(Unsupported) as error:
        read_config({**LLAMA, "hidden_act": "gelu_nwe", "rope_scaling": {"type": "longrope"}})
    assert error.value.text() == (
        "error[hf.config]: 'config' asks for what drawloom cannot do\n"
        "  hidden_act: 'gelu_nwe' (did you mean 'gelu_new'?)\n"
        "  rope_scaling.rope_type: 'longrope' (one of default, dynamic, linear, llama3, yarn)"
    )
    with pytest.raises(Unsupported) as error:
        read_config(UNET)
    assert error.value.text() == (
        "error[hf.config]: 'config' asks for what drawloom cannot do\n"
        "  upsample_type: 'resnet' ('conv')\n"
        "  down_block_types: 'KDownBlock2D' (one of DownBlock2D, AttnDownBlock2D)"
    )


def test_a_unets_figures_must_fit_together() -> None:
    said = {**UNET, "upsample_type": "conv", "down_block_types": ["DownBlock2D"] * 2}
    assert message({**said, "norm_num_groups": 16}) == (
        "error[hf.config]: the figures of 'config' do not fit together\n"
        "  down_block_types: 2 words (3 blocks)\n"
        "  block_out_channels: 40 (multiples of norm_num_groups, 16)\n"
        "  sample_size: 30 (multiples of 4: halved 2 times)"
    )


def test_an_unknown_family_or_model_gets_the_nearest_known_one(tmp_path: Path) -> None:
    assert message({"model_type": "lama"}) == (
        "error[hf.config]: 'config' is of no family that drawloom knows\n"
        "  model_type: 'lama' (did you mean 'llama'?)"
    )
    assert message({}).splitlines()[1].startswith("  model_type: missing (one of DiT")
    assert message("lama-3-8b") == (
        "error[hf.config]: there is no model 'lama-3-8b'\n"
        "  lama-3-8b (did you mean 'llama-3-8b'?; or a folder with a config.json)"
    )
    gone = tmp_path / "gone.json"
    assert message(gone) == f"error[hf.config]: cannot read '{gone}': no such file"


@pytest.mark.parametrize("text", ["{", "[1]", "\udcff"])
def test_a_file_that_is_no_configuration_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert message(path).startswith(f"error[hf.config]: '{path}' is not ")


def test_the_words_of_newer_files_are_read() -> None:
    rope = {"rope_type": "linear", "factor": 2.0, "rope_theta": 50.0}
    said = {**LLAMA, "rope_parameters": rope, "dtype": "torch.bfloat16"}
    figures: Any = read_config(said).figures
    assert (figures.rope.kind, figures.rope.theta, figures.dtype) == ("linear", 50.0, DType.BF16)


def asked(**figures: Any) -> str:
    with pytest.raises(InputError) as error:
        Request(**figures)
    return error.value.text().partition("\n")[2]


def test_a_request_checks_itself() -> None:
    assert asked(phase="prefil", batch=0) == (
        "  phase: 'prefil' (did you mean 'prefill'?)\n  batch: 0 (from 1 to 2147483647)"
    )
    assert asked(phase="decode", tokens=2) == (
        "  context: missing (the number of tokens in the cache)\n"
        "  tokens: 2 (a decode step reads 1 token)"
    )
    assert asked(phase="decode", context=5, capacity=5) == (
        "  capacity: 5 (more than the 5 tokens of the context)"
    )
    assert asked(phase="prefill", context=3) == (
        "  context: 3 (absent: a prefill starts from nothing, say tokens)\n"
        "  tokens: missing (the number of tokens of the prompt)"
    )
    assert asked(phase="forward", tokens=3, capacity=2) == (
        "  capacity: 2 (absent: a forward has no cache)\n"
        "  capacity: 2 (at least the 3 tokens of the prompt)"
    )


@pytest.mark.parametrize(
    ("name", "request_", "told"),
    [
        (
            "vit-b-16",
            Request("decode", context=1),
            "phase: 'decode' (forward: a vit keeps no cache)",
        ),
        (
            "llama-3-8b",
            Request("forward"),
            "tokens: missing (the number of tokens of each sequence)",
        ),
        (
            "gpt2",
            Request("decode", context=1024),
            "positions: 1025 (at most the 1024 positions that 'gpt2' has learnt)",
        ),
    ],
)
def test_what_a_model_cannot_do_is_told(name: str, request_: Request, told: str) -> None:
    with pytest.raises(InputError) as error:
        model_graph(read_config(name), request_)
    assert error.value.text() == (f"error[hf.request]: this cannot be asked of '{name}'\n  {told}")


def test_the_last_tokens_logits_are_those_of_all_tokens() -> None:
    config = read_config(DECODERS["llama"])
    shapes = {
        word: model_graph(config, Request("prefill", batch=2, tokens=5, logits=word))
        for word in ("last", "all")
    }
    assert shapes["last"].types["logits"].shape == (2, 61)
    assert shapes["all"].types["logits"].shape == (2, 5, 61)


def test_a_cache_has_the_room_that_is_asked_for() -> None:
    config = read_config(DECODERS["llama"])
    prefill = model_graph(config, Request("prefill", tokens=5, capacity=9))
    decode = model_graph(config, Request("decode", context=5, capacity=9))
    for graph in (prefill, decode):
        assert graph.types["present.2.key"].text() == "f32[1,2,9,8]"
        assert graph.outputs[0] == "logits"
    assert decode.inputs[:3] == ("input_ids", "position", "past.0.key")


def test_neither_onnx_nor_torch_is_imported() -> None:
    code = (
        "import sys; from drawloom.frontends.hf import *; from drawloom.quantize import *;"
        "model_graph(read_config('llama-3-8b'), Request('decode', context=9));"
        "print([m for m in ('onnx', 'torch', 'numba') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout == "[]\n"


def test_the_page_shows_the_catalog() -> None:
    page = (DOCS / "models.md").read_text(encoding="utf-8")
    entries = [catalog_entry(name) for name in catalog_names()]
    rows = [f"| `{e.name}` | {e.parameters:,} | {e.source} |" for e in entries]
    assert [line for line in page.splitlines() if line.startswith("| `") and "," in line][
        -len(rows) :
    ] == rows


def test_rotary_tables_of_a_step_see_the_length_so_far() -> None:
    rope = {"rope_type": "dynamic", "factor": 2.0}
    figures: Any = read_config(
        {**LLAMA, "max_position_embeddings": 8, "rope_scaling": rope}
    ).figures
    steps, _ = figures.rope.tables(12, 8, steps=True)
    for length in (5, 8, 9, 12):
        whole, _ = figures.rope.tables(length, 8, steps=False)
        np.testing.assert_array_equal(steps[length - 1], whole[-1])


ODD: list[Any] = [
    *(None, -1, 0, 1, 3, 7, 1.5, "x", "", [], {}, [3], [0, "a"], True, 1e30, 2**40, 2**31 - 1),
    *(float("nan"), float("inf"), {"type": "yarn"}, {"rope_type": "dynamic", "factor": "8"}),
    *({"rope_type": 3}, {"type": "yarn", "factor": 2, "beta_fast": -1}),
]


@pytest.mark.parametrize("seed", range(4))
def test_a_configuration_that_was_tampered_with_is_told_or_built(seed: int) -> None:
    chance = random.Random(seed)
    told: list[str] = []
    built = 0
    for _ in range(100):
        said = dict(chance.choice([*DECODERS.values(), UNET]))
        keys = [*said, "rope_scaling", "head_dim", "layer_types", "torch_dtype", "sliding_window"]
        for _ in range(chance.choice((1, 1, 2))):
            said[chance.choice(keys)] = chance.choice(ODD)
        request = chance.choice([Request("decode", context=5), Request("forward", tokens=4)])
        try:
            model_graph(read_config(said), request)
            built += 1
        except InputError as error:
            told.append(error.text())
    assert built > 5
    assert len(told) > 50
    assert [text for text in told if "\n  " not in text] == []
