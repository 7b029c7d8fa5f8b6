"""Flash pieces: attention with its scores in the scratchpads, software pipelined.

One visit, of nk keys and nq queries:

    matrix  S = K Q'            keys x queries; on top of the mask, if there is one
    move    S = low             where a query does not see a key that others of its strip see
    vector  m = max over keys; S = exp(S - m)
    matrix  O = V' S, l = 1' S  values x queries and 1 x queries, in f32
    vector  O = O / l           rounded to the result's format
    matrix  O'                  turned by the identity, and written

A later visit of the same unit first scales O and l to the new peak. The scale of the scores is on
Q. While the vector engine is at one visit, the matrix engine finishes the
one before and makes the scores of the next.
"""

from __future__ import annotations

from drawloom.chip.layout import Blocked
from drawloom.mapping.pieces import FlashPiece
from drawloom.program.commands import MatMul, Reduce, Select, Vector
from drawloom.program.lower.context import Context, read, write
from drawloom.program.lower.fixed import Fixed
from drawloom.program.lower.keys import Keys
from drawloom.program.lower.parts import Acts, Part, acts, parts
from drawloom.program.lower.turns import Unit, Visit, shares, teams, turns
from drawloom.units import align_down, align_up

TWO, FOUR = 2, 4  # bytes of an element: of operands, of sums
AHEAD = 4  # visits between asking for queries and making their scores
OPENING = 4  # visits in which keys are waited for: no more queries than the next are asked for


def lower(piece: FlashPiece, context: Context) -> None:
    """Write a flash piece's commands into every tile's stream."""
    origin = context.origin(piece.name, piece.nodes[0])
    mine = shares(piece, context.chip.n_tiles)
    for team in teams(piece, context.chip.n_tiles):
        stays, visits = turns(piece, [mine[tile] for tile in team])
        loads = parts(stays, len(team))
        for tile, own in zip(team, visits, strict=True):
            if stays:
                keys = Keys(context, piece, stays, team, tile, origin)
                _Tile(piece, keys, own, loads).run()


class _Tile:
    """One tile's stream."""

    def __init__(
        self, piece: FlashPiece, keys: Keys, visits: list[Visit], loads: list[Part]
    ) -> None:
        self.piece, self.keys, self.visits, self.loads = piece, keys, visits, loads
        self.stream, self.origin, self.stays = keys.stream, keys.origin, keys.stays
        self.fixed = Fixed(piece, self.stream, self.origin)
        self.blocking = piece.k.blocking
        self.block = self.blocking.of(TWO)
        self.buffers = piece.buffers
        self.due: Acts = {}
        # Visits between scaling queries and weighing: the vector engine is busy with others until then.
        self.scaling = 1 if "scale" in piece.buffers else 2
        self.turn: dict[int, int] = {}  # unit -> which of its two peaks is the latest

    def run(self) -> None:
        if self.piece.team > 1:
            self.stream.join_all(self.origin)  # others send to this tile
        self.fixed.make({v.unit.end - v.unit.first for v in self.visits if not v.pauses})
        self.due = acts(self.loads, self.visits, len(self.keys.team), self.block)
        opening = [index for index, visit in enumerate(self.visits) if visit.opens]
        asked = 0
        for step in range(-2, len(self.visits) + 2):
            # At the start keys are waited for as well: no more queries than the first.
            ahead = AHEAD if step >= OPENING else max(self.scaling, -step)
            while asked < len(opening) and opening[asked] <= step + ahead:
                self._ask(self.visits[opening[asked]])
                asked += 1
            self._step(step)
        self.keys.end()

    def _step(self, step: int) -> None:
        """Weigh a visit, make scores for the next one; finish a visit whose sums are long there."""
        before, now, later, last = (self._visit(step + i) for i in (-2, 0, 1, 2))
        if now:
            self._weigh(step, now)
        self._act(2 * step)
        if later:
            if later.opens and self.scaling == 1:
                self._scale(later)
            self._scores(step + 1, later)
        self._act(2 * step + 1)
        if before and before.closes:
            self._finish(before)
        if now:
            self._mix(step, now)
            self.keys.use(now.stay)
        if last and last.opens and self.scaling > 1:
            self._scale(last)

    def _act(self, at: int) -> None:
        for act, part in self.due.get(at, ()):
            self.keys.act(act, part)

    def _visit(self, index: int) -> Visit | None:
        if 0 <= index < len(self.visits) and not self.visits[index].pauses:
            return self.visits[index]
        return None

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

    # What is loaded.

    def _ask(self, visit: Visit) -> None:
        unit = visit.unit
        box = self.piece.q.box(unit.matrix, (unit.first, unit.end), (0, self.piece.features))
        read(self.stream, box, self.buffers["q"].at(visit.number), self.origin)

    def _scale(self, visit: Visit) -> None:
        piece, n = self.piece, visit.unit.end - visit.unit.first
        given = self.buffers["q"].at(visit.number)
        scaled = self.buffers["scaled"].at(visit.number)
        if "scale" not in self.buffers:
            count = self._matrix(n, piece.features) // TWO
            self._vector("mul", given, scaled, count, scalar=piece.scale)
            return
        self.stream.add(
            MatMul(
                given, self.buffers["scale"].at(0), scaled, n, piece.features, piece.features,
                piece.fmt, piece.fmt, origin=self.origin,
            )
        )  # fmt: skip

    # The steps of a visit.

    def _scores(self, step: int, visit: Visit) -> None:
        piece, unit, stay = self.piece, visit.unit, self.stays[visit.stay]
        start = self._start(visit)
        end = min(align_up(visit.high, self.block), stay.end)
        size = self._matrix(self.block, piece.features)
        keys = self.keys.key_address(visit.stay, start)
        queries = self.buffers["scaled"].at(visit.number)
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
        edges: list[tuple[int, int, int, int]] = []  # kind, the first's bound, keys from and to
        if piece.ahead is not None:
            at = unit.first + piece.ahead
            edges.append((0, at, at + 1, at + n))
        if piece.behind is not None:
            at = unit.first - piece.behind
            edges.append((1, at, at, at + n - 1))
        for kind, at, first, end in edges:
            first, end = max(first, visit.low), min(end, visit.high)
            if first < end:
                edge = self.fixed.edge(kind, n) + (first - at) * lanes
                scores, low = self._line(step, visit, first), self.buffers["low"].at(0)
                count = (end - first) * lanes
                self.stream.add(Select(edge, low, scores, TWO, count, self.origin))

    def _mix(self, step: int, visit: Visit) -> None:
        piece, unit, lanes = self.piece, visit.unit, self._lanes(visit.unit)
        keys, below = visit.high - visit.low, visit.low - self.stays[visit.stay].first
        weights, sums = self._line(step, visit, visit.low), self.buffers["sums"].at(visit.number)
        blocks = self.keys.value_blocks()
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
