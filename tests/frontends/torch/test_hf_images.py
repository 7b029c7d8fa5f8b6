"""Image models from a configuration compute what transformers and diffusers compute."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drawloom.frontends.hf import Request, model_graph, read_config
from drawloom.graph.evaluate import evaluate

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
diffusers = pytest.importorskip("diffusers")
safetensors = pytest.importorskip("safetensors.numpy")

UNET = {
    "sample_size": 8,
    "in_channels": 4,
    "out_channels": 3,
    "block_out_channels": [16, 32],
    "layers_per_block": 1,
    "norm_num_groups": 8,
}
UNETS: dict[str, dict[str, Any]] = {
    "UNet2DModel": {
        **UNET,
        "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
        "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
        "attention_head_dim": 8,
        "downsample_padding": 0,
        "flip_sin_to_cos": False,
        "freq_shift": 1,
    },
    "UNet2DConditionModel": {
        **UNET,
        "sample_size": [8, 12],
        "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
        "attention_head_dim": 4,
        "cross_attention_dim": 20,
    },
    "UNet2DConditionModel-linear": {
        **UNET,
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
        "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
        "attention_head_dim": [2, 4],
        "cross_attention_dim": 20,
        "use_linear_projection": True,
        "transformer_layers_per_block": [1, 2],
    },
}


def stirred(model: Any) -> Any:
    """Give every weight a random value: what begins as 0 or 1 would hide faults."""
    torch.manual_seed(0)
    with torch.no_grad():
        for value in model.parameters():
            value.add_(0.15 * torch.randn(value.shape))
    return model.eval()


def made(folder: Path, stem: str, **inputs: Any) -> np.ndarray:
    config = read_config(folder)
    tensors = safetensors.load_file(folder / f"{stem}.safetensors")
    graph = model_graph(config, Request("forward", batch=2, tokens=5), tensors)
    assert set(graph.inputs) == set(inputs)
    (values,) = evaluate(graph, {k: v.numpy() for k, v in inputs.items()}).values()
    return values


def agree(got: np.ndarray, wanted: Any) -> None:
    expected = wanted.detach().numpy()
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=2e-5)


def test_vit(tmp_path: Path) -> None:
    config = transformers.ViTConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=40,
        image_size=[12, 16],
        patch_size=4,
        num_labels=7,
    )
    model = stirred(transformers.ViTForImageClassification(config))
    model.save_pretrained(tmp_path)
    image = torch.randn(2, 3, 12, 16)
    agree(made(tmp_path, "model", pixel_values=image), model(image).logits)


def test_dit(tmp_path: Path) -> None:
    model = stirred(
        diffusers.DiTTransformer2DModel(
            num_attention_heads=2,
            attention_head_dim=16,
            out_channels=6,
            num_layers=2,
            sample_size=8,
            num_embeds_ada_norm=10,
        )
    )
    model.save_pretrained(tmp_path)
    image, time, label = torch.randn(2, 4, 8, 8), torch.tensor([3.0, 700.0]), torch.tensor([1, 9])
    got = made(
        tmp_path,
        "diffusion_pytorch_model",
        hidden_states=image,
        timestep=time,
        class_labels=label.int(),
    )
    agree(got, model(image, time, label).sample)


@pytest.mark.parametrize("name", UNETS)
def test_unet(name: str, tmp_path: Path) -> None:
    said = UNETS[name]
    model = stirred(getattr(diffusers, name.split("-")[0])(**said))
    model.save_pretrained(tmp_path)
    size = said["sample_size"]
    size = size if isinstance(size, list) else [size, size]
    inputs = {"sample": torch.randn(2, 4, *size), "timestep": torch.tensor([3.0, 700.0])}
    if "cross_attention_dim" in said:
        inputs["encoder_hidden_states"] = torch.randn(2, 5, 20)
    expected = model(**inputs).sample
    agree(made(tmp_path, "diffusion_pytorch_model", **inputs), expected)
