"""Where things lie, as a builder of programs knows them: an address, its memory, its loops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from drawloom.program.commands import Address, Affine

Terms = tuple[tuple[int, int], ...]  # (depth of the loop, stride in bytes), outermost first


@dataclass(frozen=True, slots=True)
class Index:
    """The index of a loop, times a number of bytes for each."""

    terms: Terms

    def __mul__(self, times: int) -> Index:
        """Return it with all strides times a number."""
        return Index(tuple((depth, stride * times) for depth, stride in self.terms))

    __rmul__ = __mul__

    def __neg__(self) -> Index:
        """Return it running backwards."""
        return self * -1

    def __add__(self, other: Index) -> Index:
        """Return the sum of two."""
        return Index(_sum(self.terms, other.terms))


@dataclass(frozen=True, slots=True)
class Place:
    """An address in one memory, ``bytes`` and ``count`` elements large; more is added to it.

    The classes ``Dram`` and ``Spm`` keep the memories apart for a type checker too.
    """

    name: str
    base: int
    bytes: int
    count: int
    terms: Terms = ()

    @property
    def address(self) -> Address:
        """The address as commands hold it."""
        if not self.terms:
            return self.base
        strides = [0] * (1 + max(depth for depth, _ in self.terms))
        for depth, stride in self.terms:
            strides[depth] = stride
        return Affine(self.base, tuple(strides))

    def __add__(self, more: int | Index) -> Self:
        """Return the place so many bytes, or so many a turn, behind this one."""
        base, terms = self.base, self.terms
        if isinstance(more, Index):
            terms = _sum(terms, more.terms)
        else:
            base += more
        return type(self)(self.name, base, self.bytes, self.count, terms)

    def __sub__(self, less: int | Index) -> Self:
        """Return the place so many bytes, or so many a turn, before this one."""
        return self + (-less)


@dataclass(frozen=True, slots=True)
class Dram(Place):
    """A place in DRAM: a region, or some of it."""


@dataclass(frozen=True, slots=True)
class Spm(Place):
    """A place in a tile's scratchpad: a buffer, or some of it; the same on every tile."""


def _sum(a: Terms, b: Terms) -> Terms:
    strides = dict(a)
    for depth, stride in b:
        strides[depth] = strides.get(depth, 0) + stride
    return tuple(sorted(strides.items()))
