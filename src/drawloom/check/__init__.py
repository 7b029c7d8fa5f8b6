"""Program → Findings: races, sends that nobody expects, waits for ever, bytes that are not there."""

from drawloom.check.findings import RULES, Finding
from drawloom.check.run import check
from drawloom.check.sound import check_sound
from drawloom.check.spans import check_span

__all__ = ["RULES", "Finding", "check", "check_sound", "check_span"]
