"""Loops are found in listings of machine code, and their instructions counted."""

from __future__ import annotations

from benchmarks.validation.count_rows import loops

LISTING = """
.text.first:
        /*0000*/                   S2R R0, SR_TID.X ;
.L_x_1:
        /*0010*/                   LDG.E.U16 R2, [R2.64] ;
        /*0020*/                   MUFU.EX2 R3, R2 ;
        /*0030*/                   NOP ;
        /*0040*/              @!P0 BRA `(.L_x_1) ;
        /*0050*/               @P1 BRA `(.L_x_2) ;
        /*0060*/                   EXIT ;
.L_x_2:
        /*0070*/                   BRA `(.L_x_2) ;
.text.second:
        /*0000*/                   EXIT ;
"""


def test_a_backward_branch_closes_a_loop() -> None:
    assert list(loops(LISTING)) == [("first", 3, 1)]
