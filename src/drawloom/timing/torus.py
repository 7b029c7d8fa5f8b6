"""Reads and writes over a network of two one-way tori: when each of them is done.

A read asks the other tile, whose answer carries the data; a write carries them itself and is done
when its acknowledgement is back. What carries no data is a flit or two and takes only its delay.
Asking, answering and acknowledging go the same network's way, so that both ways together are once or
twice around it. Reads and writes move in classes of their own: lanes are not shared between them,
links are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drawloom.chip.noc import Tile, TorusNoc
from drawloom.timing.packets import NONE, Floats, Links, Packets, delivered

Ints = NDArray[np.int64]
Lane = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Transfers:
    """Reads and writes, one row each.

    Attributes:
        is_read: whether the data come from the other tile.
        network: 0 or 1.
        tile: [n, 2] x and y of the tile that asks.
        other: [n, 2] of the tile that has or gets the data.
        size: bytes of data.
        issued: cycle in which the command is given.
    """

    is_read: NDArray[np.bool_]
    network: Ints
    tile: Ints
    other: Ints
    size: Ints
    issued: Ints

    def __post_init__(self) -> None:
        """Check that the columns fit together."""
        assert self.tile.shape == self.other.shape == (len(self.is_read), 2)
        assert len(self.size) == len(self.issued) == len(self.network) == len(self.is_read)


def steps(
    noc: TorusNoc, network: int, start: Tile, end: Tile
) -> Iterator[tuple[str, int, int, int]]:
    """Yield the links from tile to tile: the way, x and y they leave from, side of the dateline."""
    (x, y), (to_x, to_y) = start, end
    axes = ("x", "y") if network == 0 else ("y", "x")
    for axis in axes:
        side = 0
        while (x != to_x) if axis == "x" else (y != to_y):
            yield axis, x, y, side
            if axis == "x":
                last = noc.columns - 1 if network == 0 else 0
                side |= x == last
                x = (x + (1 if network == 0 else -1)) % noc.columns
            else:
                last = noc.rows - 1 if network == 0 else 0
                side |= y == last
                y = (y + (1 if network == 0 else -1)) % noc.rows


def hops(noc: TorusNoc, network: int, start: Tile, end: Tile) -> int:
    """Return how many links lie between two tiles, in the direction of a network."""
    sign = 1 if network == 0 else -1
    across = sign * (end[0] - start[0]) % noc.columns
    return across + sign * (end[1] - start[1]) % noc.rows


def done_cycles(noc: TorusNoc, transfers: Transfers) -> Floats:
    """Return the cycle in which each transfer is done, as its asker sees it."""
    paths = _Paths(noc)
    rows: list[tuple[int, float, float, list[int], list[int], int]] = []
    after = np.empty(len(transfers.size))
    for row in range(len(transfers.size)):
        network, is_read = int(transfers.network[row]), bool(transfers.is_read[row])
        tile, other = (_tile(each[row]) for each in (transfers.tile, transfers.other))
        start, end = (other, tile) if is_read else (tile, other)
        way = _delay(noc, network, start, end)
        back = _delay(noc, network, end, start)
        known = noc.answer + (noc.memory_answer if other in noc.memory_tiles else 0)
        ready = float(transfers.issued[row])
        # A read's delays stand before its data move but for their own way, a write's all behind.
        ready += back + known if is_read else 0
        after[row] = way if is_read else way + back + known
        lanes, links = paths.of(network, start, end, is_read)
        size = float(transfers.size[row])
        flits = np.ceil(size / noc.flit) + np.ceil(size / noc.most)
        rows.append(
            (paths.source(network, start, is_read), ready, flits * noc.flit, lanes, links, row)
        )
    rows.sort(key=lambda each: (each[0], each[1], each[5]))
    done = np.empty(len(rows))
    done[[each[5] for each in rows]] = delivered(_packets(rows), paths.links())
    return done + after


def _tile(pair: Ints) -> Tile:
    return int(pair[0]), int(pair[1])


def _delay(noc: TorusNoc, network: int, start: Tile, end: Tile) -> int:
    return 2 * noc.port + noc.hop * hops(noc, network, start, end)


def _packets(rows: list[tuple[int, float, float, list[int], list[int], int]]) -> Packets:
    longest = max((len(each[3]) for each in rows), default=0)

    def padded(of: list[list[int]]) -> Ints:
        return np.array([each + [NONE] * (longest - len(each)) for each in of], np.int64)

    return Packets(
        source=np.array([each[0] for each in rows], np.int64),
        ready=np.array([each[1] for each in rows]),
        size=np.array([each[2] for each in rows]),
        lanes=padded([each[3] for each in rows]),
        links=padded([each[4] for each in rows]),
    )


class _Paths:
    """Numbers for the sources, lanes and links that transfers use."""

    def __init__(self, noc: TorusNoc) -> None:
        self.noc = noc
        self.sources: dict[tuple[int, int, int, bool], int] = {}
        self.lanes: dict[Lane, int] = {}
        self.rates: dict[Lane, int] = {}

    def source(self, network: int, start: Tile, is_answer: bool) -> int:
        return self.sources.setdefault((network, *start, is_answer), len(self.sources))

    def of(
        self, network: int, start: Tile, end: Tile, is_answer: bool
    ) -> tuple[list[int], list[int]]:
        """Return the lanes and links of a path, with the ports at its ends."""
        ends = [("out", *start, 0), *steps(self.noc, network, start, end), ("in", *end, 0)]
        lanes = [(network, is_answer, *each) for each in ends]
        links = [(network, *each[:3]) for each in ends]
        return (
            [self.lanes.setdefault(lane, len(self.lanes)) for lane in lanes],
            [self.rates.setdefault(link, len(self.rates)) for link in links],
        )

    def links(self) -> Links:
        """Return what all paths so far share."""
        noc = self.noc
        is_port = [link[1] in ("out", "in") for link in self.rates]
        is_memory = [(x, y) in noc.memory_tiles for _, x, y, _ in self.sources]
        return Links(
            rate=np.where(is_port, noc.port_rate, float(noc.flit)),
            n_places=np.full(len(self.lanes), noc.lanes),
            at_once=np.where(is_memory, noc.memory_answers, noc.answers),
        )
