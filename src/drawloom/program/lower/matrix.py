"""Matrix pieces: products and convolutions over the tile grid, in software pipelined chunks.

All tiles go through one list of steps (batch, row chunk, channel chunk, depth chunk); those of a tile
whose share ends earlier are empty. Operands are asked for some steps ahead, where slots are free.
"""

from __future__ import annotations

from collections.abc import Iterator

from drawloom.mapping.cut.matrix import SCALES
from drawloom.mapping.layout.storage import Transfer
from drawloom.mapping.pieces import MatrixPiece
from drawloom.program.commands import Conv, Engine, Join, MatMul, Vector
from drawloom.program.extents import INDEX_BYTES, psum_format
from drawloom.program.lower.coding import coded_box, decode, scales_behind
from drawloom.program.lower.context import Context
from drawloom.program.lower.folding import clear, fold, unfolded_box
from drawloom.program.lower.halo import exchange, halo_box
from drawloom.program.lower.handed import Handing
from drawloom.program.lower.operand import MAX_PHASES, Group, Key, Operand, slots_of
from drawloom.program.lower.results import Results
from drawloom.program.lower.shares import Part, Step

LOOKAHEAD = 5  # steps between asking for an operand and using it, where buffers allow
LOADS_A_PHASE = 4
SHARED_AHEAD = 2
DELIVERED_AHEAD = 2  # steps between handing an operand on and using it
SECOND_FLAG = 32  # the first flag of the second operand
Timetable = dict[int, list[tuple[Operand, Key, int]]]


def lower(piece: MatrixPiece, context: Context) -> None:
    """Write a matrix piece's commands into every tile's stream."""
    from drawloom.program.lower.panel import Panels  # it builds on what stands here

    for _ in (Panels if piece.panel else Lowering)(piece, context).run():
        pass


class Lowering(Results):
    """Writes the commands of one piece."""

    def __init__(self, piece: MatrixPiece, context: Context) -> None:
        """Settle what is loaded when."""
        super().__init__(piece, context)
        self.steps = self.shares.steps()
        alone: list[Group] = [(tile,) for tile in self.tiles]
        a_groups = [self._a_group(tile) for tile in self.tiles] if piece.share_a else alone
        b_groups = [self._b_group(tile) for tile in self.tiles] if piece.share_b else alone
        self.a = Operand(context, piece.buffers["a"], 0, a_groups, self._a_box, self.origin)
        # Beside another piece only this operand is shared: it takes the flags of the first.
        flag = 0 if piece.beside else SECOND_FLAG
        self.b = Operand(context, piece.buffers["b"], flag, b_groups, self._b_box, self.origin)
        self.a_slots = slots_of([self._a_key(s) for s in self.steps], self.a.buffer.copies)
        self.b_slots = slots_of([self._b_key(s) for s in self.steps], self.b.buffer.copies)
        for operand, slots in ((self.a, self.a_slots), (self.b, self.b_slots)):
            # Where a tile loads but a few chunks, the delay would cost more than it brings.
            loads = sum(fresh for _, fresh in slots)
            operand.phases = max(1, min(MAX_PHASES, loads // LOADS_A_PHASE))
        self.handing = Handing.of(piece, self.shares, context, self.origin)
        self.late: tuple[int, int] | None = None  # a result to be finished: its step, its copy
        self.finished = 0  # steps whose results are finished

    # Which tiles need the same chunk, which chunk a step needs, and what it is made of.

    def _a_group(self, tile: int) -> Group:
        gn = self.piece.grid[2]
        first = tile // gn * gn
        return (tile,) if self.piece.depthwise else tuple(range(first, first + gn))

    def _b_group(self, tile: int) -> Group:
        _, gm, gn = self.piece.grid
        if self.piece.b.blocked.batch == 1:
            return tuple(range(tile % gn, len(self.tiles), gn))
        first = tile // (gm * gn) * gm * gn
        return tuple(range(first + tile % gn, first + gm * gn, gn))

    def _a_key(self, step: Step) -> Key:
        b = step.b if self.piece.a.blocked.batch > 1 else 0
        return b, step.mi, step.ni if self.piece.depthwise else step.ki

    def _b_key(self, step: Step) -> Key:
        b = step.b if self.piece.b.blocked.batch > 1 else 0
        return b, step.ni, step.ki

    def _a_box(self, tile: int, key: Key) -> tuple[Transfer, ...]:
        piece = self.piece
        if not piece.share_a and not self.shares.has_work(tile):
            return ()
        n, k = (key[2], 0) if piece.depthwise else (0, key[2])
        part = self.shares.part(tile, Step(key[0], key[1], n, k))
        channels = part.n if piece.depthwise else part.k
        if part.batch < 0 or part.m[0] >= part.m[1] or channels[0] >= channels[1]:
            return ()
        batch = part.batch if piece.a.blocked.batch > 1 else 0
        if piece.window is not None:
            rows, _, _ = piece.window.rows_for(part.m)
            if rows[0] == rows[1]:
                return ()
            if piece.fold:
                return unfolded_box(piece, piece.fold, batch, rows)
            if piece.a.halo:
                return halo_box(piece, self.shares, tile, rows, channels)
            return piece.a.box(
                batch, (rows[0] * piece.window.w, rows[1] * piece.window.w), channels
            )
        if piece.trans_a:
            return piece.a.box(batch, part.k, part.m)
        return piece.a.box(batch, part.m, channels)

    def _b_box(self, tile: int, key: Key) -> tuple[Transfer, ...]:
        piece = self.piece
        if not piece.share_b and not self.shares.has_work(tile):
            return ()
        part = self.shares.part(tile, Step(key[0], 0, key[1], key[2]))
        batched = piece.b.blocked.batch > 1
        idle = part.m[0] >= part.m[1] and not piece.share_b
        if part.n[0] >= part.n[1] or (batched and part.batch < 0) or idle:
            return ()
        if piece.window is not None:
            taps = piece.window.kernel[0] * piece.window.kernel[1]
            if piece.depthwise:
                return piece.b.box(0, (0, taps), part.n)
            return piece.b.taps(taps, part.n, part.k)
        batch = part.batch if batched else 0
        if piece.numbers is not None:
            return self._picked_box(part)
        if piece.coding:
            codes, scales = coded_box(piece.b, piece.coding, batch, part.k, part.n)
            return (*codes, *scales)
        return (
            piece.b.box(batch, part.n, part.k)
            if piece.trans_b
            else piece.b.box(batch, part.k, part.n)
        )

    def _picked_box(self, part: Part) -> tuple[Transfer, ...]:
        """The box of the matrix whose number stands in DRAM."""
        piece = self.piece
        assert piece.numbers is not None, piece.name
        number = piece.numbers.address + INDEX_BYTES * part.batch
        if piece.coding is None:
            return piece.b.picked(piece.b.box(0, part.k, part.n), number)
        codes, scales = coded_box(piece.b, piece.coding, 0, part.k, part.n)
        return (*piece.b.picked(codes, number), *piece.coding.scales.picked(scales, number))

    # The pipeline.

    def run(self) -> Iterator[None]:
        """Write all commands: before the first step, and then as far as the products of each step."""
        shared = self.piece.share_a or self.piece.share_b
        begins, delivers = self._schedule()
        self._ahead(begins)
        self._settle(shared=shared)
        if self.piece.a.halo and self.piece.window:
            exchange(self.context, self.piece, list(self.tiles), self.origin)
        for tile in self.tiles if self.piece.fold else ():
            clear(self.context.streams.tiles[tile], self.piece, self.origin)
        self._load(begins, delivers, -1)
        self._constants()  # behind what is multiplied first: only results need them
        self._fold(0)
        yield
        is_long = self._is_long()
        for index, step in enumerate(self.steps):
            for tile in self.tiles:
                self._compute(tile, index, self.shares.part(tile, step))
            yield
            self._fold(index + 1)
            if is_long:
                self._load_first(begins, delivers, index)
            else:
                self._load(begins, delivers, index)
            if step.ki == self.shares.chunks[2] - 1:
                self.outs += 1
        self._finish_late()
        for tile in self.tiles if shared or self.piece.a.halo or self.handing else ():
            # No hazard check covers what a send reads: the next piece must not write over it.
            self.context.streams.tiles[tile].add(Join((Engine.SEND,), 0, self.origin))
        if self.handing:
            self.handing.end()

    def _settle(self, *, shared: bool) -> None:
        """Let tiles be done with all before, where others will send them something."""
        if self.handing:
            self.handing.begin()
        elif shared:
            for tile in self.tiles:
                self.context.streams.tiles[tile].join_all(self.origin)

    def _ahead(self, begins: Timetable) -> None:
        """Load the first weights ahead of the piece's barrier: no other piece makes them."""
        piece = self.piece
        if piece.b.kind != "constant" or piece.numbers is not None:
            return
        first = begins.get(-1, [])
        if not piece.share_b:
            begins[-1] = [load for load in first if load[0] is not self.b]
        ahead = [load for load in first if load[0] is self.b]
        for _, key, slot in ahead[: SHARED_AHEAD if piece.share_b else None]:
            for tile in self.tiles:
                self.b.begin_ahead(tile, key, slot)

    def _load(self, begins: Timetable, delivers: Timetable, index: int) -> None:
        """Start, and hand on, what is due after step ``index``; between, finish that step's result."""
        self._begin(begins, index)
        self._next_body_loads(index)
        if index >= 0 and self.steps[index].ki == self.shares.chunks[2] - 1:
            self._finish_all(index, self.outs)
        self._deliver(delivers, index)

    def _load_first(self, begins: Timetable, delivers: Timetable, index: int) -> None:
        """Start, and hand on, what is due after step ``index``; then finish the result before that step's.

        So the matrix engine has the next products while the processor hands a long body over.
        """
        self._begin(begins, index)
        self._deliver(delivers, index)
        if self.steps[index].ki == self.shares.chunks[2] - 1:
            self._finish_late()
            self.late = index, self.outs
        self._next_body_loads(index)

    def _begin(self, begins: Timetable, index: int) -> None:
        for operand, key, slot in begins.get(index, ()):
            for tile in self.tiles:
                operand.begin(tile, key, slot)

    def _deliver(self, delivers: Timetable, index: int) -> None:
        if self.handing and index < 0:
            self.handing.meet()
            for tile in self.tiles:
                self.a.met[tile] += 1
                self.b.met[tile] += 1
        for operand, key, slot in delivers.get(index, ()):
            for tile in self.tiles:
                operand.deliver(tile, key, slot)

    def _next_body_loads(self, index: int) -> None:
        if index + 1 < len(self.steps) and self.steps[index + 1].ki == 0:
            for tile in self.tiles:
                self._body_loads(tile, self.shares.part(tile, self.steps[index + 1]), index + 1)

    def _finish_late(self) -> None:
        """Finish the result that was left for later, if there is one."""
        if self.late is not None:
            self._finish_all(*self.late)
            self.late = None

    def _finish_all(self, index: int, copy: int) -> None:
        """Do the body's work on the result of a step, and write it out."""
        for tile in self.tiles:
            part = self.shares.part(tile, self.steps[index])
            self._finish(tile, part, copy)
            self._store(tile, part, copy)
            if self.handing:
                self.handing.send(tile, part)
        self.finished = index + 1

    def _schedule(self) -> tuple[Timetable, Timetable]:
        """After which step each load begins and is handed on: ahead of its use, after its slot's last use."""
        begins: Timetable = {}
        delivers: Timetable = {}
        last: dict[tuple[int, int], int] = {}
        for index in range(len(self.steps)):
            for which, (operand, slots, key) in enumerate(
                ((self.a, self.a_slots, self._a_key), (self.b, self.b_slots, self._b_key))
            ):
                slot, fresh = slots[index]
                if fresh:
                    # One step after the last use: by then the engine has the next step to work on.
                    free = last.get((which, slot), -LOOKAHEAD) + 1
                    early = int(operand is self.a and self.piece.fold is not None)
                    latest = max(index - 1 - early, -1)
                    begin = min(latest, max(index - LOOKAHEAD, free - early, -1))
                    load = (operand, key(self.steps[index]), slot)
                    begins.setdefault(begin, []).append(load)
                    # A step sooner than needed where it was asked for before that: links go on.
                    deliver = max(min(index - 1, begin + 1), index - DELIVERED_AHEAD)
                    delivers.setdefault(deliver, []).append(load)
                last[which, slot] = index
        return begins, delivers

    def _loads(self, index: int) -> list[tuple[Operand, Key, int]]:
        step = self.steps[index]
        a, b = (self.a, self._a_key(step), self.a_slots), (self.b, self._b_key(step), self.b_slots)
        return [(op, key, slots[index][0]) for op, key, slots in (a, b) if slots[index][1]]

    def _compute(self, tile: int, index: int, part: Part) -> None:
        a_slot, b_slot = self.a_slots[index][0], self.b_slots[index][0]
        for operand, key, slot in self._loads(index):
            operand.wait(tile, key, slot)
            if self.piece.products > 1:
                self._halve(tile, operand, key, slot)
            if self.piece.coding and operand is self.b:
                self._decode(tile, key, slot)
        if not part.empty:
            self._products(tile, part, a_slot, b_slot)
        self.a.use(tile, a_slot)
        self.b.use(tile, b_slot)

    def _fold(self, index: int) -> None:
        """Fold what a step multiplies, while the step before is still multiplied and finished."""
        piece, window = self.piece, self.piece.window
        if piece.fold is None or window is None or index >= len(self.steps):
            return
        slot, fresh = self.a_slots[index]
        for tile in self.tiles if fresh else ():
            part = self.shares.part(tile, self.steps[index])
            if not part.empty:
                rows, _, _ = window.rows_for(part.m)
                places = self.a.address(slot), piece.buffers["a.wide"].at(slot)
                stream = self.context.streams.tiles[tile]
                fold(stream, piece, piece.fold, rows, places, self.origin)

    def _halve(self, tile: int, operand: Operand, key: Key, slot: int) -> None:
        """Split an f32 chunk into two tf32 numbers that sum to it (to 22 bits)."""
        ends = (t.offset + t.bytes for t in operand.transfers(tile, key))
        count = max(ends, default=0) // 4  # rows may be padded: what is loaded is not all
        if not count:
            return
        whole, name = operand.address(slot), operand.buffer.name
        high, low = (self.piece.buffers[f"{name}.{part}"].at(slot) for part in ("high", "low"))
        stream = self.context.streams.tiles[tile]
        stream.add(Vector("convert", whole, high, count, "f32", "tf32", origin=self.origin))
        stream.add(Vector("sub", whole, low, count, "f32", "f32", high, origin=self.origin))

    def _decode(self, tile: int, key: Key, slot: int) -> None:
        """Make numbers of a chunk of codes; a tile without rows of the result has no use for them."""
        part = self.shares.part(tile, Step(key[0], 0, key[1], key[2]))
        if not part.empty:
            source, target = self.b.address(slot), self.piece.buffers["b.wide"].at(slot)
            size = part.k[1] - part.k[0], part.n[1] - part.n[0]
            stream = self.context.streams.tiles[tile]
            decode(stream, self.piece, size, source, target, self.origin)
            if self.piece.coding and self.piece.coding.behind and part.k[1] == self.piece.k:
                inside = part.n[0] - self.shares.place(tile)[2] * self.shares.per_n
                place = self._slot(SCALES, 0) + 4 * inside
                scales_behind(stream, self.piece, size, source, place, self.origin)

    def _products(self, tile: int, part: Part, a_slot: int, b_slot: int) -> None:
        """The product of one step: one command, or three that make f32 of tf32 halves."""
        piece = self.piece
        first, last = part.k[0] == 0, part.k[1] == piece.k
        result = self._slot(piece.result, self.outs)
        if piece.products == 1:
            psum = piece.buffers["psum"].at(self.outs) if self.shares.chunks[2] > 1 else result
            source = None if first else psum
            b = piece.buffers["b.wide"] if piece.coding else self.b.buffer
            a = piece.buffers["a.wide"] if piece.fold else self.a.buffer
            places = a.at(a_slot), b.at(b_slot)
            self._matrix(tile, part, places, source, psum, result, last)
            return
        psum = piece.buffers["psum"].at(self.outs)
        a_high, a_low = (piece.buffers[f"a.{half}"].at(a_slot) for half in ("high", "low"))
        b_high, b_low = (piece.buffers[f"b.{half}"].at(b_slot) for half in ("high", "low"))
        # The small products first: they are not lost beside the large one.
        self._matrix(tile, part, (a_low, b_high), None if first else psum, psum, psum, False)
        self._matrix(tile, part, (a_high, b_low), psum, psum, psum, False)
        self._matrix(tile, part, (a_high, b_high), psum, psum, result, last)

    def _matrix(
        self,
        tile: int,
        part: Part,
        operands: tuple[int, int],
        source: int | None,
        psum: int,
        result: int,
        last: bool,
    ) -> None:
        piece = self.piece
        out_fmt, target = (piece.out_fmt, result) if last else (psum_format(piece.fmt), psum)
        stream = self.context.streams.tiles[tile]
        if piece.window is None:
            stream.add(
                MatMul(
                    *operands, target, part.m[1] - part.m[0], part.k[1] - part.k[0], part.n[1] - part.n[0],
                    piece.fmt, out_fmt, source, piece.trans_a, piece.trans_b, origin=self.origin,
                )
            )  # fmt: skip
            return
        window = piece.window
        rows, above, below = window.rows_for(part.m)
        channels = part.n if piece.depthwise else part.k
        pads = (above, below, window.pads[2], window.right)
        stream.add(Conv(
            *operands, target, rows[1] - rows[0], window.w, channels[1] - channels[0], part.n[1] - part.n[0],
            *window.kernel, window.strides, pads, window.dilations, piece.fmt, out_fmt,
            piece.depthwise, source, self.origin,
        ))  # fmt: skip
