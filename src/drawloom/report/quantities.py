"""Numbers as people read them: three significant digits and a unit that suits their size."""

from __future__ import annotations

_TIME = ((1e12, "s"), (1e9, "ms"), (1e6, "µs"), (1e3, "ns"), (1.0, "ps"))
_BYTES = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B"))
_SI = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))
_SMALL = ((1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"), (1e-12, "p"))


def digits(value: float) -> str:
    """Return a number with three significant digits, and thousands set apart."""
    size = abs(value)
    if size >= 99.95 or value == 0:
        return f"{value:,.0f}"
    if size >= 9.995:
        return f"{value:.1f}"
    return f"{value:.2f}" if size >= 0.9995 else f"{value:.3g}"


def time_text(ps: float) -> str:
    """Return a time given in picoseconds, such as ``310 µs``."""
    return _scaled(ps, _TIME)


def bytes_text(n: float) -> str:
    """Return a number of bytes, such as ``8.00 MiB``."""
    scale, unit = next((s for s in _BYTES if abs(n) >= s[0]), _BYTES[-1])
    return f"{n:,.0f} B" if unit == "B" else f"{digits(n / scale)} {unit}"


def energy_text(joules: float) -> str:
    """Return an energy given in joules, such as ``1.24 mJ``."""
    return _scaled(joules, _SMALL, "J")


def power_text(watts: float) -> str:
    """Return a power given in watts."""
    return _scaled(watts, _SMALL, "W")


def rate_text(per_second: float, unit: str) -> str:
    """Return a rate, such as ``55.4 TFLOP/s`` for the unit ``FLOP/s``."""
    return _scaled(per_second, _SI, unit)


def count_text(n: float) -> str:
    """Return a large count, such as ``17.2 G``."""
    return f"{n:,.0f}" if abs(n) < 100_000 else _scaled(n, _SI)


def share_text(share: float) -> str:
    """Return a part of one as a percentage."""
    return f"{100 * share:.1f} %"


def ratio_text(ratio: float) -> str:
    """Return a ratio, such as ``1.24×``."""
    return f"{digits(ratio)}×"


def _scaled(value: float, scales: tuple[tuple[float, str], ...], unit: str = "") -> str:
    # A value that rounds up to the next unit takes that unit: 999.96 ns is 1.00 µs.
    size = abs(value) * 1.0005
    scale, prefix = next((s for s in scales if size >= s[0]), scales[-1])
    return f"{digits(value / scale)} {prefix}{unit}".rstrip()
