"""Compile a chain of matrix products with the weights of a folder, write it, say what it took.

Run as a program, so that nothing else is in its memory: ``peak.py FOLDER``. Prints the bytes of
the largest tensor, of the program's file, and by how many the process grew at its peak.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from drawloom.flow import compile as compile_model
from drawloom.frontends.weights.open import open_weights
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Graph, TensorType
from drawloom.graph.lazy import Held
from drawloom.program.files import write_program


def chain(weights: dict[str, Held]) -> Graph:
    """Return x times one square matrix after the other."""
    builder = GraphBuilder("chain")
    side = next(iter(weights.values())).shape[0]
    value = builder.input("x", TensorType(DType.F16, (1, side)))
    for name, held in weights.items():
        value = builder.add("MatMul", (value, builder.constant(name, held)))
    return builder.finish([value])


def memory(word: str) -> int:
    """Return ``VmRSS`` (now) or ``VmHWM`` (at the peak) of this process, bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(word):
            return int(line.split()[1]) * 1024
    raise AssertionError(word)


def main(folder: Path) -> None:
    """Measure what a compilation takes beyond what any compilation takes."""
    warm = chain({"w": np.ones((64, 64), np.float16)})
    write_program(compile_model(warm).program, folder / "warm.prog")
    before = memory("VmRSS")
    weights: dict[str, Held] = dict(open_weights(folder))
    build = compile_model(chain(weights))
    for name in ("chain.prog", "chain.prog.txt"):
        write_program(build.program, folder / name)
    build.save(folder / "chain.build")
    grown = memory("VmHWM") - before
    largest = max(held.nbytes for held in weights.values())
    print(largest, (folder / "chain.prog").stat().st_size, grown)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
