"""Which values never leave the scratchpads.

Where a batch is at least as large as the chip has tiles, every tile can work through its own
images (or heads) from node to node. A value between pieces that are all cut by batch alone is
then made and read by the same tile, and stays in its scratchpad, as far as there is room. Of a
single image every tile can have some rows, which is enough where results need no other pixels. A
small image that convolutions make and see is held by every tile: each sends what it makes to all.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, field

from drawloom.chip.layout import Blocked
from drawloom.chip.model import Chip
from drawloom.graph.ir import Graph
from drawloom.mapping.cut.windows import window_of
from drawloom.mapping.fuse.groups import Group, Plan
from drawloom.mapping.fuse.quantized import is_convolution
from drawloom.mapping.layout.dram import Need, pack
from drawloom.mapping.layout.renamed import views
from drawloom.mapping.layout.storage import matrix_view
from drawloom.units import KIB, align_up, ceil_div

SHARES = (0.87, 0.5, 0.0)  # of the usable scratchpad may hold residents; the first that serves
WASTE = 1.15  # tiles may stand idle this much for the sake of a batch that does not divide evenly
LEAST_ROWS = 48  # of a tile, where tiles share an image: fewer leave the matrix engine empty
MOST_ROWS = 128  # of a matrix: with more, products that share out channels as well are quicker
MOST_HELD = 0.25  # of the usable scratchpad for one value's rows, or weights had too little room
LEAST_TILES = 0.75  # of a chip must have some
MOST_EVERYWHERE = 448 * KIB  # of an image that every tile holds: to send more takes as long as DRAM
LEAST_EVERYWHERE = 16  # its pixels
CUTTABLE = ("matrix", "strip", "pool")


@dataclass(frozen=True, slots=True)
class Held:
    """What each tile holds of a resident value: whole matrices, or some rows of one in ``parts``.

    Of its neighbours' rows it has room for ``halo`` above its own and as many below. ``everywhere``
    all tiles hold the same matrix.
    """

    matrices: int
    rows: int = 0
    parts: int = 0
    halo: int = 0
    everywhere: bool = False


@dataclass(slots=True)
class Residency:
    """Scratchpad addresses of resident values, matrices per tile, and the groups cut by batch.

    Residents lie at the end of the scratchpad. ``reserved`` are the bytes that the group which is
    planned now leaves to them, ``held`` those of each group.
    """

    address: dict[str, int] = field(default_factory=dict[str, int])
    held_of: dict[str, Held] = field(default_factory=dict[str, "Held"])
    groups: set[int] = field(default_factory=set[int])
    rows: dict[int, int] = field(
        default_factory=dict[int, int]
    )  # groups cut by rows: into how many
    reserved: int = 0
    held: dict[int, int] = field(default_factory=dict[int, int])

    def turn_to(self, group: int) -> None:
        """Leave room to what is resident while a group runs."""
        self.reserved = self.held.get(group, 0)


def settle(
    plan: Plan, graph: Graph, chip: Chip, share: float, *, multicast: bool = True
) -> Residency:
    """Choose the resident values of a plan: first made, first served.

    A sum may take the place of an operand that nothing else needs any more.
    """
    out = Residency()
    made = {value: index for index, group in enumerate(plan.groups) for value in group.made}
    readers = _readers(plan)
    others = views(plan, graph, chip)
    needs: dict[str, Need] = {}
    place: dict[str, str] = {}  # resident value -> the value whose need it is part of
    room = int(chip.scratchpad.usable * share)
    for value, index in made.items():
        users = readers.get(value, set()) - {index}
        if value in others:
            users = readers.get(others[value], set())
        if not users or value in graph.outputs:
            continue
        held = _held(plan, graph, chip, value, (index, *sorted(users)))
        if held is None or not _may(held, multicast=multicast, renamed=value in others):
            continue
        _, rows, channels = matrix_view(graph.types[value].shape, plan.home[value])
        size, rows = graph.types[value].dtype.bytes, held.rows + 2 * held.halo or rows
        blocked = Blocked(chip.blocking, held.matrices, rows, channels, size)
        need = Need(value, blocked.bytes, index, max(users))
        ending = {v for v, root in place.items() if needs[root].last == index}
        ending = {v for v in ending if max(readers[v]) == index and out.held_of[v] == held}
        before = _replaced(plan.groups[index], graph, value, ending)
        if before:
            first = needs[place[before]]
            need = Need(first.key, first.bytes, first.first, max(users))
        more = needs | {need.key: need}
        if pack(list(more.values()), chip.blocking.align)[1] <= room:
            needs = more
            for name in {value, others.get(value, value)}:
                place[name], out.held_of[name] = need.key, held
            if held.parts:
                out.rows |= dict.fromkeys((index, *users), held.parts)
            elif not held.everywhere:
                out.groups |= {index, *users}
    _place(out, needs, place, chip)
    return out


def _may(held: Held, *, multicast: bool, renamed: bool) -> bool:
    """Whether tiles can get from each other what they do not make of a value themselves."""
    return (multicast or not (held.parts or held.everywhere)) and not (held.everywhere and renamed)


def _place(out: Residency, needs: dict[str, Need], place: dict[str, str], chip: Chip) -> None:
    """Give residents their addresses, from the end of the scratchpad down."""
    align = chip.blocking.align
    offsets, _ = pack(list(needs.values()), align)
    end = chip.scratchpad.bytes - chip.scratchpad.reserve_high
    for key, need in needs.items():
        reach = offsets[key] + align_up(max(1, need.bytes), align)
        for group in range(need.first, need.last + 1):
            out.held[group] = max(out.held.get(group, 0), reach)
        out.address |= {value: end - reach for value, root in place.items() if root == key}


def _replaced(group: Group, graph: Graph, value: str, ending: Container[str]) -> str:
    """Return a resident operand that a value can be written over, if there is one.

    ``ending`` are residents that nothing reads behind the group. It reads such an operand chunk by
    chunk, and each before it writes the same chunk.
    """
    kind = graph.types[value]
    if group.kind == "pool" or kind.shape != group.shape:
        return ""
    direct = group.nodes[0].inputs if group.kind in ("matrix", "norm") else ()
    for node in group.nodes:
        for operand in node.inputs:
            alike = operand in ending and graph.types[operand] == kind
            if alike and operand not in direct:
                return operand
    return ""


def _readers(plan: Plan) -> dict[str, set[int]]:
    """Which groups read each value."""
    out: dict[str, set[int]] = {}
    for index, group in enumerate(plan.groups):
        for node in group.nodes:
            for value in node.inputs:
                out.setdefault(value, set()).add(index)
    return out


def _held(plan: Plan, graph: Graph, chip: Chip, value: str, users: tuple[int, ...]) -> Held | None:
    """Return what tiles can hold of a value; None where those who make and use it are cut otherwise."""
    layout, shape = plan.home[value], graph.types[value].shape
    groups = [plan.groups[i] for i in users]
    if layout not in ("rows", "image") or len({group.segment for group in groups}) > 1:
        return None
    batch = matrix_view(shape, layout)[0]
    each = ceil_div(batch, chip.n_tiles)
    if batch >= chip.n_tiles:
        even = each * chip.n_tiles <= WASTE * batch
        cut = even and all(_cut_by_batch(group, layout, batch) for group in groups)
        return Held(each) if cut else None
    if batch > 1:
        return None
    if layout == "rows":
        return _held_rows(plan, graph, chip, value, groups)
    if len(shape) != 4:
        return None
    own = _held_pixels(graph, chip, value, groups)
    return own or _held_everywhere(plan, graph, chip, value, groups)


def _held_pixels(graph: Graph, chip: Chip, value: str, groups: Sequence[Group]) -> Held | None:
    """Return the rows of an image that tiles can hold."""
    high, wide = graph.types[value].shape[2:]
    per = ceil_div(high, chip.n_tiles)
    parts = high // per
    if high % per or per * wide < LEAST_ROWS or parts < LEAST_TILES * chip.n_tiles:
        return None
    every = parts == chip.n_tiles
    seen = [_rows_around(group, graph, value, every=every) for group in groups]
    halo = max(seen)
    return Held(1, per * wide, parts, halo * wide) if min(seen) >= 0 and halo <= per else None


def _held_everywhere(
    plan: Plan, graph: Graph, chip: Chip, value: str, groups: Sequence[Group]
) -> Held | None:
    """Return that all tiles hold an image; None where it is large, or others than convolutions want it."""
    kind = graph.types[value]
    _, pixels, channels = matrix_view(kind.shape, plan.home[value])
    size = Blocked(chip.blocking, 1, pixels, channels, kind.dtype.bytes).bytes
    if chip.n_tiles < 2 or size > MOST_EVERYWHERE or pixels < LEAST_EVERYWHERE:
        return None
    made, *readers = groups
    fits = _convolves(made) and made.shape == kind.shape
    return (
        Held(1, everywhere=True) if fits and all(_sees(g, graph, value) for g in readers) else None
    )


def _convolves(group: Group) -> bool:
    node = group.nodes[0]
    plain = group.kind == "matrix" and group.layout == "image" and is_convolution(node)
    return plain and node.int("group", 1) == 1


def _sees(group: Group, graph: Graph, value: str) -> bool:
    """Whether a convolution sees an image, or combines its results with it."""
    behind = any(value in node.inputs for node in group.nodes[1:])
    inputs = group.nodes[0].inputs
    alone = value not in inputs[1:] and (value in inputs or behind)
    return _convolves(group) and alone and (not behind or graph.types[value].shape == group.shape)


def _held_rows(
    plan: Plan, graph: Graph, chip: Chip, value: str, groups: Sequence[Group]
) -> Held | None:
    """Return the rows of a matrix that tiles can hold: those of products with a weight, and of strips.

    Each product's weight then comes to every tile.
    """
    _, rows, channels = matrix_view(graph.types[value].shape, "rows")
    per = ceil_div(rows, chip.n_tiles)
    parts = ceil_div(rows, per)
    if not LEAST_ROWS <= per <= MOST_ROWS or parts < chip.n_tiles:
        return None
    if per * channels * graph.types[value].dtype.bytes > MOST_HELD * chip.scratchpad.usable:
        return None
    return Held(1, per, parts) if all(_by_rows(plan, graph, g, value) for g in groups) else None


def _by_rows(plan: Plan, graph: Graph, group: Group, value: str) -> bool:
    """Whether a group's tiles can each work on the rows of a value that they hold."""
    rows = matrix_view(graph.types[value].shape, "rows")[1]
    if group.layout != "rows" or matrix_view(group.shape, "rows")[:2] != (1, rows):
        return False
    if group.kind == "strip":
        return True
    node = group.nodes[0]
    if group.kind != "matrix" or node.op != "MatMul" or node.int("trans_a"):
        return False
    weight = node.inputs[1]
    plain = weight in graph.constants and weight not in plan.coded and weight not in plan.picked
    whole = matrix_view(graph.types[weight].shape, "rows")[0] == 1 if plain else False
    return plain and whole and value != weight and graph.types[weight].dtype.bytes == 2


def _rows_around(group: Group, graph: Graph, value: str, *, every: bool) -> int:
    """How many rows beside its own each tile of a group must see of an image to make its own rows.

    -1 where tiles cannot work so; ``every`` tile has some rows.
    """
    shape, node = graph.types[value].shape, group.nodes[0]
    if group.layout != "image" or (group.shape[0], *group.shape[2:]) != (1, *shape[2:]):
        return -1
    if group.kind in ("norm", "strip"):
        return 0 if every else -1
    if group.kind != "matrix" or not is_convolution(node) or node.int("group", 1) > 1:
        return -1
    window = window_of(node, graph.types)
    if value not in node.inputs or window.is_pointwise:
        return 0
    around = window.kernel[0] // 2
    plain = window.strides == window.dilations == (1, 1) and window.pads[:2] == (around, around)
    alone = all(value not in each.inputs for each in group.nodes[1:])
    return around if plain and alone and window.kernel[0] == 2 * around + 1 else -1


def _cut_by_batch(group: Group, layout: str, batch: int) -> bool:
    if group.kind not in CUTTABLE or group.layout != layout:
        return False
    return matrix_view(group.shape, layout)[0] == batch
