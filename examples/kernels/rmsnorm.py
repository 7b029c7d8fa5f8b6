"""The kernel of ``rmsnorm.prog.txt`` in Python: the same program, with Python's names and loops.

python examples/kernels/rmsnorm.py rmsnorm.prog
"""

from __future__ import annotations

import sys

from drawloom.program.builder import Kernel
from drawloom.program.files import write_program
from drawloom.program.program import Program

BLOCK = 64  # the layout's channel blocks, in elements


def rmsnorm(tiles: int = 4, rows: int = 64, cols: int = 1024, eps: float = 1e-5) -> Program:  # noqa: PLR0915
    """Return ``y = x * w / sqrt(mean(x * x) + eps)`` along the rows of x, rows shared by tiles."""
    per, blocks, part = rows // tiles, cols // BLOCK, cols // tiles
    everyone = range(tiles)

    k = Kernel("rmsnorm", chip="tx81")
    x = k.input("x", "f16", (rows, cols))
    w = k.input("w", "f16", (cols,))
    y = k.output("y", "f16", (rows, cols))

    x16 = k.buffer("x16", "f16", (per, cols), blocked=True)
    w16 = k.buffer("w16", "f16", (cols,))
    mine = k.buffer("mine", "f16", (part,))
    x32 = k.buffer("x32", "f32", (per, cols), blocked=True)
    sq = k.buffer("sq", "f32", (per, cols), blocked=True)
    w32 = k.buffer("w32", "f32", (cols,))
    total = k.buffer("sum", "f32", (per, 1), blocked=True)
    wide = k.buffer("wide", "f32", (per, BLOCK))

    by_blocks = ((2 * BLOCK, blocks), (2 * cols, per))  # (stride, count)
    for t in everyone:
        with k.tile(t):
            k.step("load")
            k.read(x + 2 * cols * per * t, x16, 2 * BLOCK, by_blocks)

            k.step("share")
            k.read(w + 2 * part * t, mine, mine.bytes)
            with k.loop(tiles):
                k.arm(0)
            k.join("read")
            k.barrier(everyone)
            k.send(mine, w16 + 2 * part * t, mine.bytes, everyone, flag=0)

            k.step("mean")
            k.vector("convert", x16, x32, x32.count, "f16", "f32")
            k.vector("square", x32, sq, sq.count, "f32")
            k.reduce("sum", sq, total, (per, 1, cols), "c", "f32")

            k.step("scale")
            k.vector("mul", total, total, 4 * per, "f32", scalar=1 / cols)
            k.vector("add", total, total, 4 * per, "f32", scalar=eps)
            k.vector("rsqrt", total, total, 4 * per, "f32")
            k.move(total, wide, 4, ((16, 4 * BLOCK, per), (0, 4, BLOCK)))
            k.vector("mul", x32, x32, x32.count, "f32", b=wide, unit=wide.count)

            k.step("weigh")
            k.wait(0, tiles)
            k.vector("convert", w16, w32, cols, "f16", "f32")
            k.move(w32, sq, 4 * BLOCK, ((4 * BLOCK, 4 * BLOCK * per, blocks), (0, 4 * BLOCK, per)))
            k.vector("mul", x32, x16, x32.count, "f32", "f16", b=sq)

            k.step("store")
            k.write(x16, y + 2 * cols * per * t, 2 * BLOCK, by_blocks)
    return k.program()


if __name__ == "__main__":
    write_program(rmsnorm(), sys.argv[1])
