"""Packets over shared links by wormhole switching: when each of them has arrived.

    source   a port that sends its packets in the order in which they were asked for; some send more
             than one at a time
    path     links one after another; a packet takes a lane (virtual channel) of each before it
             moves, and keeps them all until its last byte has left the source
    lane     a link has a few; where all are taken a packet waits and what it holds stays taken.
             Free lanes go to who waits longest, but not twice in a row to the same way in
    share    packets that have their whole path move at max-min fair shares of the links' rates

Hops delay a packet as a whole: heads and tails of all packets run through the links at one pace, so
that the delay of a hop moves no packet against another. It is left to whoever asks (see ``Packets``).
Time is in cycles, a float: shares are no whole numbers of bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
NONE = -1
CLOSE = 1e-9  # of cycles, and of shares beside each other: what is nearer is the same
LEAST = 1e-6  # bytes: what is less has left
LATER = 1 << 40  # more than any serial number of who waits
# What a packet does: not begun, on its way in, moving, gone.
BEFORE, ENTERING, MOVING, GONE = range(4)
_Function = TypeVar("_Function", bound=Callable[..., object])


def _compiled(function: _Function) -> _Function:
    return cast(_Function, cast(Any, njit)(cache=True, error_model="numpy")(function))


@dataclass(frozen=True, slots=True, eq=False)
class Packets:
    """What is to be sent, one row a packet, by source and then by ``ready``.

    Attributes:
        source: the port that sends it; rows of one source stand together.
        ready: cycle from which it may be sent.
        size: bytes, headers included.
        lanes: [packets, longest path] the lanes of its path, in order; ``NONE`` behind the last.
        links: [packets, longest path] the links of these lanes.
    """

    source: Ints
    ready: Floats
    size: Floats
    lanes: Ints
    links: Ints

    def __post_init__(self) -> None:
        """Check shapes and order."""
        assert self.lanes.shape == self.links.shape == (len(self.source), self.lanes.shape[1])
        assert len(self.source) == len(self.ready) == len(self.size)
        same = self.source[1:] == self.source[:-1]
        assert np.count_nonzero(~same) + 1 == len(np.unique(self.source)), "sources in pieces"
        assert (np.diff(self.ready)[same] >= 0).all(), "not in the order of ready"
        assert (self.size > 0).all()


@dataclass(frozen=True, slots=True, eq=False)
class Links:
    """What packets share.

    Attributes:
        rate: bytes a cycle of each link; a source's port is a link too.
        n_places: by lane, how many packets may hold it at a time.
        at_once: by source, how many packets it sends at a time.
    """

    rate: Floats
    n_places: Ints
    at_once: Ints


class _State(NamedTuple):
    """All that changes, and what it is about; one array a field, scalars in arrays of one."""

    ready: Floats
    lanes: Ints
    links: Ints
    length: Ints  # lanes of a path
    queue: Ints  # of a packet: its source, counted from 0
    first: Ints  # of a source: its next packet
    last: Ints  # of a source: the one behind its last
    at_once: Ints
    rate: Floats
    n_places: Ints
    left: Floats  # bytes still to leave
    have: Ints  # lanes of its path that a packet has
    since: Ints  # serial number of a packet's begin: who waits longest has the least
    what: Ints
    used: Ints  # of a source: packets that it sends now
    held: Ints  # of a lane
    waiting: Ints  # of a lane: packets that wait for it
    way_in: Ints  # of a lane: the lane before it of whom it was given to last
    share: Floats
    moving: Ints  # the packets that move, ``n_moving`` of them
    n_moving: Ints
    serial: Ints
    now: Floats
    done: Floats


def delivered(packets: Packets, links: Links) -> Floats:
    """Return the cycle in which each packet's last byte leaves its source for good.

    Args:
        packets: what is sent.
        links: over what.
    """
    count = len(packets.source)
    starts = np.flatnonzero(np.diff(packets.source, prepend=-1)).astype(np.int64)
    ends = np.append(starts[1:], count)
    done = np.full(count, np.inf)
    state = _State(
        ready=packets.ready.astype(np.float64),
        lanes=packets.lanes,
        links=packets.links,
        length=(packets.lanes != NONE).sum(axis=1),
        queue=np.repeat(np.arange(len(starts)), ends - starts),
        first=starts.copy(),
        last=ends,
        at_once=links.at_once[packets.source[starts]],
        rate=links.rate.astype(np.float64),
        n_places=links.n_places,
        left=packets.size.astype(np.float64),
        have=np.zeros(count, np.int64),
        since=np.zeros(count, np.int64),
        what=np.zeros(count, np.int64),
        used=np.zeros(len(starts), np.int64),
        held=np.zeros(len(links.n_places), np.int64),
        waiting=np.zeros(len(links.n_places), np.int64),
        way_in=np.full(len(links.n_places), NONE - 1, np.int64),
        share=np.zeros(count),
        moving=np.zeros(count, np.int64),
        n_moving=np.zeros(1, np.int64),
        serial=np.zeros(1, np.int64),
        now=np.zeros(1),
        done=done,
    )
    _deliver(state)
    assert np.isfinite(done).all(), "packets wait for each other in a circle"
    return done


@_compiled
def _deliver(s: _State) -> None:
    while True:
        if _begin(s):
            _give_shares(s)
        length = min(_until_ready(s), _until_gone(s))
        if length == np.inf:
            return
        s.now[0] += length
        if _move(s, length):
            _wake(s)
            _give_shares(s)


@_compiled
def _begin(s: _State) -> bool:
    """Let the sources send what is ready; returns whether any was."""
    found = False
    for q in range(len(s.first)):
        while s.used[q] < s.at_once[q] and s.first[q] < s.last[q]:
            p = s.first[q]
            if s.ready[p] > s.now[0] + CLOSE:
                break
            s.first[q] += 1
            s.used[q] += 1
            s.serial[0] += 1
            s.since[p] = s.serial[0]
            s.what[p] = ENTERING
            _advance(s, p, False)
            found = True
    return found


@_compiled
def _advance(s: _State, p: int, is_woken: bool) -> None:
    """Take the lanes of a path as far as they are free and nobody waits for them."""
    while s.have[p] < s.length[p]:
        lane = s.lanes[p, s.have[p]]
        if s.held[lane] >= s.n_places[lane] or (s.waiting[lane] > 0 and not is_woken):
            s.waiting[lane] += 1
            return
        is_woken = False
        s.held[lane] += 1
        s.have[p] += 1
    s.what[p] = MOVING
    s.moving[s.n_moving[0]] = p
    s.n_moving[0] += 1


@_compiled
def _until_ready(s: _State) -> float:
    """Return the cycles until a source that may send has something to send."""
    least = np.inf
    for q in range(len(s.first)):
        if s.used[q] < s.at_once[q] and s.first[q] < s.last[q]:
            least = min(least, float(s.ready[s.first[q]] - s.now[0]))
    return least


@_compiled
def _until_gone(s: _State) -> float:
    """Return the cycles until the first of those that move has left."""
    least = np.inf
    for i in range(s.n_moving[0]):
        p = s.moving[i]
        least = min(least, float(s.left[p] / s.share[p]))
    return least


@_compiled
def _move(s: _State, length: float) -> bool:
    """Move all that move; what has left frees its lanes. Returns whether any has."""
    kept = 0
    for i in range(s.n_moving[0]):
        p = s.moving[i]
        s.left[p] -= length * s.share[p]
        if s.left[p] > LEAST:
            s.moving[kept] = p
            kept += 1
            continue
        s.done[p] = s.now[0]
        s.what[p] = GONE
        s.used[s.queue[p]] -= 1
        for j in range(s.length[p]):
            s.held[s.lanes[p, j]] -= 1
    has_left = kept < s.n_moving[0]
    s.n_moving[0] = kept
    return has_left


@_compiled
def _wake(s: _State) -> None:
    """Give free lanes to those that wait, as long as any can go on."""
    while True:
        best, least = NONE, 2 * LATER
        for p in range(len(s.what)):
            if s.what[p] != ENTERING:
                continue
            lane = s.lanes[p, s.have[p]]
            if s.held[lane] < s.n_places[lane]:
                is_again = _way_in(s, p) == s.way_in[lane]
                turn = s.since[p] + (LATER if is_again else 0)
                if turn < least:
                    best, least = p, turn
        if best == NONE:
            return
        lane = s.lanes[best, s.have[best]]
        s.way_in[lane] = _way_in(s, best)
        s.waiting[lane] -= 1
        _advance(s, best, True)


@_compiled
def _way_in(s: _State, p: int) -> int:
    """Return the lane through which a packet comes to the one that it waits for."""
    return s.lanes[p, s.have[p] - 1] if s.have[p] > 0 else NONE


@_compiled
def _give_shares(s: _State) -> None:
    """Give each moving packet its max-min fair share: the fullest links settle first."""
    rest = s.rate.copy()
    load = np.zeros(len(s.rate), np.int64)
    for i in range(s.n_moving[0]):
        p = s.moving[i]
        s.share[p] = 0.0
        for j in range(s.length[p]):
            load[s.links[p, j]] += 1
    settled = 0
    while settled < s.n_moving[0]:
        least = np.inf
        for link in range(len(rest)):
            if load[link] > 0:
                least = min(least, float(rest[link] / load[link]))
        full = (load > 0) & (rest <= least * load * (1 + CLOSE))
        settled += _settle(s, full, least, rest, load)


@_compiled
def _settle(s: _State, full: NDArray[np.bool_], least: float, rest: Floats, load: Ints) -> int:
    """Give the packets over full links this share; returns how many they are."""
    count = 0
    for i in range(s.n_moving[0]):
        p = s.moving[i]
        if s.share[p] > 0.0:
            continue
        is_bound = False
        for j in range(s.length[p]):
            is_bound = is_bound or full[s.links[p, j]]
        if is_bound:
            count += 1
            s.share[p] = least
            for j in range(s.length[p]):
                rest[s.links[p, j]] -= least
                load[s.links[p, j]] -= 1
    return count
