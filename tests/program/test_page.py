"""docs/program.md describes every command and field, and its examples hold."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from drawloom.chip.formats import FORMAT_BYTES
from drawloom.execute.machine import execute
from drawloom.program.commands import ENGINE_OF, Engine
from drawloom.program.fields import COMMANDS, RECORDS, slots
from drawloom.program.parse import parse
from drawloom.program.text import text
from drawloom.program.vector_ops import VECTOR_OPS

PAGE = (Path(__file__).parents[2] / "docs" / "program.md").read_text()
SECTIONS = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL))


def words(part: str) -> set[str]:
    """Return the words that stand as code in a part of the page."""
    return {word for code in re.findall(r"`([^`]*)`", part) for word in re.findall(r"\w+", code)}


def test_every_command_has_a_section_and_nothing_else_has() -> None:
    assert sorted(SECTIONS) == sorted(COMMANDS)


@pytest.mark.parametrize("word", COMMANDS)
def test_a_section_names_every_field(word: str) -> None:
    fields = {slot.name for slot in slots(COMMANDS[word])} - {"origin"}
    assert fields <= words(SECTIONS[word])


def test_every_vector_op_and_format_is_named() -> None:
    assert words(SECTIONS["vector"]) >= VECTOR_OPS
    assert words(PAGE) >= set(FORMAT_BYTES)


def test_every_record_is_named() -> None:
    assert words(PAGE) >= set(RECORDS)


@pytest.mark.parametrize("engine", Engine)
def test_the_table_of_engines_is_complete(engine: Engine) -> None:
    (row,) = re.findall(
        rf"^\| `{engine.value}`[^|]*\|([^|]*)\|$", PAGE.split("| engine |")[1], re.M
    )
    commands = {word for word, kind in COMMANDS.items() if ENGINE_OF[kind] is engine}
    assert words(row) == commands


def test_the_example_does_what_the_page_says() -> None:
    (source,) = re.findall(r"```prog\n(.*?)```", PAGE, re.DOTALL)
    program = parse(source)
    x = np.arange(8, dtype=np.float16).reshape(2, 4)
    np.testing.assert_array_equal(execute(program, {"x": x})["y"], 2 * x)
    assert [line.partition("  ;")[0] for line in text(program).splitlines()] == source.splitlines()


def test_the_example_by_hand_is_a_program_too() -> None:
    (source,) = re.findall(r"```hand\n(.*?)```", PAGE, re.DOTALL)
    program = parse(source)
    x = np.arange(8, dtype=np.float16).reshape(2, 4)
    np.testing.assert_array_equal(execute(program, {"x": x})["y"], 2 * x)
    assert [origin.piece for origin in program.origins] == ["load", "double", "store"]
