"""What a person may choose about a mapping; each field is a flag of the command line."""

from __future__ import annotations

from dataclasses import dataclass

from drawloom.errors import Fault, InputError

EFFORTS = range(4)


@dataclass(frozen=True, slots=True)
class MapOptions:
    """Options of the mapper.

    Attributes:
        fuse: fuse elementwise work into its producer.
        multicast: let tiles share loads over the NoC.
        resident: keep values in the scratchpads from piece to piece where tiles work by batch.
        fold: map layers that repeat once, as a loop of the program.
        effort: 0 prefers short programs, 1 goes by the model of prices, 2 and 3 try ways to cut
            each product on the simulator, some and many.
        tune_seed: of the ways that effort 3 draws.
    """

    fuse: bool = True
    multicast: bool = True
    resident: bool = True
    fold: bool = True
    effort: int = 1
    tune_seed: int = 0

    def __post_init__(self) -> None:
        """Refuse an effort or a seed that there is not.

        Raises:
            InputError: ``mapping.options``.
        """
        faults: list[Fault] = []
        if self.effort not in EFFORTS:
            faults.append(Fault("effort", str(self.effort), "0, 1, 2 or 3"))
        if self.tune_seed < 0:
            faults.append(Fault("tune_seed", str(self.tune_seed), "a whole number from 0"))
        if faults:
            raise InputError("mapping.options", "there are no such options", faults)
