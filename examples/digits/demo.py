"""Maps the digit classifier onto a TX81, runs it bit for bit, shows what it costs.

python examples/digits/demo.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
from data import held_out
from rich.console import Console
from rich.table import Table

import drawloom
from drawloom.report import figures, summary

MODEL = Path(__file__).with_name("digits.onnx")
OUT = Path("out")


def main() -> None:
    images, labels = held_out()
    build = drawloom.compile(MODEL, "tx81", dims={"batch": len(images)})
    chip = build.run({"image": images})["logits"]
    session = onnxruntime.InferenceSession(MODEL)
    host = np.asarray(session.run(["logits"], {"image": images})[0])

    table = Table(title=f"{len(images)} held-out handwritten digits", title_justify="left")
    for column in ("", "simulated TX81, fp16", "ONNX Runtime, fp32"):
        table.add_column(column, justify="left" if not column else "right")
    found = [int((logits.argmax(axis=1) == labels).sum()) for logits in (chip, host)]
    table.add_row("right", *(f"{n} of {len(labels)}" for n in found))
    table.add_row("accuracy", *(f"{n / len(labels):.2%}" for n in found))
    worst, largest = np.abs(chip - host).max(), np.abs(host).max()
    table.add_row("worst difference", f"{worst:.3g}", f"of logits up to {largest:.3g}")
    console = Console()
    console.print(table)

    console.print(summary(figures(build.time(), build.graph)))
    OUT.mkdir(exist_ok=True)
    build.write_page(OUT / "digits.html")
    build.write_trace(OUT / "digits.trace.json.gz")
    console.print(
        f"\nwrote {OUT}/digits.html (open it) and {OUT}/digits.trace.json.gz (for Perfetto)"
    )


if __name__ == "__main__":
    main()
