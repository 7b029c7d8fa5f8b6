"""Kernels of a mixture of experts as software runs them: tokens grouped by expert; and 8-bit products.

A graph says exactly what a mixture is, and so runs every expert on every token where tokens choose more
experts than there are, or fetches an expert's weights for each token. Grouped products do less: of E
experts, T tokens with K choices each touch E (1 - (1 - K / E)^T) where choices are even, and each of
those has T K over that many rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from drawloom.routes.fuse import Kernel
from drawloom.routes.work import Products, Rows, Work

MARK = ".experts."  # in the names of what experts do
# In the names of what a router does behind its product: software has one kernel for all of it.
ROUTER = (".gate.", ".experts.gates")
WIDE = ("bf16", "f16")
PRECISE = "tf32"


@dataclass(frozen=True, slots=True)
class Experts:
    """Experts of a layer, and how many of them a token goes to."""

    count: int
    chosen: int

    def touched(self, tokens: int) -> int:
        """Return how many experts so many tokens go to."""
        share = 1 - (1 - self.chosen / self.count) ** tokens
        return max(min(self.count, self.chosen), round(self.count * share))


def grouped(kernels: Sequence[Kernel], experts: Experts) -> tuple[Kernel, ...]:
    """Return a graph's kernels with the tokens of each expert in one product.

    Args:
        kernels: as ``fuse`` gives them.
        experts: of every mixture of the graph.
    """
    walk, found = _Walk(experts), list[Kernel]()
    is_routing = False
    for kernel in kernels:
        routes = kernel.work is None or isinstance(kernel.work, Rows)
        if routes and any(mark in kernel.name for mark in ROUTER):
            found[-1:] = [_joined(found[-1], kernel)] if is_routing else [found[-1], kernel]
            is_routing = True
            continue
        is_routing = False
        found.append(walk.turn(kernel) if MARK in kernel.name else kernel)
    return tuple(found)


def _joined(one: Kernel, other: Kernel) -> Kernel:
    """Return two kernels of a router as one that passes over elements."""
    inner = set(one.writes)
    reads = {value: size for value, size in other.reads.items() if value not in inner}
    elements, functions = (
        sum(getattr(each, name) for each in (one, other)) for name in ("elements", "functions")
    )
    for each in (one, other):
        if isinstance(each.work, Rows):
            elements += each.work.rows * each.work.width * each.work.passes
    return replace(
        one, kind="pointwise", work=None, nodes=(*one.nodes, *other.nodes), elements=elements,
        functions=functions, constant_bytes=one.constant_bytes + other.constant_bytes,
        reads={**one.reads, **reads}, writes={**one.writes, **other.writes},
    )  # fmt: skip


def narrowed(kernels: Sequence[Kernel], word: str) -> tuple[Kernel, ...]:
    """Return kernels whose products with weights of 16 bits take operands of 8 bits.

    Activations are rounded by the kernel before, on its way; results have 16 bits.

    Args:
        kernels: of a graph in 16 bits.
        word: the format, a word of ``macs_per_cycle``.
    """
    return tuple(_narrow(each, word) for each in kernels)


def _narrow(kernel: Kernel, word: str) -> Kernel:
    work = kernel.work
    if not isinstance(work, Products) or not work.has_weights or work.number_format not in WIDE:
        return kernel
    half = work.right_bytes // 2
    work = replace(work, number_format=word, left_bytes=work.left_bytes // 2, right_bytes=half)
    kept = kernel.kept_bytes and max(0, kernel.kept_bytes - kernel.kept_bytes // 2)
    return replace(
        kernel, work=work, constant_bytes=max(0, kernel.constant_bytes - half), kept_bytes=kept
    )


def rounded(kernels: Sequence[Kernel]) -> tuple[Kernel, ...]:
    """Return kernels whose products of 32-bit floats, such as a router's, multiply 16 bits.

    For chips that have no such products; bytes stay.
    """
    return tuple(
        replace(each, work=replace(work, number_format=WIDE[0]))
        if isinstance(work := each.work, Products) and work.number_format == PRECISE
        else each
        for each in kernels
    )


@dataclass(slots=True)
class _Walk:
    """Which values have a part for each expert, and by how much they shrink."""

    experts: Experts
    stacked: dict[str, float] | None = None

    def turn(self, kernel: Kernel) -> Kernel:
        """Return a kernel of experts with its tokens grouped."""
        work = kernel.work
        if isinstance(work, Products) and work.has_weights:
            # Of every expert only where tokens choose more than there are: with rows for each.
            return self._all(kernel, work) if work.m > 1 else self._picked(kernel, work)
        return self._beside(kernel)

    def _all(self, kernel: Kernel, work: Products) -> Kernel:
        """Group a product of every expert with every token."""
        pairs = work.m * self.experts.chosen
        touched = self.experts.touched(work.m)
        share = pairs / (self.experts.count * work.m)
        self._stack(kernel.writes, share)
        rows = -(-pairs // touched)
        width = work.right_bytes / (work.batch * work.n * work.k)
        grown = replace(
            work, batch=touched, m=rows, left_bytes=int(pairs * work.k * width),
            right_bytes=work.right_bytes * touched // work.batch,
            out_bytes=int(work.out_bytes * share),
        )  # fmt: skip
        return self._scaled(kernel, grown, share, work.right_bytes, touched / work.batch)

    def _picked(self, kernel: Kernel, work: Products) -> Kernel:
        """Group a product of each token with each of its experts: an expert is read once."""
        touched = self.experts.touched(work.batch // self.experts.chosen)
        if touched >= work.batch:
            touched = work.batch
        each = work.right_bytes // work.batch
        grown = replace(
            work, batch=touched, m=-(-work.batch // touched), right_bytes=each * touched
        )
        made = self._scaled(kernel, grown, 1.0, work.right_bytes, touched / work.batch)
        beside = kernel.constant_bytes - work.right_bytes
        return replace(made, kept_bytes=beside + each * self.experts.count)

    def _beside(self, kernel: Kernel) -> Kernel:
        """Shrink what is done for each expert beside its products."""
        known = self.stacked or {}
        shares = [known[value] for value in kernel.reads if value in known]
        if not shares:
            return kernel
        share, work = shares[0], kernel.work
        if isinstance(work, Rows):  # the sum over experts: one pass over what they gave
            summed = int(work.rows * work.width * share)
            elements, reads = kernel.elements + summed, self._sizes(kernel.reads)
            return replace(kernel, kind="pointwise", work=None, elements=elements, reads=reads)
        self._stack(kernel.writes, share)
        return self._scaled(kernel, work, share, 0, 1.0)

    def _scaled(
        self,
        kernel: Kernel,
        work: Work,
        share: float,
        weights: int,
        read: float,
    ) -> Kernel:
        """Return a kernel with elements and traffic of a share, and weights read in part."""
        constants = kernel.constant_bytes - weights + int(weights * read)
        return replace(
            kernel, work=work, elements=int(kernel.elements * share),
            functions=int(kernel.functions * share), constant_bytes=constants,
            kept_bytes=kernel.constant_bytes if weights else None,
            reads=self._sizes(kernel.reads), writes=self._sizes(kernel.writes),
        )  # fmt: skip

    def _stack(self, values: Mapping[str, int], share: float) -> None:
        self.stacked = {**(self.stacked or {}), **dict.fromkeys(values, share)}

    def _sizes(self, values: Mapping[str, int]) -> dict[str, int]:
        known = self.stacked or {}
        return {value: int(size * known.get(value, 1.0)) for value, size in values.items()}
