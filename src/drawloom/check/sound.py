"""The checker as the last step of a compilation: nothing goes out that it finds something in."""

from __future__ import annotations

import warnings

from drawloom.check.run import MOST, check
from drawloom.chip.model import Chip
from drawloom.errors import InputError, Unsound
from drawloom.program.program import Program

SECONDS = 20.0  # of the processor; `drawloom check` takes as long as it needs


def check_sound(program: Program, chip: Chip, most: int = MOST, seconds: float = SECONDS) -> None:
    """Check a program that was just compiled; warn of one that is too long to be checked.

    Raises:
        Unsound: the checker found something.
    """
    try:
        found = check(program, chip, most, seconds=seconds)
    except InputError as error:
        if error.kind != "check.size":
            raise
        warnings.warn(f"not checked: {error.summary}", stacklevel=4)
        return
    if found:
        raise Unsound(found[0].rule, program.name, [one.text(program) for one in found])
