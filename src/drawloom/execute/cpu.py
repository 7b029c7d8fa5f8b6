"""The tile's own processor: work that is named after a graph operator and means the same."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from drawloom.errors import nearest
from drawloom.execute.faults import Index, Refused
from drawloom.execute.memory import Memory, Tile, at
from drawloom.execute.numbers import stored
from drawloom.graph.ir import Node
from drawloom.graph.ops import OPS
from drawloom.program.commands import Cpu, Operand


def cpu(tile: Tile, command: Cpu, index: Index) -> None:
    """Evaluate the operator on dense operands and store what it gives."""
    operator = OPS.get(command.op)
    if operator is None:
        raise Refused(f"there is no operator '{command.op}': {nearest(command.op, OPS)}")
    arrays = tuple(_load(tile, operand, index) if operand else None for operand in command.ins)
    node = Node(
        name=command.op,
        op=command.op,
        inputs=tuple(f"in{k}" if operand else "" for k, operand in enumerate(command.ins)),
        outputs=tuple(f"out{k}" for k in range(len(command.outs))),
        attrs=dict(command.attrs),
    )
    try:
        results = operator.evaluate(node, arrays)
    except (IndexError, ValueError) as error:
        # Wrong bytes, such as an index that was never written, are the program's fault.
        raise Refused(f"operator '{command.op}' cannot take its operands: {error}") from error
    for operand, result in zip(command.outs, results, strict=False):
        _store(tile, operand, index, result)


def _memory(tile: Tile, operand: Operand) -> Memory:
    if operand.space not in ("spm", "dram"):
        raise Refused(f"there is no memory '{operand.space}', only spm and dram")
    return tile.spm if operand.space == "spm" else tile.dram


def _load(tile: Tile, operand: Operand, index: Index) -> NDArray[Any]:
    memory, address = _memory(tile, operand), at(operand.address, index)
    return dense(memory, address, operand.fmt, operand.shape)


def dense(memory: Memory, address: int, fmt: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Return a copy of a dense row-major array; bool bytes other than 0 are true."""
    raw = memory.array(address, int(np.prod(shape, dtype=np.int64)), stored(fmt)).reshape(shape)
    return raw != 0 if fmt == "bool" else raw.copy()


def _store(tile: Tile, operand: Operand, index: Index, result: NDArray[Any]) -> None:
    dtype = stored(operand.fmt)
    raw = result.view(dtype) if result.dtype == np.bool_ and operand.fmt == "bool" else result
    if raw.dtype != dtype or raw.shape != operand.shape:
        made, wanted = (
            f"{a.dtype}{list(a.shape)}" for a in (result, np.empty(operand.shape, dtype))
        )
        raise Refused(f"the operator makes {made}, the operand holds {wanted}")
    target = _memory(tile, operand).array(at(operand.address, index), raw.size, dtype)
    target[:] = np.ascontiguousarray(raw).reshape(-1)
