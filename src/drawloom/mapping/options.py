"""What a person may choose about a mapping; each field is a flag of the command line."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MapOptions:
    """Options of the mapper.

    Attributes:
        fuse: fuse elementwise work into its producer.
        multicast: let tiles share loads over the NoC.
        resident: keep values in the scratchpads from piece to piece where tiles work by batch.
        fold: map layers that repeat once, as a loop of the program.
    """

    fuse: bool = True
    multicast: bool = True
    resident: bool = True
    fold: bool = True
