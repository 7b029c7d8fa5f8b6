"""Maps the digit classifier onto a TX81, runs it bit for bit, shows what it costs.

python examples/digits/demo.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
from data import held_out

import drawloom

MODEL = Path(__file__).with_name("digits.onnx")
OUT = Path("out")


def main() -> None:
    images, labels = held_out()
    build = drawloom.compile(MODEL, "tx81", dims={"batch": len(images)})
    chip = build.run({"image": images})["logits"]
    (host,) = onnxruntime.InferenceSession(MODEL).run(["logits"], {"image": images})

    print(f"accuracy      chip {_accuracy(chip, labels):.4f}, host {_accuracy(host, labels):.4f}")
    print(f"worst logit   {np.abs(chip - host).max():.2g} apart, of {np.abs(host).max():.2g}")

    trace = build.time()
    low, likely, high = (joules * 1e6 for joules in trace.energy())
    print(f"latency       {trace.latency_ps / 1e6:,.1f} us for {len(images)} images")
    print(f"energy        {likely:,.1f} uJ, between {low:,.1f} and {high:,.1f}")
    for engine, share in trace.utilisation().items():
        print(f"utilisation   {engine} {share:.1%}")

    OUT.mkdir(exist_ok=True)
    build.write_page(OUT / "digits.html")
    build.write_trace(OUT / "digits.trace.json")
    print(f"wrote {OUT}/digits.html, {OUT}/digits.trace.json")


def _accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    return float((logits.argmax(axis=1) == labels).mean())


if __name__ == "__main__":
    main()
