"""Pool pieces: which windows, in which chunks."""

from __future__ import annotations

from drawloom.errors import Diagnosis, DoesNotFit
from drawloom.mapping.cut.scratch import Scratch
from drawloom.mapping.cut.windows import window_of
from drawloom.mapping.fuse.groups import Group
from drawloom.mapping.layout.site import Site
from drawloom.mapping.layout.storage import Storage
from drawloom.mapping.pieces import PoolPiece, Window
from drawloom.units import ceil_div

OPS = {"MaxPool": "max", "AveragePool": "avg", "ReduceMean": "sum", "ReduceSum": "sum", "ReduceMax": "max",
       "ReduceMin": "min"}  # fmt: skip


def plan(group: Group, site: Site, src: Storage, dst: Storage) -> PoolPiece:
    """Return the piece of a pooling or whole-image reduction group."""
    node, graph, chip = group.nodes[0], site.graph, site.chip
    room = chip.scratchpad.usable - site.residency.reserved
    window = window_of(node, graph.types) if node.op in ("MaxPool", "AveragePool") else None
    blocked = src.blocked
    block = blocked.block
    height = window.oh if window is not None else 1
    width = min(blocked.channels, block)
    # Enough chunks for every tile: fewer rows where images and channel blocks are not enough.
    units = blocked.batch * ceil_div(blocked.channels, width)
    rows = max(1, ceil_div(height, ceil_div(chip.n_tiles, units)))
    while rows > 1 and (
        _bytes(src, window, rows, width) > room or _high(window, rows) > chip.limits.rows
    ):
        rows = ceil_div(rows, 2)
    need = _bytes(src, window, rows, width)
    if need > room:
        raise DoesNotFit(
            "map.memory",
            f"node '{node.name}' does not fit a tile even one row of windows at a time",
            Diagnosis(
                f"{need:,} bytes   input rows and results of one channel block, twice",
                f"{room:,} bytes   chip '{chip.name}', usable scratchpad of a tile",
                f"{need - room:,} bytes",
                ("a smaller image", "a chip with a larger scratchpad (extends: ...)"),
            ),
        )
    source, result = _sizes(src, window, rows, width)
    scratch = Scratch(chip, site.residency.reserved)
    scratch.add("src", source, 2)
    scratch.add("dst", result, 2)
    scale = float(blocked.rows) if node.op == "ReduceMean" else None
    if window is None:
        scratch.add("sum", chip.blocking.width(width, 4) * 4)
    count_pad = bool(node.int("count_include_pad"))
    return PoolPiece(
        node.name,
        (node.name,),
        OPS[node.op],
        src,
        dst,
        window,
        count_pad,
        (rows, width),
        scratch.buffers,
        scale,
        group.by_batch,
    )


def _sizes(src: Storage, window: Window | None, rows: int, channels: int) -> tuple[int, int]:
    width = src.blocking.width(channels, src.dtype.bytes) * src.dtype.bytes
    if window is None:
        return src.blocked.rows * width, width
    return _high(window, rows) * window.w * width, rows * window.ow * width


def _high(window: Window | None, rows: int) -> int:
    """Return how many rows of the image some rows of windows reach over."""
    if window is None:
        return 1
    reach = (rows - 1) * window.strides[0] + (window.kernel[0] - 1) * window.dilations[0] + 1
    return min(window.h, reach)


def _bytes(src: Storage, window: Window | None, rows: int, channels: int) -> int:
    return 2 * sum(n + 256 for n in _sizes(src, window, rows, channels)) + 1024
