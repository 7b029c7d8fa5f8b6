"""Claims about work: tokens a second, models that fit, what links carry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from drawloom.chip.datasheet import Datasheet, datasheet_names, load_datasheet
from drawloom.chip.system import Level, System
from drawloom.chip.system_files import load_system
from drawloom.chip.topology import topology
from drawloom.compare.ask import MEMORY_SHARE, NUMBER_BYTES, WEIGHTS
from drawloom.compare.bounds import peak_of
from drawloom.compare.claim import CapacityCheck, Claim, FabricCheck, ThroughputCheck
from drawloom.compare.sizes import sizes_of
from drawloom.compare.verdict import ABOVE, ONLY_IF, REACHABLE, Line, Verdict
from drawloom.compare.words import number
from drawloom.frontends.hf import read_config
from drawloom.timing.fabric import FabricClock
from drawloom.units import PS_PER_S, Picoseconds

SUMS_A_LAYER = 2
HOP = Picoseconds(1_000_000)  # through a switch of PCIe, one way: assumed 1 us
WORK = {"all_reduce": "sums of layers that chips share", "all_to_all": "experts, each to each"}
FORM_WORDS = {"float": "16-bit", "int8": "8-bit"}


@dataclass(frozen=True, slots=True)
class _Tried:
    """A throughput put to one chip and one form of weights."""

    word: str
    is_possible: bool
    conditions: tuple[str, ...]
    lines: tuple[Line, ...]


def throughput(claim: Claim) -> Verdict:
    """Put tokens a second to peaks, memories and links, by chip and form of the weights."""
    check = claim.check
    assert isinstance(check, ThroughputCheck)
    sheets = [load_datasheet(name) for name in (claim.system, *check.variants)]
    tried = [_try(check, sheet, form) for sheet in sheets for form in WEIGHTS]
    lines = [line for each in tried for line in each.lines]
    lines += _share_lines(check, sheets)
    possible = [each for each in tried if each.is_possible]
    failed = [f"{each.word}: {each.conditions[0]}" for each in tried if not each.is_possible]
    if not possible:
        return Verdict(claim, ABOVE, tuple(failed), tuple(lines))
    conditions = [f"{each.word}: {condition}" for each in possible for condition in each.conditions]
    ruled_out = [f"not with {words}" for words in failed]
    return Verdict(claim, ONLY_IF, (*conditions, *ruled_out), tuple(lines))


def _try(check: ThroughputCheck, sheet: Datasheet, form: str) -> _Tried:
    word = f"{check.chips} x {sheet.name}, {FORM_WORDS[form]} weights and products"
    model, n = check.model, check.chips
    memory, rate, peak = sheet.ends("memory"), sheet.ends("memory_rate"), peak_of(sheet, form)
    if not (memory and rate and peak):
        return _Tried(word, False, ("a peak or memory is unknown",), ())
    held, has = model.weights * WEIGHTS[form], n * memory[1]
    ceiling = n * peak[2] / (2 * model.weights)
    share = check.number / ceiling
    sweep = held / (n * rate[1])
    batch = check.number * sweep
    step = batch / check.number
    cache = 2 * model.layers * model.kv_width * NUMBER_BYTES
    room = (has - held) / cache
    sums = _sums_seconds(sheet, check, batch)
    lines = (
        Line(word, f"{model.weights:.3g} weights", f"{held / 1e9:,.4g} GB of {has / 1e9:,.4g} GB"),
        Line("  most tokens/s by products", f"{n} x {peak[2] / 1e12:,.4g} T / (2 x {model.weights:.3g})",
             f"{number(ceiling)}; {check.number:,.6g} are {share:.0%}"),
        Line("  least batch by memory", f"{check.number:,.6g}/s x {held / 1e9:,.4g} GB / "
             f"{n * rate[1] / 1e9:,.4g} GB/s", f"{batch:,.0f} sequences, {1e3 * sweep:.3g} ms a step"),
        Line("  cache", f"({has / 1e9:,.4g} - {held / 1e9:,.4g} GB) / {cache / 1e6:.3g} MB a token",
             f"{room:,.0f} tokens, {room / batch:,.0f} a sequence" if room > 0 else "no room"),
        Line("  sums over the links", f"{SUMS_A_LAYER * model.layers} of "
             f"{batch * model.width * NUMBER_BYTES / 1e6:.3g} MB", f"{1e3 * sums:.3g} ms a step"),
    )  # fmt: skip
    reason = _impossible(check, held, has, share, sums / step, room / batch)
    if reason:
        return _Tried(word, False, (reason,), lines)
    return _Tried(
        word, True,
        (f"at least {batch:,.0f} sequences at once, none longer than {room / batch:,.0f} tokens",
         f"matrix units at {share:.0%} of their peak, and reading weights (100 % of the time) and sums "
         f"({sums / step:.0%}) hidden behind them"), lines,
    )  # fmt: skip


def _impossible(
    check: ThroughputCheck, held: float, has: float, share: float, links: float, tokens: float
) -> str:
    """Return which hard bound is passed; empty for none."""
    if held > has:
        return f"weights of {held / 1e9:,.4g} GB are more than the memories' {has / 1e9:,.4g} GB"
    if share > 1:
        return f"products alone need {share:.0%} of the peak"
    if links > 1:
        return f"sums over the links take {links:.1f} times the time there is"
    if tokens < check.context:
        return f"there is room for {tokens:,.0f} tokens a sequence, not {check.context}"
    return ""


def _sums_seconds(sheet: Datasheet, check: ThroughputCheck, batch: float) -> float:
    """Return the seconds of a step's sums, over links or, without any, over the host's."""
    if check.chips == 1:
        return 0.0
    rate = sheet.ends("link_rate") or sheet.ends("host_rate")
    if rate is None:
        return 0.0
    level = Level("switch", (check.chips,), int(rate[1]), HOP)
    system = System("made", "made", sheet.name, (level,), Picoseconds(0))
    size = int(batch * check.model.width * NUMBER_BYTES)
    cost = FabricClock(topology(system)).best("all_reduce", size)
    return SUMS_A_LAYER * check.model.layers * cost.ps / PS_PER_S


def _shares() -> list[tuple[float, str]]:
    """Return the shares of peaks that were measured on chips of the catalog, the best first.

    A share above 1 is of a quicker part than the datasheet's: it is left out.
    """
    found: list[tuple[float, str]] = []
    for sheet in map(load_datasheet, datasheet_names()):
        for form in ("bf16", "fp16", "fp8", "int8"):
            measured, peak = sheet.number(f"measured_{form}"), sheet.ends(f"peak_{form}")
            if measured and peak and measured <= peak[1]:
                found.append((measured / peak[1], f"{sheet.name} in {form}"))
    return sorted(found, reverse=True)


def _share_lines(check: ThroughputCheck, sheets: list[Datasheet]) -> tuple[Line, Line]:
    """Return what share of a peak is known to be reached, and what that leaves of the weights."""
    found = _shares()
    middle = found[len(found) // 2][0]
    peak = max(ends[2] for sheet in sheets if (ends := peak_of(sheet, "int8")))
    active = middle * check.chips * peak / (2 * check.number)
    return (
        Line("share of a peak that products reach", f"measured, {len(found)} chips and formats",
             f"best {found[0][0]:.0%} ({found[0][1]}), in the middle {middle:.0%}"),
        Line("weights a token may use at the middle share",
             f"{middle:.0%} x {check.chips} x {peak / 1e12:,.4g} T / (2 x {check.number:,.6g})",
             f"{active / 1e9:,.3g} G"),
    )  # fmt: skip


def capacity(
    claim: Claim, *, has_plans: bool = True, tell: Callable[[str], None] | None = None
) -> Verdict:
    """Put a model's weights and cache to the memories of so many chips, and to a plan on them."""
    check, sheet = claim.check, load_datasheet(claim.system)
    assert isinstance(check, CapacityCheck)
    sizes = sizes_of(read_config(check.model))
    memory, rate = sheet.ends("memory"), sheet.ends("memory_rate")
    if memory is None:
        return Verdict(claim, ONLY_IF, ("the memory is large enough: its size is unknown",), ())
    has = check.number * memory[0] * MEMORY_SHARE
    each = sizes.cache_numbers(check.context) * NUMBER_BYTES
    lines = [Line("memory", f"{MEMORY_SHARE:.0%} of {check.number} x {memory[0] / 1e9:,.4g} GB",
                  f"{has / 1e9:,.5g} GB")]  # fmt: skip
    fitting: list[str] = []
    for form, width in WEIGHTS.items():
        held = sizes.weights * width
        room = (has - held) / each
        word = FORM_WORDS[form]
        lines.append(Line(f"{word} weights", f"{sizes.weights / 1e9:,.5g} G x {width:g} B",
                          f"{held / 1e9:,.5g} GB, {held / check.number / 1e9:,.3g} GB a chip"))  # fmt: skip
        if room >= 1:
            lines.append(Line("  sequences beside", f"{each / 1e6:,.4g} MB for {check.context:,} tokens each",
                              f"{room:,.0f}"))  # fmt: skip
            fitting.append(
                f"with {word} weights, beside {room:,.0f} sequences of {check.context:,} tokens"
            )
        if rate:
            read = sizes.read_weights(1) * width / (check.number * rate[1])
            lines.append(Line("  least time of a token", f"{sizes.active / 1e9:.3g} G weights read / "
                              f"{check.number * rate[1] / 1e9:,.5g} GB/s", f"{1e3 * read:.3g} ms"))  # fmt: skip
    if not fitting:
        return Verdict(claim, ABOVE, ("the weights are more than the memories hold",), tuple(lines))
    word = REACHABLE if len(fitting) == len(WEIGHTS) else ONLY_IF
    if check.plan and has_plans:
        from drawloom.compare.verdict_plan import planned

        conditions, more = planned(check, FORM_WORDS, tell)
        return Verdict(claim, word if more else ONLY_IF, (*fitting, *conditions), (*lines, *more))
    return Verdict(claim, word, tuple(fitting), tuple(lines))


def fabric(claim: Claim) -> Verdict:
    """Put direct links beside switches: ports as quick as all of a chip's links, or as one."""
    check = claim.check
    assert isinstance(check, FabricCheck)
    lines: list[Line] = []
    found: dict[tuple[str, str, str], list[float]] = {}
    for name in check.fabrics:
        system = load_system(name)
        level = system.levels[0]
        direct = FabricClock(topology(system))
        for ports in (2 * len(level.sizes), 1):
            port = f"{ports} x {level.rate / 1e9:g} GB/s"
            switch = FabricClock(topology(_switch_of(system, ports)))
            for kind in WORK:
                for size in check.sizes:
                    mine, theirs = direct.best(kind, size), switch.best(kind, size)
                    ratio = mine.ps / theirs.ps
                    found.setdefault((port, kind, name), []).append(ratio)
                    lines.append(Line(f"{kind} of {size / 2**20:g} MiB on {name}",
                                      f"{mine.ps / 1e6:,.4g} us / {theirs.ps / 1e6:,.4g} us of a switch "
                                      f"with ports of {port}", f"{ratio:.2f} x"))  # fmt: skip
    ratios = [each for made in found.values() for each in made]
    word = REACHABLE if max(ratios) <= 1 else ABOVE if min(ratios) > 1 else ONLY_IF
    return Verdict(claim, word, tuple(_fabric_words(found)), tuple(lines))


def _fabric_words(found: dict[tuple[str, str, str], list[float]]) -> list[str]:
    """Say, for each width of a port and kind of work, where direct links are quicker."""
    return [
        f"ports of {port}, {WORK[kind]}: {name} takes {min(made):.2f} to {max(made):.2f} times the "
        f"switch's time{'' if max(made) > 1 else ': quicker'}"
        for (port, kind, name), made in found.items()
    ]


def _switch_of(system: System, ports: int) -> System:
    """Return the same chips behind one switch, a port as quick as so many of their links."""
    level = system.levels[0]
    made = Level("switch", (system.n_places,), ports * level.rate, level.latency)
    return replace(system, name=f"{system.name}.switch", levels=(made,))
