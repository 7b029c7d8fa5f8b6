"""A builder's commands: a method for each, with the fields that ``docs/program.md`` describes.

Addresses are places (``places.py``); what a text may leave out may be left out here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Literal

from drawloom.program import commands as c
from drawloom.program.commands import AttrValue, Command, Dims, Engine, Operand
from drawloom.program.places import Dram, Place, Spm

EngineName = Literal["matrix", "vector", "read", "write", "move", "send", "cpu"]
MoveDims = tuple[tuple[int, int, int], ...]
Pair = tuple[int, int]
Four = tuple[int, int, int, int]


class Issue(ABC):
    """The commands that the open tiles issue, one after the other."""

    @abstractmethod
    def issue(self, command: Command) -> None:
        """Append a command to the streams of the open tiles."""

    def read(self, dram: Dram, spm: Spm, inner: int, dims: Dims = ()) -> None:
        """DRAM to scratchpad; a level of ``dims`` is (stride, count), outermost first."""
        self.issue(c.Read(dram.address, spm.address, inner, dims))

    def pick(
        self,
        dram: Dram,
        index: Dram,
        spm: Spm,
        inner: int,
        step: int,
        entries: int,
        dims: Dims = (),
    ) -> None:
        """A read from a place that a number in DRAM says."""
        self.issue(c.Pick(dram.address, index.address, spm.address, inner, step, entries, dims))

    def write(self, spm: Spm, dram: Dram, inner: int, dims: Dims = ()) -> None:
        """Scratchpad to DRAM; the strides are on the DRAM side."""
        self.issue(c.Write(spm.address, dram.address, inner, dims))

    def move(self, src: Spm, dst: Spm, inner: int, dims: MoveDims = ()) -> None:
        """Scratchpad to scratchpad; a level of ``dims`` is (source, target stride, count)."""
        self.issue(c.Move(src.address, dst.address, inner, dims))

    def fill(self, dst: Spm, fmt: str, count: int, value: float) -> None:
        """Write copies of a value."""
        self.issue(c.Fill(dst.address, fmt, count, value))

    def select(self, mask: Spm, src: Spm, dst: Spm, element: int, count: int) -> None:
        """Copy the elements whose mask byte is not zero."""
        self.issue(c.Select(mask.address, src.address, dst.address, element, count))

    def matmul(
        self,
        a: Spm,
        b: Spm,
        dst: Spm,
        m: int,
        k: int,
        n: int,
        fmt: str,
        out_fmt: str = "",
        *,
        psum: Spm | None = None,
        trans_a: bool = False,
        trans_b: bool = False,
        batch: int = 1,
        a_step: int = 0,
        b_step: int = 0,
        dst_step: int = 0,
        psum_step: int = 0,
    ) -> None:
        """``dst[m,n] = a[m,k] @ b[k,n]``, channel-blocked."""
        self.issue(
            c.MatMul(
                a.address, b.address, dst.address, m, k, n, fmt, out_fmt or fmt,
                psum and psum.address, trans_a, trans_b, batch, a_step, b_step, dst_step, psum_step,
            )
        )  # fmt: skip

    def conv(
        self,
        src: Spm,
        weights: Spm,
        dst: Spm,
        hwc: tuple[int, int, int],
        oc: int,
        kernel: Pair,
        fmt: str,
        out_fmt: str = "",
        *,
        strides: Pair = (1, 1),
        pads: Four = (0, 0, 0, 0),
        dilations: Pair = (1, 1),
        depthwise: bool = False,
        psum: Spm | None = None,
    ) -> None:
        """2-D convolution of one image of ``h`` x ``w`` rows and ``c`` channels into ``oc``."""
        self.issue(
            c.Conv(
                src.address, weights.address, dst.address, *hwc, oc, *kernel, strides, pads,
                dilations, fmt, out_fmt or fmt, depthwise, psum and psum.address,
            )
        )  # fmt: skip

    def vector(
        self,
        op: str,
        a: Spm,
        dst: Spm,
        count: int,
        fmt: str,
        out_fmt: str = "",
        *,
        b: Spm | None = None,
        scalar: float | None = None,
        unit: int = 0,
    ) -> None:
        """Elementwise: ``dst[i] = op(a[i], b[i] | b[i % unit] | scalar)``."""
        operand = b and b.address
        self.issue(
            c.Vector(op, a.address, dst.address, count, fmt, out_fmt or fmt, operand, scalar, unit)
        )

    def reduce(
        self, op: str, src: Spm, dst: Spm, hwc: tuple[int, int, int], axis: str, fmt: str,
        out_fmt: str = "",
    ) -> None:  # fmt: skip
        """Reduce ``h`` x ``w`` rows of ``c`` channels along an axis: c, w, h or hw."""
        self.issue(c.Reduce(op, src.address, dst.address, *hwc, axis, fmt, out_fmt or fmt))

    def pool(
        self,
        op: str,
        src: Spm,
        dst: Spm,
        hwc: tuple[int, int, int],
        kernel: Pair,
        fmt: str,
        *,
        strides: Pair = (1, 1),
        pads: Four = (0, 0, 0, 0),
        dilations: Pair = (1, 1),
        count_pad: bool = False,
    ) -> None:
        """A window's max, min or avg over one image."""
        self.issue(
            c.Pool(
                op, src.address, dst.address, *hwc, *kernel, strides, pads, dilations, fmt, count_pad
            )
        )  # fmt: skip

    def send(
        self,
        src: Spm,
        dst: Spm,
        inner: int,
        targets: Iterable[int],
        flag: int,
        dims: Dims = (),
        chip: int = -1,
    ) -> None:
        """To the scratchpads of other tiles, each of which armed ``flag``; of another chip, maybe."""
        to = tuple(targets)
        self.issue(c.Send(src.address, dst.address, inner, to, flag, dims, chip=chip))

    def arm(self, flag: int) -> None:
        """Make ready to receive one send."""
        self.issue(c.Arm(flag))

    def signal(self, target: int, flag: int, chip: int = -1) -> None:
        """Raise a counter of another tile, maybe of another chip."""
        self.issue(c.Signal(target, flag, chip=chip))

    def wait(self, flag: int, count: int = 1) -> None:
        """Hold the tile until its counter is at ``count``."""
        self.issue(c.Wait(flag, count))

    def join(self, *engines: EngineName, keep: int = 0) -> None:
        """Hold the tile until at most ``keep`` commands of each engine are left."""
        self.issue(c.Join(tuple(Engine(name) for name in engines), keep))

    def barrier(self, tiles: Iterable[int]) -> None:
        """Hold the tile until all of these stand here."""
        self.issue(c.Barrier(tuple(tiles)))

    def cpu(
        self,
        op: str,
        ins: Iterable[Operand | None],
        outs: Iterable[Operand],
        **attrs: AttrValue,
    ) -> None:
        """Work of the tile's processor, named after an operator; see ``tensor``."""
        self.issue(c.Cpu(op, tuple(ins), tuple(outs), tuple(attrs.items())))


def tensor(place: Place, fmt: str, shape: tuple[int, ...]) -> Operand:
    """Return a dense tensor at a place, as ``Issue.cpu`` takes it."""
    space = "dram" if isinstance(place, Dram) else "spm"
    return Operand(space, place.address, fmt, shape)
