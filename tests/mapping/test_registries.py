"""What stands in a table stands everywhere it must."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import drawloom.program.lower as lowering
from drawloom.graph.ops import OPS
from drawloom.mapping.fuse.kinds import BOOL_OPS, INT_OPS, MOVES
from drawloom.mapping.fuse.rules import ROW_OPS, RULES
from drawloom.mapping.pieces import Piece
from drawloom.mapping.rewrite.legalise import OPERANDS, STRUCTURE
from drawloom.program.assemble import LOWER

SHARED = {
    "__init__",
    "body",
    "coding",
    "context",
    "operand",
    "results",
    "shares",
    "turns",
}  # of no one kind
PARTS = {
    "fixed",
    "folding",
    "halo",
    "handed",
    "keys",
    "pair",
    "panel",
    "panel_turns",
    "parts",
}  # of lowerings that are long


def test_every_kind_of_piece_is_lowered_by_a_module_of_its_own() -> None:
    assert set(LOWER) == set(get_args(Piece))
    folder = Path(str(lowering.__file__)).parent
    modules = {path.stem for path in folder.glob("*.py")} - SHARED - PARTS
    assert modules == {function.__module__.rsplit(".", 1)[1] for function in LOWER.values()}


def test_the_tables_name_operators_that_there_are() -> None:
    for table in (RULES, ROW_OPS, MOVES, INT_OPS, BOOL_OPS, STRUCTURE, OPERANDS):
        assert set(table) - set(OPS) == set()
    assert set(RULES) >= ROW_OPS
