"""A public claim as data: the statement, the system, the workload, the number and who says so.

    name: mlu370_peak
    statement: MLU370 reaches 256 TOPS in INT8
    system: mlu370_x8
    workload: dense products in INT8, peak
    source: vendor product page
    check: {kind: peak, number: 256 TOPS, figure: peak_int8}

``check`` says how the statement is put to the model: one of ``peak``, ``ratio``, ``throughput``,
``efficiency``, ``cost``, ``capacity``, ``fabric``. This module imports pydantic and ruamel.yaml.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model, field_validator
from pydantic_core import PydanticCustomError

from drawloom.chip import quantity as q
from drawloom.chip.datasheet import FIELDS, OPS, load_datasheet
from drawloom.chip.faults import faults_of
from drawloom.chip.schema import Of, Word
from drawloom.chip.tree import read
from drawloom.compare.claims import CLAIMS
from drawloom.errors import Fault, InputError, nearest

_FOLDER = Path(__file__).parent / "claims"
_AMOUNT = q.Kind("a number", "1.5", {"": q.Fraction(1)}, ("",), whole=False, above=True)
_LARGE = q.Kind("a number", "100e9", {"": q.Fraction(1)}, ("",), whole=False, above=True)
Amount = Annotated[float, Of(_AMOUNT)]
Count = Annotated[int, Of(q.POSITIVE)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _known(names: list[str]) -> list[str]:
    for name in names:
        try:
            load_datasheet(name)
        except InputError as error:
            allowed = error.faults[0].allowed
            raise PydanticCustomError("rule", "{text}", {"text": f"{name}: {allowed}"}) from None
    return names


def _figures(names: list[str]) -> list[str]:
    for name in names:
        if name not in FIELDS:
            text = f"{name}: {nearest(name, FIELDS)}"
            raise PydanticCustomError("rule", "{text}", {"text": text})
    return names


def _known_one(name: str) -> str:
    return _known([name])[0]


def _figure(name: str) -> str:
    return _figures([name])[0]


class PeakCheck(_Part):
    """A peak that the datasheet must have."""

    kind: Literal["peak"]
    number: Annotated[float, Of(OPS)]
    figure: str

    _is_figure = field_validator("figure")(_figure)


class RatioCheck(_Part):
    """A figure over that of other systems."""

    kind: Literal["ratio"]
    number: Amount
    figure: str
    over: list[str]
    beside: list[str] = []

    _is_figure = field_validator("figure")(_figure)
    _are_known = field_validator("over")(_known)
    _are_figures = field_validator("beside")(_figures)


class DenseModel(_Part):
    """A dense decoder by its sizes alone."""

    weights: Annotated[float, Of(_LARGE)]
    layers: Count
    width: Count
    kv_width: Count = Field(description="numbers of a token's keys in one layer, values as many")


class ThroughputCheck(_Part):
    """Tokens a second of so many chips."""

    kind: Literal["throughput"]
    number: Amount
    chips: Count
    model: DenseModel
    context: Count = Field(description="tokens of a sequence at the least")
    variants: list[str] = []

    _are_known = field_validator("variants")(_known)


class EfficiencyCheck(_Part):
    """Figures a watt over those of a class."""

    kind: Literal["efficiency"]
    number: Amount
    figures: list[str]
    over: list[str]

    _are_known = field_validator("over")(_known)
    _are_figures = field_validator("figures")(_figures)


class CostCheck(_Part):
    """Dollars for the same work over those of a class."""

    kind: Literal["cost"]
    number: Amount
    figures: list[str]
    over: list[str]

    _are_known = field_validator("over")(_known)
    _are_figures = field_validator("figures")(_figures)


class CapacityCheck(_Part):
    """Chips that hold a model."""

    kind: Literal["capacity"]
    number: Count
    model: str
    context: Count
    plan: str = Field("", description="a system of `drawloom fabric` to plan the model on")


class FabricCheck(_Part):
    """Collectives on fabrics of direct links beside a switch of the same ports."""

    kind: Literal["fabric"]
    fabrics: list[str]
    sizes: list[Annotated[int, Of(q.SIZE)]]


Check = (
    PeakCheck | RatioCheck | ThroughputCheck | EfficiencyCheck | CostCheck | CapacityCheck
    | FabricCheck
)  # fmt: skip
CHECKS: dict[str, type[_Part]] = {
    "peak": PeakCheck,
    "ratio": RatioCheck,
    "throughput": ThroughputCheck,
    "efficiency": EfficiencyCheck,
    "cost": CostCheck,
    "capacity": CapacityCheck,
    "fabric": FabricCheck,
}


class Claim(BaseModel):
    """A claim as its file says it."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: Word
    statement: str = Field(description="what is claimed, in a sentence")
    system: str = Field(description="a system of `drawloom chips`")
    workload: str = Field(description="on which work")
    source: str = Field(description="who says so")
    check: Check = Field(description="how it is put to the model, by kind")

    _is_known = field_validator("system")(_known_one)


# One model a kind: what is wrong with a check is then told by the fields of that kind alone.
FILES: dict[str, type[Claim]] = {
    kind: create_model(f"{kind}_claim", __base__=Claim, check=(check, Field(description="how")))
    for kind, check in CHECKS.items()
}


def load_claim(name_or_path: str | Path) -> Claim:
    """Return a claim that comes with drawloom by name, or the one in a file.

    Raises:
        InputError: ``claims.file``, with every fault of the file; or for an unknown name, with the
            nearest known one.
    """
    if isinstance(name_or_path, str) and name_or_path in CLAIMS:
        return _shipped(name_or_path)
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml") and not path.is_file():
        hint = f"{nearest(str(name_or_path), CLAIMS)}; or the path of a claim file"
        fault = Fault(str(name_or_path), "", hint)
        raise InputError("claims.file", f"there is no claim '{name_or_path}'", [fault])
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise InputError("claims.file", f"cannot read '{path}': {reason.lower()}") from None
    return parse_claim(text, path.name)


@cache
def _shipped(name: str) -> Claim:
    return parse_claim((_FOLDER / f"{name}.yaml").read_text(encoding="utf-8"), f"{name}.yaml")


def parse_claim(text: str, file: str = "text") -> Claim:
    """Return the claim that a text describes; raises InputError (``claims.file``), all faults."""
    tree, faults = read(text, file)
    kind = tree.nearest(("check", "kind"))
    word = kind.content if isinstance(kind.content, str) else ""
    said: Claim | None = None
    if word in FILES:
        try:
            said = FILES[word].model_validate(tree.plain())
        except ValidationError as error:
            faults = [*faults, *faults_of(error, tree, is_whole=True, root=FILES[word])]
    else:
        allowed = "one of " + ", ".join(FILES)
        faults.append(Fault(f"{kind.place} check.kind", f"'{word}'" if word else "", allowed))
    if said is None or faults:
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        raise InputError("claims.file", f"{count} in {file}", faults)
    return said
