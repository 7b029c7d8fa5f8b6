"""A collective as commands: tile j of each chip works on the j-th slice of the buffer, over the links.

A tile holds its slice in the scratchpad, where nothing else may be, and behind it a slot for each
part that is added. What a tile is sent needs an arming, and its sender's word that it has come to
that: a chip arms all of a round, signals its senders, and a sender waits for that signal once. So

    ahead   arm ... signal ...                                     may stand long before
    body    read, [wait for the signal] send, wait, add, ... write

A buffer too large for the scratchpad goes in rounds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import zip_longest

import numpy as np

from drawloom.chip.formats import FORMAT_BYTES
from drawloom.errors import Diagnosis, DoesNotFit
from drawloom.mapping.collectives.schedule import Schedule
from drawloom.program.even import Run, even_runs
from drawloom.program.exchange_tile import TileWriter
from drawloom.program.flags import Flags
from drawloom.program.lowered import UNITS, Area, Buffers, Lowered, Transfer
from drawloom.units import ceil_div

_GRAIN = 64  # bytes that slots are multiples of
ADDEND = -1  # where among slots an addend is


def _chain(
    schedule: Schedule, at: int, index: Mapping[int, int], only: int | None
) -> Iterator[list[Transfer]]:
    """Yield the transfers of a chain step by step: all, or those of one chip of the fabric."""
    for stage in schedule.chains[at].stages:
        mine = np.arange(len(stage.source))
        if only is not None:
            mine = np.flatnonzero((stage.source == only) | (stage.target == only))
        source, target = stage.source[mine], stage.target[mine]
        for step in range(stage.steps):
            first, into = stage.first(step)[mine], stage.landing(step)[mine]
            yield [
                Transfer(at, index[int(s)], index[int(t)], int(f), int(i), stage.count, stage.adds)
                for s, t, f, i in zip(source, target, first, into, strict=True)
            ]


def _placed(steps: list[list[Transfer]]) -> list[list[Transfer]]:
    """Return transfers with their places."""
    got: dict[int, int] = {}
    made: list[list[Transfer]] = []
    for step in steps:
        made.append([])
        for move in step:
            place = got.get(move.target, 0)
            made[-1].append(replace(move, place=place))
            got[move.target] = place + 1
    return made


class Exchanger:
    """Writes the commands of one exchange.

    A ``gather``'s buffer is one unit a chip, unit c being chip c's own value, if the schedule does not
    say that it stands elsewhere; so is a ``scatter``'s, of which a chip keeps its own. A ``sum``'s is the
    value, and a ``hand``'s, which chips that send nothing do not have before. A ``spread``'s and a
    ``join``'s is a unit for each chip that takes part, and behind these one from each: ``spread``
    gives each its rows, and puts those of all beside each other; ``join`` is the way back.
    """

    def __init__(
        self, kind: str, schedule: Schedule, index: Mapping[int, int], area: Area, flags: Flags,
        only: int | None = None,
    ) -> None:  # fmt: skip
        """Prepare for a schedule whose chips have these indices in the span.

        Args:
            kind: sum, gather, scatter, hand, spread or join.
            schedule: who sends what to whom, by chips of the fabric.
            index: of each chip of the fabric, in the span.
            area: what each tile gives it.
            flags: of all chips.
            only: the one chip of the fabric whose commands are wanted; by default all.
        """
        self.kind, self.schedule, self.area, self.flags = kind, schedule, area, flags
        self.place = {chip: place for place, chip in index.items()}
        chains = [list(_chain(schedule, at, index, only)) for at in range(len(schedule.chains))]
        together = zip_longest(*chains, fillvalue=list[Transfer]())
        self.steps = _placed([[m for step in steps for m in step] for steps in together])
        moves = [move for step in self.steps for move in step]
        chips = index.values() if only is None else (index[only],)
        self.comes = {chip: [m for m in moves if m.target == chip] for chip in chips}
        self.senders = {c: sorted({m.source for m in moves if m.target == c}) for c in self.comes}
        self.targets = {c: sorted({m.target for m in moves if m.source == c}) for c in self.comes}
        self.own = {
            chip: [
                (
                    [m for m in step if m.source == chip],
                    [m for m in step if m.target == chip],
                )
                for step in self.steps
            ]
            for chip in self.comes
        }
        self._slots: dict[tuple[int, int, int], dict[int, int]] = {}
        self._runs: dict[int, list[Run]] = {}

    @property
    def held(self) -> int:
        """Return how many of what a tile works on at a time a buffer holds."""
        return self.schedule.chains[0].units if self.kind in UNITS else 1

    @property
    def mates(self) -> int:
        """Return how many chips give each other their parts in a spread or join; else 1."""
        return self.schedule.chains[0].units // 2 if self.kind in ("spread", "join") else 1

    def home(self, chip: int, chain: int) -> int:
        """Return which unit of a chain's buffer is a chip's own."""
        place = self.place[chip]
        homes = self.schedule.chains[chain].homes
        return homes[place] if homes else place

    def runs(self, chain: int) -> list[Run]:
        """Return the places of a chain's units as runs of what lies evenly in the order of chips."""
        if chain not in self._runs:
            homes = self.schedule.chains[chain].homes
            units = self.schedule.chains[chain].units
            chip_at = {unit: nth for nth, unit in enumerate(homes)} if homes else {}
            self._runs[chain] = even_runs([chip_at.get(unit, unit) for unit in range(units)])
        return self._runs[chain]

    def data_flag(self, chip: int, source: int) -> int:
        """Return the flag of a chip that what another one sends it raises."""
        return self.flags.of(chip, "data", source)

    def ready_flag(self, chip: int, target: int) -> int:
        """Return the flag of a chip that another one raises when it is ready to be sent to."""
        return self.flags.of(chip, "ready", target)

    def arrival(self, move: Transfer, size: int, width: int) -> tuple[int, int, int]:
        """Return to which chip, with which flag and to which address a transfer goes."""
        return (
            move.target,
            self.data_flag(move.target, move.source),
            self.landing(move, size, width),
        )

    def landing(self, move: Transfer, size: int, width: int) -> int:
        """Return where a transfer arrives: in its place, or in a slot if it is to be added."""
        if move.adds:
            return self.slots(move.target, move.chain, size, width)[move.place]
        return self.area.base + self.units(move, move.into, size)[0] * width

    def word(self, chip: int, source: int, chain: int) -> tuple[int, int]:
        """Return the flag by which a chip tells a sender of a chain that it is ready, and whom it tells."""
        del chain  # whom a chip tells is the same in all
        return self.ready_flag(source, chip), source

    def taken(self, move: Transfer, size: int) -> int:
        """Return how many elements a chip gets by a transfer."""
        return self.units(move, move.first, size)[1]

    def units(self, move: Transfer, first: int, size: int) -> tuple[int, int]:
        """Return where units of a transfer lie in a buffer, and how many elements they are.

        ``size`` is the number of elements of a chip's own value that are exchanged at a time.
        """
        if self.kind in UNITS:
            return first * size, move.count * size
        units = self.schedule.chains[move.chain].units
        start = first * size // units
        return start, (first + move.count) * size // units - start

    def slots(self, chip: int, chain: int, size: int, width: int) -> dict[int, int]:
        """Return where each transfer of a chain that a chip adds arrives, by its place; and an addend."""
        key = chip, chain, size * width
        if key not in self._slots:
            at, found = _up(self.area.base + self.held * size * width), dict[int, int]()
            for move in self.comes[chip]:
                if move.adds and move.chain == chain:
                    found[move.place] = at
                    at = _up(at + self.units(move, move.first, size)[1] * width)
            found[ADDEND] = at
            self._slots[key] = found
        return self._slots[key]

    def most(self, width: int, addends: int = 0) -> int:
        """Return how many elements of ``width`` bytes of its own value a tile can work on at a time.

        ``addends`` is how many values beside it are held.

        Raises:
            DoesNotFit: not even one (``span.exchange``).
        """
        least: int | None = None
        parts = self.schedule.chains[0].units
        for moves in self.comes.values():
            adds = [m for m in moves if m.adds and m.chain == 0]
            added = sum(m.count for m in adds)
            share = self.held + addends + (added if self.kind in UNITS else added / parts)
            room = self.area.bytes - (len(adds) + 1) * (_GRAIN + width)
            fits = int(room / (share * width)) if room > 0 else 0
            least = fits if least is None else min(least, fits)
        if not least:
            raise self._short(
                f"{self.area.bytes:,} bytes of a scratchpad", "more of the scratchpad"
            )
        return least

    def _short(self, has: str, way: str) -> DoesNotFit:
        needs = f"room for an element in each of {len(self.steps)} steps"
        return DoesNotFit(
            "span.exchange", f"schedule '{self.schedule.name}' does not fit a tile",
            Diagnosis(needs=needs, has=has, short="some of it", ways_out=(way, "fewer chips")),
        )  # fmt: skip

    def lowered(
        self, chip: int, buffers: Buffers, tiles: int, origin: int = -1, first_tile: int = 0
    ) -> list[Lowered]:
        """Return the commands of each of ``tiles`` of a chip, from ``first_tile`` on.

        Raises:
            DoesNotFit: the area has too few bytes (``span.exchange``).
        """
        b, most = buffers, self.most(FORMAT_BYTES[buffers.fmt], int(buffers.addend >= 0))
        count = b.count // self.mates
        rows = count // b.run if self.kind in UNITS and count > b.run else 0
        grain, n, chains = b.run if rows else 1, rows or count, len(self.schedule.chains)
        each = max(1, most // grain) * grain
        # Each tile has one chain: what it sends over one link does not wait for another.
        of_chain = [
            (tile % chains, tile // chains, -(-(tiles - tile % chains) // chains))
            for tile in range(tiles)
        ]
        made: list[Lowered] = []
        for tile, (chain, at, beside) in enumerate(of_chain):
            low, high = chain * n // chains, (chain + 1) * n // chains
            start, stop = ((low + i * (high - low) // beside) * grain for i in (at, at + 1))
            writer = TileWriter(self, chip, first_tile + tile, chain, buffers, origin)
            for first in range(start, stop, each):
                writer.round(first, min(stop, first + each), is_first=first == start)
            made.append(writer.made)
        return made


def _up(address: int) -> int:
    return ceil_div(address, _GRAIN) * _GRAIN
