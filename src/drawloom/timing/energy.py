"""Energy of one command, as low, default and high femtojoules.

Whole femtojoules add up to the same total in any grouping. What the chip burns in any case
(idle power, processors that issue and wait) is in the idle power, not here.
"""

from __future__ import annotations

from drawloom.chip.model import Chip, Range
from drawloom.program.commands import Command, Conv, Cpu, MatMul, Pool, Reduce, Send, Vector
from drawloom.timing import costs

FJ_PER_PJ = 1000
Femtojoules = tuple[int, int, int]


def command_energy(command: Command, chip: Chip, n_links: int = 0) -> Femtojoules:
    """Return the energy of one execution (fJ: low, default, high).

    Args:
        command: the command.
        chip: the chip whose ``energy`` prices it.
        n_links: links a ``Send`` crosses; a tree's links count once each.

    Raises:
        KeyError: the chip lists no energy for a matrix format.
    """
    price = chip.energy
    terms: list[tuple[int, Range]] = [
        (sum(costs.dram_bytes(command)), price.dram_per_byte),
        (costs.scratchpad_bytes(command, chip), price.scratchpad_per_byte),
    ]
    match command:
        case MatMul() | Conv():
            per_mac = price.matrix_per_mac[costs.matrix_format(command.fmt)]
            terms.append((costs.macs(command), per_mac))
        case Vector() | Reduce() | Pool():
            terms.append((costs.elements(command), price.vector_per_element))
        case Cpu():
            terms.append((costs.cpu_cycles(command, chip), price.cpu_per_cycle))
        case Send():
            terms.append((costs.payload(command) * n_links, price.noc_per_byte_hop))
        case _:
            pass
    return (
        round(FJ_PER_PJ * sum(n * each.low for n, each in terms)),
        round(FJ_PER_PJ * sum(n * each.default for n, each in terms)),
        round(FJ_PER_PJ * sum(n * each.high for n, each in terms)),
    )


def idle_energy(chip: Chip, ps: int) -> Femtojoules:
    """Return the energy of idle power over a time in picoseconds (1 W = 1 pJ/ps)."""
    watts = chip.energy.idle_watts
    return (
        round(FJ_PER_PJ * watts.low * ps),
        round(FJ_PER_PJ * watts.default * ps),
        round(FJ_PER_PJ * watts.high * ps),
    )
