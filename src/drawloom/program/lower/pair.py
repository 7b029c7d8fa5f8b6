"""Two products side by side: the second sums up the results of the first, some channels at a time.

    first    S[j] = X W[:, j];  H[j] = body(S[j])
    second   Y += H[j] V[j, :], all channels of Y side by side

While the vector engine is at the body of one chunk, the matrix engine has the products of the next
and of what is there already. On every tile the second reads channels of H only behind the commands
that make them; what both wait for stands in the same order on all tiles.
"""

from __future__ import annotations

from drawloom.mapping.pieces import MatrixPiece
from drawloom.program.lower.context import Context
from drawloom.program.lower.matrix import Lowering
from drawloom.program.lower.panel import Panels


def lower(first: MatrixPiece, second: MatrixPiece, context: Context) -> None:
    """Write the commands of two products into every tile's stream, by turns."""
    maker, taker = Lowering(first, context), Panels(second, context)
    making, taking = maker.run(), taker.run()
    next(making)
    next(taking)
    width, turn = first.chunk[1], 0
    for _ in making:
        made = maker.finished * width
        while turn < len(taker.turns) and taker.reach(turn) <= made:
            next(taking)
            turn += 1
    for _ in taking:
        pass
