"""Flash pieces: attention with its scores in the scratchpads, software pipelined.

One visit, of nk keys and nq queries:

    matrix  S = K Q'            keys x queries; on top of the mask, if there is one
    vector  S = min(S, edge)    only on the keys that some of the queries do not see
            m = max over keys; S = exp(S - m)
    matrix  O = V' S, l = 1' S  values x queries and 1 x queries, in f32
    vector  O = O / l           rounded to the result's format
    matrix  O'                  turned by the identity, and written

A later visit of the same unit first scales O and l to the new peak. The scale of the scores is on
Q. While the vector engine is at one visit, the matrix engine finishes the
one before and makes the scores of the next.
"""

from __future__ import annotations

from dataclasses import replace

from drawloom.chip.layout import Blocked
from drawloom.graph.dtypes import DType
from drawloom.graph.rounding import LARGEST
from drawloom.mapping.pieces import FlashPiece, Span
from drawloom.mapping.storage import Transfer
from drawloom.program.commands import Fill, MatMul, Move, Reduce, Vector
from drawloom.program.lower.context import Context, read, write
from drawloom.program.lower.turns import LEAD, Load, Stay, Unit, Visit, shares, timetable, turns
from drawloom.program.streams import TileStream
from drawloom.units import align_down, align_up

TWO, FOUR = 2, 4  # bytes of an element: of operands, of sums


def lower(piece: FlashPiece, context: Context) -> None:
    """Write a flash piece's commands into every tile's stream."""
    origin = context.origin(piece.name, piece.nodes[0])
    for tile, mine in enumerate(shares(piece, context.chip.n_tiles)):
        if mine:
            _Tile(piece, context.streams.tiles[tile], origin, mine).run()


class _Tile:
    """One tile's stream."""

    def __init__(
        self, piece: FlashPiece, stream: TileStream, origin: int, mine: list[Unit]
    ) -> None:
        self.piece, self.stream, self.origin = piece, stream, origin
        self.stays, self.visits = turns(piece, mine)
        self.blocking = piece.k.blocking
        self.block = self.blocking.of(TWO)
        self.buffers = piece.buffers
        self.turn: dict[int, int] = {}  # unit -> which of its two peaks is the latest

    def run(self) -> None:
        self._constants()
        due = timetable(self.stays, self.visits, self.block)
        opening = [index for index, visit in enumerate(self.visits) if visit.opens]
        asked = 0
        for step in range(-2, len(self.visits) + 1):
            for load in due.get(step, ()):
                self._load(load)
            while asked < len(opening) and opening[asked] <= step + LEAD:
                self._ask(self.visits[opening[asked]])
                asked += 1
            self._step(step)

    def _step(self, step: int) -> None:
        """Make scores for the next visit, weigh this one's, finish the one before."""
        before, now, later, last = (self._visit(step + i) for i in (-1, 0, 1, 2))
        if last and last.opens:
            self._scale(last)
        if later:
            self._scores(step + 1, later)
        if now:
            self._weigh(step, now)
        if before and before.closes:
            self._finish(before)
        if now:
            self._mix(step, now)

    def _visit(self, index: int) -> Visit | None:
        return self.visits[index] if 0 <= index < len(self.visits) else None

    # Sizes and places.

    def _lanes(self, unit: Unit) -> int:
        """Return the channels of a line of scores, padding included."""
        return Blocked(self.blocking, 1, 1, unit.end - unit.first, TWO).width

    def _matrix(self, rows: int, channels: int) -> int:
        """Return the bytes of an operand."""
        return Blocked(self.blocking, 1, rows, channels, TWO).matrix_bytes

    def _start(self, visit: Visit) -> int:
        """Return the first key whose score is made: the first of a block."""
        return align_down(visit.low, self.block)

    def _line(self, step: int, visit: Visit, key: int) -> int:
        """Return where the scores of a key lie."""
        return (
            self.buffers["s"].at(step) + (key - self._start(visit)) * self._lanes(visit.unit) * TWO
        )

    def _value_blocks(self) -> list[tuple[Span, int, int]]:
        """Return each channel block of the values: channels, where it lies in its buffer, line bytes."""
        width = self.block * TWO
        lies = Blocked(self.blocking, 1, self.piece.span, self.piece.values, TWO)
        out = [
            ((i * self.block, (i + 1) * self.block), i * self.piece.span * width, width)
            for i in range(lies.full)
        ]
        if lies.tail:
            first = lies.full * self.block
            out.append(((first, self.piece.values), first * self.piece.span * TWO, lies.tail * TWO))
        return out

    # What is loaded.

    def _load(self, load: Load) -> None:
        piece, stay = self.piece, self.stays[load.stay]
        keys = self.buffers["k"].at(load.stay)
        for part, first in self._key_parts(stay, load):
            at = keys + self._matrix(self.block, piece.features) * (
                (first - stay.first) // self.block
            )
            read(self.stream, part, at, self.origin)
        for channels, start, line in self._value_blocks():
            box = piece.v.box(stay.held, (load.first, load.end), channels)
            at = self.buffers["v"].at(load.stay) + start + (load.first - stay.first) * line
            read(self.stream, box, at, self.origin)

    def _key_parts(self, stay: Stay, load: Load) -> list[tuple[tuple[Transfer, ...], int]]:
        """Return transfers of keys with the first key of each: block by block, as products want them."""
        piece, block = self.piece, self.block
        firsts = range(load.first, load.end, block)
        boxes = [
            piece.k.box(stay.held, (at, min(at + block, load.end)), (0, piece.features))
            for at in firsts
        ]
        full = (load.end - load.first) // block
        if full < 2 or len(boxes[0]) > 1 or any(len(t.dims) > 2 for t in boxes[0]):
            return list(zip(boxes, firsts, strict=True))
        (one,), (other,) = boxes[:2]
        together = replace(one, dims=((other.dram - one.dram, full), *one.dims))
        return [((together,), load.first), *list(zip(boxes, firsts, strict=True))[full:]]

    def _ask(self, visit: Visit) -> None:
        unit = visit.unit
        box = self.piece.q.box(unit.matrix, (unit.first, unit.end), (0, self.piece.features))
        read(self.stream, box, self.buffers["q"].at(visit.number), self.origin)

    def _scale(self, visit: Visit) -> None:
        piece, unit = self.piece, visit.unit
        count = self._matrix(unit.end - unit.first, piece.features) // TWO
        queries = self.buffers["q"].at(visit.number)
        self._vector("mul", queries, queries, count, scalar=piece.scale)

    # The steps of a visit.

    def _scores(self, step: int, visit: Visit) -> None:
        piece, unit, stay = self.piece, visit.unit, self.stays[visit.stay]
        start = self._start(visit)
        end = min(align_up(visit.high, self.block), stay.end)
        size = self._matrix(self.block, piece.features)
        keys = self.buffers["k"].at(visit.stay) + (start - stay.first) // self.block * size
        queries = self.buffers["q"].at(visit.number)
        under = self._masked(step, visit, start, end) if piece.mask else None
        lanes = self._lanes(unit)
        full, rest = divmod(end - start, self.block)
        parts = [(0, self.block, full)] if full else []
        parts += [(full, rest, 1)] if rest else []
        for first, rows, batch in parts:
            line = first * self.block * lanes
            self.stream.add(
                MatMul(
                    keys + first * size, queries, self._line(step, visit, start) + line * TWO,
                    rows, piece.features, unit.end - unit.first, piece.fmt, piece.fmt,
                    None if under is None else under + line * FOUR, trans_b=True, batch=batch,
                    a_step=size, dst_step=self.block * lanes * TWO,
                    psum_step=0 if under is None else self.block * lanes * FOUR, origin=self.origin,
                )
            )  # fmt: skip

    def _masked(self, step: int, visit: Visit, start: int, end: int) -> int:
        """Turn the mask of these keys into keys x queries, in f32; return where it lies."""
        piece, unit, mask = self.piece, visit.unit, self.piece.mask
        assert mask is not None
        entries, heads, rows, _ = mask.shape
        entry, head = divmod(unit.matrix, piece.heads)
        matrix = (entry if entries > 1 else 0) * heads + (head if heads > 1 else 0)
        lines = (unit.first, unit.end) if rows > 1 else (0, 1)
        given, bias = self.buffers["mask"].at(step), self.buffers["bias"].at(0)
        read(self.stream, mask.box(matrix, lines, (start, end)), given, self.origin)
        n = unit.end - unit.first
        pick = self.buffers["pick"].at(int(n < piece.strip))
        self.stream.add(
            MatMul(
                given, pick, bias, end - start, lines[1] - lines[0], n, piece.fmt, "f32",
                trans_a=True, origin=self.origin,
            )
        )  # fmt: skip
        return bias

    def _weigh(self, step: int, visit: Visit) -> None:
        fmt, lanes, number = self.piece.fmt, self._lanes(visit.unit), visit.number
        self._hide(step, visit)
        scores, keys = self._line(step, visit, visit.low), visit.high - visit.low
        turn = self.turn[number] = 0 if visit.opens else self.turn[number] + 1
        peak = self.buffers["peak"].at(2 * number + turn % 2)
        found = peak if visit.opens else self.buffers["found"].at(step)
        n = visit.unit.end - visit.unit.first
        self.stream.add(Reduce("max", scores, found, keys, 1, n, "h", fmt, fmt, self.origin))
        if not visit.opens:
            self._shrink(step, visit, found, peak)
        self._vector("sub", scores, scores, keys * lanes, peak, unit=lanes)
        self._vector("exp", scores, scores, keys * lanes)

    def _shrink(self, step: int, visit: Visit, found: int, peak: int) -> None:
        """Scale what was summed before to the new peak."""
        lanes, number = self._lanes(visit.unit), visit.number
        before = self.buffers["peak"].at(2 * number + (self.turn[number] - 1) % 2)
        shrink, sums = self.buffers["shrink"].at(step), self.buffers["sums"].at(number)
        self._vector("max", found, peak, lanes, before)
        self._vector("sub", before, found, lanes, peak)
        self._vector("exp", found, shrink, lanes, out_fmt="f32")
        count = (self.piece.values + 1) * lanes
        self._vector("mul", sums, sums, count, shrink, unit=lanes, fmt="f32", out_fmt="f32")

    def _hide(self, step: int, visit: Visit) -> None:
        """Put the lowest number where a query does not see a key that others of its strip see."""
        piece, unit, lanes = self.piece, visit.unit, self._lanes(visit.unit)
        n = unit.end - unit.first
        edges: list[tuple[int, int, int]] = []  # the first's bound, from which key, to which
        if piece.ahead is not None:
            at = unit.first + piece.ahead
            edges.append((at, at + 1, at + n))
        if piece.behind is not None:
            at = unit.first - piece.behind
            edges.append((at, at, at + n - 1))
        kinds = [
            kind for kind, bound in enumerate((piece.ahead, piece.behind)) if bound is not None
        ]
        for kind, (at, first, end) in zip(kinds, edges, strict=True):
            first, end = max(first, visit.low), min(end, visit.high)
            if first < end:
                edge = self._edge(kind, n) + (first - at) * lanes * TWO
                scores = self._line(step, visit, first)
                self._vector("min", scores, scores, (end - first) * lanes, edge)

    def _mix(self, step: int, visit: Visit) -> None:
        piece, unit, lanes = self.piece, visit.unit, self._lanes(visit.unit)
        keys, below = visit.high - visit.low, visit.low - self.stays[visit.stay].first
        weights, sums = self._line(step, visit, visit.low), self.buffers["sums"].at(visit.number)
        blocks = self._value_blocks()
        values = self.buffers["v"].at(visit.stay)
        full = piece.values // self.block
        parts = [(values + below * self.block * TWO, sums, self.block, full)] if full else []
        if len(blocks) > full:
            (first, end), start, line = blocks[-1]
            parts.append(
                (values + start + below * line, sums + first * lanes * FOUR, end - first, 1)
            )
        parts.append((self.buffers["ones"].at(0), sums + piece.values * lanes * FOUR, 1, 1))
        step_bytes = self.block * lanes * FOUR
        for a, dst, rows, batch in parts:
            self.stream.add(
                MatMul(
                    a, weights, dst, rows, keys, unit.end - unit.first, piece.fmt, "f32",
                    None if visit.opens else dst, trans_a=True, batch=batch,
                    a_step=piece.span * self.block * TWO, dst_step=step_bytes,
                    psum_step=0 if visit.opens else step_bytes, origin=self.origin,
                )
            )  # fmt: skip

    def _finish(self, visit: Visit) -> None:
        piece, unit, lanes, number = self.piece, visit.unit, self._lanes(visit.unit), visit.number
        sums, share = self.buffers["sums"].at(number), self.buffers["share"].at(number)
        turned, out = self.buffers["turned"].at(number), self.buffers["out"].at(number)
        total = sums + piece.values * lanes * FOUR
        self._vector("reciprocal", total, share, lanes, fmt="f32", out_fmt="f32")
        self._vector("mul", sums, turned, piece.values * lanes, share, unit=lanes, fmt="f32")
        self.stream.add(
            MatMul(
                turned, self.buffers["eye"].at(0), out, unit.end - unit.first, piece.values,
                piece.values, piece.fmt, piece.fmt, trans_a=True, origin=self.origin,
            )
        )  # fmt: skip
        box = piece.out.target(unit.matrix, (unit.first, unit.end), (0, piece.values))
        write(self.stream, box, out, self.origin)

    def _vector(
        self,
        op: str,
        a: int,
        dst: int,
        count: int,
        b: int | None = None,
        *,
        scalar: float | None = None,
        unit: int = 0,
        fmt: str = "",
        out_fmt: str = "",
    ) -> None:
        own = self.piece.fmt
        self.stream.add(
            Vector(op, a, dst, count, fmt or own, out_fmt or own, b, scalar, unit, self.origin)
        )

    # What never changes: made by the engines, once.

    def _constants(self) -> None:
        piece = self.piece
        ones, eye = self.buffers["ones"].at(0), self.buffers["eye"].at(0)
        self._fill(ones, piece.span * self.blocking.min_tail, 1.0)
        self._diagonal(eye, piece.values, piece.values)
        widths = {visit.unit.end - visit.unit.first for visit in self.visits}
        for n in sorted(widths):
            if piece.ahead is not None:
                self._triangle(0, n)
            if piece.behind is not None:
                self._triangle(1, n)
            if piece.mask:
                self._pick(n)

    def _fill(self, at: int, count: int, value: float) -> None:
        self.stream.add(Fill(at, self.piece.fmt, count, value, self.origin))

    def _diagonal(self, at: int, rows: int, channels: int) -> None:
        """Make an identity; the first of the ones is its source."""
        lies = Blocked(self.blocking, 1, rows, channels, TWO)
        self._fill(at, lies.matrix_bytes // TWO, 0.0)
        for first in range(0, channels, self.block):
            n = min(self.block, channels - first)
            line = (self.block if first < lies.full * self.block else lies.tail) * TWO
            dst = at + lies.offset(0, first, first)
            dims = ((0, line + TWO, n),)
            self.stream.add(Move(self.buffers["ones"].at(0), dst, TWO, dims, self.origin))

    def _pick(self, n: int) -> None:
        """Make what turns lines of a mask into its columns: an identity, or ones for a single line."""
        mask = self.piece.mask
        assert mask is not None
        at = self.buffers["pick"].at(int(n < self.piece.strip))
        if mask.shape[2] > 1:
            self._diagonal(at, n, n)
        else:
            self._fill(at, Blocked(self.blocking, 1, 1, n, TWO).width, 1.0)

    def _edge(self, kind: int, n: int) -> int:
        """Return where the edge of a kind (0 ahead, 1 behind) for n queries lies."""
        buffer = self.buffers["edge"]
        return buffer.at(kind) + (buffer.bytes // 2 if n < self.piece.strip else 0)

    def _triangle(self, kind: int, n: int) -> None:
        """Make an edge: line j hides queries before j, or those behind it.

        Each line is a window on one long line, which goes back by an element from line to line.
        """
        lanes = Blocked(self.blocking, 1, 1, n, TWO).width
        line, largest = self.buffers["line"].at(kind), LARGEST[DType(self.piece.fmt)]
        low, high = (-largest, largest) if kind == 0 else (largest, -largest)
        before = n + kind  # elements up to the diagonal, which is seen
        self._fill(line, before, low)
        self._fill(line + before * TWO, lanes + n - before, high)
        dims = ((-TWO, lanes * TWO, n),)
        self.stream.add(Move(line + n * TWO, self._edge(kind, n), lanes * TWO, dims, self.origin))
