"""Rows of numbers that the walk leaves → findings with commands, bytes and what is missing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from drawloom.check import state
from drawloom.check.code import Flat, ran
from drawloom.check.findings import Finding, Place
from drawloom.check.state import IN_DRAM, N_ENGINES
from drawloom.check.templates import ENGINES, FORMATS
from drawloom.program.addresses import at
from drawloom.program.commands import ENGINE_OF, Engine, Join


class Teller:
    """Finds commands again by their queue and count."""

    def __init__(self, flat: Flat) -> None:
        """Take the program that the rows are about."""
        self.flat = flat

    def finding(self, row: Any) -> Finding:
        """Return the finding in a row."""
        rule = int(row[state.RULE])
        here = self.place(int(row[state.QUEUE]), int(row[state.SERIAL]))
        other = None
        if row[state.OTHER_QUEUE] >= 0:
            other = self.place(int(row[state.OTHER_QUEUE]), int(row[state.OTHER_SERIAL]))
        name, detail = _DETAILS[rule][0], _DETAILS[rule][1](row)
        key = (here.command.origin, type(here.command), other and type(other.command))
        owner, start, stop = (int(row[k]) for k in (state.OWNER, state.START, state.STOP))
        return Finding(name, here, other, detail, key, owner, start, stop)

    def lost(self, write: Any, unread: int, killer: Any) -> Finding:
        """Return the finding about a write that nobody read."""
        here = self.place(int(write[state.W_QUEUE]), int(write[state.W_SERIAL]))
        other = None
        if write[state.W_KILLER]:
            other = self.place(int(killer[state.W_QUEUE]), int(killer[state.W_SERIAL]))
        size = int(write[state.W_SIZE])
        where = memory_name(int(write[state.W_OWNER]))
        how = "nobody reads them" if other is None else "they are written over unread"
        detail = f"{unread:,} of {size:,} bytes in {where}: {how}"
        rule = "wasted" if int(write[state.W_OWNER]) == IN_DRAM else "lost"
        return Finding(rule, here, other, detail, (here.command.origin, type(here.command)))

    def origin(self, row: int) -> int:
        """Return what a row's command is for, -1 where nothing says so."""
        command = self.flat.commands[row]
        return -1 if command is None else command.origin

    def place(self, queue: int, serial: int) -> Place:
        """Return the command that was a queue's, by its count."""
        tile, engine = queue // N_ENGINES, ENGINES[queue % N_ENGINES]
        # A send counts twice: when it has come to a target, and when it has ended.
        left = (serial + 1) // 2 if engine is Engine.SEND else serial
        for row, index in ran(self.flat, tile):
            command = self.flat.commands[row]
            assert command is not None
            # A processor counts every command that it comes to.
            if engine is Engine.CPU or ENGINE_OF[type(command)] is engine:
                left -= 1
                if left == 0:
                    found = place_of(self.flat, row)
                    return replace(found, command=at(command, index), turns=index)
        return Place(tile, Join((), 0))


def place_of(flat: Flat, row: int) -> Place:
    """Return the command of a row as it is written, with its number among those of its tile."""
    starts = flat.code.starts
    tile = int(np.searchsorted(starts, row, side="right")) - 1
    command = flat.commands[row]
    assert command is not None
    number = sum(each is not None for each in flat.commands[int(starts[tile]) : row])
    return Place(tile, command, number=number)


def memory_name(owner: int) -> str:
    """Return what bytes of an owner lie in."""
    return "DRAM" if owner == IN_DRAM else f"the scratchpad of tile {owner}"


def _bytes(row: Any) -> str:
    start, stop = int(row[state.START]), int(row[state.STOP])
    return f"bytes {start:,} to {stop:,} of {memory_name(int(row[state.OWNER]))}"


def _unarmed(row: Any) -> str:
    flag, ready, sends = (int(row[k]) for k in (state.START, state.STOP, state.EXTRA))
    return f"flag {flag} of tile {row[state.OWNER]} is armed {ready} times before send {sends}"


def _unwritten(row: Any) -> str:
    return f"{int(row[state.EXTRA]):,} bytes, the first at {_bytes(row)}"


def _outside(row: Any) -> str:
    return f"{_bytes(row)}, which has {int(row[state.EXTRA]):,}"


def _format(row: Any) -> str:
    return f"{_bytes(row)}: written as '{FORMATS[int(row[state.EXTRA]) - 1]}'"


def _mixed(row: Any) -> str:
    return f"flag {int(row[state.START])} of tile {row[state.OWNER]}"


_DETAILS = {
    state.RACE: ("race", _bytes),
    state.UNARMED: ("unarmed", _unarmed),
    state.UNWRITTEN: ("unwritten", _unwritten),
    state.BOUNDS: ("bounds", _outside),
    state.FORMAT: ("format", _format),
    state.STRADDLE: ("straddle", _bytes),
    state.REMAINS: ("remains", _bytes),
    state.MIXED: ("mixed", _mixed),
}
