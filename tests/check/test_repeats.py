"""Loops of which some turns are walked: the same is found as where all are."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import pytest
from benchmarks.measures.checker_works import small
from benchmarks.measures.limits import LLAMA, MIXTRAL, STEP, filled

from drawloom.check import check, loops, repeats
from drawloom.check.findings import Finding
from drawloom.chip.model import Chip
from drawloom.errors import InputError
from drawloom.flow import compile
from drawloom.program.addresses import addresses, with_addresses
from drawloom.program.commands import Affine, Command, Loop, Stream
from drawloom.program.program import Program

CHIP = small(2, 96)
DEEP = {"llama": LLAMA | {"num_hidden_layers": 6}, "experts": MIXTRAL | {"num_hidden_layers": 5}}


@cache
def deep(name: str) -> Program:
    """A decoder whose layers are turns of one loop."""
    return compile(filled(DEEP[name], STEP), CHIP, check=False).program


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The turns at which loops were left; even short loops are looked at."""
    monkeypatch.setattr(loops, "LEAST_SAVED", 0)
    found: list[int] = []
    whole = repeats.Repeats._end  # pyright: ignore[reportPrivateUsage]

    def noted(self: repeats.Repeats, loop: loops.Shared, turn: int) -> None:
        found.append(turn)
        whole(self, loop, turn)

    monkeypatch.setattr(repeats.Repeats, "_end", noted)
    return found


def both(
    program: Program, chip: Chip, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[str], list[str]]:
    """What is found where turns are passed over, and where all are walked."""

    def told(found: tuple[Finding, ...]) -> list[str]:
        return [one.text(program) for one in found]

    short = told(check(program, chip))
    with monkeypatch.context() as patch:
        patch.setattr(loops, "LEAST_SAVED", 1 << 60)
        return short, told(check(program, chip))


@pytest.mark.parametrize("name", DEEP)
def test_turns_of_a_decoder_are_passed_over_and_nothing_is_found(
    name: str, passed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert both(deep(name), CHIP, monkeypatch) == ([], [])
    assert passed
    assert max(passed) < DEEP[name]["num_hidden_layers"] - 1


def places(stream: Stream, path: tuple[int, ...] = ()) -> Iterator[tuple[int, ...]]:
    for i, item in enumerate(stream):
        if isinstance(item, Loop):
            yield from places(item.body, (*path, i))
        else:
            yield (*path, i)


def changed(stream: Stream, path: tuple[int, ...], rng: random.Random) -> Stream:
    """A stream with one command left out, at another address, or moving by another stride."""
    i, *rest = path
    item = stream[i]
    if isinstance(item, Loop):
        new = (replace(item, body=changed(item.body, tuple(rest), rng)),)
    else:
        new = tuple(other(item, rng))
    return (*stream[:i], *new, *stream[i + 1 :])


def other(item: Command, rng: random.Random) -> Iterator[Command]:
    by = rng.choice((-4096, -256, -64, 64, 256, 4096))
    if rng.random() < 0.5 and addresses(item):
        first = rng.random() < 0.5
        new = [
            Affine(a.base + by * (not first), (a.strides[0] + by * first, *a.strides[1:]))
            if isinstance(a, Affine)
            else max(0, a + by)
            for a in addresses(item)
        ]
        yield with_addresses(item, new)


def faulty(name: str, n: int) -> Iterator[Program]:
    """Programs with a command that is left out, elsewhere, or moves by a wrong stride."""
    program = deep(name)
    for seed in range(n):
        rng = random.Random(f"{name} {seed}")
        tile = rng.randrange(len(program.streams))
        streams = list(program.streams)
        # Loops at least half of the time.
        inside = [path for path in places(streams[tile]) if len(path) > 1]
        path = rng.choice(inside if rng.random() < 0.5 else list(places(streams[tile])))
        streams[tile] = changed(streams[tile], path, rng)
        yield replace(program, streams=tuple(streams))


def agree(name: str, n: int, passed: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    n_found = 0
    for program in faulty(name, n):
        short, whole = both(program, CHIP, monkeypatch)
        assert short == whole
        n_found += bool(whole)
    assert n_found
    assert passed


def test_faults_in_loops_are_found_alike(
    passed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    agree("llama", 12, passed, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("name", DEEP)
def test_many_faults_in_loops_are_found_alike(
    name: str, passed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    agree(name, 600, passed, monkeypatch)


@pytest.mark.usefixtures("passed")
def test_a_check_ends_when_its_time_is_up() -> None:
    with pytest.raises(InputError, match="takes too long to check"):
        check(deep("llama"), CHIP, seconds=0)
