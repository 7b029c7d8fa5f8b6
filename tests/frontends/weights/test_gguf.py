"""GGUF: blocks unpacked bit for bit as llama.cpp's own package does, names and configs given back."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.frontends.weights.files import gguf_bytes, refusal, write_gguf

from drawloom.errors import InputError, Unsupported
from drawloom.frontends.hf.config import read_config
from drawloom.frontends.hf.model import model_graph
from drawloom.frontends.hf.request import Request
from drawloom.frontends.weights.gguf.blocks import FORMATS
from drawloom.frontends.weights.gguf.config import gguf_config
from drawloom.frontends.weights.gguf.names import hugging_face_name
from drawloom.frontends.weights.open import open_weights
from drawloom.graph.dtypes import DType
from drawloom.graph.evaluate import evaluate

GOLDEN = Path(__file__).parents[2] / "golden" / "gguf"
BLOCKS = np.load(GOLDEN / "blocks.npz")
LLAMA = np.load(GOLDEN / "llama.npz")
ONE = bytes(4)


def bits(array: np.ndarray) -> bytes:
    return np.ascontiguousarray(array).tobytes()


def test_every_format_has_a_golden_tensor() -> None:
    assert {form.word for form in FORMATS.values()} < set(BLOCKS)
    assert set(open_weights(GOLDEN / "blocks.gguf")) == set(BLOCKS)


@pytest.mark.parametrize("word", sorted(BLOCKS))
def test_blocks_are_unpacked_bit_for_bit_as_the_gguf_package_does(word: str) -> None:
    tensor = open_weights(GOLDEN / "blocks.gguf")[word]
    expected = BLOCKS[word]
    assert tensor.shape == expected.shape
    values = tensor.read()
    assert bits(values.astype(expected.dtype)) == bits(expected)
    if word in [form.word for form in FORMATS.values()]:
        assert values.dtype == np.float32


@pytest.mark.parametrize("form", FORMATS.values(), ids=lambda form: form.word)
def test_blocks_may_be_read_as_f16(form: Any) -> None:
    tensor = open_weights(GOLDEN / "blocks.gguf", DType.F16)[form.word]
    assert tensor.type.dtype is DType.F16
    assert bits(tensor.read()) == bits(BLOCKS[form.word].astype(np.float16))


def test_a_large_tensor_is_unpacked_in_portions(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    raw = rng.integers(0, 256, (40_000, 34), np.uint8)
    raw[:, :2] = np.array([0.5], "<f2").view(np.uint8)
    path = write_gguf(tmp_path / "m.gguf", {}, {"a": (8, (4000, 320), raw.tobytes())})
    expected = raw[:, 2:].view(np.int8).astype(np.float32) / 2
    np.testing.assert_array_equal(open_weights(path)["a"].read(), expected.reshape(4000, 320))


def test_a_value_that_f16_cannot_hold_is_an_error(tmp_path: Path) -> None:
    block = np.array([1000], "<f2").tobytes() + bytes([100] * 32)
    path = write_gguf(tmp_path / "m.gguf", {}, {"a": (8, (32,), block)})
    assert open_weights(path)["a"].read().max() == 100_000
    with pytest.raises(InputError) as caught:
        open_weights(path, DType.F16)["a"].read()
    assert caught.value.text() == (
        "error[weights.range]: a value is too large for f16\n"
        "  m.gguf: tensor 'a': 100000 (up to 65504; or read f32)"
    )


def test_a_llama_has_the_tensors_that_it_was_made_from() -> None:
    weights = open_weights(GOLDEN / "llama.gguf")
    assert set(weights) == set(LLAMA)
    for name, tensor in weights.items():
        assert bits(tensor.read()) == bits(LLAMA[name]), name


def test_gpt2_has_its_weights_as_conv1d(tmp_path: Path) -> None:
    array = np.arange(6, dtype=np.float32).reshape(3, 2)
    tensors = {
        "blk.0.attn_qkv.weight": (0, (3, 2), array.tobytes()),
        "blk.0.attn_qkv.bias": (0, (3,), array[:, 0].tobytes()),
        "token_embd.weight": (0, (3, 2), array.tobytes()),
    }
    path = write_gguf(tmp_path / "m.gguf", {"general.architecture": "gpt2"}, tensors)
    weights = open_weights(path)
    assert {name: tensor.shape for name, tensor in weights.items()} == {
        "transformer.h.0.attn.c_attn.weight": (2, 3),
        "transformer.h.0.attn.c_attn.bias": (3,),
        "transformer.wte.weight": (3, 2),
    }
    np.testing.assert_array_equal(weights["transformer.h.0.attn.c_attn.weight"].read(), array.T)


@pytest.mark.parametrize(
    ("architecture", "name", "known"),
    [
        ("qwen3", "blk.11.attn_q_norm.weight", "model.layers.11.self_attn.q_norm.weight"),
        ("qwen2", "blk.0.attn_k.bias", "model.layers.0.self_attn.k_proj.bias"),
        ("llama", "blk.3.ffn_down.weight", "model.layers.3.mlp.down_proj.weight"),
        ("llama", "rope_freqs.weight", "rope_freqs.weight"),
        ("gpt2", "output_norm.bias", "transformer.ln_f.bias"),
        ("gpt2", "position_embd.weight", "transformer.wpe.weight"),
    ],
)
def test_names_are_those_of_hugging_face(architecture: str, name: str, known: str) -> None:
    assert hugging_face_name(name, architecture) == known


def test_another_format_is_refused_only_when_it_is_asked_for(tmp_path: Path) -> None:
    tensors = {"a": (20, (32,), bytes(18)), "b": (0, (1,), ONE)}
    weights = open_weights(write_gguf(tmp_path / "m.gguf", {}, tensors))
    assert weights["b"].read() == 0
    with pytest.raises(Unsupported) as caught:
        weights["a"]
    assert caught.value.text() == (
        "error[weights.dtype]: tensor 'a' is of a format that drawloom does not read\n"
        "  m.gguf: tensor 'a': IQ4_NL (one of F32, F16, I8, I16, I32, I64, F64, BF16, Q4_0, "
        "Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K)"
    )


# --- files that are not sound -------------------------------------------------

TENSORS: list[tuple[dict[str, Any], dict[str, int], str]] = [
    (
        {"a": (99, (1,), ONE)},
        {},
        "tensor 'a': format 99 (a format of GGUF, such as F32, F16, I8, I16, I32, I64, F64, BF16, "
        "Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K)",
    ),
    (
        {"a": (12, (2, 128), bytes(144))},
        {},
        "tensor 'a': Q4_K in rows of 128 (a multiple of 256)",
    ),
    (
        {"a": (0, (1 << 40, 1 << 40), ONE)},
        {},
        "tensor 'a': shape [1099511627776, 1099511627776] (up to 2^56 elements)",
    ),
    (
        {"a": (0, (9,), ONE)},
        {},
        "tensor 'a': data from 0 to 36 (up to 32, where the file ends)",
    ),
    (
        {"a": (0, (1,), ONE), "b": (0, (1,), ONE)},
        {"b": 0},
        "tensor 'b': data from 0 on (32, where the tensor before it ends)",
    ),
    (
        {"a": (0, (1,), ONE), "b": (0, (1,), ONE)},
        {"b": 36},
        "tensor 'b': data from 36 on (32, where the tensor before it ends)",
    ),
    (
        {"a": (0, (1,), ONE + bytes(64))},
        {},
        "data: 96 bytes (4, as the tensors need)",
    ),
]


@pytest.mark.parametrize(("tensors", "offsets", "fault"), TENSORS)
def test_tensors_that_are_not_sound_are_refused(
    tmp_path: Path, tensors: dict[str, Any], offsets: dict[str, int], fault: str
) -> None:
    path = write_gguf(tmp_path / "m.gguf", {}, tensors, offsets=offsets)
    assert refusal(path) == f"error[weights.file]: 1 fault in 'm.gguf'\n  {fault}"


def test_the_faults_of_a_table_are_told_at_once(tmp_path: Path) -> None:
    tensors = {"a": (12, (7,), ONE), "b": (8, (33,), ONE)}
    raw = gguf_bytes({"x.long": 1, "x.look": 2}, tensors).replace(b"x.look", b"x.long")
    (tmp_path / "m.gguf").write_bytes(raw)
    assert refusal(tmp_path / "m.gguf") == (
        "error[weights.file]: 3 faults in 'm.gguf'\n"
        "  'x.long': again (each key once)\n"
        "  tensor 'a': Q4_K in rows of 7 (a multiple of 256)\n"
        "  tensor 'b': Q8_0 in rows of 33 (a multiple of 32)"
    )


def test_a_name_that_stands_twice_is_refused(tmp_path: Path) -> None:
    raw = gguf_bytes({}, {"aa": (0, (1,), ONE), "bb": (0, (1,), ONE)}).replace(b"bb", b"aa")
    (tmp_path / "m.gguf").write_bytes(raw)
    assert "  tensor 'aa': again (each name once)" in refusal(tmp_path / "m.gguf").splitlines()
    names = {"output_norm.weight": (0, (1,), ONE), "model.norm.weight": (0, (1,), ONE)}
    write_gguf(tmp_path / "m.gguf", {"general.architecture": "qwen2"}, names)
    assert refusal(tmp_path / "m.gguf").splitlines()[1:] == [
        "  tensor 'model.norm.weight': 'model.norm.weight' again (each name once)"
    ]


RAW: list[tuple[bytes, str]] = [
    (b"GG", "header: 4 bytes from byte 0 on (up to 2, where the file ends)"),
    (b"XXXX" + bytes(20), "header: begins with b'XXXX' (b'GGUF')"),
    (
        b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1 << 20),
        "pair 0 of 1: 1,048,576 bytes from byte 32 on (up to 32, where the file ends)",
    ),
    (
        b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1 << 60),
        "pair 0 of 1: a word of 1,152,921,504,606,846,976 bytes (up to 16,777,216)",
    ),
    (
        b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1) + b"\xff",
        "pair 0 of 1: byte 0xff in a word (UTF-8)",
    ),
    (
        b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1) + b"k" + struct.pack("<I", 13),
        "'k': a value of kind 13 (a number, a word, or an array of one of them)",
    ),
    (
        b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1) + b"k" + struct.pack("<IIQ", 9, 9, 1),
        "'k': a value of kind 9 (a number, a word, or an array of one of them)",
    ),
    (
        b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1) + b"k" + struct.pack("<IIQ", 9, 0, 1 << 62),
        "'k': 4,611,686,018,427,387,904 bytes from byte 49 on (up to 49, where the file ends)",
    ),
    (
        b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1) + b"k" + struct.pack("<IB", 7, 2),
        "'k': a truth value that is neither 0 nor 1 (0 or 1)",
    ),
    (
        b"GGUF" + struct.pack("<IQQQ", 3, 1, 0, 1) + b"t" + struct.pack("<I", 5),
        "tensor 't': 5 dims (up to 4)",
    ),
    (
        gguf_bytes({"general.alignment": 24}, {}),
        "'general.alignment': general.alignment 24 (a power of two)",
    ),
]


@pytest.mark.parametrize(("raw", "fault"), RAW)
def test_a_header_that_cannot_be_followed_is_refused(
    tmp_path: Path, raw: bytes, fault: str
) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(raw)
    assert refusal(path) == f"error[weights.file]: 1 fault in 'm.gguf'\n  {fault}"


@pytest.mark.parametrize(("version", "found"), [(1, "version 1"), (3 << 24, "big-endian numbers")])
def test_another_version_is_refused(tmp_path: Path, version: int, found: str) -> None:
    path = write_gguf(tmp_path / "m.gguf", {}, {}, version=version)
    assert refusal(path) == (
        "error[weights.file]: 'm.gguf' is a GGUF file that drawloom does not read\n"
        f"  m.gguf: {found} (version 2 or 3, little-endian)"
    )


def test_one_part_of_several_is_refused(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", {"split.count": 3}, {})
    assert refusal(path) == (
        "error[weights.file]: 'm.gguf' is not the whole model\n"
        "  m.gguf: one of 3 parts (one file, as llama-gguf-split --merge)"
    )


def test_rows_that_heads_do_not_share_evenly_are_refused(tmp_path: Path) -> None:
    metadata = {"general.architecture": "llama", "llama.attention.head_count": 2}
    tensors = {
        "blk.0.attn_q.weight": (0, (6, 1), bytes(24)),
        "blk.0.attn_k.weight": (0, (4, 1), bytes(16)),
    }
    path = write_gguf(tmp_path / "m.gguf", metadata, tensors)
    assert refusal(path) == (
        "error[weights.file]: 1 fault in 'm.gguf'\n"
        "  tensor 'blk.0.attn_q.weight': 6 rows (a multiple of 2 x 2 heads)"
    )


# --- configurations -----------------------------------------------------------


def figures(architecture: str, **changes: Any) -> dict[str, Any]:
    """Return the metadata of a small model; a change to None leaves a key out."""
    table = {
        "embedding_length": 32,
        "block_count": 2,
        "attention.head_count": 4,
        "feed_forward_length": 64,
        "context_length": 128,
        "attention.layer_norm_rms_epsilon": 1e-6,
        "attention.layer_norm_epsilon": 1e-5,
        "vocab_size": 50,
    }
    table |= {key.replace("__", "."): value for key, value in changes.items()}
    keyed = {f"{architecture}.{key}": v for key, v in table.items() if v is not None}
    return {"general.architecture": architecture} | keyed


def test_the_config_of_a_llama_is_that_of_hugging_face() -> None:
    assert gguf_config(GOLDEN / "llama.gguf") == {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "intermediate_size": 24,
        "max_position_embeddings": 64,
        "rms_norm_eps": 1e-05,
        "vocab_size": 12,
        "tie_word_embeddings": False,
        "num_key_value_heads": 2,
        "head_dim": 4,
        "rope_theta": 500000.0,
        "attention_bias": False,
        "hidden_act": "silu",
        "rope_scaling": None,
    }


def test_the_config_of_a_gpt2_has_its_own_words(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", figures("gpt2"), {})
    assert gguf_config(path) == {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "n_embd": 32,
        "n_layer": 2,
        "n_head": 4,
        "n_inner": 64,
        "n_positions": 128,
        "layer_norm_epsilon": 1e-05,
        "vocab_size": 50,
        "tie_word_embeddings": True,
    }


def test_the_config_of_a_qwen_has_biases_and_the_size_of_its_heads(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", figures("qwen2"), {})
    config = gguf_config(path)
    assert (config["attention_bias"], config["head_dim"]) == (True, 8)
    assert config["num_key_value_heads"] == 4
    write_gguf(path, figures("qwen3", attention__key_length=16, rope__freq_base=1e6), {})
    config = gguf_config(path)
    assert (config["attention_bias"], config["head_dim"]) == (False, 16)
    assert (config["rms_norm_eps"], config["rope_theta"]) == (1e-6, 1e6)


@pytest.mark.parametrize("listed", [True, False])
def test_the_vocabulary_is_counted_where_it_is_not_said(tmp_path: Path, listed: bool) -> None:
    metadata = figures("llama", vocab_size=None) | {"tokenizer.ggml.tokens": ["a", "b", "c"]}
    tensors = {} if listed else {"token_embd.weight": (0, (4, 1), bytes(16))}
    config = gguf_config(write_gguf(tmp_path / "m.gguf", metadata, tensors))
    assert config["vocab_size"] == (3 if listed else 4)


def test_the_rotation_of_llama_3_is_found_in_its_divisors(tmp_path: Path) -> None:
    waves = 2 * np.pi * 500000.0 ** (np.arange(4) / 4)
    smooth = np.clip((8192 / waves - 1) / 3, 0, 1)
    divisors = (1 / ((1 - smooth) / 8 + smooth)).astype(np.float32)
    metadata = figures("llama", rope__freq_base=500000.0)
    tensors = {"rope_freqs.weight": (0, (4,), divisors.tobytes())}
    path = write_gguf(tmp_path / "m.gguf", metadata, tensors)
    assert gguf_config(path)["rope_scaling"] == {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }
    divisors[0] = 2
    write_gguf(path, metadata, {"rope_freqs.weight": (0, (4,), divisors.tobytes())})
    with pytest.raises(Unsupported, match="divisors of the rotation"):
        gguf_config(path)


def test_a_rotation_is_stretched_as_it_is_said(tmp_path: Path) -> None:
    changes = {"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0}
    path = write_gguf(tmp_path / "m.gguf", figures("qwen3", **changes), {})
    assert gguf_config(path)["rope_scaling"] == {"rope_type": "yarn", "factor": 4.0}
    write_gguf(path, figures("qwen3", **{"rope.scaling.type": "longrope"}), {})
    with pytest.raises(Unsupported) as caught:
        gguf_config(path)
    assert caught.value.text() == (
        f"error[weights.config]: '{path}' is of a model that drawloom does not know\n"
        "  qwen3.rope.scaling.type: 'longrope' (one of none, linear, yarn)"
    )


def test_all_that_a_config_lacks_is_told_at_once(tmp_path: Path) -> None:
    changes = {"embedding_length": None, "block_count": 0, "attention.key_length": "x"}
    path = write_gguf(tmp_path / "m.gguf", figures("llama", **changes), {})
    with pytest.raises(InputError) as caught:
        gguf_config(path)
    assert caught.value.text().splitlines()[:4] == [
        f"error[weights.file]: '{path}' does not say what a llama model has",
        "  llama.embedding_length: missing (a whole number of at least 1)",
        "  llama.block_count: 0 (a whole number of at least 1)",
        "  llama.attention.key_length: 'x' (a whole number of at least 1)",
    ]


@pytest.mark.parametrize(
    ("metadata", "fault"),
    [
        ({}, "general.architecture: None (a word)"),
        ({"general.architecture": "qwen"}, "general.architecture: 'qwen' (did you mean 'qwen3'?)"),
        (
            {"general.architecture": "llama", "llama.expert_count": 8},
            "llama.expert_count: 8 (a model without experts)",
        ),
    ],
)
def test_a_model_that_is_not_known_has_no_config(
    tmp_path: Path, metadata: dict[str, Any], fault: str
) -> None:
    path = write_gguf(tmp_path / "m.gguf", metadata, {})
    with pytest.raises(Unsupported) as caught:
        gguf_config(path)
    assert caught.value.text().splitlines()[1:] == [f"  {fault}"]


def test_a_model_from_a_gguf_file_computes_what_it_was_made_from() -> None:
    path = GOLDEN / "llama.gguf"
    config = read_config(gguf_config(path))
    request = Request(phase="forward", tokens=5)
    tokens = np.array([[3, 1, 11, 0, 7]], np.int32)
    made = []
    for tensors in (open_weights(path), dict(LLAMA)):
        graph = model_graph(config, request, tensors)
        made.append(evaluate(graph, {graph.inputs[0]: tokens})[graph.outputs[0]])
    assert made[0].shape == (1, 5, 12)
    assert bits(made[0]) == bits(made[1])
