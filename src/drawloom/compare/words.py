"""Answers in words: figures with their bars, what they rest on, and why one machine wins."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from drawloom.compare.answer import Answer
from drawloom.compare.ask import Ask
from drawloom.compare.errors import ClassError
from drawloom.compare.passes import PARTS
from drawloom.compare.power import UNKNOWN as UNKNOWN_ENERGY
from drawloom.compare.power import WORDS as ENERGY
from drawloom.compare.span import Span

BINDS = {
    "": "not known",
    "matrix": "matrix",
    "memory": "memory",
    "links": "links",
    "rest": "waits",
}
NOT_VALIDATED = "not validated"
UNKNOWN = " is unknown"


def number(value: float) -> str:
    """Return a figure to three digits."""
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{value:.3g}"


def span_text(span: Span | None, scale: float = 1.0, *, bound: str = "") -> str:
    """Return a figure with its bar: ``6.6``, ``6.6 (6.1..7.1)``, ``>= 5.1..6.0``, ``?``."""
    if span is None or not span.is_known:
        return "?"
    low, high = span.low * scale, span.high * scale
    ends = number(low) if number(low) == number(high) else f"{number(low)}..{number(high)}"
    if bound:
        return f"{bound} {ends}"
    if span.value is None:
        return ends if span.low > 0 else f"<= {number(high)}"
    shown = number(span.value * scale)
    if not isfinite(span.high):
        return f"{shown} (from {number(low)})"
    return shown if ends == shown else f"{shown} ({ends})"


def bound_sign(each: Answer, span: Span) -> str:
    """Return which way a bound goes: rates have one above, the rest below."""
    return "<=" if span is each.rate else ">="


def figures_text(each: Answer) -> dict[str, str]:
    """Return the figures of an answer as texts: times in ms, tokens a second, joules, dollars."""
    if each.passes is None:
        return dict.fromkeys(("first", "token", "rate", "energy", "cost"), "")
    bound, most = (">=", "<=") if each.passes.is_bound else ("", "")
    return {
        "first": "" if each.first is None else span_text(each.first, 1e3, bound=bound),
        "token": "" if each.token is None else span_text(each.token, 1e3, bound=bound),
        "rate": span_text(each.rate, bound=most),
        "energy": span_text(each.energy),
        "cost": span_text(each.cost, bound=bound if each.cost else ""),
    }


def sharing_text(each: Answer) -> str:
    """Return how the model lies on the machine's chips."""
    passes = each.passes
    if passes is None:
        return "does not fit"
    if passes.is_bound:
        return f"{each.machine.count} together"
    words = f"{passes.tensor} a layer"
    if passes.stages > 1:
        words += f" x {passes.stages} stages"
    return words if passes.copies == 1 else f"{passes.copies} copies of {words}"


def basis_text(each: Answer) -> str:
    """Return in a few words what the figures rest on."""
    passes = each.passes
    if passes is None:
        return ""
    if passes.is_bound:
        return "bound only"
    if each.errors:
        return ", ".join(
            f"{error.name.rpartition('.')[0]} +-{error.median:.0%}"
            for error in dict.fromkeys(each.errors)
        )
    if each.borrowed:
        return f"{NOT_VALIDATED}; at least {_bars(each.borrowed, is_wide=bool(passes.unlike))}"
    return NOT_VALIDATED


def _bars(errors: Sequence[ClassError], *, is_wide: bool) -> str:
    """Return how wide classes make the bars."""
    shares = [error.p90 if is_wide else error.median for error in errors]
    return ", ".join(dict.fromkeys(f"+-{share:.0%}" for share in shares))


def basis_lines(each: Answer) -> list[str]:
    """Return all that the figures rest on, a sentence each."""
    passes = each.passes
    if passes is None:
        return [line.strip() for line in each.short.splitlines()[1:]]
    lines = [f"way: {passes.way}"]
    lines += [
        f"validated, {error.text()}; the bars are its median"
        for error in dict.fromkeys(each.errors)
    ]
    if not each.errors:
        why = passes.unlike or "no measurement of this machine at this work ships with drawloom"
        lines.append(f"{NOT_VALIDATED}: {why}")
    word = "90th percentile" if passes.unlike else "median"
    if each.borrowed:
        classes = "; ".join(error.text() for error in dict.fromkeys(each.borrowed))
        lines.append(f"bars at least the {word} of what was measured nearest: {classes}")
    if passes.lacks:
        lines.append(f"bound only: {lacks_text(passes.lacks)}")
    lines += [f"range: {what}" for what in passes.rests_on]
    if passes.energy is None and not passes.is_bound:
        lines.append(UNKNOWN_ENERGY if each.energy is None else ENERGY)
    return lines


def lacks_text(lacks: Sequence[str]) -> str:
    """Return what is lacking, all unknown numbers in one phrase."""
    names = [each.removesuffix(UNKNOWN) for each in lacks if each.endswith(UNKNOWN)]
    others = [each for each in lacks if not each.endswith(UNKNOWN)]
    verb = " are unknown" if len(names) > 1 else UNKNOWN
    said = [", ".join(names) + verb] if names else []
    return "; ".join([*said, *others])


def head(ask: Ask) -> str:
    """Return the question in words, its batch left out."""
    words = [ask.sizes.name, ask.phase]
    if ask.phase != "forward":
        words.append(f"{ask.prompt} tokens in")
    if ask.phase in ("serve", "decode"):
        words.append(f"{ask.answer} out")
    return ", ".join([*words, f"{ask.weights} weights"])


def explain(answers: Sequence[Answer]) -> list[str]:
    """Return in words, a paragraph each, which machine wins a batch and why."""
    lines: list[str] = []
    for batch in dict.fromkeys(each.ask.batch for each in answers):
        lines += _explain([each for each in answers if each.ask.batch == batch])
    return lines


def _explain(answers: Sequence[Answer]) -> list[str]:
    ask = answers[0].ask
    lines = [f"{head(ask)}, batch {ask.batch}:"]
    lines += [
        f"  {each.machine.label} does not fit: {'; '.join(basis_lines(each))}"
        for each in answers
        if each.passes is None
    ]
    fitting = [each for each in answers if each.passes is not None]
    firm = [each for each in fitting if each.passes and not each.passes.is_bound]
    if firm:
        lines += _winner(firm)
    for each in fitting:
        lines.append(f"  {each.machine.label}: {_why(each)}")
        if each.passes and each.passes.is_bound:
            lines.append(f"    {_could(each, firm)}")
    return lines


def _winner(firm: Sequence[Answer]) -> list[str]:
    """Say which machine is quickest, cheapest and thriftiest, and whether bars overlap."""
    lines: list[str] = []
    for name, words in (("time", "soonest"), ("cost", "cheapest")):
        known = [(span, each) for each in firm if (span := _measure(each, name))]
        if len(known) < 2:
            continue
        known.sort(key=lambda pair: pair[0].best)
        (first, winner), (second, other) = known[:2]
        ratio = second.best / first.best
        sure = (
            "" if first.high < second.low else ", but their bars overlap: it may be the other way"
        )
        lines.append(
            f"  {words}: {winner.machine.label}, {ratio:.2f} times less than "
            f"{other.machine.label}{sure}"
        )
        if name == "time":
            lines.append(f"    {_because(winner, other)}")
    return lines


def _measure(each: Answer, name: str) -> Span | None:
    return each.cost if name == "cost" else each.token or each.first


def _because(winner: Answer, other: Answer) -> str:
    """Say in which resource the time differs most."""
    mine, theirs = winner.parts, other.parts
    gains = {name: theirs.get(name, 0.0) - mine.get(name, 0.0) for name in PARTS}
    most = max(gains, key=lambda name: gains[name])
    assert winner.passes is not None
    assert other.passes is not None
    reasons = {
        "matrix": "its matrix units multiply more a second",
        "memory": "its memories together are read quicker",
        "links": "sums between its chips take less",
        "rest": "fewer starts and waits stand between its products",
    }
    return (
        f"because {reasons[most]}: {1e3 * mine.get(most, 0.0):.3g} ms against "
        f"{1e3 * theirs.get(most, 0.0):.3g}"
    )


def _why(each: Answer) -> str:
    """Say what binds a machine, and how its time divides."""
    parts = each.parts
    named = {name: seconds for name, seconds in parts.items() if seconds > 0}
    listed = ", ".join(f"{BINDS[name]} {1e3 * seconds:.3g}" for name, seconds in named.items())
    return f"bound by {BINDS[each.binds]} ({listed} ms needed of each by itself)"


def _could(each: Answer, firm: Sequence[Answer]) -> str:
    """Say of a bound whether it may win or can not."""
    span = each.token or each.first
    best = min((m.best for f in firm if (m := f.token or f.first)), default=None)
    assert span is not None
    assert each.passes is not None
    lacks = lacks_text(each.passes.lacks)
    if best is None:
        return f"no more is known: {lacks}"
    if span.low > best:
        return f"it cannot be the soonest: even its bound is later ({lacks})"
    return f"whether it is sooner is not known: {lacks}"
