"""Numbers with units at the edge of a chip file: ``155.8 GB/s`` in, plain base units inside.

    quantity ::= number [unit]
    number   ::= [+-] digits [. digits] [e exponent]      "_" may part the digits

A ``Kind`` is one dimension: its base unit, the units that may be written and
whether the number is whole. Parsing is exact (rationals): ``155.8 GB/s`` is
155 800 000 000 bytes per second, and what is printed parses back to the same
number. drawloom has its own few lines here because a general unit library
takes longer to import than all of ``drawloom`` may, calculates in floats, and
knows no ``pJ/B/hop``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

MOST = 2**53  # whole numbers up to here survive a float, which is what ranges are kept in
_QUANTITY = re.compile(
    r"(?P<number>[+-]?\d[\d_]{0,39}(\.\d[\d_]{0,39})?([eE][+-]?\d{1,3})?)\s*(?P<unit>\D.*)?"
)
_PLURALS = {"cycles": "cycle", "MACs": "MAC", "elements": "element", "µs": "us", "μs": "us"}


class QuantityError(ValueError):
    """A text is not a quantity of its kind; the message says what is."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One dimension of a chip file; ``units`` maps each unit to its size in the base unit.

    ``printed`` are the units a printed number may choose from, largest first; the last one is
    the base unit ("" for a plain number). ``least`` is the smallest number allowed, itself
    included unless ``above``; ``most`` the largest.
    """

    what: str
    example: str
    units: Mapping[str, Fraction]
    printed: tuple[str, ...]
    whole: bool = True
    least: int = 0
    above: bool = False
    most: int = MOST

    def parse(self, text: str) -> int | float:
        """Return the number in the base unit; raises QuantityError."""
        match = _QUANTITY.fullmatch(text.strip())
        if match is None:
            raise QuantityError(self.allowed)
        unit = (match["unit"] or "").strip()
        factor = self.units.get(_singular(unit))
        if factor is None:
            raise QuantityError(self.allowed)
        number = Fraction(match["number"].replace("_", "")) * factor
        if number < self.least or (self.above and number == self.least):
            raise QuantityError(f"{'more than' if self.above else 'at least'} {self.least}")
        if number > self.most:
            raise QuantityError(f"at most {self.most:,} {self.printed[-1]}".strip())
        if not self.whole:
            return float(number)
        if number.denominator != 1:
            raise QuantityError(f"a whole number{self._of_base()}")
        return int(number)

    @property
    def allowed(self) -> str:
        """What may stand here, for messages."""
        units = [unit for unit in self.units if unit]
        if not units:
            return f"{self.what} such as {self.example}, without a unit"
        if len(units) == 1:
            return f"{self.what} such as {self.example}"
        return f"{self.what} such as {self.example}; units {', '.join(units)}"

    def text(self, value: float) -> str:
        """Return the number with the largest unit that keeps it short; parses back exactly."""
        exact = Fraction(repr(value))
        for unit in self.printed[:-1]:
            scaled = exact / self.units[unit]
            if scaled >= 1 and (scaled * 10**6).denominator == 1:
                return f"{_decimal(scaled)} {unit}"
        base = self.printed[-1]
        plural = "s" if base == "cycle" and value != 1 else ""
        return f"{_plain(value)} {base}{plural}".strip()

    def _of_base(self) -> str:
        base = self.printed[-1]
        return f" of {base}s" if base == "cycle" else f" of {base}" if base else ""


def _singular(unit: str) -> str:
    """Return the unit as ``Kind.units`` spells it: ``cycles/element`` -> ``cycle/element``."""
    return "/".join(_PLURALS.get(part.strip(), part.strip()) for part in unit.split("/"))


def _decimal(number: Fraction) -> str:
    """Return a number of at most six decimals without trailing zeros."""
    millionths = int(number * 10**6)
    whole, rest = divmod(millionths, 10**6)
    return f"{whole}.{rest:06d}".rstrip("0") if rest else str(whole)


def _plain(value: float) -> str:
    """Return the shortest text that parses back to ``value``."""
    return repr(value).removesuffix(".0")


def _scale(**units: float | str) -> dict[str, Fraction]:
    return {name: Fraction(factor) for name, factor in units.items()}


def _energies(event: str) -> dict[str, Fraction]:
    """Return pJ, fJ and nJ per ``event``; an energy per byte may be written per bit."""
    units = {"pJ": Fraction(1), "fJ": Fraction(1, 1000), "nJ": Fraction(1000)}
    table = {f"{unit}/{event}": factor for unit, factor in units.items()}
    if event.startswith("B"):
        per_bit = event.replace("B", "bit", 1)
        table |= {f"{unit}/{per_bit}": factor * 8 for unit, factor in units.items()}
    return table


def _energy(event: str, name: str, example: str) -> Kind:
    return Kind(f"an energy per {name}", example, _energies(event), (f"pJ/{event}",), whole=False)


_BYTES = _scale(
    B=1, kB=10**3, MB=10**6, GB=10**9, TB=10**12, KiB=2**10, MiB=2**20, GiB=2**30, TiB=2**40
)
_RATES = {f"{unit}/s": factor for unit, factor in _BYTES.items()}
_NONE = {"": Fraction(1)}
_CYCLES = {"cycle": Fraction(1)}

COUNT = Kind("a whole number", "16", _NONE, ("",))
POSITIVE = Kind("a whole number", "16", _NONE, ("",), above=True)
SIZE = Kind("a size", "3 MiB", _BYTES, ("TiB", "GiB", "MiB", "KiB", "B"))
POSITIVE_SIZE = Kind("a size", "3 MiB", _BYTES, ("TiB", "GiB", "MiB", "KiB", "B"), above=True)
FREQUENCY = Kind(
    "a frequency",
    "1 GHz",
    _scale(Hz=1, kHz=10**3, MHz=10**6, GHz=10**9),
    ("GHz", "MHz", "kHz", "Hz"),
    above=True,
    most=10**12,  # one cycle is at least one picosecond: the clock of the whole tool
)
CYCLES = Kind("a number of cycles", "46 cycles", _CYCLES, ("cycle",))
POSITIVE_CYCLES = Kind("a number of cycles", "46 cycles", _CYCLES, ("cycle",), above=True)
TIME = Kind(
    "a time",
    "18 us",
    _scale(ps=1, ns=10**3, us=10**6, ms=10**9, s=10**12),
    ("s", "ms", "us", "ns", "ps"),
)
RATE = Kind("a rate", "155.8 GB/s", _RATES, ("TB/s", "GB/s", "MB/s", "kB/s", "B/s"), above=True)
WIDTH = Kind("bytes per cycle", "128 B/cycle", {"B/cycle": Fraction(1)}, ("B/cycle",), above=True)
MACS = Kind(
    "multiply-adds per cycle", "4096 MAC/cycle", {"MAC/cycle": Fraction(1)}, ("MAC/cycle",),
    above=True,
)  # fmt: skip
LANES = Kind(
    "elements per cycle", "64 element/cycle", {"element/cycle": Fraction(1)}, ("element/cycle",),
    above=True,
)  # fmt: skip
PER_ELEMENT = Kind(
    "cycles per element", "4 cycle/element", {"cycle/element": Fraction(1)}, ("cycle/element",),
    whole=False, above=True,
)  # fmt: skip
SHARE = Kind("a share", "0.91", _NONE, ("",), whole=False, above=True, most=1)
POWER = Kind("a power", "200 W", _scale(W=1, mW="1/1000"), ("W",), whole=False)
PER_MAC = _energy("MAC", "multiply-add", "1.5 pJ/MAC")
ENERGY_ELEMENT = _energy("element", "element", "1 pJ/element")
ENERGY_CYCLE = _energy("cycle", "cycle", "20 pJ/cycle")
PER_BYTE = _energy("B", "byte", "84 pJ/B")
PER_BYTE_HOP = _energy("B/hop", "byte and hop", "3.2 pJ/B/hop")
