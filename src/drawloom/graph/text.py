"""A graph as text, and back: one line a value, one line a node.

    text     ::= "drawloom graph 1" line...
    line     ::= "name" word
               | "input" word type
               | "constant" word type ("sha256=" hex | "meta")
               | "node" word op "(" operand, ... ")" key=attr ... "->" word type, ... ["layer" word]
               | "output" word
    operand  ::= word | "-"                     - is an operand left out
    attr     ::= 3 | 0.5 | inf | true | "text" | [attr, ...]
    type     ::= f32[1,3,224,224]
    word     ::= letters, digits and _ . / : -, or any text in JSON's quotes

The text is canonical: equal graphs give equal bytes. Constants stand in it by
name, type and the hash of their bytes; ``parse`` wants their arrays. A constant
without values is ``meta``. Types of
node outputs are there to be read; ``parse`` infers them again and compares.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping

import numpy as np

from drawloom.errors import Fault, InputError, nearest
from drawloom.files import refuse_head
from drawloom.graph.build import GraphBuilder, infer_node
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Array, Attr, Graph, Node, TensorType
from drawloom.graph.lazy import LazyTensor

_HEAD = "drawloom graph 1"
_BARE = re.compile(r"[A-Za-z_./:][A-Za-z0-9_./:\-]*", re.ASCII)
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[(),=\[\]]|[^\s"(),=\[\]]+|"')
_WORDS = ("name", "input", "constant", "node", "output")


def text(graph: Graph) -> str:
    """Return the graph's canonical text, ending in a newline."""
    return "\n".join(_lines(graph)) + "\n"


def _lines(graph: Graph) -> Iterator[str]:
    yield _HEAD
    yield f"name {_word(graph.name)}"
    for name in graph.inputs:
        yield f"input {_word(name)} {graph.types[name].text()}"
    for name in sorted(graph.constants):
        is_meta = graph.constants.is_meta(name)
        contents = "meta" if is_meta else f"sha256={hash_of(graph.constants[name])}"
        yield f"constant {_word(name)} {graph.types[name].text()} {contents}"
    for node in graph.nodes:
        yield node_text(node, graph.types)
    for name in graph.outputs:
        yield f"output {_word(name)}"


def node_text(node: Node, types: Mapping[str, TensorType]) -> str:
    """Return a node's line: name, operator, operands, attributes, outputs, layer."""
    operands = ", ".join(_word(v) if v else "-" for v in node.inputs)
    attrs = "".join(f" {k}={_attr_text(node.attrs[k])}" for k in sorted(node.attrs))
    made = ", ".join(f"{_word(v)} {types[v].text()}" if v else "-" for v in node.outputs)
    layer = f" layer {_word(node.layer)}" if node.layer else ""
    return f"node {_word(node.name)} {node.op}({operands}){attrs} -> {made}{layer}"


def hash_of(array: Array) -> str:
    """Return the SHA-256 of an array's elements, packed in C order, little-endian."""
    packed = np.ascontiguousarray(array)
    little = packed.astype(packed.dtype.newbyteorder("<"), copy=False)
    return hashlib.sha256(little.reshape(-1).view(np.uint8).data).hexdigest()


def _word(name: str) -> str:
    return name if _BARE.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def _attr_text(value: Attr) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_attr_text, value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return int.__repr__(value) if isinstance(value, int) else float.__repr__(value)


def constant_types(text: str) -> list[tuple[str, TensorType]]:
    """Return name and type of each constant with values, in the text's order, skipping bad lines."""
    found: list[tuple[str, TensorType]] = []
    for line in text.split("\n"):
        tokens = _Line(line)
        if tokens.accept("constant"):
            try:
                name, kind = tokens.word(), tokens.type()
            except _Bad:
                continue  # parse names the fault
            if not tokens.accept("meta"):
                found.append((name, kind))
    return found


class _Bad(Exception):
    """One line's fault: what stands there, what may stand there."""

    def __init__(self, value: str, allowed: str) -> None:
        super().__init__(value)
        self.value = value
        self.allowed = allowed


class _Line:
    """The tokens of one line, read from the left."""

    def __init__(self, line: str) -> None:
        self._tokens: list[str] = _TOKEN.findall(line)
        self._at = 0

    def peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def take(self) -> str:
        token = self.peek()
        self._at += 1
        return token

    def expect(self, token: str) -> None:
        found = self.take()
        if found != token:
            raise _Bad(found or "end of line", f"'{token}'")

    def accept(self, token: str) -> bool:
        if self.peek() != token:
            return False
        self._at += 1
        return True

    def end(self) -> None:
        if self.peek():
            raise _Bad(self.peek(), "end of line")

    def word(self) -> str:
        token = self.take()
        if token.startswith('"'):
            return _unquote(token)
        if not _BARE.fullmatch(token):
            raise _Bad(token or "end of line", "a name, in quotes where it is not plain")
        return token

    def operand(self) -> str:
        return "" if self.accept("-") else self.word()

    def type(self) -> TensorType:
        token = self.take()
        words = [d.value for d in DType]
        if token not in words:
            raise _Bad(token or "end of line", nearest(token, words))
        self.expect("[")
        shape: list[int] = []
        while not self.accept("]"):
            dim = self.take()
            if not (dim.isascii() and dim.isdigit()):
                raise _Bad(dim or "end of line", "a whole number")
            shape.append(int(dim))
            if self.peek() != "]":
                self.expect(",")
        return TensorType(DType(token), tuple(shape))

    def attr(self) -> Attr:
        if not self.accept("["):
            return self._scalar()
        items: list[int | float | str] = []
        while not self.accept("]"):
            items.append(self._scalar())
            if self.peek() != "]":
                self.expect(",")
        return _list_attr(items)

    def _scalar(self) -> int | float | str:
        token = self.take()
        if token.startswith('"'):
            return _unquote(token)
        if token in ("true", "false"):
            return token == "true"
        for kind in (int, float):
            try:
                return kind(token)
            except ValueError:
                continue
        raise _Bad(token or "end of line", "a number, true, false or a text in quotes")


def _list_attr(items: list[int | float | str]) -> Attr:
    if all(isinstance(i, str) for i in items):
        return tuple(str(i) for i in items)
    if any(isinstance(i, (str, bool)) for i in items):
        raise _Bad(str(items), "numbers, or texts in quotes, not both")
    numbers = [i for i in items if not isinstance(i, str)]
    if all(isinstance(i, int) for i in numbers):
        return tuple(int(i) for i in numbers)
    return tuple(float(i) for i in numbers)


def _unquote(token: str) -> str:
    try:
        return str(json.loads(token))
    except json.JSONDecodeError:
        raise _Bad(token, "a text in quotes, as JSON writes it") from None


class _Reader:
    """A graph in the making from lines; each faulty line adds a fault, once."""

    def __init__(self, constants: Mapping[str, Array]) -> None:
        self.given = constants
        self.builder = GraphBuilder("")
        self.outputs: list[str] = []
        self.faults: list[Fault] = []
        self.lost: set[str] = set()

    def read(self, number: int, line: str) -> None:
        """Read one line; a fault is noted under its number."""
        tokens = _Line(line)
        word = tokens.take()
        ways = {
            "name": self._name,
            "input": self._input,
            "constant": self._constant,
            "node": self._node,
            "output": self._output,
        }
        try:
            if word not in ways:
                raise _Bad(word, nearest(word, _WORDS))
            ways[word](tokens)
            tokens.end()
        except _Bad as bad:
            self.faults.append(Fault(f"line {number}", bad.value, bad.allowed))
        except InputError as error:
            shown = [Fault(f"line {number}", error.summary, "")]
            self.faults += shown + [Fault(f"line {number}", *_rest(f)) for f in error.faults]

    def _name(self, line: _Line) -> None:
        self.builder.name = line.word()

    def _input(self, line: _Line) -> None:
        name = self._new(line)
        self.builder.input(name, line.type())

    def _constant(self, line: _Line) -> None:
        name, kind = self._new(line), line.type()
        if line.accept("meta"):
            self.builder.constant(name, LazyTensor.meta(kind, name))
            return
        line.expect("sha256")
        line.expect("=")
        digest = line.take()
        array = self.given.get(name)
        self.lost.add(name)
        if array is None:
            raise _Bad(name, "its array was not given")
        if TensorType(DType.of(array.dtype), array.shape) != kind:
            found = TensorType(DType.of(array.dtype), array.shape).text()
            raise _Bad(name, f"its array is {found}, not {kind.text()}")
        if hash_of(array) != digest:
            raise _Bad(name, "its array's bytes have another hash")
        self.lost.remove(name)
        self.builder.constant(name, array)

    def _node(self, line: _Line) -> None:
        name, op = line.word(), line.take()
        inputs = self._operands(line)
        attrs: dict[str, Attr] = {}
        while line.peek() not in ("->", ""):
            key = line.take()
            line.expect("=")
            attrs[key] = line.attr()
        line.expect("->")
        outputs, types = self._made(line)
        layer = line.word() if line.accept("layer") else ""
        node = Node(name, op, inputs, tuple(outputs), attrs, layer)
        self.lost.update(outputs)
        if self.lost.intersection(inputs):
            return
        self._check(node, types)
        self.builder.put(node)
        self.lost.difference_update(outputs)

    def _check(self, node: Node, types: list[TensorType | None]) -> None:
        known = self.builder.types
        if node.name in self.builder.node_names:
            raise _Bad(node.name, "a node name not used before")
        for value in node.inputs:
            if value and value not in known:
                raise _Bad(value, f"not defined above; {nearest(value, known)}")
        for value, found, said in zip(node.outputs, infer_node(node, known), types, strict=True):
            if value and found != said:
                raise _Bad(said.text() if said else "-", f"'{value}' is {found.text()}")

    def _operands(self, line: _Line) -> tuple[str, ...]:
        line.expect("(")
        operands: list[str] = []
        while not line.accept(")"):
            operands.append(line.operand())
            if line.peek() != ")":
                line.expect(",")
        return tuple(operands)

    def _made(self, line: _Line) -> tuple[list[str], list[TensorType | None]]:
        names: list[str] = []
        types: list[TensorType | None] = []
        while True:
            name = "" if line.accept("-") else self._new(line)
            if name and name in names:
                raise _Bad(name, "a value name not used before")
            names.append(name)
            types.append(line.type() if name else None)
            if not line.accept(","):
                return names, types

    def _output(self, line: _Line) -> None:
        name = line.word()
        if name in self.lost:
            return
        if name not in self.builder.types:
            raise _Bad(name, f"not a value; {nearest(name, self.builder.types)}")
        self.outputs.append(name)

    def _new(self, line: _Line) -> str:
        name = line.word()
        if not name or name in self.builder.types or name in self.lost:
            raise _Bad(name or '""', "a value name not used before")
        return name


def _rest(fault: Fault) -> tuple[str, str]:
    found = f": {fault.value}" if fault.value else ""
    return f"{fault.path}{found}", fault.allowed


def parse(text: str, constants: Mapping[str, Array], file: str = "text") -> Graph:
    """Return the graph that a text describes.

    Args:
        text: what ``text(graph)`` gives.
        constants: the array of each constant the text names.
        file: how messages call the text.

    Raises:
        InputError: ``graph.text``, with every fault and its line.
    """
    head, *lines = text.split("\n")
    if head != _HEAD:
        raise refuse_head("graph.text", "a graph", file, head, _HEAD)
    reader = _Reader(constants)
    for number, line in enumerate(lines, start=2):
        if line.strip():
            reader.read(number, line)
    if reader.faults:
        count = "1 fault" if len(reader.faults) == 1 else f"{len(reader.faults)} faults"
        raise InputError("graph.text", f"{count} in {file}", reader.faults)
    return reader.builder.finish(reader.outputs)
