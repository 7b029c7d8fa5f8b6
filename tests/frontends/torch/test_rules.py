"""The registry of rules: every file of the folder is a family, and no call has two rules."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from drawloom.frontends.torch import rules
from drawloom.frontends.torch.rules import ADVICE, FAMILIES, RULES


def test_every_file_of_rules_is_a_family() -> None:
    folder = Path(rules.__file__).parent
    files = {path.stem for path in folder.glob("*.py")} - {"__init__", "advice"}
    assert files == set(FAMILIES)


def test_no_call_has_two_rules_or_a_rule_and_advice() -> None:
    counts = Counter(op for family in FAMILIES.values() for op in family)
    assert {op: n for op, n in counts.items() if n > 1} == {}
    assert set(ADVICE).isdisjoint(RULES)
