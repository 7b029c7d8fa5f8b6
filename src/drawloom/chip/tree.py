"""A YAML text as a tree that remembers its lines; and one tree laid over another.

Every scalar stays the text that stands in the file: what it means is decided
by the field it belongs to, so ``0.91`` never passes through a float and ``no``
never becomes False. A key with dots is a path: ``dram.read: 1 GB/s`` says the
same as ``dram: {read: 1 GB/s}``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

from drawloom.errors import Fault, InputError

_DEEPEST = 12  # far below any chip file; ends an alias that holds itself


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
            if isinstance(here.content, dict) and step in here.content:
                here = here.content[str(step)]
            elif isinstance(here.content, list) and isinstance(step, int):
                here = here.content[min(step, len(here.content) - 1)] if here.content else here
            else:
                break
        return here

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

    def tree(self, node: Any, depth: int = 0) -> Tree:
        """Return the tree below a YAML node; a node that aliases share is read once."""
        if id(node) in self.seen:
            return self.seen[id(node)]
        place = Place(self.file, node.start_mark.line + 1)
        if depth > _DEEPEST:
            self.faults.append(Fault(str(place), "", f"at most {_DEEPEST} sections deep"))
            return Tree(place, "")
        if isinstance(node, ScalarNode):
            made = Tree(place, str(node.value))
        elif isinstance(node, SequenceNode):
            made = Tree(place, [self.tree(below, depth + 1) for below in node.value])
        else:
            assert isinstance(node, MappingNode)
            made = self.mapping(node, place, depth)
        self.seen[id(node)] = made
        return made

    def mapping(self, node: MappingNode, place: Place, depth: int) -> Tree:
        """Return a section with its dotted keys spread out."""
        fields: dict[str, Tree] = {}
        for key, value in node.value:
            where = Place(self.file, key.start_mark.line + 1)
            if not isinstance(key, ScalarNode):
                self.faults.append(Fault(str(where), "", "a field's name must be one word"))
                continue
            self.put(fields, str(key.value).split("."), self.tree(value, depth + 1), where)
        return Tree(place, fields)

    def put(self, fields: dict[str, Tree], path: list[str], value: Tree, where: Place) -> None:
        """Store ``value`` at ``path``; a field given twice is a fault."""
        for word in reversed(path[1:]):
            value = Tree(where, {word: value})
        old = fields.get(path[0])
        if old is None:
            fields[path[0]] = Tree(where, value.content)
        elif len(path) > 1 and old.section and not old.is_entry:
            below = dict(old.section)
            self.put(below, path[1:], value.nearest(path[1:]), where)
            fields[path[0]] = Tree(old.place, below)
        else:
            name = ".".join(path)
            self.faults.append(Fault(f"{where} {name}", "given twice", f"first in {old.place}"))


def read(text: str, file: str) -> tuple[Tree, list[Fault]]:
    """Return the tree of a YAML text and the faults in its form.

    Raises InputError (``chip.file``) when the text is no YAML at all.
    """
    reader = _Reader(file)
    try:
        node = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = str(Place(file, mark.line + 1)) if mark else file
        fault = Fault(where, str(error.problem or error.context), "")
        raise InputError("chip.file", f"{file} is not YAML", [fault]) from None
    except YAMLError as error:
        first = str(error).splitlines()[0]
        raise InputError("chip.file", f"{file} is not YAML", [Fault(file, first, "")]) from None
    if node is None:
        return Tree(Place(file, 1), {}), []
    tree = reader.tree(node)
    if not isinstance(tree.content, dict):
        found = Fault(str(tree.place), tree.text(), "a section with the fields of a chip")
        raise InputError("chip.file", f"{file} is not a chip file", [found])
    return tree, reader.faults
