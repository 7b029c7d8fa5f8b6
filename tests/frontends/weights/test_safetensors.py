"""Weights in safetensors: read late, read right, and refused whole where they are not sound."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file
from tests.frontends.weights.files import entry, refusal, write_floats, write_safetensors

from drawloom.errors import InputError, Unsupported
from drawloom.frontends.weights.open import open_weights
from drawloom.frontends.weights.safetensors import DTYPES
from drawloom.frontends.weights.stored import StoredFile
from drawloom.graph.dtypes import CODES, DType

RAMP = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.mark.parametrize("dtype", [d for d in DTYPES.values() if not d.is_code])
def test_every_format_of_a_graph_is_read_as_the_package_reads_it(
    tmp_path: Path, dtype: DType
) -> None:
    array = np.array([[0, 1, 0], [1, 1, 100]]).astype(dtype.numpy)
    save_file(
        {"a": array, "none": array[:0], "one": array[0, 1:2].reshape(())},
        tmp_path / "m.safetensors",
    )
    weights = open_weights(tmp_path / "m.safetensors")
    with safe_open(tmp_path / "m.safetensors", "numpy") as package:
        assert set(weights) == set(package.keys())
        for name, tensor in weights.items():
            expected = package.get_tensor(name)
            assert (tensor.type.dtype, tensor.shape) == (dtype, expected.shape)
            np.testing.assert_array_equal(tensor.read(), expected)
            assert tensor.read().dtype == expected.dtype


@pytest.mark.parametrize("word", [word for word in DTYPES if word.startswith("F8")])
def test_floats_of_eight_bits_are_read_as_they_are_stored(tmp_path: Path, word: str) -> None:
    header = {"a": entry(word, [16, 16], 0, 256)}
    path = write_safetensors(tmp_path / "m.safetensors", header, bytes(range(256)))
    tensor = open_weights(path)["a"]
    assert tensor.type.dtype in CODES
    values = tensor.read()
    assert values.dtype == tensor.dtype
    assert values.view(np.uint8).reshape(-1).tolist() == list(range(256))


def test_only_the_header_is_read_before_a_tensor_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_floats(tmp_path / "m.safetensors", {"a": RAMP, "b": RAMP + 1, "c": RAMP + 2})
    asked: list[tuple[int, int]] = []
    read = StoredFile.read

    def noted(self: StoredFile, start: int, count: int) -> Any:
        asked.append((start, count))
        return read(self, start, count)

    monkeypatch.setattr(StoredFile, "read", noted)
    tensor = open_weights(path)["b"]
    turned = tensor.map(np.transpose, tensor.type.__class__(tensor.type.dtype, (3, 2)))
    assert asked == []
    np.testing.assert_array_equal(turned.read(), (RAMP + 1).T)
    base = path.stat().st_size - 3 * RAMP.nbytes
    assert asked == [(base + RAMP.nbytes, RAMP.nbytes)]


def test_a_tensor_knows_where_it_comes_from(tmp_path: Path) -> None:
    path = write_floats(tmp_path / "m.safetensors", {"a": RAMP})
    assert open_weights(path)["a"].source == "m.safetensors: tensor 'a'"


def test_another_format_is_refused_only_when_it_is_asked_for(tmp_path: Path) -> None:
    header = {
        "a": entry("U8", [2], 0, 2),
        "b": entry("F6_E2M3", [2, 2], 2, 5),
        "c": entry("F4", [6], 5, 8),
    }
    weights = open_weights(write_safetensors(tmp_path / "m.safetensors", header, bytes(range(8))))
    assert list(weights) == ["a", "b", "c"]
    np.testing.assert_array_equal(weights["a"].read(), [0, 1])
    allowed = "one of " + ", ".join(DTYPES)
    with pytest.raises(Unsupported) as caught:
        weights["c"]
    assert caught.value.text() == (
        "error[weights.dtype]: tensor 'c' is of a format that drawloom does not read\n"
        f"  m.safetensors: tensor 'c': F4 ({allowed})\n"
        f"  m.safetensors: tensor 'b': F6_E2M3 ({allowed})"
    )
    with pytest.raises(KeyError):
        weights["d"]


HEADERS: list[tuple[Any, bytes, str]] = [
    (b"", b"", "header: an empty header (a JSON object, beginning with {)"),
    (b"[1]", b"", "header: '[1]' (a JSON object, beginning with {)"),
    (b'{"a', b"", "header: Unterminated string starting at: line 1 column 2 (char 1) (JSON)"),
    (b'{"\xff": 1}', b"", "header, byte 2: 0xff (UTF-8)"),
    (b'{"a": NaN}', b"", "header: NaN is no number of JSON (JSON)"),
    (b'{"a": ' + b"[" * 100_000, b"", "header: too deep (JSON)"),
    (b'{"a": 1, "b": 2, "a": 3}', b"", "header: 'a' again (each name once)"),
    (
        b'{"a": {"dtype": "F32", "dtype": "U8", "shape": [], "data_offsets": [0, 1]}}',
        b"",
        "header: 'dtype' again (each name once)",
    ),
    ({"a": 3}, b"", "tensor 'a': 3 (an object of dtype, shape and data_offsets)"),
    ({"a": entry("F32", [-1], 0, 4)}, b"1234", "tensor 'a'.shape: [-1] (dims of at least 0)"),
    (
        {"a": entry("F32", [1 << 40, 1 << 40], 0, 4)},
        b"1234",
        "tensor 'a'.shape: [1099511627776, 1099511627776] (up to 2^56 elements)",
    ),
    (
        {"a": entry("U8", [1] * 65, 0, 1)},
        b"1",
        f"tensor 'a'.shape: {str([1] * 65)[:57]}... (up to 64 dims)",
    ),
    ({"a": entry("U8", [True], 0, 1)}, b"1", "tensor 'a'.shape: [true] (a list of whole numbers)"),
    (
        {"a": entry("F32", [2], 0, 4)},
        b"1234",
        "tensor 'a'.data_offsets: [0, 4], 4 bytes (8 bytes, as F32 of shape [2] needs)",
    ),
    (
        {"a": entry("F6_E2M3", [2], 0, 2)},
        b"12",
        "tensor 'a'.data_offsets: [0, 2], 2 bytes (1.5 bytes, as F6_E2M3 of shape [2] needs)",
    ),
    (
        {"a": entry("U8", [4], 4, 0)},
        b"1234",
        "tensor 'a'.data_offsets: [4, 0] (two whole numbers, of which the second is no less)",
    ),
    (
        {"a": entry("U8", [8], 0, 8)},
        b"1234",
        "tensor 'a'.data_offsets: [0, 8] (up to 4, where the file ends)",
    ),
    (
        {"a": entry("U8", [3], 0, 3), "b": entry("U8", [2], 2, 4)},
        b"1234",
        "tensor 'b'.data_offsets: [2, 4] overlaps tensor 'a' (from 3 on)",
    ),
    (
        {"a": entry("U8", [1], 0, 1), "b": entry("U8", [2], 2, 4)},
        b"1234",
        "tensor 'b'.data_offsets: [2, 4] (no hole: tensor 'a' ends at 1)",
    ),
    ({"a": entry("U8", [1], 0, 1)}, b"1234", "data: 3 bytes after tensor 'a' (nothing after it)"),
    ({"__metadata__": {"a": 3}}, b"", "__metadata__.a: 3 (a string)"),
]


@pytest.mark.parametrize(("header", "data", "fault"), HEADERS)
def test_a_header_that_is_not_sound_is_refused(
    tmp_path: Path, header: Any, data: bytes, fault: str
) -> None:
    path = write_safetensors(tmp_path / "m.safetensors", header, data)
    said = refusal(path)
    assert said == f"error[weights.file]: 1 fault in 'm.safetensors'\n  {fault}"


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    header = {
        "a": {"dtype": 5, "shape": [2.5]},
        "b": entry("F32", [1], 0, 4) | {"strides": [1]},
        "c": entry("U8", [9], 4, 13),
    }
    path = write_safetensors(tmp_path / "m.safetensors", header, b"12345678")
    assert refusal(path) == (
        "error[weights.file]: 5 faults in 'm.safetensors'\n"
        "  tensor 'a'.data_offsets: missing\n"
        "  tensor 'a'.dtype: 5 (a word such as BF16)\n"
        "  tensor 'a'.shape: [2.5] (a list of whole numbers)\n"
        "  tensor 'b'.strides (only data_offsets, dtype, shape)\n"
        "  tensor 'c'.data_offsets: [4, 13] (up to 8, where the file ends)"
    )


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (b"1234", "bytes 0 to 8: 4 bytes in all (a header's size in 8 bytes)"),
        (
            struct.pack("<Q", 100_000_001),
            "bytes 0 to 8: a header of 100,000,001 bytes (up to 100,000,000)",
        ),
        (
            struct.pack("<Q", 9) + b"{}",
            "bytes 0 to 8: a header of 9 bytes (up to 2, which is where the file ends)",
        ),
    ],
)
def test_a_header_that_is_not_there_is_refused(tmp_path: Path, raw: bytes, fault: str) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(raw)
    assert refusal(path) == f"error[weights.file]: 1 fault in 'm.safetensors'\n  {fault}"


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.safetensors"
    os.mkfifo(pipe)
    assert (
        refusal(pipe) == "error[weights.file]: cannot read 'pipe.safetensors': not a regular file"
    )
    assert refusal(tmp_path / "none.safetensors") == (
        "error[weights.file]: cannot read 'none.safetensors': no such file or directory"
    )
    (tmp_path / "m.bin").write_bytes(b"")
    assert refusal(tmp_path / "m.bin") == (
        "error[weights.file]: 'm.bin' holds no weights\n  m.bin (a .safetensors or .gguf file, or "
        "a folder with model.safetensors or model.safetensors.index.json)"
    )


def test_a_file_cut_short_after_it_was_opened_is_an_error_and_no_crash(tmp_path: Path) -> None:
    path = write_floats(tmp_path / "m.safetensors", {"a": np.ones(100_000, np.float32)})
    tensor = open_weights(path)["a"]
    size = path.stat().st_size
    os.truncate(path, 1000)
    with pytest.raises(InputError) as caught:
        tensor.read()
    assert caught.value.text() == (
        f"error[weights.file]: '{path}' has changed since it was opened\n"
        f"  m.safetensors: 1,000 bytes ({size:,}, as when it was opened)"
    )


def test_values_that_were_read_outlive_their_file(tmp_path: Path) -> None:
    path = write_floats(tmp_path / "m.safetensors", {"a": np.ones(100_000, np.float32)})
    values = open_weights(path)["a"].read()
    os.truncate(path, 1000)
    assert values.sum() == 100_000


def test_a_file_written_anew_is_not_taken_for_the_old_one(tmp_path: Path) -> None:
    path = write_floats(tmp_path / "m.safetensors", {"a": RAMP})
    tensor = open_weights(path)["a"]
    os.utime(path, ns=(0, 0))
    with pytest.raises(InputError, match="written anew"):
        tensor.read()


# --- folders ------------------------------------------------------------------


def sharded(folder: Path, **changes: Any) -> Path:
    """Write two shards and their index; ``changes`` replace parts of the index."""
    write_floats(folder / "one.safetensors", {"a": RAMP, "b": RAMP + 1})
    write_floats(folder / "two.safetensors", {"c": RAMP + 2})
    index = {
        "metadata": {"total_size": 3 * RAMP.nbytes},
        "weight_map": {"a": "one.safetensors", "b": "one.safetensors", "c": "two.safetensors"},
    }
    (folder / "model.safetensors.index.json").write_text(json.dumps(index | changes))
    return folder


def test_a_folder_of_shards_is_one_table(tmp_path: Path) -> None:
    weights = open_weights(sharded(tmp_path))
    assert list(weights) == ["a", "b", "c"]
    np.testing.assert_array_equal(weights["c"].read(), RAMP + 2)
    index = open_weights(tmp_path / "model.safetensors.index.json")
    assert list(index) == ["a", "b", "c"]


def test_a_folder_with_one_file_needs_no_index(tmp_path: Path) -> None:
    write_floats(tmp_path / "net.safetensors", {"a": RAMP})
    assert list(open_weights(tmp_path)) == ["a"]
    write_floats(tmp_path / "model.safetensors", {"b": RAMP})
    assert list(open_weights(tmp_path)) == ["b"]


def test_a_folder_without_weights_says_what_it_should_hold(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        open_weights(tmp_path)
    allowed = (
        "a .safetensors or .gguf file, or a folder with model.safetensors or "
        "model.safetensors.index.json"
    )
    assert caught.value.text() == (
        f"error[weights.file]: no weights in '{tmp_path}'\n"
        f"  {tmp_path}: no .safetensors file ({allowed})"
    )
    sharded(tmp_path)
    (tmp_path / "model.safetensors.index.json").unlink()
    with pytest.raises(InputError, match=r"2 \.safetensors files without an index"):
        open_weights(tmp_path)


INDEXES: list[tuple[dict[str, Any], str]] = [
    (
        {"metadata": {"total_size": 71}},
        "metadata.total_size: 71 (72, the bytes of all tensors)",
    ),
    ({"metadata": {"total_size": True}}, "metadata.total_size: True (a whole number of bytes)"),
    ({"metadata": {"total_size": 1.5}}, "metadata.total_size: 1.5 (a whole number of bytes)"),
    (
        {"weight_map": []},
        "weight_map: missing or empty (tensor names, each with its file)",
    ),
    (
        {"weight_map": {"a": "../one.safetensors"}},
        "weight_map.a: '../one.safetensors' (the name of a .safetensors file in the same folder)",
    ),
    (
        {"weight_map": {"c": "two.safetensors", "cc": "two.safetensors"}, "metadata": {}},
        "weight_map.cc: not in two.safetensors (did you mean 'c'?)",
    ),
]


@pytest.mark.parametrize(("changes", "fault"), INDEXES)
def test_an_index_that_is_not_sound_is_refused(
    tmp_path: Path, changes: dict[str, Any], fault: str
) -> None:
    sharded(tmp_path, **changes)
    said = refusal(tmp_path / "model.safetensors.index.json")
    assert said == f"error[weights.file]: 1 fault in 'model.safetensors.index.json'\n  {fault}"


def test_a_tensor_in_two_shards_and_a_shard_that_is_missing_are_told_at_once(
    tmp_path: Path,
) -> None:
    names = {"a": "one.safetensors", "c": "two.safetensors", "d": "three.safetensors"}
    sharded(tmp_path, weight_map=names)
    write_floats(tmp_path / "two.safetensors", {"a": RAMP, "c": RAMP})
    assert refusal(tmp_path / "model.safetensors.index.json") == (
        "error[weights.file]: 2 faults in 'model.safetensors.index.json'\n"
        "  two.safetensors: tensor 'a': also in one.safetensors (once)\n"
        "  three.safetensors: cannot read 'three.safetensors': no such file or directory"
    )


def test_the_faults_of_every_shard_are_told_at_once(tmp_path: Path) -> None:
    sharded(tmp_path)
    write_safetensors(tmp_path / "one.safetensors", b"")
    write_safetensors(tmp_path / "two.safetensors", b"{]")
    assert refusal(tmp_path / "model.safetensors.index.json").splitlines()[1:] == [
        "  one.safetensors: 1 fault in 'one.safetensors'",
        "  header: an empty header (a JSON object, beginning with {)",
        "  two.safetensors: 1 fault in 'two.safetensors'",
        "  header: Expecting property name enclosed in double quotes: line 1 column 2 (char 1) "
        "(JSON)",
    ]


def test_looking_at_weights_loads_no_onnx_and_no_torch() -> None:
    code = (
        "import sys, drawloom.frontends.weights.open;"
        "print([m for m in ('onnx', 'torch', 'numba', 'safetensors') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_bool_bytes_other_than_one_are_true(tmp_path: Path) -> None:
    header = {"a": entry("BOOL", [3], 0, 3)}
    path = write_safetensors(tmp_path / "m.safetensors", header, b"\x00\x01\x02")
    values = open_weights(path)["a"].read()
    assert values.view(np.uint8).tolist() == [0, 1, 1]


def test_bf16_is_read_without_a_copy_of_another_type(tmp_path: Path) -> None:
    header = {"a": entry("BF16", [2], 0, 4)}
    path = write_safetensors(tmp_path / "m.safetensors", header, b"\x80\x3f\x00\xc0")
    values = open_weights(path)["a"].read()
    np.testing.assert_array_equal(values, np.array([1, -2], ml_dtypes.bfloat16))
