"""ONNX nodes in order become nodes of a draft; what cannot is listed, all of it."""

from __future__ import annotations

import difflib
from collections import ChainMap
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from onnx import AttributeProto, FunctionProto, GraphProto, NodeProto, TensorProto

from drawloom.errors import Fault, InputError
from drawloom.frontends.draft import Draft, Refused
from drawloom.frontends.onnx.call import Call, Expand
from drawloom.frontends.onnx.file import opset_of
from drawloom.frontends.onnx.functions import (
    attribute_kinds,
    bound_attributes,
    called_attributes,
    check_signature,
    standard_body,
)
from drawloom.frontends.onnx.rules import ADVICE, RULES
from drawloom.frontends.onnx.tensors import BadTensor, NoSuchType, sparse_array, to_array
from drawloom.graph.ir import Array

_DEEPEST = 32
_LOST = "?"
"""Stands for a value whose node was refused: what reads it is not reported again."""


class Lost(Exception):
    """A body gives a value that could not be made; its fault is already listed."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Where nodes stand: names in sight, operator sets, the caller's attributes."""

    names: MutableMapping[str, str]
    opsets: dict[str, int]
    prefix: str = ""
    attributes: dict[str, AttributeProto] = field(default_factory=dict[str, AttributeProto])
    depth: int = 0


@dataclass(slots=True)
class Walk:
    """Puts ONNX nodes into a draft."""

    draft: Draft
    folder: Path | None
    functions: dict[tuple[str, str], FunctionProto]
    weights: list[Fault] = field(default_factory=list[Fault])
    faults: list[Fault] = field(default_factory=list[Fault])
    unknown: list[str] = field(default_factory=list[str])
    """Values whose numbers would have to be known, for nodes refused for that alone."""
    sound: bool = True
    """Whether every fault so far is drawloom's limit rather than the model's error."""

    def constants(self, graph: GraphProto, scope: Scope, wanted: set[str]) -> None:
        """Add the initial values of a graph that anything reads."""
        codes = only_codes(graph.node)
        for tensor in graph.initializer:
            if tensor.name in wanted:
                widen = tensor.name in codes
                self._constant(scope, tensor.name, lambda t=tensor, w=widen: self._array(t, w))
        for sparse in graph.sparse_initializer:
            if sparse.values.name in wanted:
                self._constant(
                    scope, sparse.values.name, lambda t=sparse: sparse_array(t, self.folder)
                )

    def _array(self, tensor: TensorProto, widen: bool) -> Array:
        return to_array(tensor, self.folder, widen=widen)

    def _constant(self, scope: Scope, name: str, read: Callable[[], Array]) -> None:
        try:
            scope.names[name] = self.draft.constant(name, read())
        except BadTensor as bad:
            self.sound &= isinstance(bad, NoSuchType)
            self.weights.append(Fault(f"weight '{name}'", bad.found, bad.allowed))
            scope.names[name] = _LOST

    def nodes(self, nodes: Sequence[NodeProto], outputs: Iterable[str], scope: Scope) -> None:
        """Put into the draft every node that the outputs need."""
        live, used = live_nodes(nodes, outputs)
        for i in live:
            node = nodes[i]
            layer = scope.prefix + (node.name or f"{node.op_type}_{i}")
            made = self._node(node, layer, scope, used)
            scope.names.update((o, v) for o, v in zip(node.output, made, strict=True) if o)

    def _node(self, node: NodeProto, layer: str, scope: Scope, used: set[str]) -> list[str]:
        """Return the values of a node's outputs; an unused one may be absent."""
        opset = scope.opsets.get(node.domain, 1)
        key = rule_key(node)
        lost = [_LOST] * len(node.output)
        operands = tuple(scope.names.get(v, "") if v else "" for v in node.input)
        try:
            if _LOST in operands:
                self._need_known(node, opset, scope)
                return lost
            for key, (found, wanted) in attribute_kinds(node, opset).items():
                raise Refused(f"attribute {key} is of kind {found}", wanted, sound=False)
            if (node.domain, node.op_type) not in self.functions:
                check_signature(node, opset)
            call = self._call(node, layer, scope, operands, used)
            made = self._made(key, call, node, scope)
        except Lost:
            return lost
        except Refused as refused:
            self.sound &= refused.sound
            if refused.unknown:
                self.unknown.append(refused.unknown)
            self.faults.append(Fault(_place(node, layer, opset), refused.found, refused.allowed))
            return lost
        except InputError as error:
            self.sound = False
            self.faults += [
                Fault(_place(node, layer, opset), f"{fault.path} {fault.value}", fault.allowed)
                for fault in error.faults
            ]
            return lost
        missing = [o for o in node.output[len(made) :] if o in used]
        if missing:
            fault = Fault(_place(node, layer, opset), f"output '{missing[0]}'", "not computed here")
            self.faults.append(fault)
        return [*made, *lost][: len(node.output)]

    def _call(
        self, node: NodeProto, layer: str, scope: Scope, operands: tuple[str, ...], used: set[str]
    ) -> Call:
        def branch(graph: GraphProto, given: Sequence[str], step: str) -> tuple[str, ...]:
            return self._branch(graph, replace(scope, prefix=f"{layer}/{step}"), given)

        return Call(
            draft=self.draft,
            op=node.op_type,
            opset=scope.opsets.get(node.domain, 1),
            layer=layer,
            inputs=operands,
            used=tuple(o in used for o in node.output),
            attributes=bound_attributes(node, scope.attributes),
            branch=branch,
            folder=self.folder,
        )

    def _made(self, key: str, call: Call, node: NodeProto, scope: Scope) -> Sequence[str]:
        own = self.functions.get((node.domain, node.op_type))
        if own is not None:
            return self._body(own, call, scope)
        if key in RULES:
            try:
                return RULES[key](call)
            except Expand:
                pass
        body = self._standard(call, node)
        if body is None:
            raise unknown(node)
        return self._body(body, call, scope)

    def _standard(self, call: Call, node: NodeProto) -> FunctionProto | None:
        plain = NodeProto()
        plain.CopyFrom(node)
        del plain.attribute[:]
        plain.attribute.extend(_named(name, a) for name, a in call.attributes.items())
        kinds = [self.draft.type(v) if v else None for v in call.inputs]
        return standard_body(plain, call.opset, kinds)

    def _body(self, body: FunctionProto, call: Call, scope: Scope) -> tuple[str, ...]:
        if scope.depth >= _DEEPEST:
            raise Refused("functions call each other without end", "no recursion", sound=False)
        inside = Scope(
            names=dict(zip(body.input, call.inputs, strict=False)),
            opsets=opset_of(body) if body.opset_import else scope.opsets,
            prefix=f"{call.layer}/",
            attributes=called_attributes(body, dict(call.attributes)),
            depth=scope.depth + 1,
        )
        outputs = [o for o, used in zip(body.output, call.used, strict=False) if used]
        self.nodes(body.node, outputs, inside)
        return self._results(body.output, outputs, inside)

    def _branch(self, graph: GraphProto, scope: Scope, given: Sequence[str]) -> tuple[str, ...]:
        own = {info.name: value for info, value in zip(graph.input, given, strict=True)}
        inside = replace(scope, names=ChainMap(own, scope.names))
        outputs = [o.name for o in graph.output]
        self.constants(graph, inside, live_nodes(graph.node, outputs)[1])
        self.nodes(graph.node, outputs, inside)
        return self._results(outputs, outputs, inside)

    def _results(
        self, names: Sequence[str], wanted: Sequence[str], scope: Scope
    ) -> tuple[str, ...]:
        if any(scope.names.get(name, _LOST) == _LOST for name in wanted):
            raise Lost
        return tuple(scope.names[n] if n in wanted else _LOST for n in names)

    def _need_known(self, node: NodeProto, opset: int, scope: Scope) -> None:
        """Refuse an operator that has no rule although its operands are lost."""
        known = rule_key(node) in RULES or (node.domain, node.op_type) in self.functions
        if not known and standard_body(node, opset, [None] * len(node.input)) is None:
            raise unknown(node)


def rule_key(node: NodeProto) -> str:
    """Return an operator's key among the rules: its name, after its domain if not ONNX's own."""
    own = node.domain in ("", "ai.onnx")
    return node.op_type if own else f"{node.domain}.{node.op_type}"


def unknown(node: NodeProto) -> Refused:
    """Return the refusal of an operator that has no rule, with what to do instead."""
    key = rule_key(node)
    advice = ADVICE.get(key, "")
    if not advice:
        close = difflib.get_close_matches(key, sorted(RULES), n=1)
        advice = f"nearest is {close[0]}" if close else "none is near it"
    return Refused("no such operator here", advice)


def live_nodes(nodes: Sequence[NodeProto], outputs: Iterable[str]) -> tuple[list[int], set[str]]:
    """Return the indices of the nodes that outputs need, in order, and every name they read."""
    used = set(outputs)
    live: list[int] = []
    for i in range(len(nodes) - 1, -1, -1):
        if used.intersection(nodes[i].output):
            live.append(i)
            used.update(_reads(nodes[i]))
    live.reverse()
    return live, used


def only_codes(nodes: Sequence[NodeProto]) -> set[str]:
    """Return the values that nodes only dequantize or cast: codes, whatever their width."""
    decoding = ("DequantizeLinear", "Cast")
    codes = {v for node in nodes if node.op_type in decoding for v in node.input}
    for node in nodes:
        if node.op_type not in decoding:
            codes.difference_update(_reads(node))
    return codes


def _reads(node: NodeProto) -> Iterable[str]:
    yield from node.input
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            yield from (o.name for o in graph.output)
            for inner in graph.node:
                yield from _reads(inner)


def _named(name: str, attribute: AttributeProto) -> AttributeProto:
    copy = AttributeProto()
    copy.CopyFrom(attribute)
    copy.name = name
    copy.ref_attr_name = ""
    return copy


def _place(node: NodeProto, layer: str, opset: int) -> str:
    return f"node '{layer}' ({rule_key(node)}, opset {opset})"
