from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from tests.execute.building import lies, one_tile, program, raw

from drawloom.errors import DrawloomError, InputError
from drawloom.execute.faults import IllegalCommand, OutOfBounds
from drawloom.execute.machine import Machine, execute
from drawloom.program.commands import (
    Affine,
    Barrier,
    Conv,
    Cpu,
    Fill,
    Loop,
    MatMul,
    Move,
    Operand,
    Pool,
    Read,
    Reduce,
    Select,
    Vector,
    Write,
)
from drawloom.program.program import Origin, Program, Region

M, K, N = 3, 70, 5


def affine(**changes: object) -> Program:
    """Return a program for y = relu(x @ w + bias) on one tile, x and y dense in f16.

    ``changes`` replaces parts, to show what a fault does to the values.
    """
    rng = np.random.default_rng(31)
    w = rng.normal(size=(K, N)).astype(np.float16)
    bias = rng.normal(size=N).astype(np.float16)
    rest = K - 64
    parts: dict[str, object] = {
        # x to blocked: the full block, then the tail, padded to 8 elements a row.
        "head": Read(dram=0, spm=0, inner=128, dims=((2 * K, M),)),
        "tail": Read(dram=128, spm=8192, inner=2 * rest, dims=((2 * K, M),)),
        "pad": Move(src=8192, dst=M * 128, inner=2 * rest, dims=((2 * rest, 16, M),)),
        "weights": Read(dram=1024, spm=1024, inner=2 * N, dims=((2 * N, K),)),
        "spread": Move(src=1024, dst=4096, inner=2 * N, dims=((2 * N, 16, K),)),
        "matmul": MatMul(0, 4096, 6144, M, K, N, "f16", "f16"),
        "bias": Read(dram=2048, spm=7168, inner=2 * N),
        "add": Vector("add", 6144, 6144, M * 8, "f16", "f16", 7168, unit=8),
        "relu": Vector("relu", 6144, 6144, M * 8, "f16", "f16"),
        "dense": Move(src=6144, dst=6400, inner=2 * N, dims=((16, 2 * N, M),)),
        "write": Write(spm=6400, dram=3072, inner=2 * N * M),
    }
    parts.update(changes)
    return program(
        [part for part in parts.values() if part is not None],  # type: ignore[misc]
        regions=(
            Region("x", "input", 0, 2 * M * K, "f16", (M, K)),
            Region("w", "constant", 1024, 2 * K * N, "f16", (K, N)),
            Region("y", "output", 3072, 64, "f16", (M, N)),
        ),
        data=((2048, raw(bias)), (1024, raw(w))),
    )


def x_of() -> np.ndarray:
    return np.random.default_rng(32).normal(size=(M, K)).astype(np.float16)


def expected(given: Program, x: np.ndarray) -> np.ndarray:
    w = Machine(given).region("w")
    bias = Machine(given).dram[2048 : 2048 + 2 * N].view(np.float16)
    product = (x.astype(np.float64) @ w.astype(np.float64)).astype(np.float32).astype(np.float16)
    return np.maximum((product.astype(np.float32) + bias).astype(np.float16), 0)


def test_a_whole_program_by_hand() -> None:
    given, x = affine(), x_of()
    found = execute(given, {"x": x})
    assert list(found) == ["y"]
    assert found["y"].dtype == np.float16
    assert np.array_equal(found["y"], expected(given, x))


@pytest.mark.parametrize(
    "missing", ["head", "tail", "pad", "weights", "spread", "matmul", "bias", "dense", "write"]
)
def test_a_missing_transfer_leaves_nan(missing: str) -> None:
    assert np.isnan(execute(affine(**{missing: None}), {"x": x_of()})["y"]).any()


@pytest.mark.parametrize(
    "fault",
    [
        {"head": Read(dram=2, spm=0, inner=128, dims=((2 * K, M),))},  # address
        {"head": Read(dram=0, spm=0, inner=128, dims=((2 * K + 2, M),))},  # stride
        {"pad": Move(src=8192, dst=M * 128, inner=12, dims=((12, 12, M),))},  # layout: no padding
        {"matmul": MatMul(0, 4096, 6144, M, K, N, "bf16", "bf16")},  # format
        {"matmul": MatMul(0, 4096, 6144, M, K - 1, N, "f16", "f16")},  # size
        {"relu": None},
    ],
)
def test_a_wrong_program_gives_wrong_values(fault: dict[str, object]) -> None:
    x = x_of()
    found = execute(affine(**fault), {"x": x})["y"]
    assert not np.array_equal(found, expected(affine(), x))


def test_memory_starts_poisoned_but_for_constants() -> None:
    data = np.arange(3, dtype=np.uint8)
    machine = Machine(program([], [], data=((10, data), (20, data)), dram=30, spm=50))
    assert [m.tolist() for m in machine.spm] == [[255] * 50] * 2
    constants = [0, 1, 2]
    assert machine.dram.tolist() == [255] * 10 + constants + [255] * 7 + constants + [255] * 7


def test_of_a_large_dram_only_what_the_program_uses_is_held() -> None:
    regions = (Region("t", "temporary", 8, 32),)
    data = ((16, np.zeros(8, np.uint8)),)
    machine = Machine(program([Read(39, 0, 2)], regions=regions, data=data, dram=1 << 40))
    assert machine.dram.tolist() == [255] * 16 + [0] * 8 + [255] * 16
    assert machine.region("t").tolist() == [255] * 8 + [0] * 8 + [255] * 16
    with pytest.raises(OutOfBounds, match="reaches outside the part of DRAM that the program uses"):
        machine.run()


def test_inputs_and_outputs_of_every_format() -> None:
    formats = {"b": ("bool", np.bool_), "h": ("bf16", ml_dtypes.bfloat16), "l": ("i64", np.int64)}
    regions: list[Region] = []
    streams: list[Read | Write] = []
    for k, (name, (fmt, _)) in enumerate(formats.items()):
        regions.append(Region(name, "input", 100 * k, 32, fmt, (2, 2)))
        regions.append(Region(f"{name}2", "output", 100 * k + 50, 32, fmt, (2, 2)))
        streams += [Read(100 * k, 0, 32), Write(0, 100 * k + 50, 32)]
    given = {n: np.array([[0, 1], [1, 0]]).astype(dtype) for n, (_, dtype) in formats.items()}
    given["h"] = given["h"].T  # not contiguous
    found = execute(program(streams, regions=regions), given)
    for name, (_, dtype) in formats.items():
        assert found[f"{name}2"].dtype == dtype
        assert found[f"{name}2"].tolist() == given[name].tolist()


def test_all_faults_of_the_inputs_are_told_at_once() -> None:
    regions = [
        Region("image", "input", 0, 64, "f16", (2, 3)),
        Region("mask", "input", 64, 64, "bool", (4,)),
        Region("state", "input", 128, 64, "f32", ()),
    ]
    given = {"image": np.zeros((3, 2), np.float32), "mask": np.zeros(4, np.uint8), "stat": 1}
    with pytest.raises(InputError) as caught:
        execute(program([], regions=regions), given)  # type: ignore[arg-type]
    assert str(caught.value) == (
        "error[run.inputs]: the inputs are not what program 'small' takes\n"
        "  inputs.image.dtype: float32 (must be float16)\n"
        "  inputs.image.shape: [3,2] (must be [2,3])\n"
        "  inputs.mask.dtype: uint8 (must be bool)\n"
        "  inputs.state: absent (must be given: f32[])\n"
        "  inputs.stat: is not an input (did you mean 'state'?)"
    )
    assert caught.value.kind == "run.inputs"


def test_a_program_without_inputs_says_so() -> None:
    with pytest.raises(InputError, match=r"inputs.x: is not an input \(the program takes no inp"):
        execute(program([]), {"x": np.zeros(1)})


def test_an_access_out_of_bounds_names_tile_command_and_bytes() -> None:
    move = Read(dram=Affine(0, (64, 8)), spm=1000, inner=8, dims=((16, 2),), origin=0)
    streams = ([], [Loop(3, (Loop(2, (move,)),))])
    origins = (Origin("p", "conv1", "features.0"),)
    with pytest.raises(OutOfBounds) as caught:
        Machine(program(*streams, dram=150, origins=origins)).run()
    assert str(caught.value) == (
        "error[run.bounds]: tile 1 reaches outside DRAM\n"
        "  command  Read(dram=0+64*i0+8*i1, spm=1000, inner=8, dims=((16, 2),))"
        " of node 'conv1', layer 'features.0'\n"
        "  loops    2, 0\n"
        "  reaches  bytes 128 to 152\n"
        "  has      bytes 0 to 150"
    )


OUTSIDE = [
    Read(0, 4090, 8),
    Write(4090, 0, 8),
    Write(0, 4090, 8),
    Move(0, 4000, 8, ((8, 50, 3),)),
    Move(4000, 0, 8, ((50, 8, 3),)),
    Fill(4095, "f16", 1, 0.0),
    Select(0, 4090, 0, 4, 2),
    Select(4095, 0, 0, 4, 2),
    Vector("abs", 4094, 0, 2, "f16", "f16"),
    Vector("abs", 0, 4094, 2, "f16", "f16"),
    Vector("add", 0, 0, 2, "f16", "f16", 4094),
    MatMul(4000, 0, 0, 8, 8, 8, "f16", "f16"),
    MatMul(0, 0, 4000, 8, 5, 8, "f16", "f16"),
    MatMul(0, 0, 0, 8, 8, 8, "f16", "f16", 4000),
    MatMul(0, 0, 0, 8, 70, 8, "f16", "f16", batch=3, a_step=1500),
    Conv(0, 4000, 0, 2, 2, 5, 8, 1, 1, (1, 1), (0, 0, 0, 0), (1, 1), "f16", "f16"),
    Pool("max", 4080, 0, 2, 2, 5, 1, 1, (1, 1), (0, 0, 0, 0), (1, 1), "f16"),
    Reduce("sum", 0, 4094, 2, 2, 5, "c", "f16", "f16"),
    Cpu("Neg", (Operand("spm", 4094, "f32", (1,)),), (Operand("spm", 0, "f32", (1,)),)),
    Cpu("Neg", (Operand("spm", 0, "f32", (1,)),), (Operand("dram", 4094, "f32", (1,)),)),
]


@pytest.mark.parametrize("command", OUTSIDE, ids=lambda c: type(c).__name__)
def test_every_engine_minds_the_bounds(command: Read) -> None:
    with pytest.raises(OutOfBounds, match=r"^error\[run.bounds\]: tile 0 reaches outside"):
        one_tile(command, spm=4096, dram=4096).run()
    one_tile(command, spm=8192, dram=8192).run()


@pytest.mark.parametrize("command", [Read(-1, 0, 8), Read(16, 0, 8, ((-16, 3),))])
def test_no_memory_begins_below_0(command: Read) -> None:
    with pytest.raises(OutOfBounds, match="reaches  bytes -"):
        one_tile(command).run()


def test_a_padded_tail_that_sticks_out_is_out_of_bounds() -> None:
    n = lies(3, 5, "f16").bytes
    pool = Pool("max", 0, 256, 1, 3, 5, 1, 1, (1, 1), (0, 0, 0, 0), (1, 1), "f16")
    one_tile(pool, spm=256 + n).run()
    with pytest.raises(OutOfBounds):
        one_tile(pool, spm=256 + n - 1).run()


def test_the_faults_are_for_people() -> None:
    assert issubclass(OutOfBounds, DrawloomError)
    assert issubclass(IllegalCommand, DrawloomError)


def test_progress_counts_commands_with_their_loops() -> None:
    body = (Fill(0, "i8", 1, 0.0), Loop(10, (Fill(1, "i8", 1, 0.0), Barrier((0, 1)))))
    seen: list[tuple[int, int]] = []
    given = program([Loop(7, body)], [Loop(7, body)])
    execute(given, {}, progress=lambda done, total: seen.append((done, total)))
    total = 2 * 7 * (1 + 2 * 10)
    assert seen == [*((n, total) for n in range(64, total, 64)), (total, total)]
