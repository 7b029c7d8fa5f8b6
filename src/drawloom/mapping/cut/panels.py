"""How large products are cut whose channels are summed side by side; see ``Panel``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise, product

from drawloom.chip.formats import FORMAT_BYTES
from drawloom.chip.model import Chip
from drawloom.mapping.body import Body, Slot, slot_elements
from drawloom.mapping.cut.scratch import Scratch
from drawloom.mapping.cut.sizes import Cut, Work, grain
from drawloom.mapping.pieces import Buffer, Panel, Span
from drawloom.units import align_down, align_up, ceil_div

MAX_DEPTHS = 20  # parts of an operand that stays: with more, tiles would meet all the time
MAX_FLAGS = 32  # of an operand: each part that stays has one
RING = 3  # places within sums, or results would wait for each other
MAX_RESULTS = 16  # places of results
SUM_BYTES = 4  # of a partial sum


@lru_cache(maxsize=4096)
def depths(
    total: int, depth: int, block: int, *, first: bool = True, last: bool = True
) -> tuple[Span, ...]:
    """Return spans of depth that make up the total: ``depth`` each, less at either end if asked for.

    Work begins with the first and ends behind the last: both are there soon, and soon done.
    """
    ramp = sorted({align_up(depth >> by, block) for by in (2, 1)})
    front, back = ramp if first else [], ramp[::-1] if last else []
    rest = total - sum(front) - sum(back)
    if rest < depth:
        return _spans([depth] * ceil_div(total, depth), total)
    # What is left over stands in front, where there is more to load than to compute.
    over = align_down(rest % depth, block)
    front = [*front, over] if over else front
    tail = rest % block
    if tail and back and back[-1] + tail <= depth:
        back[-1] += tail
    elif tail:
        back = [*back, tail]
    return _spans([*front, *[depth] * (rest // depth), *back], total)


def _spans(sizes: list[int], total: int) -> tuple[Span, ...]:
    ends = [min(end, total) for end in accumulate(sizes)]
    return tuple(pairwise([0, *ends]))


def chunks(start: int, end: int, width: int, least: int) -> list[Span]:
    """Return spans of channels, ``width`` each; the last two are cut into ``least``, to be written soon."""
    firsts = list(range(start, end, width))
    small = range(min(firsts[-2:], default=end), end, least)
    return list(pairwise([*firsts[:-2], *small, end]))


@dataclass(frozen=True, slots=True)
class Way:
    """A way to cut: the grid, the chunk of a result, channels side by side, and their depth.

    With ``always`` all channels are summed so, see ``Panel``.
    """

    work: Work
    chip: Chip
    grid: tuple[int, int]  # tiles along rows and channels
    mt: int
    nt: int
    wide: int
    depth: int
    always: bool

    @property
    def block(self) -> int:
        """Channels of a block of the operands."""
        return self.chip.blocking.of(FORMAT_BYTES[self.work.fmt])

    @property
    def per_n(self) -> int:
        """Channels of a tile, in whole grains."""
        return _per_n(self.work, self.chip, self.grid[1])

    @property
    def rounds(self) -> int:
        """Chunks of rows of a tile."""
        return ceil_div(ceil_div(self.work.m, self.grid[0]), self.mt)

    @property
    def even(self) -> bool:
        """Whether all chunks have as many rows."""
        return self.work.m % (self.grid[0] * self.mt) == 0

    @property
    def within(self) -> bool:
        """Whether results lie where sums were: where each is a plain product of as many rows."""
        plain = self.work.passes == 0 and len(self.work.slots) == 1
        return plain and self.even and not self.always and ceil_div(self.wide, self.nt) >= RING

    @property
    def results(self) -> int:
        """Places of results, but for those within sums."""
        return 1 if self.within else min(MAX_RESULTS, max(2, ceil_div(self.wide, self.nt)))

    def spans(self, *, first: bool = True, last: bool = True) -> tuple[Span, ...]:
        """Return the spans of depth of a sum."""
        return depths(self.work.k, self.depth, self.block, first=first, last=last)

    def cut(self) -> Cut | None:
        """Return the cut with as many copies of each operand as are of use; None if it does not fit."""
        least = MAX_RESULTS if self.always else 0
        if not self.always and len(self.spans()) > MAX_DEPTHS:
            return None
        if self.always and ceil_div(self.wide, self.nt) > least:
            return None
        gm, gn = self.grid
        panel = Panel(self.wide, self.depth, self.always, self.within)
        copies = ((3, 3), (3, 2), (2, 2)) if self.always else ((2, 3), (1, 4), (1, 3), (1, 2))
        room = self.chip.scratchpad.usable - self.work.reserved
        for a, b in copies:
            found = Cut(
                (1, gm, gn), (self.mt, self.nt, self.work.k), "mn", a, b, gn > 1, gm > 1, 0.0,
                panel, self.results,
            )  # fmt: skip
            of_use = self.always or a == 1 or self.rounds > 1
            if not self.always and a * len(self.spans()) > MAX_FLAGS:
                continue
            if (
                of_use
                and sum(n * size for _, size, n in _areas(self.chip, self.work, found)) <= room
            ):
                return found
        return None


def _per_n(work: Work, chip: Chip, gn: int) -> int:
    return align_up(ceil_div(work.n, gn), grain(work, chip))


def ways(work: Work, chip: Chip) -> Iterator[Way]:
    """Iterate over ways to cut a product."""
    step, tiles = grain(work, chip), chip.n_tiles
    block = chip.blocking.of(FORMAT_BYTES[work.fmt])
    for gm in (g for g in range(1, tiles + 1) if tiles % g == 0):
        gn = tiles // gm
        per_m, per_n = ceil_div(work.m, gm), _per_n(work, chip, gn)
        # What is read along rows is sent further: more tiles share channels than rows.
        if gm < gn or gm > work.m or gn * step > align_up(work.n, step):
            continue
        if work.by_rows not in (0, gm):
            continue
        rows = sorted({ceil_div(per_m, parts) for parts in (1, 2, 3, 4, 6, 8)})
        widths = sorted({min(step * each, per_n) for each in (1, 2, 4)})
        deep = [each * block for each in (1, 2, 3, 4, 6, 8) if (each - 1) * block < work.k]
        for mt, nt, depth in product(rows, widths, deep):
            if mt > chip.limits.rows:
                continue
            for wide in sorted({align_up(ceil_div(per_n * j, 32), nt) for j in range(1, 33)}):
                if work.k <= chip.limits.channels:
                    yield Way(work, chip, (gm, gn), mt, nt, wide, depth, False)
                yield Way(work, chip, (gm, gn), mt, nt, wide, depth, True)


def _areas(chip: Chip, work: Work, cut: Cut) -> Iterator[tuple[str, int, int]]:
    """Iterate over the buffers of a cut: name, bytes of a copy, copies; those of the body by number."""
    assert cut.panel is not None, cut
    mt, nt, _ = cut.chunk
    panel, size, align = cut.panel, FORMAT_BYTES[work.fmt], chip.blocking.align
    per_n = _per_n(work, chip, cut.grid[2])
    depth = panel.depth if panel.always else work.k
    yield "a", align_up(mt * align_up(depth, chip.blocking.of(size)) * size, align), cut.a_copies
    wide = panel.depth * panel.channels
    if not panel.always and panel.channels < per_n:
        wide = max(wide, work.k * nt)
    yield "b", align_up(wide * size, align), cut.b_copies
    yield "psum", align_up(mt * panel.channels * SUM_BYTES, align), 1
    for number, (kind, fmt) in enumerate(work.slots):
        if panel.within and FORMAT_BYTES[fmt] == SUM_BYTES:
            continue
        whole = kind == "channel"
        count = slot_elements(
            chip.blocking, Slot("", kind, fmt), mt, per_n if whole else nt, flat=False
        )
        copies = 1 if whole else cut.results if kind == "full" else 2
        yield f"{number}", align_up(count * FORMAT_BYTES[fmt], align), copies


def panel_bytes(chip: Chip, work: Work, cut: Cut) -> int:
    """Return the scratchpad bytes of a product whose channels are summed side by side."""
    return sum(size * copies for _, size, copies in _areas(chip, work, cut))


def panel_buffers(
    chip: Chip, work: Work, cut: Cut, body: Body, *, raised: bool = False
) -> dict[str, Buffer]:
    """Return the buffers of a product whose channels are summed side by side."""
    scratch = Scratch(chip, work.reserved)
    for name, size, copies in _areas(chip, work, cut):
        scratch.add(f"slot.{body.slots[int(name)].name}" if name.isdigit() else name, size, copies)
    return scratch.raised() if raised else scratch.buffers
