"""Whoever watches mutants sees what he is there to see."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.fuzz.judge import Tell
from tests.fuzz.mutants import Mutant, Mutation
from tests.fuzz.watch import Watch

SEEDS = dict.fromkeys(
    ("wrong", "crash", "hang", "memory", "outside", "link", "theirs", "fine", "refused"), b"12"
)


def bad_judge(path: Path, tell: Tell) -> str:
    """Do what the file's ending says."""
    match path.suffix[1:] or path.read_bytes().decode():
        case "crash":
            os.abort()
        case "hang":
            time.sleep(60)
        case "memory":
            return str(np.ones(1 << 30).size)
        case "outside":
            return str(len((path.parent / ".." / "secret.bin").read_bytes()))
        case "link":
            return str(len((path.parent / "link.bin").read_bytes()))
        case "theirs":
            tell("theirs")
            os.abort()
        case "refused":
            return "refused"
        case "fine":
            assert path.read_bytes() == b"12"
            return "read"
    raise IndexError("no such case")


@pytest.fixture(scope="module")
def watch() -> Iterator[Watch]:
    made = Watch({f"a.{name}": raw for name, raw in SEEDS.items()}, bad_judge, limit_s=2)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("name", "word", "failed"),
    [
        ("crash", "crash", True),
        ("hang", "hang", True),
        ("memory", "MemoryError", True),
        ("outside", "outside", True),
        ("link", "outside", True),
        ("wrong", "IndexError", True),
        ("theirs", "theirs", False),
        ("refused", "refused", False),
        ("fine", "read", False),
    ],
)
def test_what_came_of_a_mutant_is_seen(watch: Watch, name: str, word: str, failed: bool) -> None:
    outcome = watch.judge(Mutant(f"a.{name}", ()))
    assert (outcome.word, outcome.failed) == (word, failed)


def test_a_failure_is_shrunk_to_what_it_takes(watch: Watch) -> None:
    mutations = (Mutation("flip", 1), Mutation("cut", 2), Mutation("insert", 3))
    found = watch.judge(Mutant("a.fine", mutations))
    assert found.failed
    shrunk = watch.shrunk(found)
    assert shrunk.failed
    assert len(shrunk.mutant.mutations) == 1
