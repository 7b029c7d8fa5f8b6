"""Operators that ONNX itself, or the model, defines by simpler ones."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import onnx.defs
from onnx import AttributeProto, FunctionProto, NodeProto, TypeProto, helper

from drawloom.errors import nearest
from drawloom.frontends.onnx.call import Refused
from drawloom.frontends.onnx.tensors import DTYPES
from drawloom.graph.ir import TensorType

_CODES = {dtype: code for code, dtype in DTYPES.items()}

# Attributes that say yes or no: what another number means, the standard does not say.
_FLAGS = frozenset(
    (
        "allowzero",
        "antialias",
        "ceil_mode",
        "center_point_box",
        "count_include_pad",
        "exclude_outside",
        "exclusive",
        "input_forget",
        "interleaved",
        "is_causal",
        "keepdims",
        "largest",
        "layout",
        "linear_before_reset",
        "noop_with_empty_axes",
        "reverse",
        "saturate",
        "select_last_index",
        "sorted",
        "transA",
        "transB",
        "upper",
    )
)


@cache
def schema_of(op: str, opset: int, domain: str) -> Any:
    """Return what the ONNX standard says of an operator, None where it is not ONNX's."""
    # the stubs of onnx leave out what concerns functions, hence Any
    try:
        return onnx.defs.get_schema(op, opset, domain.removeprefix("ai.onnx"))
    except (onnx.defs.SchemaError, TypeError):
        return None


def attribute_kinds(node: NodeProto, opset: int) -> dict[str, tuple[str, str]]:
    """Return each attribute whose kind is not what the standard says: its kind, the right one."""
    schema = schema_of(node.op_type, opset, node.domain)
    wrong: dict[str, tuple[str, str]] = {}
    for attribute in node.attribute:
        stated = schema.attributes.get(attribute.name) if schema is not None else None
        if stated is not None and attribute.type and attribute.type != stated.type.value:
            word = AttributeProto.AttributeType.Name(attribute.type).lower()
            wrong[attribute.name] = (word, stated.type.name.lower())
    return wrong


def check_signature(node: NodeProto, opset: int) -> None:
    """Refuse a node that has what the standard's operator has not.

    Nothing would read a misspelt attribute or an operand too many, and the result would be
    another than its author meant.

    Raises:
        Refused: an attribute, or a number of operands or outputs, that the operator has not.
    """
    schema = schema_of(node.op_type, opset, node.domain)
    if schema is None:
        return
    for attribute in node.attribute:
        if attribute.name not in schema.attributes:
            none = f"{node.op_type} takes no attributes"
            allowed = nearest(attribute.name, schema.attributes) if schema.attributes else none
            raise Refused(f"attribute {attribute.name}", allowed)
        if attribute.name in _FLAGS and attribute.i not in (0, 1):
            raise Refused(f"attribute {attribute.name}={attribute.i}", "0 or 1", sound=False)
    counts = (
        ("operand", node.input, schema.min_input, schema.max_input),
        ("output", node.output, schema.min_output, schema.max_output),
    )
    for word, names, least, most in counts:
        n = max((i + 1 for i, name in enumerate(names) if name), default=0)
        if len(names) < least or n > most:
            allowed = f"{least}" if least == most else f"{least} to {most}"
            raise Refused(f"{n} {word}{'' if n == 1 else 's'}", allowed, sound=False)


def standard_body(
    node: NodeProto, opset: int, kinds: Sequence[TensorType | None]
) -> FunctionProto | None:
    """Return the body the ONNX standard gives an operator, None where it gives none.

    Some bodies depend on the operands' types, so these are needed.
    """
    schema = schema_of(node.op_type, opset, node.domain)
    if schema is None:
        return None
    body = FunctionProto()
    if schema.has_function:
        version = _newest(schema.function_opset_versions, opset)
        body.ParseFromString(schema.get_function_with_opset_version(version))
    elif schema.has_context_dependent_function:
        version = _newest(schema.context_dependent_function_opset_versions, opset)
        types = [_type_bytes(kind) for kind in kinds]
        data = schema.get_context_dependent_function_with_opset_version(
            version, node.SerializeToString(), types
        )
        body.ParseFromString(data)
    if not body.node:
        return None
    stated = {a.name for a in body.attribute_proto}
    for name, attribute in schema.attributes.items():
        if attribute.default_value.type and name not in stated:
            body.attribute_proto.append(attribute.default_value)
            body.attribute_proto[-1].name = name
    return body


def _newest(versions: Sequence[int], opset: int) -> int:
    return max((v for v in versions if v <= opset), default=min(versions))


def _type_bytes(kind: TensorType | None) -> bytes:
    if kind is None:
        return TypeProto().SerializeToString()
    return helper.make_tensor_type_proto(_CODES[kind.dtype], kind.shape).SerializeToString()


def bound_attributes(
    node: NodeProto, outer: dict[str, AttributeProto]
) -> dict[str, AttributeProto]:
    """Return a node's attributes; those a function's body refers to are the caller's.

    A reference to an attribute the caller left out is left out too.
    """
    bound: dict[str, AttributeProto] = {}
    for attribute in node.attribute:
        if not attribute.ref_attr_name:
            bound[attribute.name] = attribute
        elif attribute.ref_attr_name in outer:
            bound[attribute.name] = outer[attribute.ref_attr_name]
    return bound


def called_attributes(
    body: FunctionProto, given: dict[str, AttributeProto]
) -> dict[str, AttributeProto]:
    """Return the attributes inside a function: its defaults, and what the caller gives."""
    return {a.name: a for a in body.attribute_proto} | given
