"""What an hour of a chip costs: of its datasheet, or as a person says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from drawloom.chip.datasheet import Datasheet, load_datasheet
from drawloom.compare.span import Span, exactly
from drawloom.errors import Fault, InputError

YOURS = "as given with --price"


def parse_prices(words: Iterable[str]) -> dict[str, Span]:
    """Return the prices of ``h200=2.5`` or ``tx81=0.4..0.8``: dollars an hour of a chip, by system.

    Raises:
        InputError: ``compare.price``, for each that is no system and price.
    """
    found: dict[str, Span] = {}
    faults: list[Fault] = []
    for word in words:
        name, _, said = word.partition("=")
        try:
            low, _, high = said.partition("..")
            ends = float(low), float(high or low)
            if not 0 < ends[0] <= ends[1]:
                raise ValueError(said)
            found[load_datasheet(name).name] = (
                exactly(ends[0]) if ends[0] == ends[1] else Span(ends[0], sum(ends) / 2, ends[1])
            )
        except ValueError:
            faults.append(
                Fault(word, "", "a system and dollars an hour: h200=2.5 or tx81=0.4..0.8")
            )
        except InputError as error:
            faults += error.faults
    if faults:
        raise InputError("compare.price", "these are no prices", faults)
    return found


def price_of(sheet: Datasheet, given: Mapping[str, Span]) -> tuple[Span | None, str]:
    """Return dollars an hour of a chip, and whose price that is; None where it is unknown."""
    if sheet.name in given:
        return given[sheet.name], YOURS
    figure = sheet.figures.get("hour_price")
    if figure is None or figure.low is None or figure.high is None:
        return None, "no public price"
    value = figure.value if isinstance(figure.value, (int, float)) else None
    note = f" ({figure.note})" if figure.note else ""
    return Span(figure.low, value, figure.high), f"{figure.source}, grade {figure.grade}{note}"
