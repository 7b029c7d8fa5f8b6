"""The byte-level Llama: what is exported computes what was trained."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from examples.byte_llama import data, export

FOLDER = Path(data.__file__).parent


@pytest.fixture(scope="module")
def reference() -> dict[str, np.ndarray]:
    return dict(np.load(FOLDER / "reference.npz"))


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    return export.prefill()


def session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(model.SerializeToString())


def run(model: onnx.ModelProto, ids: np.ndarray) -> np.ndarray:
    return np.asarray(session(model).run(None, {"input_ids": ids})[0])


def test_reference_answers_the_prompt(reference: dict[str, np.ndarray]) -> None:
    assert reference["ids"].astype(np.uint8).tobytes() == data.PROMPT
    assert (reference["logits"].dtype, reference["logits"].shape) == (np.float32, (1, 128, 256))


def test_export_computes_what_torch_computed(
    model: onnx.ModelProto, reference: dict[str, np.ndarray]
) -> None:
    logits = run(model, reference["ids"])
    np.testing.assert_allclose(logits, reference["logits"], rtol=0, atol=1e-4)


@pytest.mark.parametrize("length", [1, 5, 32])
def test_shorter_prefill_answers_like_the_start_of_the_longer(
    length: int, reference: dict[str, np.ndarray]
) -> None:
    logits = run(export.prefill(length), reference["ids"][:, :length])
    np.testing.assert_allclose(logits, reference["logits"][:, :length], rtol=0, atol=1e-4)


@pytest.mark.parametrize("length", [0, 257])
def test_a_length_the_model_never_saw_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match=rf"^length {length} is not in 1\.\.256$"):
        export.prefill(length)


def test_nodes_carry_the_layers_names(model: onnx.ModelProto) -> None:
    names = [node.name for node in model.graph.node]
    assert len(set(names)) == len(names)
    layer = ("self_attn.q_proj", "self_attn.softmax", "mlp.down_proj", "input_layernorm")
    wanted = {f"layers.{i}.{name}" for i in range(4) for name in layer}
    assert wanted | {"embed_tokens", "norm", "lm_head"} <= set(names)


def test_export_is_the_same_each_time(model: onnx.ModelProto) -> None:
    again = export.prefill()
    assert again.SerializeToString(deterministic=True) == model.SerializeToString(
        deterministic=True
    )


def test_the_model_has_learnt_python(model: onnx.ModelProto) -> None:
    # The held-out text is the running Python's own, so the bound leaves room for its release.
    windows = np.lib.stride_tricks.sliding_window_view(data.held_out(), 129)[:: 128 * 100][:50]
    llama, losses = session(model), []
    for window in windows.astype(np.int64):
        logits = np.asarray(llama.run(None, {"input_ids": window[np.newaxis, :-1]})[0])[0]
        scores = logits - logits.max(axis=-1, keepdims=True)
        likely = scores - np.log(np.exp(scores).sum(axis=-1, keepdims=True))
        losses.append(-likely[np.arange(128), window[1:]].mean())
    assert np.mean(losses) < 1.8  # knowing nothing costs ln 256 = 5.5 nats a byte


def test_stored_weights_are_small() -> None:
    assert (FOLDER / "model.safetensors").stat().st_size < 2 * 2**20


def test_torch_definition_answers_like_the_reference(reference: dict[str, np.ndarray]) -> None:
    torch = pytest.importorskip("torch")
    from examples.byte_llama.model import Llama
    from safetensors.torch import load_file

    net = Llama(json.loads((FOLDER / "config.json").read_text())).eval()
    stored = load_file(FOLDER / "model.safetensors")
    net.load_state_dict({name: weight.float() for name, weight in stored.items()})
    with torch.inference_mode():
        logits = net(torch.from_numpy(reference["ids"])).numpy()
    np.testing.assert_allclose(logits, reference["logits"], rtol=0, atol=1e-4)
