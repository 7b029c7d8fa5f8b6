"""A file, bytes or a message become a sound ONNX model, or an error a person can act on."""

from __future__ import annotations

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError, Message
from onnx import FunctionProto, GraphProto, ModelProto
from onnx.defs import onnx_opset_version

from drawloom.errors import Fault, InputError, Unsupported, nearest

# What people feed to an ONNX reader by mistake, told by its first bytes.
_OTHERS: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "a Git LFS pointer"),
    (b"PK\x03\x04", "a zip archive, as PyTorch checkpoints are"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras weights are"),
    (b"\x80\x02", "a Python pickle, as old PyTorch checkpoints are"),
    (b"\x80\x04", "a Python pickle"),
    (b"\x80\x05", "a Python pickle"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"GGUF", "a GGUF file"),
    (b"\x7fELF", "a program"),
    (b"<", "HTML or XML"),
)
_MAIN = ("", "ai.onnx")


def load_model(source: str | Path | bytes | ModelProto) -> tuple[ModelProto, Path | None]:
    """Return the model, and the folder where its data may lie.

    Raises:
        InputError: the file cannot be read or is no ONNX model (``onnx.file``).
        Unsupported: its operator set is newer than the onnx package
            (``onnx.opset``).
    """
    folder: Path | None = None
    if isinstance(source, ModelProto):
        model, place = source, "the model given"
    elif isinstance(source, bytes):
        model, place = _parse(source, "the bytes given"), "the bytes given"
    else:
        path = Path(source)
        model, place, folder = _parse(_read(path), str(path)), str(path), path.parent
    _check(model, place)
    return model, folder


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        reason = (error.strerror or "cannot be read").lower()
        raise InputError(
            "onnx.file", "cannot read the model", [Fault(str(path), reason, "")]
        ) from None


def _parse(data: bytes, place: str) -> ModelProto:
    if not data:
        raise _not_onnx(place, "an empty file")
    for start, word in _OTHERS:
        if data.startswith(start):
            raise _not_onnx(place, word)
    model = ModelProto()
    try:
        model.ParseFromString(data)
    except (DecodeError, ValueError):
        raise _not_onnx(place, f"{_like(data)}, no ONNX message or a truncated one") from None
    if not model.HasField("graph"):
        raise _not_onnx(place, f"{_like(data)} without a graph")
    if not _is_text(model):
        raise _not_onnx(place, f"{_like(data)} with names that are no UTF-8")
    return model


def _is_text(message: Message) -> bool:
    """Whether every word in a message is text; protobuf hands out what is not as bytes."""
    for field, value in message.ListFields():
        if field.type == field.TYPE_STRING:
            words = [value] if isinstance(value, (str, bytes)) else value
            if any(isinstance(word, bytes) for word in words):
                return False
        elif field.type == field.TYPE_MESSAGE:
            inner = [value] if isinstance(value, Message) else value
            if not all(_is_text(each) for each in inner):
                return False
    return True


def _like(data: bytes) -> str:
    size = f"{len(data):,} bytes"
    start = data[:256]
    is_text = start.isascii() and start.decode("ascii").replace("\n", " ").isprintable()
    return f"a text of {size}" if is_text else f"a file of {size}"


def _not_onnx(place: str, found: str) -> InputError:
    allowed = "a file that onnx.save or torch.onnx.export writes"
    if "LFS" in found:
        allowed = "git lfs pull fetches the file itself"
    fault = Fault(place, found, allowed)
    return InputError("onnx.file", "this is not an ONNX model", [fault])


def _check(model: ModelProto, place: str) -> None:
    if not model.HasField("graph") or not (model.graph.node or model.graph.output):
        raise _not_onnx(place, "a message without a graph")
    newest = onnx_opset_version()
    for entry in model.opset_import:
        if entry.domain in _MAIN and not 1 <= entry.version <= newest:
            fault = Fault(place, f"operator set {entry.version}", f"from 1 to {newest}")
            summary = f"the model is newer than the onnx package here ({onnx.__version__})"
            raise Unsupported("onnx.opset", summary, [fault])
    if not _names_operators(model):
        fault = Fault(place, "no operator set for domain ''", "an opset_import of ONNX's own")
        raise InputError("onnx.opset", "the model does not say what its operators mean", [fault])
    faults = _graph_faults(model.graph)
    if faults:
        raise InputError("onnx.graph", f"the graph in {place} is not well formed", faults)


def _names_operators(model: ModelProto) -> bool:
    """Whether a model says of which set ONNX's own operators are; it must from version 3 on."""
    own = any(node.domain in _MAIN for node in model.graph.node)
    stated = any(entry.domain in _MAIN for entry in model.opset_import)
    return stated or not own or (model.ir_version < 3 and not model.opset_import)


def _graph_faults(graph: GraphProto) -> list[Fault]:
    """Return each value defined twice, read but never made, or read before it is made."""
    initial = {t.name for t in graph.initializer} | {
        t.values.name for t in graph.sparse_initializer
    }
    known = initial | {i.name for i in graph.input} | {""}
    made = {v for node in graph.node for v in node.output}
    faults = _name_faults(graph)
    for i, node in enumerate(graph.node):
        place = f"node '{node.name or f'{node.op_type}_{i}'}' ({node.op_type})"
        for value in dict.fromkeys(node.input):
            if value not in known:
                found = f"reads '{value}'" + (" before it is made" if value in made else "")
                allowed = "nodes in order of use" if value in made else nearest_value(value, known)
                faults.append(Fault(place, found, allowed))
        for value in node.output:
            if value and value in known:
                faults.append(Fault(place, f"makes '{value}'", "each value made once"))
        known.update(node.output)
    for info in graph.output:
        if info.name not in known:
            faults.append(Fault("output", f"'{info.name}'", nearest_value(info.name, known)))
    return faults


def _name_faults(graph: GraphProto) -> list[Fault]:
    """Return inputs, outputs and weights without a name, or with another's."""
    faults: list[Fault] = []
    groups = (("input", graph.input), ("output", graph.output), ("weight", graph.initializer))
    for word, infos in groups:
        seen: set[str] = set()
        for i, info in enumerate(infos):
            if not info.name:
                faults.append(Fault(f"{word} {i}", "has no name", "a name"))
            elif info.name in seen:
                faults.append(Fault(f"{word} {i}", f"'{info.name}' again", "each name once"))
            seen.add(info.name)
    return faults


def nearest_value(value: str, known: set[str]) -> str:
    """Return the nearest value name, or that there is none such."""
    hint = nearest(value, known - {""})
    return hint if hint.startswith("did you mean") else "no node makes it"


def opset_of(model: ModelProto | FunctionProto) -> dict[str, int]:
    """Return the operator set version of each domain the model uses."""
    table = {entry.domain: entry.version for entry in model.opset_import}
    main = max((table.get(domain, 0) for domain in _MAIN), default=0)
    return {**table, "": main or 1, "ai.onnx": main or 1}
