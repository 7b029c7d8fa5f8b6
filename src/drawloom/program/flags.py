"""The flags by which tiles of other chips are heard of."""

from __future__ import annotations

from collections.abc import Sequence

from drawloom.errors import Diagnosis, DoesNotFit


class Flags:
    """Which flags of a chip's tiles other chips raise: one for what each sends, one for its readiness."""

    def __init__(self, free: Sequence[int]) -> None:
        """Begin with the flags that no program of a chip uses."""
        self.free = tuple(free)
        self._used: dict[int, dict[tuple[str, int], int]] = {}

    def of(self, chip: int, role: str, other: int) -> int:
        """Return the flag of a chip for what another one does: ``data`` or ``ready``.

        Raises:
            DoesNotFit: there are too few flags (``span.flags``).
        """
        used = self._used.setdefault(chip, {})
        if (role, other) not in used:
            if len(used) == len(self.free):
                raise DoesNotFit(
                    "span.flags", "a chip hears of too many others",
                    Diagnosis(
                        needs=f"{len(used) + 1} flags", has=f"{len(self.free)} flags that are free",
                        short="1 flag", ways_out=("fewer chips", "a schedule with fewer partners"),
                    ),
                )  # fmt: skip
            used[role, other] = self.free[len(used)]
        return used[role, other]
