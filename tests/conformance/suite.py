"""The conformance suite of the onnx package, one case at a time, on drawloom's backend."""

from __future__ import annotations

import os
import re
import signal
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from onnx import ModelProto
from onnx.backend.test.runner import Runner

from drawloom.backend import DrawloomBackend, DrawloomRep
from drawloom.errors import DoesNotFit, InputError
from drawloom.mapping.pieces import CpuPiece
from drawloom.program.commands import Cpu
from drawloom.timing.trace import Trace

LIMIT_S = 300
WORDS = ("passed", "refused", "wrong", "crashed", "hung")
PLACES = ("engines", "cpu", "constant")
"""Engines alone; a tile's processor for some of it; nothing, for constants and shapes say it all."""
# The operators that thirteen models of PyTorch become in ONNX: language models with dense, grouped
# and routed layers, encoders, image classifiers, diffusion, state space and speech models.
UNION = frozenset(
    {
        "Add", "And", "Cast", "Concat", "Conv", "Cos", "Div", "Einsum", "Exp", "Expand", "Gather",
        "GatherElements", "GatherND", "Gelu", "Gemm", "Greater", "InstanceNormalization", "IsNaN",
        "LayerNormalization", "MatMul", "MaxPool", "Mul", "Neg", "Pow", "Reciprocal", "ReduceMean",
        "ReduceSum", "Relu", "Reshape", "Resize", "ScatterElements", "Sigmoid", "Sin", "Slice",
        "Softmax", "Softplus", "Split", "Sqrt", "Squeeze", "Tanh", "TopK", "Transpose",
        "Unsqueeze", "Where",
    }
)  # fmt: skip


class Hung(BaseException):
    """A case took longer than it may."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a case.

    Attributes:
        name: the case.
        result: one of ``WORDS``.
        reason: of what did not pass, in one line.
        ops: the operators of the model.
        where: what the program of a case that passed needs, one of ``PLACES``.
        share: of the program's cycles, the part in which a tile's processor computes; where timed.
    """

    name: str
    result: str
    reason: str = ""
    ops: tuple[str, ...] = ()
    where: str = ""
    share: float | None = None

    def text(self) -> str:
        """Return the case on one line; ``parse`` reads it back, but for the share."""
        return " | ".join((self.name, self.where or self.result, " ".join(self.ops), self.reason))

    @staticmethod
    def parse(line: str) -> Outcome:
        """Return the outcome on a line."""
        name, word, ops, reason = line.split(" | ", 3)
        passed = word in PLACES
        return Outcome(
            name, "passed" if passed else word, reason, tuple(ops.split()), word if passed else ""
        )


class _Watched(DrawloomBackend):
    """The backend, keeping what it prepared last."""

    made: list[DrawloomRep]

    @classmethod
    def prepare(cls, model: ModelProto, device: str = "CPU", **kwargs: Any) -> DrawloomRep:
        rep = super().prepare(model, device)
        cls.made = [rep]
        return rep


@cache
def items() -> dict[str, Any]:
    """Return every case for the CPU by name, in order."""
    os.environ.setdefault("ONNX_HOME", tempfile.mkdtemp(prefix="onnx-"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = Runner(_Watched)._test_items
    return {
        f"{category}.{name.removesuffix('_cpu')}": item
        for category, rows in sorted(found.items())
        for name, item in sorted(rows.items())
        if name.endswith("_cpu")
    }


def in_union(outcome: Outcome) -> bool:
    """Return whether a case is a node case of operators in ``UNION`` alone."""
    return outcome.name.startswith("NodeModel.") and set(outcome.ops) <= UNION


def run_case(name: str, limit_s: int = LIMIT_S, *, timed: bool = False) -> Outcome:
    """Run one case and return what became of it; ``timed`` also works out its program's cycles."""
    _Watched.made = []
    result, reason = "passed", ""
    try:
        with _limited(limit_s), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            items()[name].func(None)
    except (InputError, DoesNotFit) as error:
        result, reason = "refused", one_line(error)
    except AssertionError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        # numpy.testing says so at the head of what it finds; our own assertions do not.
        told = ("Not equal to tolerance", "Arrays are not", "Items are not equal", "Unexpected")
        result = "wrong" if lines and lines[0].startswith(told) else "crashed"
        reason = " ".join(lines)[:200] or "AssertionError"
    except Hung:
        result, reason = "hung", f"more than {limit_s} s of the processor"
    except Exception as error:
        result, reason = "crashed", f"{type(error).__name__}: {error}"[:200].replace("\n", " ")
    return _outcome(name, result, reason, timed)


def last() -> DrawloomRep | None:
    """Return what the case that was run last prepared; None where it came to nothing."""
    return _Watched.made[0] if _Watched.made else None


def one_line(error: InputError | DoesNotFit) -> str:
    """Return a refusal's first faults on one line."""
    if isinstance(error, DoesNotFit):
        return f"error[{error.kind}]: {error.summary}"
    faults = [fault.text() for fault in error.faults[:2]]
    text = "; ".join([f"error[{error.kind}]: {error.summary}", *faults])
    # The list of all that is allowed says nothing about the case.
    return re.sub(r" \(one of [^)]*\)", "", re.sub(r"\s+", " ", text))[:300]


def _outcome(name: str, result: str, reason: str, timed: bool) -> Outcome:
    if not _Watched.made:
        return Outcome(name, result, reason)
    rep = _Watched.made[0]
    ops = tuple(sorted({_word(node) for node in rep.model.graph.node}))
    if result != "passed" or rep.last is None:
        return Outcome(name, result, reason, ops)
    build = rep.last.build
    cpu = any(isinstance(piece, CpuPiece) for piece in build.mapping.pieces)
    where = "constant" if not build.graph.nodes else "cpu" if cpu else "engines"
    share = processor_share(build.time()) if timed and build.graph.nodes else None
    return Outcome(name, result, reason, ops, where, share)


def processor_share(trace: Trace) -> float:
    """Return the part of a program's time in which some tile's processor runs a ``cpu`` command."""
    at = [row for row, command in enumerate(trace.table.commands) if isinstance(command, Cpu)]
    spans = np.isin(trace.command, at)
    order = np.argsort(trace.start_ps[spans], kind="stable")
    start, end = trace.start_ps[spans][order], trace.end_ps[spans][order]
    # Each span counts from where all before it have ended.
    before = np.maximum.accumulate(np.concatenate([[0], end]))[:-1]
    return float(np.maximum(0, end - np.maximum(start, before)).sum() / max(1, trace.total_ps))


def _word(node: Any) -> str:
    return f"{node.domain}.{node.op_type}" if node.domain else node.op_type


@contextmanager
def _limited(seconds: int) -> Iterator[None]:
    def stop(_signal: int, _frame: object) -> None:
        raise Hung

    # Seconds of the processor: on a busy machine a case is slow, and no hang.
    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
