"""What an operator is: its operands, its attributes, its shape rule and its meaning.

    operands  ::= "x w b? y..."        b may be absent; y... stands for any number
    attrs     ::= {"axis": "int", "shape": "ints!"}     ! marks a required one

``Operator.infer`` is the only place where a node's form is checked; rules may
rely on operand counts and attribute kinds being right.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from drawloom.errors import Fault, InputError, nearest
from drawloom.graph.dtypes import CODES, DType
from drawloom.graph.ir import Array, Attr, Node, TensorType

Types = tuple[TensorType | None, ...]
Arrays = tuple[Array | None, ...]
Rule = Callable[[Node, Types], tuple[TensorType, ...]]
Meaning = Callable[[Node, Arrays], tuple[Array, ...]]

FLOATS = frozenset(d for d in DType if d.is_float)
BOOLS = frozenset({DType.BOOL})
INTS = frozenset(DType) - FLOATS - BOOLS - CODES
SIGNED = INTS - {DType.U8, DType.U16, DType.U32, DType.U64}
NUMBERS = FLOATS | INTS
ANY = frozenset(DType)

_KINDS: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "str": (str,),
    "ints": (int,),
    "floats": (int, float),
    "strs": (str,),
}
_READS = {
    "int": "a whole number",
    "float": "a number",
    "str": "a word",
    "ints": "a list of whole numbers",
    "floats": "a list of numbers",
    "strs": "a list of words",
}


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator.

    ``evaluate`` is its definition, in NumPy; it returns at least as many
    arrays as the node has outputs. ``rule`` gives the types of every output
    the operator can make, and raises InputError where it cannot.
    """

    name: str
    operands: str
    rule: Rule
    evaluate: Meaning
    attrs: Mapping[str, str] = field(default_factory=dict[str, str])

    def infer(self, node: Node, types: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
        """Return the type of each of the node's outputs.

        Raises:
            InputError: operands, attributes or shapes are not what the
                operator takes (kinds ``graph.node`` and ``graph.shape``).
        """
        faults = self._form_faults(node, types)
        if faults:
            raise InputError("graph.node", f"{label(node)} is not well formed", faults)
        made = self.rule(node, tuple(types))
        if len(node.outputs) > len(made):
            fault = Fault("outputs", str(len(node.outputs)), f"at most {len(made)}")
            raise InputError("graph.node", f"{label(node)} is not well formed", [fault])
        return made[: len(node.outputs)]

    def _form_faults(self, node: Node, types: Sequence[TensorType | None]) -> list[Fault]:
        faults: list[Fault] = []
        words = self.operands.split()
        least = sum(not w.endswith("?") for w in words)
        many = any(w.endswith("...") for w in words)
        if len(types) < least or (len(types) > len(words) and not many):
            faults.append(Fault("inputs", str(len(types)), f"takes ({self.operands})"))
        for word, kind in zip(words, types, strict=False):
            if kind is None and not word.endswith("?"):
                faults.append(Fault(f"inputs.{word}", "absent", "must be given"))
        for key, value in node.attrs.items():
            if key not in self.attrs:
                allowed = nearest(key, self.attrs) if self.attrs else "takes no attributes"
                faults.append(Fault(f"attrs.{key}", repr(value), allowed))
            elif not _is_kind(value, self.attrs[key].rstrip("!")):
                reads = _READS[self.attrs[key].rstrip("!")]
                faults.append(Fault(f"attrs.{key}", repr(value), reads))
        for key, kind in self.attrs.items():
            if kind.endswith("!") and key not in node.attrs:
                faults.append(Fault(f"attrs.{key}", "absent", _READS[kind.rstrip("!")]))
        return faults


def _is_kind(value: Attr, kind: str) -> bool:
    allowed = _KINDS[kind]
    if kind.endswith("s"):
        return isinstance(value, tuple) and all(isinstance(v, allowed) for v in value)
    return isinstance(value, allowed)


def label(node: Node) -> str:
    """Return ``node 'conv1' (Conv)``, with the user's name for it where it has one."""
    layer = f", layer '{node.layer}'" if node.layer and node.layer != node.name else ""
    return f"node '{node.name}' ({node.op}{layer})"


def refuse(node: Node, types: Types, allowed: str) -> NoReturn:
    """Raise the InputError that says which operands a node cannot take, and why."""
    shown = ", ".join(t.text() if t else "-" for t in types) or "none"
    fault = Fault("operands", shown, allowed)
    raise InputError("graph.shape", f"{label(node)} cannot take its operands", [fault])


def refuse_attr(node: Node, types: Types, key: str, allowed: str) -> NoReturn:
    """Raise the InputError for an attribute that does not suit the operands."""
    shown = ", ".join(t.text() if t else "-" for t in types) or "none"
    fault = Fault(f"attrs.{key}", repr(node.attrs.get(key, "absent")), allowed)
    summary = f"{label(node)} cannot take attribute '{key}' with operands {shown}"
    raise InputError("graph.shape", summary, [fault])


def given(types: Types, i: int) -> TensorType:
    """Return the type of an operand that must be there."""
    kind = types[i]
    assert kind is not None
    return kind


def optional(types: Types, i: int) -> TensorType | None:
    """Return the type of an operand that may be absent."""
    return types[i] if i < len(types) else None


def need_dtype(node: Node, types: Types, i: int, allowed: frozenset[DType]) -> TensorType:
    """Return operand ``i``'s type, or refuse when its dtype is not one of ``allowed``."""
    kind = given(types, i)
    if kind.dtype not in allowed:
        words = " ".join(d.value for d in DType if d in allowed)
        refuse(node, types, f"operand {i} must be one of {words}")
    return kind


def need_same_dtype(node: Node, types: Types, indices: Sequence[int]) -> DType:
    """Return the one dtype of the given operands, skipping absent ones."""
    found = [kind.dtype for i in indices if (kind := optional(types, i)) is not None]
    if any(dtype is not found[0] for dtype in found):
        refuse(node, types, f"operands {', '.join(map(str, indices))} must have one dtype")
    return found[0]


def need_axis(node: Node, types: Types, rank: int, key: str = "axis", default: int = 0) -> int:
    """Return an axis attribute counted from the front, or refuse when out of range."""
    axis = node.int(key, default)
    if not -rank <= axis < rank:
        refuse_attr(node, types, key, f"an axis from {-rank} to {rank - 1}")
    return axis % rank


def axes_of(node: Node, types: Types, rank: int, key: str = "axes") -> tuple[int, ...]:
    """Return a list-of-axes attribute, sorted and from the front; all axes when absent."""
    if key not in node.attrs:
        return tuple(range(rank))
    axes = node.ints(key)
    fronts = sorted({a % rank for a in axes if -rank <= a < rank}) if rank else []
    if len(fronts) != len(axes):
        refuse_attr(node, types, key, f"different axes from {-rank} to {rank - 1}")
    return tuple(fronts)


def dtype_attr(node: Node, types: Types, key: str, default: DType | None = None) -> DType:
    """Return an attribute that names a dtype."""
    word = node.str(key, default.value if default else "")
    words = [d.value for d in DType]
    if word not in words:
        refuse_attr(node, types, key, nearest(word, words))
    return DType(word)


def need_word(node: Node, types: Types, key: str, legal: Sequence[str]) -> str:
    """Return a word attribute that must be one of ``legal``; the first is the default."""
    word = node.str(key, legal[0])
    if word not in legal:
        refuse_attr(node, types, key, nearest(word, legal))
    return word


def broadcast(node: Node, types: Types, indices: Sequence[int]) -> tuple[int, ...]:
    """Return the broadcast shape of the given operands, or refuse."""
    shapes = [given(types, i).shape for i in indices]
    rank = max(map(len, shapes))
    result: list[int] = []
    for dims in zip(*((1,) * (rank - len(s)) + s for s in shapes), strict=True):
        wide = {d for d in dims if d != 1}
        if len(wide) > 1:
            refuse(node, types, "shapes must broadcast: dims equal, or 1, from the right")
        result.append(wide.pop() if wide else 1)
    return tuple(result)


def tensor(arrays: Arrays, i: int) -> Array:
    """Return an operand's array that must be there."""
    array = arrays[i]
    assert array is not None
    return array


def maybe(arrays: Arrays, i: int) -> Array | None:
    """Return an operand's array that may be absent."""
    return arrays[i] if i < len(arrays) else None
