"""The catalog: every number has a source, and the figures go through the public measurements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args

import pytest

import drawloom.chip.catalog
from drawloom.chip.catalog import CATALOG
from drawloom.chip.files import catalog, load_chip
from drawloom.chip.model import Chip, MatrixEngine, Range
from drawloom.chip.schema import Rated, Section
from drawloom.program.vector_ops import VECTOR_OPS

FOLDER = Path(drawloom.chip.catalog.__file__).parent


def leaves(owner: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every number of a chip by its dotted path, found without the schema."""
    if isinstance(owner, (int, float, tuple, Range)):
        yield path, owner
    elif isinstance(owner, Mapping):
        for key, below in owner.items():
            yield from leaves(below, f"{path}.{key}")
    elif is_dataclass(owner):
        for field in fields(owner):
            if field.name != "sources":
                yield from leaves(getattr(owner, field.name), f"{path}.{field.name}".lstrip("."))


def matrix_cycles(engine: MatrixEngine, macs: int, psum: bool = False) -> int:
    """What the docstring of MatrixEngine says of an FP16 command of whole blocks."""
    work = macs // engine.macs_per_cycle["f16"]
    overhead = min(engine.fixed, engine.start + work // engine.bubble_every)
    return work + overhead + (engine.psum_fixed if psum else 0)


@pytest.fixture(scope="module", params=sorted(CATALOG))
def chip(request: pytest.FixtureRequest) -> Chip:
    return load_chip(request.param)


def test_catalog_and_folder_agree() -> None:
    assert {path.stem for path in FOLDER.glob("*.yaml")} == set(CATALOG)
    assert catalog() == tuple(sorted(CATALOG))


def test_every_number_has_a_source_and_every_source_a_number(chip: Chip) -> None:
    assert {path for path, _ in leaves(chip)} == set(chip.sources)
    assert len(chip.sources) > 100


def test_every_source_is_written_in_the_catalog(chip: Chip) -> None:
    bare = {p: s for p, s in chip.sources.items() if len(s.text) < 20 or "user file" in s.text}
    assert bare == {}
    assert {source.grade for source in chip.sources.values()} <= set("ABCDEF")


def test_what_is_assumed_says_so_and_has_a_range(chip: Chip) -> None:
    assumed = {p: s for p, s in chip.sources.items() if s.grade == "F"}
    assert [p for p, s in assumed.items() if "assumed" not in s.text] == []
    assert [p for p, s in assumed.items() if s.low is None or s.high is None] == []


def test_a_chip_is_called_after_its_file(chip: Chip) -> None:
    assert chip.name in CATALOG


def test_every_vector_operation_has_a_rate(chip: Chip) -> None:
    assert set(chip.vector.rates) == VECTOR_OPS | {"reduce", "pool"}


def test_rates_may_be_given_for_what_a_program_can_ask() -> None:
    assert set(get_args(Rated)) == VECTOR_OPS | {"reduce", "pool"}


def test_the_schema_names_the_fields_of_the_model() -> None:
    for part in Section.__subclasses__():
        made = {field.name for field in fields(part.MAKES)} - {"sources"}
        assert set(part.model_fields) == made, part.__name__


def test_every_field_of_the_schema_is_described() -> None:
    for part in Section.__subclasses__():
        for name, field in part.model_fields.items():
            is_section = isinstance(field.annotation, type) and issubclass(
                field.annotation, Section
            )
            assert field.description or is_section, f"{part.__name__}.{name}"


def test_loading_twice_gives_the_same_chip() -> None:
    assert load_chip("tx81") is load_chip("tx81")


def test_tx81_peak_is_what_the_vendor_states() -> None:
    assert load_chip("tx81").peak_flops == pytest.approx(128e12, rel=0.03)


def test_tx81_usable_scratchpad() -> None:
    assert load_chip("tx81").scratchpad.usable == 3_014_656


def test_tx81_default_profile_is_lean() -> None:
    assert list(load_chip("tx81").profiles) == ["lean", "vendor"]


@pytest.mark.parametrize(
    ("macs", "psum", "measured", "within"),
    [
        (64**3, False, 82, 0.02),
        (256 * 512 * 256, False, 8341, 0.001),
        (256 * 256 * 128, True, 2464, 0.05),
    ],
)
def test_tx81_matrix_engine_goes_through_the_board_points(
    macs: int, psum: bool, measured: int, within: float
) -> None:
    assert matrix_cycles(load_chip("tx81").matrix, macs, psum) == pytest.approx(
        measured, rel=within
    )


def test_tx81_vector_engine_goes_through_the_board_point() -> None:
    engine = load_chip("tx81").vector
    assert engine.fixed + 4096 // 2 // engine.lanes_16 * engine.rates["add"] in (78, 79)


def test_tx81_energy_at_full_rate_stays_below_the_cap() -> None:
    chip = load_chip("tx81")
    busy = chip.peak_flops / 2 * chip.energy.matrix_per_mac["f16"].default * 1e-12
    dram = chip.dram.combined * chip.energy.dram_per_byte.default * 1e-12
    assert chip.energy.idle_watts.default + busy + dram < chip.energy.cap_watts
