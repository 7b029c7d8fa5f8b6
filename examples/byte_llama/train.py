"""Trains the byte-level Llama from a fixed seed; writes its files beside this one.

    python examples/byte_llama/train.py

Needs torch (the extra ``torch``) and safetensors. Whoever uses the files needs no torch.
"""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import numpy as np
import torch
from data import PROMPT, held_out, training
from model import Llama
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

HERE = Path(__file__).parent
SEED = 0
STEPS = 1000
WARM_UP = 50
BATCH = 8
LENGTH = 256
PEAK_RATE = 3e-3
WEIGHT_DECAY = 0.1
REPORT_EVERY = 100

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": None,
    "eos_token_id": None,
    "head_dim": 32,
    "hidden_act": "silu",
    "hidden_size": 128,
    "initializer_range": 0.02,
    "intermediate_size": 352,
    "max_position_embeddings": LENGTH,
    "mlp_bias": False,
    "model_type": "llama",
    "num_attention_heads": 4,
    "num_hidden_layers": 4,
    "num_key_value_heads": 2,
    "pretraining_tp": 1,
    "rms_norm_eps": 1e-5,
    "rope_scaling": None,
    "rope_theta": 10000.0,
    "tie_word_embeddings": True,
    "torch_dtype": "float16",
    "use_cache": True,
    "vocab_size": 256,
}


def train() -> Llama:
    """The trained network, its weights rounded to half precision as they are stored."""
    torch.manual_seed(SEED)
    torch.set_num_threads(2)
    text = torch.from_numpy(training().copy())
    net = Llama(CONFIG)
    optimiser = torch.optim.AdamW(net.parameters(), weight_decay=WEIGHT_DECAY, betas=(0.9, 0.95))
    for step in range(STEPS):
        optimiser.param_groups[0]["lr"] = PEAK_RATE * _rate(step)
        starts = torch.randint(len(text) - LENGTH, (BATCH, 1))
        loss = _loss(net, text[starts + torch.arange(LENGTH + 1)].long())
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        if (step + 1) % REPORT_EVERY == 0:
            print(f"step {step + 1}: training loss {loss.item():.3f}", flush=True)
    return net.half().float().eval()


def _rate(step: int) -> float:
    """The learning rate's share of its peak: a ramp up, half a cosine down."""
    if step < WARM_UP:
        return (step + 1) / WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (step - WARM_UP) / (STEPS - WARM_UP)))


def _loss(net: Llama, windows: Tensor) -> Tensor:
    """Nats per byte of foretelling each byte of the windows but the first."""
    logits = net(windows[:, :-1])
    return functional.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())


def validation_loss(net: Llama, length: int) -> float:
    """Nats per byte over all held-out text, cut into windows that start knowing nothing."""
    text = torch.from_numpy(held_out().copy()).long()
    windows = text.unfold(0, length + 1, length)
    with torch.inference_mode():
        losses = [_loss(net, part).item() * len(part) for part in windows.split(64)]
    return sum(losses) / len(windows)


def reference(net: Llama) -> dict[str, NDArray[np.generic]]:
    """The prompt and the network's answer to it: what an exported graph must agree with."""
    ids = np.frombuffer(PROMPT, dtype=np.uint8).astype(np.int64)[np.newaxis]
    with torch.inference_mode():
        return {"ids": ids, "logits": net(torch.from_numpy(ids)).numpy()}


def main() -> None:
    start = time.process_time()
    net = train()
    print(f"trained in {time.process_time() - start:.0f} s of processor time")
    weights = {name: weight.half().contiguous() for name, weight in net.state_dict().items()}
    save_file(weights, HERE / "model.safetensors", metadata={"format": "pt"})
    (HERE / "config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
    expected = reference(net)
    np.savez_compressed(HERE / "reference.npz", ids=expected["ids"], logits=expected["logits"])
    print(f"{sum(w.numel() for w in weights.values()):,} parameters")
    for length in (128, LENGTH):
        print(f"held-out loss, windows of {length}: {validation_loss(net, length):.4f} nats/byte")


if __name__ == "__main__":
    main()
