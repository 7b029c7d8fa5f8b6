"""What a graph looks like as text, and what is said of faulty texts and files."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from drawloom.errors import InputError
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.files import read_graph, write_graph
from drawloom.graph.ir import Graph, TensorType
from drawloom.graph.text import parse

HASH = "54114f538801f6678fbd079c23daf4084457385ab206deba2abd70d219cde832"
TEXT = f"""drawloom graph 1
name "small net"
input /in/x f32[1,2,4,4]
constant w bf16[1,2,1] sha256={HASH}
node pool MaxPool(/in/x) kernel_shape=[2, 2] strides=[2, 2] -> y f32[1,2,2,2], at i64[1,2,2,2] layer "stage 1.pool"
node clip Clip(y) max=6.0 min=0.0 -> clip f32[1,2,2,2]
node pad Pad(clip, -) mode="edge" pads=[0, 0, 1, 0, 0, 0, 0, 0] -> pad f32[1,2,3,2]
output pad
output at
output w
"""


def small() -> Graph:
    builder = GraphBuilder("small net")
    x = builder.input("/in/x", TensorType(DType.F32, (1, 2, 4, 4)))
    w = builder.constant("w", np.array([[[1], [2]]], ml_dtypes.bfloat16))
    window = {"kernel_shape": (2, 2), "strides": (2, 2)}
    y, at = builder.add_many(
        "MaxPool", [x], window, name="pool", layer="stage 1.pool", outputs=("y", "at")
    )
    clip = builder.add("Clip", [y], {"min": 0.0, "max": 6.0})
    pads = (0, 0, 1, 0, 0, 0, 0, 0)
    pad = builder.add("Pad", [clip, ""], {"pads": pads, "mode": "edge"})
    return builder.finish([pad, at, w])


def test_text_is_one_line_a_value_and_one_a_node(golden: Callable[[str, str], None]) -> None:
    assert small().text() == TEXT
    golden("small.graph.txt", small().text())
    assert parse(TEXT, small().constants).text() == TEXT


def refusal(text: str, file: str = "text") -> str:
    with pytest.raises(InputError) as error:
        parse(text, small().constants, file)
    return error.value.text()


def test_every_faulty_line_is_named() -> None:
    text = """drawloom graph 1
name net
inputt x f32[2]
input x f33[2]
input x f32[2]
input x f32[2]
input z f32[a]
constant w bf16[1,2,1] sha256=00
constant v f32[2] sha256=00
node a Add(x, w) -> a f32[2]
node b Add(x, q) -> b f32[2]
node c Relu(x) -> c f32[3]
node d Relu(x) alpha=[1, "a"] -> d f32[2]
node e MatMul(x, x) trans_a=1 -> e f32[]
node f Relu(x -> f f32[2]
output nothing
output e more
"""
    assert refusal(text, "net.graph") == (
        "error[graph.text]: 14 faults in net.graph\n"
        "  line 3: inputt (did you mean 'input'?)\n"
        "  line 4: f33 (did you mean 'f32'?)\n"
        "  line 6: x (a value name not used before)\n"
        "  line 7: a (a whole number)\n"
        "  line 8: w (its array's bytes have another hash)\n"
        "  line 9: v (its array was not given)\n"
        "  line 11: q (not defined above; one of x)\n"
        "  line 12: f32[3] ('c' is f32[2])\n"
        "  line 13: [1, 'a'] (numbers, or texts in quotes, not both)\n"
        "  line 14: node 'e' (MatMul) cannot take its operands\n"
        "  line 14: operands: f32[2], f32[2] (trans_a needs an operand of rank 2 or more)\n"
        "  line 15: -> (',')\n"
        "  line 16: nothing (not a value; one of x)\n"
        "  line 17: more (end of line)"
    )


def test_a_text_that_is_no_graph_is_refused() -> None:
    assert refusal("hello\n") == (
        "error[graph.text]: text is not the text of a graph\n  line 1: hello ('drawloom graph 1')"
    )


def test_a_constant_of_another_type_is_refused() -> None:
    text = TEXT.replace("bf16[1,2,1]", "f16[1,2,1]")
    assert refusal(text) == (
        "error[graph.text]: 1 fault in text\n  line 4: w (its array is bf16[1,2,1], not f16[1,2,1])"
    )


def file_refusal(path: Path) -> str:
    with pytest.raises(InputError) as error:
        read_graph(path)
    return error.value.text().replace(str(path), path.name)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert file_refusal(tmp_path / "no.graph") == (
        "error[graph.file]: 'no.graph' cannot be read\n  no.graph: No such file or directory"
    )


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.graph"
    write_graph(small(), path)
    path.write_bytes(path.read_bytes()[:-30])
    assert file_refusal(path) == (
        "error[graph.file]: 'cut.graph' is not a whole .graph file\n"
        "  cut.graph: file is not a zip file"
    )


def test_an_altered_constant_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "new.graph"
    write_graph(small(), path)
    body = path.read_bytes()
    at = body.index(b"\x80\x3f\x00\x40")
    path.write_bytes(body[:at] + b"\x81" + body[at + 1 :])
    assert file_refusal(path) == (
        "error[graph.file]: 'new.graph' is not a whole .graph file\n"
        "  new.graph: bad crc-32 for file 'constants/000000.npy'"
    )


def test_a_zip_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.graph"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "hello")
    assert file_refusal(path) == (
        "error[graph.file]: 'other.graph' is not a whole .graph file\n"
        "  other.graph: there is no item named 'graph.txt' in the archive"
    )


def test_a_folder_that_is_not_there_cannot_be_written(tmp_path: Path) -> None:
    target = tmp_path / "no" / "x.graph"
    with pytest.raises(InputError) as caught:
        write_graph(small(), target)
    assert str(caught.value) == (
        f"error[files.write]: cannot write '{target}': no such file or directory"
    )
