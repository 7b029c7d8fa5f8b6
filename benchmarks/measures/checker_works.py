"""Programs whose mutants the checker is tried on: compiled by the tool, small enough to run in milliseconds.

The chips are a TX81 with fewer tiles and smaller scratchpads, so that products of some hundred rows are cut into
chunks, double-buffered and multicast as large ones are on the whole chip.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from typing import Any

from benchmarks.measures.limits import LLAMA, MIXTRAL, PROMPT, STEP, attention, filled, product
from examples.models.resnet import resnet
from numpy.typing import NDArray
from tests.execute.drawn import drawn_inputs

from drawloom.check import check
from drawloom.chip.files import load_chip
from drawloom.chip.model import Chip
from drawloom.execute.machine import execute
from drawloom.flow import compile
from drawloom.frontends.onnx import read_onnx
from drawloom.graph.ir import Graph
from drawloom.program.program import Program
from drawloom.program.roll import unroll
from drawloom.units import Bytes

KIB = 1024


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A compiled program, its loops written out, with inputs and what comes of them."""

    name: str
    program: Program
    chip: Chip
    inputs: Mapping[str, NDArray[Any]]
    outputs: Mapping[str, NDArray[Any]]
    graph: Graph
    mark: str  # sum of the program
    odd: frozenset[str]  # strict rules that the program itself breaks: what they find tells nothing


def small(side: int, kib: int) -> Chip:
    """Return a TX81 with ``side`` x ``side`` tiles, each with a scratchpad of some KiB."""
    chip = load_chip("tx81")
    reserve = Bytes(KIB)
    memory = replace(
        chip.scratchpad, bytes=Bytes(kib * KIB), reserve_low=reserve, reserve_high=reserve
    )
    return replace(chip, rows=side, cols=side, scratchpad=memory)


def _resnet50() -> Graph:
    """ResNet-50's 53 convolutions at an eighth of its width, on images of 32 x 32."""
    model = resnet("resnet50", 0, (3, 4, 6, 3), 4, image=32, width=8, batch=1, classes=16)
    return read_onnx(model.SerializeToString())


BLOCK = LLAMA | {"num_hidden_layers": 1}
EXPERTS = MIXTRAL | {"num_hidden_layers": 1}
SUBJECTS: Mapping[str, tuple[Callable[[], Graph], int, int]] = {
    "gemm": (lambda: product(160, 256, 192), 2, 48),
    "gemm on 16 tiles": (lambda: product(96, 160, 80), 4, 32),
    "attention": (lambda: attention(4, 2, 96, 32), 2, 160),
    "resnet50": (_resnet50, 2, 96),
    "llama block": (lambda: filled(BLOCK, PROMPT), 2, 96),
    "llama block on 16 tiles": (lambda: filled(BLOCK, PROMPT), 4, 96),
    "llama step": (lambda: filled(BLOCK, STEP), 2, 96),
    "experts step": (lambda: filled(EXPERTS, STEP), 2, 96),
}


@cache
def subject(name: str) -> Subject:
    """Return a program by its name."""
    make, side, kib = SUBJECTS[name]
    chip = small(side, kib)
    build = compile(make(), chip, check=False)
    program = build.program
    program = replace(program, streams=tuple(tuple(unroll(s)) for s in program.streams))
    inputs = drawn_inputs(program)
    odd = frozenset(one.rule for one in check(program, chip, strict=True, graph=build.graph))
    mark = sha256(program.text().encode()).hexdigest()[:16]
    outputs = execute(program, inputs)
    return Subject(name, program, chip, inputs, outputs, build.graph, mark, odd)
