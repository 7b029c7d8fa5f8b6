"""A command in a few words, without its addresses, so that alike commands read alike."""

from __future__ import annotations

from drawloom.program.commands import (
    Arm,
    Barrier,
    Command,
    Conv,
    Cpu,
    Fill,
    Join,
    MatMul,
    Move,
    Pick,
    Pool,
    Read,
    Reduce,
    Select,
    Send,
    Signal,
    Vector,
    Wait,
    Write,
)
from drawloom.program.extents import moved_bytes, segments
from drawloom.report.quantities import bytes_text


def caption(command: Command) -> str:
    """Return what a command does, such as ``MatMul 256×512×256 f16 → f32``."""
    kind = type(command).__name__
    match command:
        case Read() | Pick() | Write() | Move() | Send():
            return f"{kind} {_moved(command)}"
        case MatMul() | Conv():
            return f"{kind} {_product(command)}"
        case Vector() | Reduce() | Pool():
            return f"{kind} {_elementwise(command)}"
        case Fill():
            return f"Fill {command.count:,} × {command.value:g} {command.fmt}"
        case Select():
            return f"Select {command.count:,} of {command.element} B"
        case _:
            return f"{kind} {_processor(command)}".rstrip()


def _moved(command: Read | Pick | Write | Move | Send) -> str:
    text = bytes_text(moved_bytes(command.inner, command.dims))
    runs = segments(command.dims)
    if runs > 1:
        text += f" in {runs:,} runs"
    if isinstance(command, Send):
        text += " to " + _tiles(command.targets)
    return text


def _product(command: MatMul | Conv) -> str:
    if isinstance(command, MatMul):
        shape = f"{command.m}×{command.k}×{command.n}"
        shape = f"{command.batch} × {shape}" if command.batch > 1 else shape
    else:
        high, wide = command.out_hw
        kind = "depthwise " if command.depthwise else ""
        kernel = f"{command.kh}×{command.kw}"
        shape = f"{kind}{kernel} {command.c}→{command.oc} channels, {high}×{wide} out"
    sums = ", adds partial sums" if command.psum is not None else ""
    return f"{shape} {_formats(command.fmt, command.out_fmt)}{sums}"


def _elementwise(command: Vector | Reduce | Pool) -> str:
    match command:
        case Vector():
            return f"{command.op} {command.count:,} {_formats(command.fmt, command.out_fmt)}"
        case Reduce():
            formats = _formats(command.fmt, command.out_fmt)
            return f"{command.op} {command.h}×{command.w}×{command.c} over {command.axis} {formats}"
        case Pool():
            kernel = f"{command.kh}×{command.kw}"
            return f"{command.op} {kernel} of {command.h}×{command.w}×{command.c} {command.fmt}"


def _processor(command: Command) -> str:
    match command:
        case Cpu():
            out = "×".join(map(str, command.outs[0].shape)) if command.outs else ""
            return f"{command.op} {out}"
        case Arm():
            return f"flag {command.flag}"
        case Signal():
            return f"flag {command.flag} of tile {command.target}"
        case Wait():
            return f"flag {command.flag} ≥ {command.count}"
        case Join():
            return ", ".join(engine.value for engine in command.engines)
        case Barrier():
            return f"of {len(command.tiles)} tiles"
        case _:
            raise AssertionError(command)


def _formats(fmt: str, out_fmt: str) -> str:
    return fmt if fmt == out_fmt else f"{fmt} → {out_fmt}"


def _tiles(tiles: tuple[int, ...]) -> str:
    if len(tiles) > 4:
        return f"{len(tiles)} tiles"
    return ("tile " if len(tiles) == 1 else "tiles ") + ", ".join(map(str, tiles))
