"""Judges mutants in processes of their own, which may crash, hang or ask for too much memory.

A process has 3 GiB of addresses beyond those it starts with, and 20 s for a mutant; a file opened
outside the mutant's folder (and outside Python's own) is noted by an audit hook.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.fuzz.judge import Tell, judge
from tests.fuzz.mutants import DATA, Mutant

Judge = Callable[[Path, Tell], str]

LIMIT_S = 20.0
MEMORY_BYTES = 3 << 30
_PYTHON = (sys.prefix, sys.base_prefix, "/proc", "/sys", "/dev", "/usr", str(Path.cwd()))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a mutant: ``refused``, ``read`` or ``agrees``; anything else is a failure."""

    mutant: Mutant
    word: str
    detail: str = ""

    @property
    def failed(self) -> bool:
        """Whether it is what is looked for."""
        return self.word not in ("refused", "read", "agrees", "theirs")


class Watch:
    """One process that judges, made anew whenever it is lost."""

    def __init__(
        self, seeds: Mapping[str, bytes], by: Judge = judge, limit_s: float = LIMIT_S
    ) -> None:
        """Start the process, with the files that mutants are made of, and who judges them."""
        self.seeds = dict(seeds)
        self.by = by
        self.limit_s = limit_s
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, there = context.Pipe()
        self.process = context.Process(
            target=_serve, args=(there, self.seeds, self.by), daemon=True
        )
        self.process.start()
        there.close()
        assert self.pipe.recv() == "ready"

    def judge(self, mutant: Mutant) -> Outcome:
        """Return what came of a mutant, within the limit."""
        self.pipe.send(mutant.text())
        stage = "ours"
        try:
            while self.pipe.poll(self.limit_s):
                word, detail = self.pipe.recv()
                if word != "stage":
                    return Outcome(mutant, word, detail)
                stage = detail
        except EOFError:
            self.process.join(5)
            code = self.process.exitcode
            self._start()
            return Outcome(mutant, "theirs" if stage == "theirs" else "crash", f"exit code {code}")
        self.close()
        self._start()
        return Outcome(mutant, "theirs" if stage == "theirs" else "hang", f"{self.limit_s:g} s")

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.join()
        self.pipe.close()

    def shrunk(self, outcome: Outcome) -> Outcome:
        """Return the failure with as few of its mutations as it takes."""
        for smaller in outcome.mutant.without():
            found = self.judge(smaller)
            if found.failed:
                return self.shrunk(found)
        return outcome


def judged(mutants: Sequence[Mutant], seeds: Mapping[str, bytes]) -> Iterator[Outcome]:
    """Yield what came of each mutant, failures shrunk."""
    watch = Watch(seeds)
    try:
        for mutant in mutants:
            outcome = watch.judge(mutant)
            yield watch.shrunk(outcome) if outcome.failed else outcome
    finally:
        watch.close()


def _serve(pipe: Connection, seeds: Mapping[str, bytes], by: Judge) -> None:
    """Judge what comes through the pipe, until it is closed."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name).resolve()
        (root / "secret.bin").write_bytes(bytes(4096))
        folder = root / "mutant"
        folder.mkdir()
        (folder / "data.bin").write_bytes(DATA)
        (folder / "link.bin").symlink_to(root / "secret.bin")
        opened = _listen(folder)
        _limit()
        pipe.send("ready")
        while True:
            try:
                mutant = Mutant.parse(pipe.recv())
            except EOFError:
                return
            path = folder / f"mutant{Path(mutant.seed).suffix}"
            path.write_bytes(mutant.bytes(seeds))
            opened.clear()
            pipe.send(_verdict(by, path, pipe, opened))


def _verdict(by: Judge, path: Path, pipe: Connection, opened: list[str]) -> tuple[str, str]:
    """Return a word and what there is to say of it; ``opened`` counts until others read."""
    ours: list[list[str]] = []

    def tell(stage: str) -> None:
        ours.append(list(opened))
        pipe.send(("stage", stage))

    try:
        word = by(path, tell)
    except Exception as error:
        frames = traceback.format_exception(error)
        return type(error).__name__, "".join(frames)[-1500:]
    outside = ours[0] if ours else opened
    return ("outside", ", ".join(outside)) if outside else (word, "")


def _listen(folder: Path) -> list[str]:
    """Return the list to which every file is added that is opened outside the folder."""
    opened: list[str] = []
    inside = (str(folder), *_PYTHON)

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(args[0], (str, bytes)):
            place = os.path.abspath(os.fsdecode(args[0]))
            if not place.startswith(inside) or place.endswith("link.bin"):
                opened.append(place)

    sys.addaudithook(hook)
    return opened


def _limit() -> None:
    """Bound the addresses of this process: what it has now, and as much again as a mutant may."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
