"""What a person gets wrong, and the whole of what drawloom then says: in Python, on the line.

A message is right when its reader knows what to do next. On the command line it is all that is
printed, and the exit code is 1.
"""

from __future__ import annotations

import errno
import os
import re
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

import drawloom
from drawloom import cli
from drawloom.chip.files import load_chip
from drawloom.errors import DoesNotFit, DrawloomError, InputError, Unsupported
from drawloom.flow import Build

Arrays = dict[str, np.ndarray]


def info(name: str, *shape: int | str | None, dtype: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, dtype, list(shape))


def model(
    nodes: list[NodeProto], inputs: list[Any], constants: Arrays | None = None, output: str = "y"
) -> ModelProto:
    tensors = [numpy_helper.from_array(a, n) for n, a in (constants or {}).items()]
    out = [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)]
    graph = helper.make_graph(nodes, "net", inputs, out, tensors)
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.acme", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def node(op: str, inputs: str, output: str = "y", name: str = "n", **attrs: Any) -> NodeProto:
    return helper.make_node(op, inputs.split(), [output], name=name, **attrs)


def relu(*shape: int | str | None) -> ModelProto:
    return model([node("Relu", "x")], [info("x", *shape)])


def fully_connected(size: int) -> ModelProto:
    weights = {"w": np.ones((size, size), np.float32)}
    return model([node("MatMul", "x w", name="fc")], [info("x", 1, size)], weights)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


Ran = tuple[int, str, str]
Line = Callable[..., Ran]


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Line:
    """Run a command line in this process; return exit code, stdout and stderr."""

    def run(*words: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["drawloom", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            cli.main()
        out, err = capsys.readouterr()
        return int(left.value.code or 0), out, err

    return run


def said(make: Callable[[], object], kind: type[DrawloomError]) -> str:
    with pytest.raises(DrawloomError) as caught:
        make()
    assert type(caught.value) is kind
    return str(caught.value)


# Models and chips, in Python and on the command line: one table for both.

ONNX_FILE = "a file that onnx.save or torch.onnx.export writes"
SETTLED = "error[onnx.inputs]: the model's inputs are not settled\n"
FORMED = "error[onnx.nodes]: 1 node of model 'm' not well formed\n"


@dataclass(frozen=True)
class Bad:
    """What is wrong, and all that is said about it."""

    name: str
    make: Callable[[], ModelProto | bytes]
    message: str
    kind: type[DrawloomError] = InputError
    chip: str = ""  # text of a chip file
    dims: tuple[tuple[str, int], ...] = ()

    def __str__(self) -> str:
        return self.name

    def write(self) -> str:
        """Write model and chip into the working folder; return what --chip is."""
        made = self.make()
        Path("m.onnx").write_bytes(made if isinstance(made, bytes) else made.SerializeToString())
        Path("my.chip.yaml").write_text(self.chip)
        return "my.chip.yaml" if self.chip else "tx81"


def cut(keep: int) -> bytes:
    """A model's first bytes; it has 16 KiB of weights."""
    whole = fully_connected(64).SerializeToString()
    assert keep < len(whole)
    return whole[:keep]


def strange() -> ModelProto:
    """Five nodes, of which three mean nothing here."""
    nodes = [
        node("Relu", "x", "a", "first"),
        node("FancyActivation", "a", "b", "strange"),
        node("Sofmax", "b", "c", "misspelt"),
        node("Mul", "c c", "d", "fine"),
        node("Attend", "d", "y", "custom", domain="com.acme"),
    ]
    return model(nodes, [info("x", 1, 8)])


def reshaped(shape: np.ndarray, *before: NodeProto, by: str = "s") -> ModelProto:
    nodes = [*before, node("Reshape", f"x {by}", name="shaped")]
    return model(nodes, [info("x", 2, 8)], {"s": shape})


NAN = np.array([np.nan, 4], np.float32)
TO_INT = node("Cast", "s", "t", "to_int", to=TensorProto.INT64)
FIVE_FAULTS = """\
extends: tx81
rows: zero
clock: 1 GB/s
scratchpad: {bytes: -3 MiB}
dramm: {bytes: 64 GiB}
matrix: {start: {value: 18 cycles, range: [20 cycles, 82 cycles]}}
"""

BAD = [
    Bad("truncated at its end", lambda: cut(16_384), (
        "error[onnx.file]: this is not an ONNX model\n"
        f"  m.onnx: a file of 16,384 bytes, no ONNX message or a truncated one ({ONNX_FILE})"
    )),
    Bad("truncated in its middle", lambda: cut(9_000), (
        "error[onnx.file]: this is not an ONNX model\n"
        f"  m.onnx: a file of 9,000 bytes, no ONNX message or a truncated one ({ONNX_FILE})"
    )),
    Bad("empty", lambda: b"", (
        f"error[onnx.file]: this is not an ONNX model\n  m.onnx: an empty file ({ONNX_FILE})"
    )),
    Bad("unknown operators", strange, (
        "error[onnx.nodes]: 3 nodes of model 'm' cannot be read\n"
        "  node 'strange' (FancyActivation, opset 21): no such operator here (none is near it)\n"
        "  node 'misspelt' (Sofmax, opset 21): no such operator here (nearest is Softmax)\n"
        "  node 'custom' (com.acme.Attend, opset 1): no such operator here (none is near it)"
    ), Unsupported),
    Bad("symbolic shape", lambda: relu("batch", 8, "height"), (
        SETTLED + "  input 'x' dim 0: 'batch' has no number (give it one: --dim batch=1)\n"
        "  input 'x' dim 2: 'height' has no number (give it one: --dim height=1)"
    )),
    Bad("shape without a number", lambda: relu(None, 8), (
        SETTLED + "  input 'x' dim 0: 'x.0' has no number (give it one: --dim x.0=1)"
    )),
    Bad("negative shape", lambda: relu(-3, 8), (
        SETTLED + "  input 'x' dim 0: -3 in the file, so 'x.0' has no number "
        "(give it one: --dim x.0=1)"
    )),
    Bad("dim that the model has not", lambda: relu("batch", 8), (
        SETTLED + "  input 'x' dim 0: 'batch' has no number (give it one: --dim batch=1)\n"
        "  --dim bach: no such dim (did you mean 'batch'?)"
    ), dims=(("bach", 1),)),
    Bad("NaN among shapes", lambda: reshaped(NAN), (
        FORMED + "  node 'shaped' (Reshape, opset 21): shape is float32[2] "
        "(a list of whole numbers)"
    )),
    Bad("NaN made an integer", lambda: reshaped(NAN, TO_INT, by="t"), (
        FORMED + "  node 'to_int' (Cast, opset 21): NaN among constants "
        "(numbers, where they become i64)"
    )),
    Bad("negative size of a reshape", lambda: reshaped(np.array([-3, 4])), (
        FORMED + "  node 'shaped' (Reshape, opset 21): shape [-3, 4] (a shape of 16 elements)"
    )),
    Bad("chip with five faults", lambda: relu(1, 8), (
        "error[chip.file]: 5 faults in my.chip.yaml\n"
        "  my.chip.yaml:2 rows: 'zero' (a whole number such as 16, without a unit)\n"
        "  my.chip.yaml:3 clock: '1 GB/s' (a frequency such as 1 GHz; units Hz, kHz, MHz, GHz)\n"
        "  my.chip.yaml:4 scratchpad.bytes: '-3 MiB' (more than 0)\n"
        "  my.chip.yaml:5 dramm (did you mean 'dram'?)\n"
        "  my.chip.yaml:6 matrix.start.range: [20 cycles, 82 cycles] "
        "(the range must hold the value, low end first)"
    ), chip=FIVE_FAULTS),
    Bad("model larger than DRAM", lambda: fully_connected(1024), (
        "error[map.dram]: the model does not fit the memory of chip 'my'\n"
        "  needs  2,107,392 bytes   weights, inputs and outputs 2,105,344 + the rest by lifetime\n"
        "  has    1,048,576 bytes\n"
        "  short  1,058,816 bytes\n"
        "  try    a narrower format (--precision f16, where it is f32; --weights int8 or int4)\n"
        "  try    a smaller batch\n"
        "  try    a chip with more memory"
    ), DoesNotFit, "extends: tx81\ndram: {bytes: 1 MiB}\n"),
    Bad("row larger than a tile", lambda: model(
        [node("Softmax", "x", name="attend")], [info("x", 1, 4_000_000)]
    ), (
        "error[map.memory]: node 'attend' does not fit a tile even one row at a time\n"
        "  needs  48,001,024 bytes   4 buffers of one row of 4,000,000 channels, twice\n"
        "  has    3,014,656 bytes   chip 'tx81', usable scratchpad of a tile\n"
        "  short  44,986,368 bytes\n"
        "  try    a narrower format (--precision f16, where it is f32)\n"
        "  try    a chip with a larger scratchpad (extends: ...)"
    ), DoesNotFit),
    Bad("image larger than a tile", lambda: model(
        [node("Conv", "x w", name="stem")], [info("x", 1, 1, 4, 500_000)],
        {"w": np.ones((1, 1, 3, 3), np.float32)},
    ), (
        "error[map.memory]: node 'stem' does not fit a tile even in its smallest chunks\n"
        "  needs  36,000,768 bytes   operands 12,000,768 + results 24,000,000\n"
        "  has    3,014,656 bytes   chip 'tx81', usable scratchpad of a tile\n"
        "  short  32,986,112 bytes\n"
        "  try    a smaller image or batch\n"
        "  try    a chip with a larger scratchpad (extends: ...)"
    ), DoesNotFit),
]  # fmt: skip


@pytest.mark.parametrize("bad", BAD, ids=str)
def test_what_cannot_be_compiled_says_why(bad: Bad) -> None:
    chip = bad.write()
    made = lambda: drawloom.compile("m.onnx", chip, dims=dict(bad.dims))  # noqa: E731
    assert said(made, bad.kind) == bad.message


@pytest.mark.parametrize("bad", BAD, ids=str)
def test_the_command_line_prints_the_message_and_nothing_else(bad: Bad, line: Line) -> None:
    chip = bad.write()
    before = sorted(os.listdir())
    dims = [f"--dim={name}={size}" for name, size in bad.dims]
    ran = line("compile", "m.onnx", "--chip", chip, "-o", "m.prog", *dims)
    assert ran == (1, "", bad.message + "\n")
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize(
    ("size", "shown"), [(float("nan"), "nan"), (1.5, "1.5"), ("three", "'three'"), (True, "True")]
)
def test_a_dim_that_is_no_whole_number_is_refused(size: Any, shown: str) -> None:
    assert said(lambda: drawloom.compile(relu("batch", 8), dims={"batch": size}), InputError) == (
        SETTLED + f"  --dim batch: {shown} (a whole number, at least 0)"
    )


def test_a_negative_dim_is_refused() -> None:
    assert said(lambda: drawloom.compile(relu("batch", 8), dims={"batch": -2}), InputError) == (
        SETTLED + "  input 'x' dim 0: 'batch' is -2 (at least 0)\n  --dim batch: -2 (at least 0)"
    )


@pytest.mark.parametrize("word", ["batch=nan", "batch=-2", "batch=1.5", "batch"])
def test_a_dim_on_the_line_is_a_whole_number(word: str, line: Line) -> None:
    Path("m.onnx").write_bytes(relu("batch", 8).SerializeToString())
    assert line("time", "m.onnx", "--dim", word) == (1, "", (
        "error[cli.dim]: a dimension is not given as name=number\n"
        f"  --dim: '{word}' (name=number, such as batch=1)\n"
    ))  # fmt: skip


def test_a_model_that_is_not_there_is_said(line: Line) -> None:
    message = "error[onnx.file]: cannot read the model\n  no.onnx: no such file or directory"
    assert said(lambda: drawloom.compile("no.onnx"), InputError) == message
    assert line("time", "no.onnx") == (1, "", message + "\n")


# Inputs of a run.


def two() -> ModelProto:
    inputs = [info("left", 2, 8), info("right", 2, 8)]
    return model([node("Add", "left right")], inputs)


TAKES = "error[run.inputs]: the inputs are not what program 'm' takes\n"
X = np.zeros((2, 8), np.float32)
INPUTS: dict[str, tuple[Arrays, str]] = {
    "missing": ({"left": X}, "  inputs.right: absent (must be given: f32[2,8])"),
    "wrong dtype": (
        {"left": X, "right": X.astype(np.float64)},
        "  inputs.right.dtype: float64 (must be float32)",
    ),
    "wrong shape": (
        {"left": X, "right": X[:1]},
        "  inputs.right.shape: [1,8] (must be [2,8])",
    ),
    "misspelt": (
        {"left": X, "rihgt": X},
        "  inputs.right: absent (must be given: f32[2,8])\n"
        "  inputs.rihgt: is not an input (did you mean 'right'?)",
    ),
    "all of it": (
        {"left": X[0].astype(np.int64), "extra": X},
        "  inputs.left.dtype: int64 (must be float32)\n"
        "  inputs.left.shape: [8] (must be [2,8])\n"
        "  inputs.right: absent (must be given: f32[2,8])\n"
        "  inputs.extra: is not an input (one of left, right)",
    ),
}


@pytest.mark.parametrize("name", INPUTS)
def test_wrong_inputs_are_all_named(name: str, line: Line) -> None:
    arrays, message = INPUTS[name]
    Path("m.onnx").write_bytes(two().SerializeToString())
    build = drawloom.compile("m.onnx")
    assert said(lambda: build.run(arrays), InputError) == TAKES + message
    np.savez("in.npz", **arrays)  # pyright: ignore[reportArgumentType]
    ran = line("run", "m.onnx", "--inputs", "in.npz", "-o", "out.npz")
    assert ran == (1, "", TAKES + message + "\n")
    assert not Path("out.npz").exists()


# A disk without room, for every file that can be written.


def built() -> Build:
    return drawloom.compile(fully_connected(64))


WRITTEN: dict[str, Callable[[str], object]] = {
    "m.build": lambda path: built().save(path),
    "m.graph": lambda path: written("graph", "write_graph")(built().graph, path),
    "m.map": lambda path: written("mapping", "write_mapping")(built().mapping, path),
    "m.prog": lambda path: written("program", "write_program")(built().program, path),
    "m.prog.txt": lambda path: written("program", "write_program")(built().program, path),
    "m.trace": lambda path: built().write_trace(path),
    "m.json": lambda path: built().write_trace(path),
    "m.json.gz": lambda path: built().write_trace(path),
    "m.html": lambda path: built().write_page(path),
}


def written(room: str, name: str) -> Callable[..., None]:
    from importlib import import_module

    return getattr(import_module(f"drawloom.{room}.files"), name)


@contextmanager
def no_room(_: pytest.MonkeyPatch) -> Iterator[None]:
    """The system itself refuses any byte beyond the 64th of a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def no_room_at_last(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """All bytes are handed over, and then the disk is found to be full."""

    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        yield


FULL = {"file too large": no_room, "no space left on device": no_room_at_last}


@pytest.mark.parametrize("why", FULL)
@pytest.mark.parametrize("name", WRITTEN)
def test_a_full_disk_leaves_nothing_half_written(
    name: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_chip("tx81")
    write = WRITTEN[name]
    write(name)  # so that everything is loaded, and to know what the whole file is
    whole = {path: Path(path).read_bytes() for path in os.listdir()}
    for path in whole:
        Path(path).write_bytes(b"old")
    with FULL[why](monkeypatch):
        message = said(lambda: write(name), InputError)
    assert named(message, name) == f"error[files.write]: cannot write '{name}': {why}"
    assert {path: Path(path).read_bytes() for path in os.listdir()} == dict.fromkeys(whole, b"old")
    for path in whole:
        Path(path).unlink()
    with FULL[why](monkeypatch):
        said(lambda: write(name), InputError)
    assert os.listdir() == []


def named(message: str, name: str) -> str:
    """Return a message about the data beside a program's text as one about the text."""
    return re.sub(r"'m\.prog\.[0-9a-f]{12}\.data'", f"'{name}'", message)


COMMANDS = {
    "m.build": ("compile", "-o"),
    "m.graph": ("compile", "-o"),
    "m.map": ("compile", "-o"),
    "m.prog": ("compile", "-o"),
    "m.prog.txt": ("compile", "-o"),
    "m.html": ("time", "--page"),
    "m.trace": ("time", "--trace"),
    "m.json": ("time", "--trace"),
    "m.json.gz": ("time", "--trace"),
    "out.npz": ("run", "--random-inputs", "1", "-o"),
}


def test_every_kind_of_file_has_its_command() -> None:
    assert set(COMMANDS) == {*WRITTEN, "out.npz"}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_on_the_line_leaves_nothing(
    name: str, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("net.onnx").write_bytes(fully_connected(64).SerializeToString())
    command, *flags = COMMANDS[name]
    with no_room_at_last(monkeypatch):
        ran = line(command, "net.onnx", *flags, name)
    assert (*ran[:2], named(ran[2], name)) == (
        1, "", f"error[files.write]: cannot write '{name}': no space left on device\n"
    )  # fmt: skip
    assert os.listdir() == ["net.onnx"]
