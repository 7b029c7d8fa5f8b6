from __future__ import annotations

import numpy as np
import pytest
from tests.frontends.rewrite.pairs import built, check, ramp, unchanged

from drawloom.graph.build import GraphBuilder


def turned(b: GraphBuilder, x: str, *perm: int) -> str:
    return b.add("Transpose", [x], {"perm": perm})


def shaped(b: GraphBuilder, x: str, *shape: int) -> str:
    return b.add("Reshape", [x], {"shape": shape})


@pytest.mark.parametrize(
    ("first", "second", "ops"),
    [
        ((1, 2, 0), (2, 0, 1), "Relu Exp"),
        ((1, 2, 0), (1, 2, 0), "Relu Transpose Exp"),
        ((1, 0, 2), (1, 2, 0), "Relu Transpose Exp"),
    ],
)
def test_two_transposes_are_one(first: tuple[int, ...], second: tuple[int, ...], ops: str) -> None:
    def build(b: GraphBuilder, x: str) -> str:
        return b.add("Exp", [turned(b, turned(b, b.add("Relu", [x]), *first), *second)])

    check("merge-transposes", built(build), ops)


def test_transposes_meet_past_elementwise_nodes() -> None:
    def build(b: GraphBuilder, x: str) -> str:
        y = b.add("LeakyRelu", [turned(b, x, 0, 2, 1)], {"alpha": 0.3})
        return b.add("Exp", [turned(b, y, 0, 2, 1)])

    after = check("merge-transposes", built(build), "LeakyRelu Exp")
    assert after.nodes[0].attrs == {"alpha": 0.3}


def test_transposes_stay_where_others_read_between() -> None:
    def build(b: GraphBuilder, x: str) -> str:
        y = b.add("Relu", [turned(b, x, 0, 2, 1)])
        return b.add("MatMul", [turned(b, y, 0, 2, 1), y])

    unchanged("merge-transposes", built(build))


def test_operands_transposed_alike_are_transposed_after() -> None:
    def build(b: GraphBuilder, x: str) -> str:
        left, right = b.add("Relu", [x]), b.add("Exp", [x])
        return b.add("Sub", [turned(b, left, 2, 0, 1), turned(b, right, 2, 0, 1)])

    check("merge-transposes", built(build), "Relu Exp Sub Transpose")


def test_moving_axes_of_one_is_a_reshape() -> None:
    def build(b: GraphBuilder, x: str) -> str:
        return b.add("Exp", [turned(b, x, 2, 0, 1, 3)])

    check("merge-transposes", built(build, (4, 6, 1, 1)), "Reshape Exp")
    check("merge-transposes", built(build, (1, 1, 5, 1)), "Reshape Exp")


def test_reshapes_merge_and_meet() -> None:
    def build(b: GraphBuilder, x: str) -> str:
        y = b.add("Relu", [shaped(b, shaped(b, x, 8, 6), 4, 12)])
        return b.add("Exp", [shaped(b, y, 2, 4, 6)])

    check("merge-reshapes", built(build), "Relu Exp")


def test_gathers_in_a_row_are_slices() -> None:
    def build(b: GraphBuilder, x: str, indices: object, axis: int) -> str:
        return b.add("Gather", [x, b.constant("i", np.array(indices))], {"axis": axis})

    check("gather-to-slice", built(lambda b, x: build(b, x, -1, 1)), "Slice Reshape")
    check("gather-to-slice", built(lambda b, x: build(b, x, [2, 3, 4], -1)), "Slice")
    unchanged("gather-to-slice", built(lambda b, x: build(b, x, [2, 4], -1)))
    unchanged("gather-to-slice", built(lambda b, x: build(b, x, [[2, 3]], -1)))


@pytest.mark.parametrize("side", [0, 1])
def test_matmul_reads_an_operand_turned(side: int) -> None:
    def build(b: GraphBuilder, x: str) -> str:
        operands = [turned(b, x, 0, 2, 1), b.constant("w", ramp(4, 3) if side == 0 else ramp(3, 6))]
        return b.add("MatMul", operands if side == 0 else operands[::-1])

    after = check("transpose-into-matmul", built(build), "MatMul")
    assert after.nodes[0].attrs == {("trans_a", "trans_b")[side]: 1}


def test_matmul_keeps_the_innermost_axis_innermost() -> None:
    """Keys go from (batch, position, head, feature) to rows of features, not to columns."""

    def build(b: GraphBuilder, x: str) -> str:
        q, k = turned(b, x, 0, 2, 1, 3), turned(b, b.add("Exp", [x]), 0, 2, 3, 1)
        return b.add("MatMul", [q, k])

    after = check(
        "transpose-into-matmul", built(build, (1, 3, 2, 4)), "Transpose Exp Transpose MatMul"
    )
    assert [n.attrs for n in after.nodes if n.op != "Exp"] == [{"perm": (0, 2, 1, 3)}] * 2 + [
        {"trans_b": 1}
    ]


def test_a_turn_undone_leaves_no_flag() -> None:
    def build(b: GraphBuilder, x: str) -> str:
        return b.add(
            "MatMul", [x, turned(b, b.add("Exp", [x]), 0, 2, 1)], {"trans_a": 1, "trans_b": 1}
        )

    after = check("transpose-into-matmul", built(build, (2, 4, 6)), "Exp MatMul")
    assert after.nodes[1].attrs == {"trans_a": 1}
