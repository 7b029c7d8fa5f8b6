from __future__ import annotations

import numpy as np
import pytest
from tests.execute.building import get, one_tile, put

from drawloom.execute.faults import IllegalCommand
from drawloom.program.commands import Affine, Cpu, Loop, Operand


def test_cpu_evaluates_a_graph_operator_on_dense_operands_of_both_memories() -> None:
    gather = Cpu(
        "Gather",
        (Operand("dram", 100, "f16", (5, 3)), Operand("spm", 8, "i64", (2,))),
        (Operand("spm", 200, "f16", (2, 3)),),
        (("axis", 0),),
    )
    table = np.arange(15, dtype=np.float16).reshape(5, 3)
    machine = one_tile(gather)
    put(machine.dram, 100, table)
    put(machine.spm[0], 8, np.array([4, 1]))
    machine.run()
    assert get(machine.spm[0], 200, "f16", 2, 3).tolist() == table[[4, 1]].tolist()


def test_cpu_reads_bools_as_truth_values_and_stores_them_as_bytes() -> None:
    machine = one_tile(
        Cpu("Not", (Operand("spm", 0, "bool", (3,)),), (Operand("spm", 64, "bool", (3,)),))
    )
    put(machine.spm[0], 0, np.array([0, 1, 255], np.uint8))
    machine.run()
    assert machine.spm[0][64:68].tolist() == [1, 0, 0, 255]


def test_cpu_takes_absent_operands_and_moves_with_loops() -> None:
    machine = one_tile(
        Loop(
            2,
            (
                Cpu(
                    "Clip",
                    (Operand("spm", Affine(0, (4,)), "f32", (1,)),),
                    (Operand("spm", Affine(64, (4,)), "f32", (1,)),),
                    (("min", 0.0),),
                ),
            ),
        ),
        Cpu(
            "QuantizeLinear",
            (Operand("spm", 64, "f32", (2,)), Operand("spm", 8, "f32", ()), None),
            (Operand("dram", 0, "i8", (2,)),),
            (("output_dtype", "i8"),),
        ),
    )
    put(machine.spm[0], 0, np.array([-3, 5, 0.5], np.float32))
    machine.run()
    assert get(machine.dram, 0, "i8", 2).tolist() == [0, 10]


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (Cpu("Gathr", (), ()), "there is no operator 'Gathr': did you mean 'Gather'?"),
        (
            Cpu("Neg", (Operand("rom", 0, "f32", (1,)),), (Operand("spm", 0, "f32", (1,)),)),
            "there is no memory 'rom', only spm and dram",
        ),
        (
            Cpu("Neg", (Operand("spm", 0, "f32", (2,)),), (Operand("spm", 0, "f32", (3,)),)),
            "operator 'Neg' makes f32[2], not f32[3]",
        ),
        (
            Cpu("Neg", (Operand("spm", 0, "tf32", (2,)),), ()),
            "there is no format 'tf32': did you mean 'f32'?",
        ),
        (
            Cpu("Neg", (), (Operand("spm", 0, "f32", (2,)),)),
            "operator 'Neg' cannot take its operands: inputs: 0 (takes (x))",
        ),
        (
            Cpu(
                "Gather",
                (Operand("spm", 0, "f32", (2,)), Operand("spm", 8, "i32", (1,))),
                (Operand("spm", 0, "f32", (1,)),),
            ),
            "operator 'Gather' cannot take its operands: indices: 77 (from -2 to 1)",
        ),
    ],
)
def test_an_illegal_command_says_why(command: Cpu, reason: str) -> None:
    machine = one_tile(command)
    put(machine.spm[0], 8, np.array([77], np.int32))
    with pytest.raises(IllegalCommand) as caught:
        machine.run()
    assert str(caught.value).splitlines()[-1] == f"  because  {reason}"
