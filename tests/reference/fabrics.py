"""What others say that collectives take, and the systems that they mean.

ASTRA-sim counts a GB/s as 1,048,576,000 bytes a second: its figures for long messages close to a
few parts in 100,000 with that and with nothing else. A hop takes 500 ns, a switch two hops, a
message 10 ns at its ends; each chain is cut into four parts.
Source: ASTRA-sim 2 (analytical, congestion-unaware), run for these systems; all-reduce, ns.
"""

from __future__ import annotations

from dataclasses import dataclass

from drawloom.chip.system import Level, System
from drawloom.units import MIB, Picoseconds

GB = 1_048_576_000
HOP, ENDS = Picoseconds(500_000), Picoseconds(10_000)
PARTS = 4


@dataclass(frozen=True, slots=True)
class Published:
    """All-reduce of one system: nanoseconds by bytes of a chip's buffer."""

    system: System
    schedule: str
    ns: dict[int, int]
    within: float = 0.01


def _system(name: str, *levels: Level) -> System:
    return System(name, name, "", levels, ENDS)


def _torus(gb: float, *sizes: int) -> Level:
    return Level("torus", sizes, round(gb * GB), HOP)


def _switch(size: int, gb: int) -> Level:
    return Level("switch", (size,), gb * GB, HOP)


def _sizes(small: int, middle: int, large: int) -> dict[int, int]:
    return {MIB: small, 64 * MIB: middle, 1024 * MIB: large}


ASTRA_SIM = (
    Published(
        _system("torus2d_8x8", _torus(50, 8, 8)),
        "dimensions",
        _sizes(63_556, 2_268_696, 35_869_984),
    ),
    Published(
        _system("switch_64", _switch(64, 100)),
        "dimensions",
        _sizes(68_148, 1_308_068, 20_201_760),
    ),
    Published(
        _system("switch_64_ring", _switch(64, 100)),
        "ring",
        _sizes(528_988, 1_798_312, 21_142_840),
        # Each of their 504 steps takes 2.3 % longer than its bytes need; their source for that is not known.
        within=0.025,
    ),
    Published(
        _system("sw8xsw8", _switch(8, 450), _switch(8, 50)),
        "dimensions",
        _sizes(35_690, 372_988, 5_512_794),
    ),
    Published(
        _system("fc8xsw8", Level("full", (8,), 450 * GB, HOP), _switch(8, 50)),
        "dimensions",
        _sizes(29_781, 312_110, 4_614_328),
    ),
    Published(
        _system("torus2d_32x32", _torus(50, 32, 32)),
        "dimensions",
        _sizes(168_762, 2_606_312, 39_808_048),
    ),
    Published(
        _system("switch_1024", _switch(1024, 100)),
        "dimensions",
        _sizes(100_740, 1_359_536, 20_541_108),
    ),
    Published(
        _system("sw8xsw128", _switch(8, 450), _switch(128, 50)),
        "dimensions",
        _sizes(68_570, 442_768, 6_145_110),
    ),
    Published(
        # The dimension of 8 is the first, as theirs.
        _system("torus3d_8x8x16", _torus(33.3, 16, 8, 8)),
        "dimensions",
        _sizes(91_030, 3_365_736, 53_422_512),
    ),
)
