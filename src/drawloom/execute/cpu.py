"""The tile's own processor: work that is named after a graph operator and means the same."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drawloom.errors import InputError, nearest
from drawloom.execute.faults import Index, Refused
from drawloom.execute.memory import Memory, Tile, at
from drawloom.execute.numbers import stored
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Node, TensorType
from drawloom.graph.operator import Operator
from drawloom.graph.ops import OPS
from drawloom.program.commands import Cpu, Operand


def cpu(tile: Tile, command: Cpu, index: Index) -> None:
    """Evaluate the operator on dense operands and store what it gives."""
    operator = OPS.get(command.op)
    if operator is None:
        raise Refused(f"there is no operator '{command.op}': {nearest(command.op, OPS)}")
    node = Node(
        name=command.op,
        op=command.op,
        inputs=tuple(f"in{k}" if operand else "" for k, operand in enumerate(command.ins)),
        outputs=tuple(f"out{k}" for k in range(len(command.outs))),
        attrs=dict(command.attrs),
    )
    try:
        _check(operator, node, command)
        arrays = tuple(_load(tile, operand, index) if operand else None for operand in command.ins)
        results = operator.evaluate(node, arrays)
    except InputError as error:
        # Wrong bytes too, such as an index that was never written, are faults of the program.
        reasons = "; ".join(fault.text() for fault in error.faults)
        raise Refused(f"operator '{command.op}' cannot take its operands: {reasons}") from error
    for operand, result in zip(command.outs, results, strict=False):
        target = _memory(tile, operand)
        address = at(operand.address, index)
        target.array(address, result.size, stored(operand.fmt))[:] = result.reshape(-1)


def dense(memory: Memory, address: int, fmt: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Return a copy of a dense row-major array; bool bytes other than 0 are true."""
    raw = memory.array(address, prod(shape), stored(fmt)).reshape(shape)
    return np.not_equal(raw, 0) if fmt == "bool" else raw.copy()


def _check(operator: Operator, node: Node, command: Cpu) -> None:
    """Refuse operands that the operator does not take, or results it does not make."""
    types = [_type(operand) if operand else None for operand in command.ins]
    made = operator.infer(node, types)
    wanted = tuple(_type(operand) for operand in command.outs)
    if made != wanted:
        shown = (" ".join(kind.text() for kind in kinds) for kinds in (made, wanted))
        raise Refused("operator '{}' makes {}, not {}".format(node.op, *shown))


def _type(operand: Operand) -> TensorType:
    words = [dtype.value for dtype in DType]
    if operand.fmt not in words:
        raise Refused(f"there is no format '{operand.fmt}': {nearest(operand.fmt, words)}")
    return TensorType(DType(operand.fmt), operand.shape)


def _memory(tile: Tile, operand: Operand) -> Memory:
    if operand.space not in ("spm", "dram"):
        raise Refused(f"there is no memory '{operand.space}', only spm and dram")
    return tile.spm if operand.space == "spm" else tile.dram


def _load(tile: Tile, operand: Operand, index: Index) -> NDArray[Any]:
    return dense(_memory(tile, operand), at(operand.address, index), operand.fmt, operand.shape)
