"""Models given by their configuration: by name, by folder, with and without weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from examples.byte_llama import data

from drawloom import flow
from drawloom.errors import InputError
from drawloom.frontends.configured import is_configured
from drawloom.frontends.hf import Request
from drawloom.graph.dtypes import DType

FOLDER = Path(data.__file__).parent


def test_a_folder_brings_its_weights() -> None:
    reference = np.load(FOLDER / "reference.npz")
    build = flow.compile(FOLDER, request=Request("forward", tokens=128), precision="f32")
    found = build.run({"input_ids": reference["ids"].astype(np.int32)})["logits"]
    np.testing.assert_allclose(found, reference["logits"], rtol=0, atol=1e-3)


def test_a_configuration_alone_has_none() -> None:
    where = FOLDER / "config.json"
    build = flow.compile(where, request=Request("decode", context=31))
    whole = flow.compile(FOLDER, request=Request("decode", context=31))
    assert build.time().total_ps == whole.time().total_ps
    with pytest.raises(InputError, match="without its weights"):
        build.run({})


def test_a_dictionary_and_a_name_are_models_too() -> None:
    said = json.loads((FOLDER / "config.json").read_text())
    assert flow.read(said, flow.Options(request=Request("prefill", tokens=5))).nodes
    graph = flow.read("llama-3.1-405b", flow.Options(request=Request("decode", context=8)))
    assert flow.own_precision(graph) == "bf16"


@pytest.mark.parametrize("precision", ["f16", "bf16", "f32"])
def test_weights_caches_and_what_is_computed_have_one_format(precision: str) -> None:
    options = flow.Options(request=Request("decode", context=8), precision=precision)
    graph = flow.read(FOLDER / "config.json", options)
    floats = {kind.dtype for kind in graph.types.values() if kind.dtype.is_float}
    assert floats - {DType(precision)} <= {DType.F32}
    assert graph.types["past.0.key"].dtype is DType(precision)


@pytest.mark.parametrize(
    ("model", "answer"),
    [
        ("llama-3-8b", True), ("qwen2.5-7b", True), ("lama", True), ("model.gguf", True),
        ("config.json", True), ("model.onnx", False), ("folder/model.onnx", False), (b"", False),
    ],
)  # fmt: skip
def test_what_is_given_by_its_configuration(model: str | bytes, answer: bool) -> None:
    assert is_configured(model) is answer


def test_a_model_with_phases_wants_one_said() -> None:
    with pytest.raises(InputError) as caught:
        flow.compile("llama-3-8b")
    assert caught.value.text() == (
        "error[hf.request]: say what is asked of 'llama-3-8b'\n"
        "  phase: not said (prefill with tokens, or decode with context)"
    )


def test_weights_too_large_for_a_format_are_named_when_they_are_read(tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    tensors = load_file(FOLDER / "model.safetensors")
    name = "model.layers.1.mlp.up_proj.weight"
    tensors[name] = tensors[name].astype(np.float32)
    tensors[name][0, 0] = 1e6
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text((FOLDER / "config.json").read_text())
    build = flow.compile(tmp_path, request=Request("forward", tokens=4))
    with pytest.raises(InputError) as caught:
        build.run({"input_ids": np.zeros((1, 4), np.int32)})
    assert caught.value.text() == (
        "error[quantize.range]: a weight is too large for f16\n"
        f"  constant '{name}': 1e+06 (at most 65504 in f16; bf16 holds it)"
    )
