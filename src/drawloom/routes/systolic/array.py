"""One matrix product on one systolic array, in whole cycles.

A product [m, k] x [k, n] is cut into folds, each as large as the array; what stays in the cells
of the array during a fold names the dataflow, and the third size of the product streams through:

    dataflow   rows of the array  columns  streamed  stays in the cells
    weight     k                  n        m         weights
    output     m                  n        k         sums
    input      k                  m        n         inputs

Cycles of one fold on an array of R rows and C columns:

    fill     R: what stays moves in row by row (nothing for sums, which start at zero)
    stream   T, the streamed size
    skew     R + C - 2: the last value enters the last row R - 1 cycles after it entered the
             first one, and needs C - 1 more to the last column
    drain    R where sums leave through the cells and the array has no other way out for them

An array without a second set of registers runs folds one after another. With ``is_overlapped`` the
next fold fills while this one streams, and its wavefront follows at once: each fold then takes the
longest of its stream, its fill and its drain, and fill and skew are seen once, at both ends.

With neither overlap nor drain these are the counts of SCALE-Sim (its stall-free mode prints the
number of the last cycle, counted from zero: one less). Partial folds take whole fills and skews,
because values pass through the cells that idle. Source: Samajdar et al., SCALE-Sim, 2018 and 2025.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Dataflow = Literal["weight", "output", "input"]


def over(amount: int, part: int) -> int:
    """Return how many parts an amount takes, the last one perhaps not full."""
    return -(-amount // part)


@dataclass(frozen=True, slots=True)
class Product:
    """A matrix product [m, k] x [k, n]; ``n`` counts filters, ``k`` inputs of a filter."""

    m: int
    n: int
    k: int

    @property
    def macs(self) -> int:
        """Multiply-adds."""
        return self.m * self.n * self.k


@dataclass(frozen=True, slots=True)
class Folds:
    """How a product lies on an array.

    Attributes:
        rows: of the product that want a row of the array each.
        columns: that want a column each.
        streamed: values that pass through each row in a fold.
        down: folds along the rows.
        across: folds along the columns.
    """

    rows: int
    columns: int
    streamed: int
    down: int
    across: int

    @property
    def count(self) -> int:
        """All folds."""
        return self.down * self.across


@dataclass(frozen=True, slots=True)
class Array:
    """A systolic array and how it passes from fold to fold.

    Attributes:
        rows: cells downwards, at least 1.
        columns: cells across, at least 1.
        is_overlapped: whether a second set of registers takes the next fold's operands in.
        has_drain: whether sums that stayed in the cells leave through them (output dataflow).
        per_cycle: multiply-adds of a cell a cycle: 2 where it takes two narrow values at once.
    """

    rows: int
    columns: int
    is_overlapped: bool = False
    has_drain: bool = False
    per_cycle: int = 1

    def folds(self, product: Product, dataflow: Dataflow) -> Folds:
        """Return how a product is cut."""
        rows, columns, streamed = {
            "weight": (product.k, product.n, product.m),
            "output": (product.m, product.n, product.k),
            "input": (product.k, product.m, product.n),
        }[dataflow]
        down, across = over(rows, self.rows), over(columns, self.columns)
        return Folds(rows, columns, streamed, down, across)

    def cycles(self, product: Product, dataflow: Dataflow) -> int:
        """Return the cycles from the first value that enters to the last sum that leaves."""
        folds = self.folds(product, dataflow)
        return self.cycles_of(folds.count, folds.streamed, dataflow)

    def cycles_of(self, count: int, streamed: int, dataflow: Dataflow) -> int:
        """Return the cycles of so many folds of so many streamed values each."""
        stream = over(streamed, self.per_cycle)
        keeps_sums = dataflow == "output"
        fill = 0 if keeps_sums else self.rows
        drain = self.rows if keeps_sums and self.has_drain else 0
        skew = self.rows + self.columns - 2
        if not self.is_overlapped:
            return count * (fill + stream + skew + drain)
        return fill + (count - 1) * max(stream, fill, drain) + stream + skew + drain

    def shared_cycles(
        self, product: Product, dataflow: Dataflow, batch: int = 1, arrays: int = 1
    ) -> int:
        """Return the cycles of a batch of products on several arrays, of the busiest one.

        Folds are dealt out; where there are fewer than arrays, each fold's stream is cut.
        """
        folds = self.folds(product, dataflow)
        total = folds.count * batch
        if total >= arrays:
            return self.cycles_of(over(total, arrays), folds.streamed, dataflow)
        return self.cycles_of(1, over(folds.streamed, arrays // total), dataflow)

    def utilisation(self, product: Product, dataflow: Dataflow) -> float:
        """Return multiply-adds over what all cells could do in that time."""
        could = self.cycles(product, dataflow) * self.rows * self.columns * self.per_cycle
        return product.macs / could

    def best(self, product: Product, batch: int = 1, arrays: int = 1) -> Dataflow:
        """Return the dataflow with the fewest cycles, the first in the table where several are."""
        words: tuple[Dataflow, ...] = ("weight", "output", "input")
        return min(words, key=lambda word: self.shared_cycles(product, word, batch, arrays))
