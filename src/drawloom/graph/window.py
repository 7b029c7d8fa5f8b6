"""A window sliding over the spatial axes: the geometry convolutions and pools share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from drawloom.errors import Fault, InputError
from drawloom.graph.ir import Node
from drawloom.graph.operator import label


@dataclass(frozen=True, slots=True)
class Window:
    """Window geometry, one entry per spatial axis; ``sizes`` are the input's dims.

    ``pads_after`` is as the model states it; with ``ceil_mode`` the last
    window may reach further (``reach``), but none starts in that padding.
    """

    sizes: tuple[int, ...]
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads_before: tuple[int, ...]
    pads_after: tuple[int, ...]
    ceil_mode: bool = False

    @staticmethod
    def of(node: Node, sizes: tuple[int, ...], kernel: tuple[int, ...]) -> Window:
        """Read strides, pads, dilations and ceil_mode from a node.

        Raises:
            InputError: a list has the wrong length or an illegal value, or the
                window is larger than the padded input.
        """
        rank = len(sizes)
        strides = node.ints("strides", (1,) * rank)
        dilations = node.ints("dilations", (1,) * rank)
        pads = node.ints("pads", (0,) * 2 * rank)
        faults = [
            *_list_faults("strides", strides, rank, 1),
            *_list_faults("dilations", dilations, rank, 1),
            *_list_faults("pads", pads, 2 * rank, 0),
            *_list_faults("kernel_shape", kernel, rank, 1),
        ]
        if faults:
            raise InputError("graph.shape", f"{label(node)} has an impossible window", faults)
        ceil = bool(node.int("ceil_mode"))
        window = Window(sizes, kernel, strides, dilations, pads[:rank], pads[rank:], ceil)
        window._check_fits(node)
        return window

    def _check_fits(self, node: Node) -> None:
        padded = self.padded
        if any(p < e for p, e in zip(padded, self.extent, strict=True)):
            fault = Fault(
                "window", f"{_by(self.extent)}", f"at most {_by(padded)}, the padded input"
            )
            raise InputError("graph.shape", f"{label(node)} has an impossible window", [fault])

    @property
    def extent(self) -> tuple[int, ...]:
        """Cells from a window's first to its last, dilation included."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True))

    @property
    def padded(self) -> tuple[int, ...]:
        """The input's dims with the stated padding."""
        rows = zip(self.sizes, self.pads_before, self.pads_after, strict=True)
        return tuple(n + before + after for n, before, after in rows)

    @property
    def out(self) -> tuple[int, ...]:
        """The output's dims."""
        return tuple(self._count(i) for i in range(len(self.sizes)))

    def _count(self, i: int) -> int:
        span = self.padded[i] - self.extent[i]
        stride = self.strides[i]
        if not self.ceil_mode:
            return span // stride + 1
        count = -(-span // stride) + 1
        last_start = (count - 1) * stride
        return count - (last_start >= self.sizes[i] + self.pads_before[i])

    @property
    def reach(self) -> tuple[int, ...]:
        """Padding needed after each axis so that every window is inside (may be negative)."""
        rows = zip(self.out, self.strides, self.extent, self.sizes, self.pads_before, strict=True)
        return tuple((o - 1) * s + e - n - before for o, s, e, n, before in rows)

    def pad(self, x: NDArray[Any], fill: float) -> NDArray[Any]:
        """Return ``x`` padded (or cut) on its spatial axes so that windows tile it."""
        after = tuple(max(r, 0) for r in self.reach)
        width = [(0, 0)] * (x.ndim - len(self.sizes))
        width += list(zip(self.pads_before, after, strict=True))
        if any(lo or hi for lo, hi in width):
            return np.pad(x, width, constant_values=np.asarray(fill, dtype=x.dtype))
        return x

    def view(self, padded: NDArray[Any]) -> NDArray[Any]:
        """Return windows as a view: lead axes, output dims, kernel dims."""
        rank = len(self.sizes)
        axes = tuple(range(padded.ndim - rank, padded.ndim))
        lead = (slice(None),) * (padded.ndim - rank)
        windows = sliding_window_view(padded, self.extent, axis=axes)
        starts = tuple(
            slice(0, (o - 1) * s + 1, s) for o, s in zip(self.out, self.strides, strict=True)
        )
        steps = tuple(slice(None, None, d) for d in self.dilations)
        return windows[lead + starts + steps]


def _list_faults(key: str, values: tuple[int, ...], length: int, least: int) -> list[Fault]:
    if len(values) == length and all(v >= least for v in values):
        return []
    return [Fault(f"attrs.{key}", str(list(values)), f"{length} numbers of at least {least}")]


def _by(dims: tuple[int, ...]) -> str:
    return "x".join(map(str, dims))
