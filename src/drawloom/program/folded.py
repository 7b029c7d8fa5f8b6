"""An exchange as one chip does it that stands for all: what it sends comes back to itself.

Where all chips do alike, what a chip gets in a step is what another one sent at the same moment as
it did itself. So one chip's program, whose k-th send of a step raises the flag of the k-th message
that it takes in that step, runs as every chip of the whole does, if the way that each message takes
is that of the whole: with what others send over the same links.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from drawloom.errors import Diagnosis, DoesNotFit
from drawloom.mapping.collectives.schedule import Schedule
from drawloom.program.exchange import Exchanger
from drawloom.program.flags import Flags
from drawloom.program.lowered import Area, Transfer

WayOf = Callable[[int, Transfer], int]  # step, transfer -> number of its way


class FoldedExchanger(Exchanger):
    """Writes the commands of the chip that stands for all."""

    def __init__(
        self, kind: str, schedule: Schedule, index: Mapping[int, int], area: Area, flags: Flags,
        me: int, way_of: WayOf,
    ) -> None:  # fmt: skip
        """Prepare for one chip ``me`` of the fabric.

        Raises:
            DoesNotFit: it sends more or less in a step than it takes (``span.folded``).
        """
        super().__init__(kind, schedule, index, area, flags, me)
        chip = index[me]
        self._mates: dict[int, tuple[Transfer, int]] = {}
        self._sent: dict[int, Transfer] = {}
        self._words: dict[tuple[int, int], tuple[int, int]] = {}  # by chain and source
        for step, (sends, takes) in enumerate(self.own[chip]):
            if len(sends) != len(takes):
                raise DoesNotFit(
                    "span.folded", f"no chip stands for all in schedule '{schedule.name}'",
                    Diagnosis(
                        needs=f"as many sends as messages taken in step {step}",
                        has=f"{len(sends)} and {len(takes)}", short="",
                        ways_out=("a schedule in which all chips do alike",),
                    ),
                )  # fmt: skip
            for send, take in zip(sends, takes, strict=True):
                way = way_of(step, send)
                self._mates[id(send)] = take, way
                self._sent[id(take)] = send
                word = self.ready_flag(chip, send.target), way
                self._words.setdefault((send.chain, take.source), word)

    def arrival(self, move: Transfer, size: int, width: int) -> tuple[int, int, int]:
        """Return the way, and the flag and address of the message that is taken for it."""
        take, way = self._mates[id(move)]
        return way, self.data_flag(take.target, take.source), self.landing(take, size, width)

    def taken(self, move: Transfer, size: int) -> int:
        """Return how many elements it sends in place of what it would take."""
        sent = self._sent[id(move)]
        return self.units(sent, sent.first, size)[1]

    def word(self, chip: int, source: int, chain: int) -> tuple[int, int]:
        """Return the flag of its own by which the chip tells itself that a target is ready."""
        return self._words[chain, source]
