"""Every command as written, tile after tile, with what one execution of it costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drawloom.chip.model import Chip, Profile
from drawloom.errors import Fault, InputError, nearest
from drawloom.program.addresses import likeness
from drawloom.program.commands import (
    ENGINE_OF,
    Arm,
    Barrier,
    Command,
    Conv,
    Cpu,
    Engine,
    Fill,
    Join,
    MatMul,
    Move,
    Pick,
    Pool,
    Read,
    Reduce,
    Select,
    Send,
    Signal,
    Vector,
    Wait,
    Write,
)
from drawloom.program.program import Program
from drawloom.timing import costs
from drawloom.timing.energy import command_energy
from drawloom.timing.far import Ways
from drawloom.timing.routes import Route, route

ENGINES = tuple(Engine)  # a column holds the position in this tuple
N_PRICES = 11  # columns of a command's price
Column = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class CommandTable:
    """One row per command as written (loops entered once); a span's ``command`` is a row.

    ``fixed_ps`` is the engine's time before the bytes flow (all of it where none do),
    ``transfer_ps`` the time a send holds its route, ``dram_read`` and ``dram_written`` bytes,
    ``bytes`` what a mover moves or a compute command touches, ``energy_fj`` three columns
    (low, default, high), ``n_links`` the links that a send crosses.
    """

    commands: tuple[Command, ...]
    starts: tuple[int, ...]  # first row of each tile, and the number of rows
    tile: Column
    engine: Column
    origin: Column
    fixed_ps: Column
    transfer_ps: Column
    bytes: Column
    dram_read: Column
    dram_written: Column
    n_links: Column
    energy_fj: Column
    routes: dict[int, Route]  # of the sends, by row


def profile_of(chip: Chip, name: str) -> Profile:
    """Return a software profile of the chip.

    Raises:
        InputError: the chip has no profile of that name.
    """
    if name not in chip.profiles:
        fault = Fault("profile", repr(name), nearest(name, chip.profiles))
        raise InputError("timing.profile", f"chip '{chip.name}' has no such profile", [fault])
    return chip.profiles[name]


def command_table(
    program: Program, chip: Chip, profile: Profile, fabric: Ways | None = None, index: int = 0
) -> CommandTable:
    """Price every command of a program.

    Args:
        program: the commands.
        chip: the machine.
        profile: the software on the tile.
        fabric: the ways to other chips, where the program is one of a span.
        index: of this chip in the span.

    Raises:
        InputError: the program has more tiles than the chip, names a tile it has not, uses a
            matrix format without a rate, or lists a barrier that leaves its own tile out.
    """
    rows = [list(program.commands(tile)) for tile in range(len(program.streams))]
    faults = _faults(rows, chip)
    if faults:
        summary = f"program '{program.name}' cannot be timed on chip '{chip.name}'"
        raise InputError("timing.program", summary, faults)
    flat = tuple(command for row in rows for command in row)
    tile = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    routes = {
        row: _route(command, int(tile[row]), chip, fabric, index)
        for row, command in enumerate(flat)
        if isinstance(command, Send)
    }
    known: dict[object, tuple[int, ...]] = {}
    prices: list[tuple[int, ...]] = []
    for row, command in enumerate(flat):
        # Commands that differ in addresses alone cost the same; a send's route is an address.
        like = (likeness(command), routes[row].links if row in routes else ())
        if like not in known:
            known[like] = _price(command, chip, profile, routes.get(row))
            if fabric is not None and isinstance(command, Send | Signal) and command.chip >= 0:
                known[like] = _far(known[like], command, fabric, index)
        prices.append(known[like])
    engine, origin, fixed, transfer, moved, read, written, links, *energy = (
        np.array(prices, np.int64).reshape(len(flat), N_PRICES).T.copy()
    )
    starts = tuple(int(start) for start in np.cumsum([0, *map(len, rows)]))
    energies = np.stack(energy, axis=1)
    return CommandTable(
        flat,
        starts,
        tile,
        engine,
        origin,
        fixed,
        transfer,
        moved,
        read,
        written,
        links,
        energies,
        routes,
    )


def _route(command: Send, tile: int, chip: Chip, fabric: Ways | None, index: int) -> Route:
    """Return the links and ports that a send holds; one to another chip holds links of the fabric."""
    if command.chip < 0 or fabric is None:
        return route(chip, tile, command.targets)
    return fabric.route(index, command.chip)


def _far(
    price: tuple[int, ...], command: Send | Signal, fabric: Ways, index: int
) -> tuple[int, ...]:
    """Return the price of a command that goes to another chip: the fabric's times in place of the mesh's."""
    engine, origin, fixed, transfer, *rest = price
    if isinstance(command, Send):
        fixed = fabric.overhead
        transfer = fabric.hold_ps(index, command.chip, costs.payload(command))
    return (engine, origin, fixed, transfer, *rest)


def _price(command: Command, chip: Chip, profile: Profile, way: Route | None) -> tuple[int, ...]:
    """Return the columns of a command: those of CommandTable from engine on, energy last."""
    links = len(way.links) if way else 0
    transfer = 0
    if isinstance(command, Send) and way:
        transfer = costs.send_cycles(command, way.hops, chip) * chip.period
    return (
        ENGINES.index(ENGINE_OF[type(command)]),
        command.origin,
        fixed_ps(command, chip, profile),
        transfer,
        costs.payload(command) or costs.scratchpad_bytes(command, chip),
        *costs.dram_bytes(command),
        links,
        *command_energy(command, chip, links),
    )


def fixed_ps(command: Command, chip: Chip, profile: Profile) -> int:
    """Return the picoseconds a command costs apart from shared DRAM and links."""
    match command:
        case MatMul() | Conv():
            return costs.matrix_cycles(command, chip) * chip.period
        case Vector() | Reduce() | Pool():
            return costs.vector_cycles(command, chip) * chip.period
        case Move() | Fill() | Select():
            return costs.move_cycles(command, chip) * chip.period
        case Read() | Pick() | Write():
            return costs.dram_lead_ps(command, chip)
        case Send():
            return profile.message * chip.period
        case Cpu():
            return costs.cpu_ps(command, chip)
        case Arm() | Wait() | Join():
            return profile.wait * chip.period
        case Signal():
            return profile.signal * chip.period
        case Barrier():
            return profile.barrier * chip.period


def _faults(rows: list[list[Command]], chip: Chip) -> list[Fault]:
    if len(rows) > chip.n_tiles:
        return [Fault("streams", str(len(rows)), f"at most {chip.n_tiles} tiles")]
    return [
        Fault(f"tile {tile}, command {row} ({type(command).__name__})", value, allowed)
        for tile, commands in enumerate(rows)
        for row, command in enumerate(commands)
        for value, allowed in _wrong(command, tile, len(rows), chip)
    ]


def _wrong(command: Command, tile: int, n_tiles: int, chip: Chip) -> list[tuple[str, str]]:
    match command:
        case Send() | Barrier():
            named = command.targets if isinstance(command, Send) else command.tiles
        case Signal():
            named = (command.target,)
        case MatMul() | Conv():
            rates = chip.matrix.macs_per_cycle
            known = costs.matrix_format(command.fmt) in rates
            return [] if known else [(f"format {command.fmt}", nearest(command.fmt, rates))]
        case _:
            return []
    allowed = f"0 to {n_tiles - 1}"
    wrong = [(f"tile {each}", allowed) for each in named if not 0 <= each < n_tiles]
    if isinstance(command, Barrier) and tile not in named:
        wrong.append((f"tiles {list(named)}", f"a list with tile {tile} itself"))
    if isinstance(command, Send) and not named:
        wrong.append(("no targets", "at least one"))
    return wrong
