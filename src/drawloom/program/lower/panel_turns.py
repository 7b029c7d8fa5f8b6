"""The turns of a large product whose channels are summed side by side: what is loaded and computed in each.

A *turn* is what all tiles do between two loads: a span of a tile's channels over a span of depth. The
first turns of a round of rows go over many channels, a little depth at a time, so that there is work
from the first bytes on. Where nothing stays, the last depth of all comes chunk by chunk, so that
results are written while others are made.
"""

from __future__ import annotations

from dataclasses import dataclass

from drawloom.chip.formats import FORMAT_BYTES
from drawloom.mapping.cut.panels import chunks, depths
from drawloom.mapping.pieces import MatrixPiece, Panel, Span
from drawloom.program.lower.operand import Key
from drawloom.program.lower.shares import channel_grain
from drawloom.units import align_up


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a that is loaded: its key, its span of depth, its slot, and where it lies.

    It lies in a region of rows that are one matrix: in a copy of the buffer, whose depth begins at ``start``.
    """

    key: Key
    k: Span
    slot: int
    copy: int
    start: int


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn: a round of rows, a span of a tile's channels, a span of depth.

    Attributes:
        mi: the round of rows.
        n: channels, counted from the tile's first.
        k: depth.
        ends: whether its results are whole then.
        side: the first of the channels that are summed side by side with it.
        loads: parts of a that are loaded for it.
        held: parts of a that it uses, in order of depth.
        since: share of the turns of a sum that are over since results were last made.
    """

    mi: int
    n: Span
    k: Span
    ends: bool
    side: int
    loads: tuple[Part, ...]
    held: tuple[Part, ...]
    since: float = 0.0

    @property
    def b_key(self) -> Key:
        """The chunk of b that is loaded for it."""
        return self.mi, self.n[0], self.k[0]


def turns_of(piece: MatrixPiece, rounds: int, per_n: int) -> list[Turn]:
    """Return the turns of a piece of so many rounds of rows, and so many channels a tile."""
    assert piece.panel is not None, piece.name
    end = min(per_n, piece.n)
    if piece.panel.always:
        return _streamed(piece, piece.panel, rounds, end)
    found: list[Turn] = []
    for mi in range(rounds):
        found += _stayed(piece, piece.panel, mi, end, last=mi == rounds - 1)
    return found


def _stayed(piece: MatrixPiece, panel: Panel, mi: int, end: int, *, last: bool) -> list[Turn]:
    """A round of rows that stay: sums side by side as they come, then chunk by chunk."""
    spans = depths(piece.k, panel.depth, piece.a.blocked.block)
    copy = mi % piece.buffers["a"].copies
    parts = tuple(
        Part((0, mi, k[0]), k, copy * len(spans) + at, copy, 0) for at, k in enumerate(spans)
    )
    wide, nt = min(panel.channels, end), piece.chunk[1]
    found = [
        Turn(mi, (0, wide), part.k, part.k[1] == piece.k, 0, (part,), (part,)) for part in parts
    ]
    for n in chunks(wide, end, nt, _least(piece) if last else nt):
        found.append(Turn(mi, n, (0, piece.k), True, n[0], (), parts))
    return found


def _least(piece: MatrixPiece) -> int:
    """Return how few channels the last chunks may have: a block, of dense bytes also a block of results."""
    block = piece.a.blocking.of(FORMAT_BYTES[piece.out_fmt])
    parts = piece.b.layout == "dense" and piece.b.blocked.channels % piece.b.blocked.block == 0
    return block if parts else channel_grain(piece)


def _streamed(piece: MatrixPiece, panel: Panel, rounds: int, end: int) -> list[Turn]:
    """All channels side by side, in groups."""
    found: list[Turn] = []
    starts = range(0, end, panel.channels)
    for mi in range(rounds):
        for n in starts:
            span = n, min(n + panel.channels, end)
            first, last = not (mi or n), mi == rounds - 1 and n == starts[-1]
            cut = _last_start(piece, panel, span) if last else piece.k
            block = piece.a.blocked.block
            spans = depths(cut, panel.depth, block, first=first, last=last and cut == piece.k)
            for at, k in enumerate(spans):
                slot = len(found) % piece.buffers["a"].copies
                part = (Part((n, mi, k[0]), k, slot, slot, k[0]),)
                since = 0.0 if first else (at + 1) % len(spans) / len(spans)
                found.append(Turn(mi, span, k, k[1] == piece.k, n, part, part, since))
            if cut < piece.k:
                found += _last(piece, panel, mi, span, cut)
    return found


def _last_start(piece: MatrixPiece, panel: Panel, span: Span) -> int:
    """Where the depth begins that comes chunk by chunk: what the slots of a hold; if nothing does, the end."""
    block, copies = piece.a.blocked.block, piece.buffers["a"].copies
    start = align_up(max(0, piece.k - panel.depth * copies), block)
    chunks = span[1] - span[0] > piece.chunk[1]
    fits = (piece.k - start) * piece.chunk[1] <= panel.depth * panel.channels
    even = piece.m % (piece.grid[1] * piece.chunk[0]) == 0
    return start if chunks and fits and even and start else piece.k


def _last(piece: MatrixPiece, panel: Panel, mi: int, span: Span, start: int) -> list[Turn]:
    """The last depth of all, a chunk of channels at a time: its part of a stays for all of them."""
    nt = piece.chunk[1]
    firsts = range(start, piece.k, panel.depth)
    spans = [(k, min(k + panel.depth, piece.k)) for k in firsts]
    parts = tuple(Part((span[0], mi, k[0]), k, at, 0, start) for at, k in enumerate(spans))
    return [
        Turn(
            mi, (n, min(n + nt, span[1])), (start, piece.k), True, span[0],
            parts if n == span[0] else (), parts,
        )
        for n in range(*span, nt)
    ]  # fmt: skip
