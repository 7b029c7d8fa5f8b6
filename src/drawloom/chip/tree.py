"""A YAML text as a tree that remembers its lines; and one tree laid over another.

Every scalar stays the text that stands in the file: what it means is decided
by the field it belongs to, so ``0.91`` never passes through a float and ``no``
never becomes False. A key with dots is a path: ``dram.read: 1 GB/s`` says the
same as ``dram: {read: 1 GB/s}``.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, ReusedAnchorWarning, YAMLError

from drawloom.errors import Fault, InputError

FORMAT = "1"
"""The version of the format of chip and system files; a file that says none has this one."""
_DEEPEST = 12  # far below any chip file; ends an alias that holds itself
_MOST = 200_000  # values, each alias counted with all that it stands for


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file; prints as ``file:line``, which editors turn into a link."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Tree:
    """A scalar's text, a list, or a section, and where it stands."""

    place: Place
    content: str | list[Tree] | dict[str, Tree]

    @property
    def section(self) -> dict[str, Tree]:
        """The fields of a section; empty for anything else."""
        return self.content if isinstance(self.content, dict) else {}

    @property
    def is_entry(self) -> bool:
        """Whether this is one number with its source, not a section of fields."""
        return "value" in self.section

    def plain(self) -> Any:
        """Return the tree as nested dict, list and str."""
        if isinstance(self.content, dict):
            return {key: below.plain() for key, below in self.content.items()}
        if isinstance(self.content, list):
            return [below.plain() for below in self.content]
        return self.content

    def nearest(self, path: Iterable[str | int]) -> Tree:
        """Return the deepest subtree on the way along ``path``."""
        here = self
        for step in path:
            below = here.below(step)
            if below is not None:
                here = below
            elif step != "value":  # a number alone is its own value
                break
        return here

    def below(self, step: str | int) -> Tree | None:
        """Return a field of a section or an item of a list; None when there is no such."""
        if isinstance(self.content, dict):
            return self.content.get(str(step))
        if isinstance(self.content, list) and isinstance(step, int):
            return self.content[step] if step < len(self.content) else None
        return None

    def text(self) -> str:
        """Return the tree on one line, for messages."""
        if isinstance(self.content, dict):
            inside = ", ".join(f"{key}: {below.text()}" for key, below in self.content.items())
            return f"{{{inside}}}"
        if isinstance(self.content, list):
            return f"[{', '.join(below.text() for below in self.content)}]"
        return self.content


def over(base: Tree, top: Tree) -> Tree:
    """Return ``base`` with what ``top`` says in its place; a number is replaced whole."""
    if base.is_entry or top.is_entry or not (base.section and top.section):
        return top
    merged = dict(base.section)
    for key, below in top.section.items():
        merged[key] = over(merged[key], below) if key in merged else below
    return Tree(top.place, merged)


@dataclass(slots=True)
class _Reader:
    """Turns composed YAML nodes into a Tree and collects what is wrong on the way."""

    file: str
    faults: list[Fault] = field(default_factory=list[Fault])
    seen: dict[int, Tree] = field(default_factory=dict[int, Tree])
    sizes: dict[int, int] = field(default_factory=dict[int, int])

    def tree(self, node: Any, depth: int = 0) -> Tree:
        """Return the tree below a YAML node; a node that aliases share is read once."""
        if id(node) in self.seen:
            return self.seen[id(node)]
        place = Place(self.file, node.start_mark.line + 1)
        if depth > _DEEPEST:
            self.faults.append(Fault(str(place), "", f"at most {_DEEPEST} sections deep"))
            made = Tree(place, "")
        elif node.id == "scalar":
            made = Tree(place, str(node.value))
        elif node.id == "sequence":
            made = Tree(place, [self.tree(below, depth + 1) for below in node.value])
        else:
            made = self.mapping(node, place, depth)
        self.seen[id(node)] = made
        self.sizes[id(node)] = self.size(node)
        return made

    def size(self, node: Any) -> int:
        """Return how many values are below a node, all of which have been read.

        Raises InputError (``chip.file``) when they are more than any chip has: aliases of aliases
        stand for very many.
        """
        below = node.value if node.id == "sequence" else [v for _, v in _pairs(node)]
        size = 1 + sum(self.sizes.get(id(each), 0) for each in below)
        if size > _MOST:
            fault = Fault(
                f"{self.file}:{node.start_mark.line + 1}", "", f"at most {_MOST:,} values"
            )
            raise InputError("chip.file", f"{self.file} is not a chip file", [fault])
        return size

    def mapping(self, node: Any, place: Place, depth: int) -> Tree:
        """Return a section with its dotted keys spread out."""
        fields: dict[str, Tree] = {}
        written: dict[str, Place] = {}
        for key, node_below in node.value:
            where = Place(self.file, key.start_mark.line + 1)
            if key.id != "scalar":
                self.faults.append(Fault(str(where), "", "a field's name must be one word"))
                continue
            name = str(key.value)
            value = Tree(where, self.tree(node_below, depth + 1).content)
            if name in written:
                self.twice(name, where, written[name])
            else:
                written[name] = where
                self.put(fields, name, value)
        return Tree(place, fields)

    def put(self, fields: dict[str, Tree], name: str, value: Tree) -> None:
        """Store ``value`` under a name that may be a path."""
        head, *rest = name.split(".")
        for word in reversed(rest):
            value = Tree(value.place, {word: value})
        fields[head] = self.join(fields[head], value, head) if head in fields else value

    def join(self, old: Tree, new: Tree, name: str) -> Tree:
        """Return what two writings of one section say together."""
        if old.is_entry or new.is_entry or not (old.section and new.section):
            self.twice(name, new.place, old.place)
            return old
        both = dict(old.section)
        for key, below in new.section.items():
            both[key] = self.join(both[key], below, f"{name}.{key}") if key in both else below
        return Tree(old.place, both)

    def twice(self, name: str, where: Place, first: Place) -> None:
        """Note a field that is given twice."""
        self.faults.append(Fault(f"{where} {name}", "given twice", f"first in {first}"))


def _pairs(node: Any) -> list[tuple[Any, Any]]:
    return node.value if node.id == "mapping" else []


def read(text: str, file: str) -> tuple[Tree, list[Fault]]:
    """Return the tree of a YAML text and the faults in its form.

    Raises InputError (``chip.file``) when the text is no YAML at all, or of another version.
    """
    reader = _Reader(file)
    try:
        with warnings.catch_warnings(action="ignore", category=ReusedAnchorWarning):
            node: Any = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as caught:
        error: Any = caught
        mark = error.problem_mark or error.context_mark
        where = str(Place(file, mark.line + 1)) if mark else file
        fault = Fault(where, str(error.problem or error.context), "")
        raise InputError("chip.file", f"{file} is not YAML", [fault]) from None
    except RecursionError:
        fault = Fault(file, "", f"at most {_DEEPEST} sections deep")
        raise InputError("chip.file", f"{file} is not a chip file", [fault]) from None
    except YAMLError as error:
        first = str(error).splitlines()[0]
        raise InputError("chip.file", f"{file} is not YAML", [Fault(file, first, "")]) from None
    if node is None:
        return Tree(Place(file, 1), {}), []
    tree = reader.tree(node)
    if not isinstance(tree.content, dict):
        found = Fault(str(tree.place), tree.text(), "a section with the fields of a chip")
        raise InputError("chip.file", f"{file} is not a chip file", [found])
    version = tree.content.pop("format", None)
    if version is not None and version.content != FORMAT:
        fault = Fault(f"{version.place} format", version.text(), f"{FORMAT}, as drawloom reads it")
        raise InputError("chip.file", f"{file} has another version of the format", [fault])
    return tree, reader.faults
