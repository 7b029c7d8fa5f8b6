"""Graphs from a configuration compute what transformers computes with the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.frontends.hf.tiny import DECODERS, forward, ids_of, steps

from drawloom.frontends.hf import read_config

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
safetensors = pytest.importorskip("safetensors.numpy")

ROPES: dict[str, dict[str, Any]] = {
    "linear": {"type": "linear", "factor": 3.0},
    "dynamic": {"rope_type": "dynamic", "factor": 2.0},
    "yarn": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16},
    "llama3": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 32,
    },
}


def eager(said: dict[str, Any], folder: Path) -> tuple[Any, dict[str, np.ndarray]]:
    """Return transformers' model with random weights, and them by their names in a checkpoint."""
    torch.manual_seed(0)
    options = {k: v for k, v in said.items() if k != "model_type"}
    config = transformers.AutoConfig.for_model(said["model_type"], **options)
    model = transformers.AutoModelForCausalLM.from_config(
        config, attn_implementation="eager", dtype=torch.float32
    ).eval()
    with torch.no_grad():
        for name, value in (*model.named_parameters(), *model.named_buffers()):
            if "inv_freq" not in name:
                centre = (
                    1.0 if ("norm" in name or ".ln_" in name) and name.endswith("weight") else 0.0
                )
                value.copy_(centre + 0.2 * torch.randn(value.shape))
    model.save_pretrained(folder)
    return model, safetensors.load_file(folder / "model.safetensors")


def logits_of(model: Any, ids: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return model(torch.from_numpy(ids).long()).logits.numpy()


@pytest.mark.parametrize("name", DECODERS)
def test_a_forward_gives_the_logits_of_transformers(name: str, tmp_path: Path) -> None:
    model, tensors = eager(DECODERS[name], tmp_path)
    config = read_config(tmp_path)
    ids = ids_of(config, 2, 11)
    expected = logits_of(model, ids)
    assert np.ptp(expected) > 0.5
    np.testing.assert_allclose(forward(config, tensors, ids), expected, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("name", ["mistral", "qwen3_moe", "deepseek_v3", "gpt2", "opt"])
def test_steps_give_the_logits_of_transformers(name: str, tmp_path: Path) -> None:
    model, tensors = eager(DECODERS[name], tmp_path)
    config = read_config(DECODERS[name])
    ids = ids_of(config, 1, 9)
    expected = logits_of(model, ids)
    for at, logits in enumerate(steps(config, tensors, ids, prompt=5, capacity=9), start=4):
        np.testing.assert_allclose(logits, expected[:, at], rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("kind", ROPES)
def test_rotary_rules_are_those_of_transformers(kind: str, tmp_path: Path) -> None:
    said = {**DECODERS["llama"], "rope_scaling": ROPES[kind], "max_position_embeddings": 64}
    model, _ = eager(said, tmp_path)
    positions = torch.arange(100)[None]
    cos, sin = model.model.rotary_emb(torch.zeros(1), positions)
    made = read_config(tmp_path).figures.rope.tables(100, 8, steps=False)  # pyright: ignore
    np.testing.assert_allclose(made[0], cos[0].numpy(), rtol=0, atol=1e-5)
    np.testing.assert_allclose(made[1], sin[0].numpy(), rtol=0, atol=1e-5)
