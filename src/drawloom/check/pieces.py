"""Compiled code for pieces of memory: bytes that have one history, in a list by address, found by their page.

A write makes one piece of what it covers, so there are as many as the last writes and their readers tell apart, however
long the program is. A piece is named by where it begins in the array of pieces.
"""

from __future__ import annotations

from drawloom.check.state import (
    FAR_BITS,
    FAR_PAGES,
    G_NEXT,
    G_NOTES,
    G_PREV,
    G_READ,
    G_START,
    G_STOP,
    G_WRITER,
    GIVEN_BACK,
    HANDED_OUT,
    IN_DRAM,
    N_ENGINES,
    N_FREE,
    N_TILES,
    NEAR_BITS,
    NEAR_PAGES,
    NEVER,
    NOBODY,
    ONCE,
    PAGES,
    READERS,
    WIDTH,
    Cells,
)
from drawloom.check.steps import part


@part
def first_page(s: Cells, owner: int) -> int:
    """Return where the pages of a memory begin."""
    return s[PAGES] + (s[FAR_PAGES] if owner == IN_DRAM else owner * s[NEAR_PAGES])


@part
def find(s: Cells, g: Cells, owner: int, at: int, near: int) -> int:
    """Return the piece that holds a byte; ``near`` is a piece that may be not far before it, or -1."""
    bits = s[FAR_BITS] if owner == IN_DRAM else s[NEAR_BITS]
    k = s[first_page(s, owner) + (at >> bits)]
    if near >= 0 and g[near + G_START] <= at and g[near + G_START] > g[k + G_START]:
        k = near
    while g[k + G_STOP] <= at:
        k = g[k + G_NEXT]
    return k


@part
def point(s: Cells, owner: int, start: int, stop: int, k: int) -> None:
    """Let pages whose first byte lies in a range lead to a piece."""
    bits = s[FAR_BITS] if owner == IN_DRAM else s[NEAR_BITS]
    pages = first_page(s, owner)
    for page in range(((start - 1) >> bits) + 1, ((stop - 1) >> bits) + 1):
        s[pages + page] = k


@part
def n_pages(s: Cells, owner: int, start: int, stop: int) -> int:
    """Return how many pages have their first byte in a range."""
    bits = s[FAR_BITS] if owner == IN_DRAM else s[NEAR_BITS]
    return ((stop - 1) >> bits) - ((start - 1) >> bits)


@part
def columns(s: Cells, g: Cells, owner: int, k: int) -> int:
    """Return how many columns of a piece may be other than zero: without readers those of readers are not."""
    if g[k + G_READ] == 0 or g[k + G_READ] == NEVER or g[k + G_READ] == ONCE:
        return READERS
    return READERS + (s[N_TILES] * 2 if owner == IN_DRAM else N_ENGINES)


@part
def split(s: Cells, g: Cells, owner: int, k: int, at: int) -> int:
    """Cut a piece in two at a byte; return the second, which may be new, or the first."""
    new = s[GIVEN_BACK]
    if new >= 0:
        s[GIVEN_BACK] = g[new + G_NEXT]
    else:
        new = s[HANDED_OUT]
        s[HANDED_OUT] += s[WIDTH]
    s[N_FREE] -= 1
    for i in range(columns(s, g, owner, k)):
        g[new + i] = g[k + i]
    # The part with fewer pages is the new one: so often as a piece is cut, few pages must learn of it.
    if n_pages(s, owner, g[k + G_START], at) < n_pages(s, owner, at, g[k + G_STOP]):
        first, second = new, k
    else:
        first, second = k, new
    before, after = g[k + G_PREV], g[k + G_NEXT]
    g[first + G_PREV], g[first + G_NEXT], g[first + G_STOP] = before, second, at
    g[second + G_PREV], g[second + G_NEXT], g[second + G_START] = first, after, at
    if before >= 0:
        g[before + G_NEXT] = first
    if after >= 0:
        g[after + G_PREV] = second
    point(s, owner, g[new + G_START], g[new + G_STOP], new)
    return second


@part
def cut(s: Cells, g: Cells, owner: int, k: int, start: int, stop: int) -> int:
    """Return the piece that a piece is inside a range; it may hold bytes on both sides of it."""
    if g[k + G_START] < start:
        k = split(s, g, owner, k, start)
    if g[k + G_STOP] > stop:
        k = g[split(s, g, owner, k, stop) + G_PREV]
    return k


@part
def join_next(s: Cells, g: Cells, owner: int, k: int) -> None:
    """Let a piece take in the one after it."""
    gone = g[k + G_NEXT]
    after = g[gone + G_NEXT]
    point(s, owner, g[gone + G_START], g[gone + G_STOP], k)
    g[k + G_STOP], g[k + G_NEXT] = g[gone + G_STOP], after
    if after >= 0:
        g[after + G_PREV] = k
    g[gone + G_NEXT] = s[GIVEN_BACK]
    for i in range(READERS, columns(s, g, owner, gone)):
        g[gone + i] = 0
    g[gone + G_READ] = 0
    g[gone + G_NOTES] = 0
    g[gone + G_WRITER] = NOBODY
    g[gone + G_START] = g[gone + G_STOP]
    s[GIVEN_BACK] = gone
    s[N_FREE] += 1


@part
def is_alike(s: Cells, g: Cells, owner: int, k: int, other: int) -> bool:
    """Whether two pieces have the same history."""
    if g[k + G_READ] != g[other + G_READ]:
        return False
    for i in range(G_WRITER, columns(s, g, owner, k)):  # noqa: SIM110  (no generators here)
        if g[k + i] != g[other + i]:
            return False
    return True
