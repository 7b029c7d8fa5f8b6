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

from onnx import ModelProto
from onnx.backend.test.runner import Runner

from drawloom.backend import DrawloomBackend, DrawloomRep
from drawloom.errors import DoesNotFit, InputError
from drawloom.mapping.pieces import CpuPiece

LIMIT_S = 300
WORDS = ("passed", "refused", "wrong", "crashed", "hung")


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
        cpu: whether a tile's processor runs part of it; of a case that passed.
        still: whether nothing is left to compute: all of it follows from shapes and constants.
    """

    name: str
    result: str
    reason: str = ""
    ops: tuple[str, ...] = ()
    cpu: bool = False
    still: bool = False


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


def run_case(name: str, limit_s: int = LIMIT_S) -> Outcome:
    """Run one case and return what became of it."""
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
        result, reason = "hung", f"more than {limit_s} s"
    except Exception as error:
        result, reason = "crashed", f"{type(error).__name__}: {error}"[:200].replace("\n", " ")
    return _outcome(name, result, reason)


def one_line(error: InputError | DoesNotFit) -> str:
    """Return a refusal's first faults on one line."""
    if isinstance(error, DoesNotFit):
        return f"error[{error.kind}]: {error.summary}"
    faults = [fault.text() for fault in error.faults[:2]]
    text = "; ".join([f"error[{error.kind}]: {error.summary}", *faults])
    # The list of all that is allowed says nothing about the case.
    return re.sub(r" \(one of [^)]*\)", "", re.sub(r"\s+", " ", text))[:300]


def _outcome(name: str, result: str, reason: str) -> Outcome:
    if not _Watched.made:
        return Outcome(name, result, reason)
    rep = _Watched.made[0]
    ops = tuple(sorted({_word(node) for node in rep.model.graph.node}))
    if result != "passed" or rep.last is None:
        return Outcome(name, result, reason, ops)
    build = rep.last.build
    cpu = any(isinstance(piece, CpuPiece) for piece in build.mapping.pieces)
    return Outcome(name, result, reason, ops, cpu, not build.graph.nodes)


def _word(node: Any) -> str:
    return f"{node.domain}.{node.op_type}" if node.domain else node.op_type


@contextmanager
def _limited(seconds: int) -> Iterator[None]:
    def stop(_signal: int, _frame: object) -> None:
        raise Hung

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
