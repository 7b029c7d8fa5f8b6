"""What a comparison gives, the figures of its error, and running those that are registered."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from drawloom.errors import Fault, InputError, nearest
from drawloom.validate.comparisons import COMPARISONS

STATISTICS = ("median", "mean", "p90", "worst")


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """One class of measurements beside what the model says of them.

    Attributes:
        name: of the class, beginning with the comparison's: ``gemm.bfloat16.above_20us``.
        predicted: what the model says, one number for each measurement, any unit.
        measured: what was measured, the same length and unit, none zero.
        calibrated: whether any parameter was fitted on measurements of this kind. The rows
            that were fitted on are left out of ``measured``.
        goal: the largest error allowed, a share, by statistic: ``{"median": 0.05}``.
    """

    name: str
    predicted: NDArray[np.float64]
    measured: NDArray[np.float64]
    calibrated: bool
    goal: Mapping[str, float] = field(default_factory=dict[str, float])

    def __post_init__(self) -> None:
        """Hold the two to one length, at least one row, and goals to known statistics."""
        assert self.predicted.shape == self.measured.shape, self.name
        assert self.measured.size > 0, self.name
        assert set(self.goal) <= set(STATISTICS), self.name

    def errors(self) -> NDArray[np.float64]:
        """Return |predicted / measured - 1| of each row."""
        return np.abs(self.predicted / self.measured - 1)


class Comparison(Protocol):
    """A module of ``comparisons``."""

    def compare(self) -> Iterable[Outcome]:
        """Return the model's answers beside the measurements, class by class."""
        ...


@dataclass(frozen=True, slots=True)
class ErrorFigures:
    """The error of one class: shares (0.05 is five percent), and whether its goal holds."""

    name: str
    median: float
    mean: float
    p90: float
    worst: float
    count: int
    calibrated: bool
    goal: str
    holds: bool | None

    def record(self) -> dict[str, object]:
        """Return what ``--json`` prints: goal is null where the class has none, and so is holds."""
        record: dict[str, object] = {
            name: getattr(self, name) for name in ("name", *STATISTICS, "count", "calibrated")
        }
        return record | {"goal": self.goal or None, "holds": self.holds}


def figures_of(outcome: Outcome) -> ErrorFigures:
    """Return median, mean, 90th percentile and worst error of a class, beside its goal."""
    errors = outcome.errors()
    found = {
        "median": float(np.median(errors)),
        "mean": float(errors.mean()),
        "p90": float(np.quantile(errors, 0.9)),
        "worst": float(errors.max()),
    }
    holds = all(found[name] <= bound for name, bound in outcome.goal.items())
    goal = ", ".join(f"{name} <= {100 * bound:.3g} %" for name, bound in outcome.goal.items())
    return ErrorFigures(
        name=outcome.name,
        **found,
        count=errors.size,
        calibrated=outcome.calibrated,
        goal=goal,
        holds=holds if outcome.goal else None,
    )


def run_comparisons(names: Iterable[str] = ()) -> list[ErrorFigures]:
    """Run comparisons by name, all of them where none is named, in the registry's order.

    Raises:
        InputError: ``validate.names``, for names that are not registered.
    """
    asked = list(names)
    faults = [
        Fault(each, "", nearest(each, COMPARISONS)) for each in asked if each not in COMPARISONS
    ]
    if faults:
        raise InputError("validate.names", "no such comparison", faults)
    chosen = [name for name in COMPARISONS if not asked or name in asked]
    return [figures_of(outcome) for name in chosen for outcome in _module(name).compare()]


def _module(name: str) -> Comparison:
    return cast("Comparison", importlib.import_module(f"drawloom.validate.comparisons.{name}"))
