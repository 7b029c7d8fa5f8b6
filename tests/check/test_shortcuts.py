"""Reads noted as wholes, and outputs written once: the same is found as where every run is followed."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from drawloom.check import check, once, prepare, state
from drawloom.check.state import Store
from drawloom.chip.files import load_chip
from drawloom.program.parse import parse
from drawloom.program.program import Program

CHIP = load_chip("tx81")
TILES, OUTPUT = 3, 49152
HEAD = f"""drawloom program 1
program name=drawn chip=tx81 scratchpad_bytes=3145728 dram_bytes=65536
region name=y kind=output address={OUTPUT} bytes=8192 fmt=f16 shape=4096
"""


def runs(rng: random.Random, at: int, room: int) -> str:
    """A place in a stretch of DRAM, and runs that fit: rows, columns, columns of planes, or all."""
    kind = rng.randrange(4)
    inner = rng.choice((32, 64, 128))
    if kind == 0 or room < 8192:
        size = rng.choice((room, room // 2, room // 4))
        return f"dram={at + rng.randrange(0, room - size + 1, 64)} inner={size}"
    step = rng.choice((128, 256))
    count = rng.choice((9, 16, 32, room // step))
    last = inner + step * (count - 1)
    more = ""
    if kind == 3 and 4 * step * count <= room:
        more, last = f"3@{step * count},", last + 2 * step * count
    if last > room:
        return f"dram={at} inner={room}"
    return (
        f"dram={at + rng.randrange(0, room - last + 1, 32)} inner={inner} dims={more}{count}@{step}"
    )


def wild(rng: random.Random) -> Iterator[str]:
    """What a tile does before a barrier, whatever others do."""
    for _ in range(rng.randrange(3)):
        place = rng.choice(((0, 16384), (16384, 16384), (0, 32768)))
        yield f"write spm=65536 {runs(rng, *place)}"
        for _ in range(rng.randrange(3)):
            yield f"read spm=131072 {runs(rng, *place)}"
        if rng.random() < 0.3:
            fmt = rng.choice(("f16", "f16", "f16", "f32"))
            yield f"fill dst=65536 fmt={fmt} count=8192 value=1.0"
    if rng.random() < 0.8:
        yield "join engines=read,write"


def tame(rng: random.Random, tile: int, turn: int) -> Iterator[str]:
    """A tile writes its own stretch, then reads those of others; once in a while a join is left out."""
    own = tile * 8192
    if turn % 2:
        for _ in range(rng.randrange(1, 4)):
            yield f"read spm=131072 {runs(rng, 0, 24576)}"
    else:
        yield f"write spm=65536 dram={own} inner=8192"
        if turn:
            yield f"write spm=65536 {runs(rng, own, 8192)}"
    if rng.random() < 0.97:
        yield "join engines=read,write"


def drawn(seed: int) -> Program:
    """Three tiles write, read and meet; then each hands out a part of the output, most of the time."""
    rng = random.Random(seed)
    tiles = [["fill dst=65536 fmt=f16 count=16384 value=1.0"] for _ in range(TILES)]
    is_wild = rng.random() < 0.3
    for turn in range(rng.randrange(2, 6)):
        for tile, stream in enumerate(tiles):
            stream += wild(rng) if is_wild else tame(rng, tile, turn)
            stream.append("barrier tiles=0,1,2")
    step = rng.choice((128, 256, 512))
    for tile, stream in enumerate(tiles):
        inner = step // 4 * (2 if tile == 2 else 1)
        at = OUTPUT + tile * step // 4 + (rng.choice((32, step)) if rng.random() < 0.05 else 0)
        stream.append(f"write spm=65536 dram={at} inner={inner} dims={8192 // step}@{step}")
        if rng.random() < 0.05:
            stream.append(f"read dram={OUTPUT} spm=131072 inner=64")
    lines = [f"tile {k}:\n  " + "\n  ".join(stream) for k, stream in enumerate(tiles)]
    return parse(HEAD + "\n".join(lines) + "\n")


def told(program: Program) -> list[tuple[object, ...]]:
    """What is found. Which of several that a command races with is told, and how many bytes, is left open."""
    return [
        (one.rule, one.where, one.owner, *(() if one.rule == "race" else (one.other, one.detail)))
        for one in check(program, CHIP)
    ]


@pytest.fixture
def stores(monkeypatch: pytest.MonkeyPatch) -> list[Store]:
    """What checks worked on; of outputs few runs are enough."""
    monkeypatch.setattr(once, "LEAST_RUNS", 0)
    found: list[Store] = []
    whole = prepare.lay_out

    def kept(store: Store, *rest: object) -> None:
        whole(store, *rest)  # pyright: ignore[reportArgumentType]
        found.append(store)

    monkeypatch.setattr(prepare, "lay_out", kept)
    return found


def agree(seeds: range, stores: list[Store], monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold the two to each other; shortcuts are taken in sound programs and in others."""
    noted, passed = [0, 0], [0, 0]
    for seed in seeds:
        program = drawn(seed)
        short = told(program)
        store = stores[-1]
        noted[bool(short)] += int(store.cells[state.N_NOTES]) > 1
        passed[bool(short)] += bool((store.history()[:, state.G_READ] == state.ONCE).any())
        with monkeypatch.context() as patch:
            patch.setattr(state, "MOST_NOTES", 0)
            patch.setattr(once, "MOST_RUNS", -1)
            assert short == told(program), seed
    assert min(noted) > len(seeds) // 10, noted
    assert min(passed) > len(seeds) // 10, passed


def test_the_same_is_found_with_shortcuts(
    stores: list[Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    agree(range(16), stores, monkeypatch)


@pytest.mark.slow
def test_the_same_is_found_with_shortcuts_in_many_programs(
    stores: list[Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    agree(range(1000, 3000), stores, monkeypatch)
