"""Chip files: what a person writes is what they get, or a message that says all that is wrong."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drawloom.chip.files import load_chip, parse_chip
from drawloom.chip.model import Chip, Range, Source
from drawloom.chip.ranges import at, uncertain
from drawloom.chip.schema import chip_schema
from drawloom.chip.text import chip_text, show
from drawloom.errors import InputError

PAGE = Path(__file__).parents[2] / "docs" / "chips.md"
TX81 = load_chip("tx81")


def save(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def message(path: Path | str) -> str:
    with pytest.raises(InputError) as caught:
        load_chip(path)
    assert caught.value.kind == "chip.file"
    return caught.value.text()


def test_five_faults_are_told_at_once(tmp_path: Path) -> None:
    text = """\
extends: tx81
clock: 1 MB/s
matrix:
  blocks: 32
  macs_per_cycle:
    fp16: 2048 MAC/cycle
dram.read: {value: 100 GB/s, range: [120 GB/s, 150 GB/s]}
vector:
  fixed: 46
"""
    assert message(save(tmp_path, "mine.chip.yaml", text)) == (
        "error[chip.file]: 5 faults in mine.chip.yaml\n"
        "  mine.chip.yaml:2 clock: '1 MB/s' (a frequency such as 1 GHz; units Hz, kHz, MHz, GHz)\n"
        "  mine.chip.yaml:4 matrix.blocks (did you mean 'block'?)\n"
        "  mine.chip.yaml:6 matrix.macs_per_cycle.fp16 (did you mean 'f16'?)\n"
        "  mine.chip.yaml:7 dram.read.range: [120 GB/s, 150 GB/s]"
        " (the range must hold the value, low end first)\n"
        "  mine.chip.yaml:9 vector.fixed: '46' (a number of cycles such as 46 cycles)"
    )


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("dram.read: {value: 1 GB/s, grade: Z}", "dram.read.grade: 'Z' (one of A, B, C, D, E, F)"),
        ("dram.read: {source: me}", "dram.read: value missing (a rate such as 155.8 GB/s; units "
         "B/s, kB/s, MB/s, GB/s, TB/s, KiB/s, MiB/s, GiB/s, TiB/s)"),
        ("clock: {value: 1 GHz, range: [1 GHz]}", "clock.range: [1 GHz] (two ends, [low, high])"),
        ("clock: {value: 1 GHz, range: 1 GHz}", "clock.range: '1 GHz' (two ends, [low, high])"),
        ("clock: {value: 1 GHz, sauce: me}", "clock.sauce (did you mean 'source'?)"),
        ("clock:", "clock: '' (a frequency such as 1 GHz; units Hz, kHz, MHz, GHz)"),
        ("send.fanout: 4", "send.fanout: '4' (a list such as [1, 2, 4])"),
        ("send.fanout: [1, 0]", "send.fanout: '0' (more than 0)"),
        ("noc: 3", "noc: '3' (a section with bytes_per_cycle, hop)"),
        ("noc: {hops: 1 cycle}", "noc.hops (did you mean 'hop'?)"),
        ("vector.rates.sqroot: 4", "vector.rates.sqroot (did you mean 'sqrt'?)"),
        ("clocks: 1 GHz", "clocks (did you mean 'clock'?)"),
        ("name: my chip", "name: 'my chip' (a word of letters, digits, _ and -)"),
        ("title: [a, b]", "title: [a, b] (one line of text)"),
        ("profiles.mine: {issue: 3 cycles}",
         "profiles.mine: message, first_message, signal, wait, barrier, launch missing"),
        ("scratchpad.bytes: 128 KiB",
         "scratchpad (bytes must be more than reserve_low and reserve_high together)"),
        ("dram.peak: 100 GB/s", "dram (read, write and combined must not pass peak)"),
        ("blocking.min_tail: 256", "blocking (min_tail must not pass block or block_8bit)"),
        ("matrix.macs_per_cycle.i4: 16384 MAC/cycle",
         "(energy.matrix_per_mac must hold i4, as matrix does)"),
    ],
)  # fmt: skip
def test_a_fault_names_field_value_and_what_is_allowed(
    tmp_path: Path, line: str, fault: str
) -> None:
    path = save(tmp_path, "m.chip.yaml", f"extends: tx81\n{line}\n")
    lines = message(path).splitlines()
    assert lines[0] == "error[chip.file]: 1 fault in m.chip.yaml"
    where, told = lines[1].strip().split(" ", 1)
    assert re.fullmatch(r"m\.chip\.yaml:[12]:?", where)
    assert told == fault


def test_a_file_without_extends_must_say_everything(tmp_path: Path) -> None:
    assert message(save(tmp_path, "mine.yaml", "name: mine\ntitle: Mine\nclock: 1 GHz\n")) == (
        "error[chip.file]: 1 fault in mine.yaml\n"
        "  mine.yaml:1: rows, cols, scratchpad, matrix, vector, dram_read, dram_write, move, send,"
        " cpu, noc, dram, profiles, blocking, energy, limits missing"
        " (or start from a chip that has them, with 'extends')"
    )


def test_an_unknown_chip_gets_the_nearest() -> None:
    assert message("tx8l") == (
        "error[chip.file]: there is no chip 'tx8l'\n"
        "  tx8l (did you mean 'tx81'?; or the path of a chip file)"
    )


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "gone.chip.yaml"
    assert message(path) == f"error[chip.file]: cannot read '{path}': no such file or directory"


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "raw.yaml"
    path.write_bytes(b"name: \xff\xfe")
    assert message(path) == f"error[chip.file]: cannot read '{path}': not UTF-8 text"


def test_a_file_that_is_no_yaml(tmp_path: Path) -> None:
    assert message(save(tmp_path, "mine.yaml", "name: a\nclock: [1 GHz\nrows: 4\n")) == (
        "error[chip.file]: mine.yaml is not YAML\n  mine.yaml:3: expected ',' or ']', but got ':'"
    )


def test_a_file_that_is_no_section(tmp_path: Path) -> None:
    assert message(save(tmp_path, "mine.yaml", "- 1\n- 2\n")) == (
        "error[chip.file]: mine.yaml is not a chip file\n"
        "  mine.yaml:1: [1, 2] (a section with the fields of a chip)"
    )


def test_a_field_given_twice(tmp_path: Path) -> None:
    text = "extends: tx81\nclock: 1 GHz\nclock: 2 GHz\ndram.read: 1 GB/s\ndram: {read: 2 GB/s}\n"
    assert message(save(tmp_path, "m.yaml", text)) == (
        "error[chip.file]: 2 faults in m.yaml\n"
        "  m.yaml:3 clock: given twice (first in m.yaml:2)\n"
        "  m.yaml:5 dram.read: given twice (first in m.yaml:4)"
    )


def test_faults_of_a_file_whose_base_is_misspelt_are_told_with_it(tmp_path: Path) -> None:
    assert message(save(tmp_path, "m.yaml", "extends: tx18\nclock: 1\nmatrix: {blok: 3}\n")) == (
        "error[chip.file]: 3 faults in m.yaml\n"
        "  m.yaml:1 extends: 'tx18' (did you mean 'tx81'?; or the path of a chip file)\n"
        "  m.yaml:2 clock: '1' (a frequency such as 1 GHz; units Hz, kHz, MHz, GHz)\n"
        "  m.yaml:3 matrix.blok (did you mean 'block'?)"
    )


def test_files_that_extend_each_other(tmp_path: Path) -> None:
    save(tmp_path, "a.yaml", "extends: b.yaml\n")
    path = save(tmp_path, "b.yaml", "extends: a.yaml\n")
    assert message(path) == (
        "error[chip.file]: 1 fault in b.yaml\n"
        "  a.yaml:1 extends: 'b.yaml' (a file that does not extend this one)"
    )


def test_an_alias_that_holds_itself_ends(tmp_path: Path) -> None:
    told = message(save(tmp_path, "m.yaml", "extends: tx81\nnoc: &a {hop: *a}\n"))
    assert "m.yaml:2" in told


def test_a_file_nested_without_end(tmp_path: Path) -> None:
    assert message(save(tmp_path, "m.yaml", "name: " + "[" * 5000)) == (
        "error[chip.file]: m.yaml is not a chip file\n  m.yaml (at most 12 sections deep)"
    )


def test_an_override_changes_one_number_and_its_source(tmp_path: Path) -> None:
    path = save(tmp_path, "mine.chip.yaml", "extends: tx81\n\ndram:\n  read: 100 GB/s\n")
    chip = load_chip(path)
    assert chip.dram == replace(TX81.dram, read=100_000_000_000)
    assert chip.sources["dram.read"] == Source("user file mine.chip.yaml:4", "F")
    assert chip.sources["dram.write"] == TX81.sources["dram.write"]
    assert (chip.name, chip.title) == ("mine", f"{TX81.title}, changed in mine.chip.yaml")


def test_a_path_with_dots_is_a_section(tmp_path: Path) -> None:
    dotted = "extends: tx81\nprofiles.lean.issue: 20 cycles\nprofiles: {lean.wait: 9 cycles}\n"
    nested = "extends: tx81\nprofiles: {lean: {\n  issue: 20 cycles\n  , wait: 9 cycles}}\n"
    one = load_chip(save(tmp_path, "a.yaml", dotted))
    two = load_chip(save(tmp_path, "b.yaml", nested))
    assert one.profiles == two.profiles
    assert one.profiles["lean"].issue == 20
    assert one.profiles["vendor"] == TX81.profiles["vendor"]


def test_an_entry_brings_its_source_grade_and_range() -> None:
    entry = "{value: 2 GHz, range: [1 GHz, 3 GHz], grade: B, source: our lab}"
    chip = parse_chip(f"extends: tx81\nclock: {entry}\n")
    assert chip.clock == 2_000_000_000
    assert chip.sources["clock"] == Source("our lab", "B", 1e9, 3e9)


def test_an_energy_alone_is_exact() -> None:
    chip = parse_chip("extends: tx81\nenergy.idle_watts: 50 W\n")
    assert chip.energy.idle_watts == Range(50.0, 50.0, 50.0)


def test_files_extend_files_beside_them(tmp_path: Path) -> None:
    save(tmp_path, "base.chip.yaml", "extends: tx81\nname: base\nclock: 2 GHz\n")
    top = save(tmp_path, "top.chip.yaml", "extends: base.chip.yaml\nnoc.hop: 3 cycles\n")
    chip = load_chip(top)
    assert (chip.name, chip.clock, chip.noc.hop) == ("top", 2 * 10**9, 3)
    assert chip.sources["clock"].text == "user file base.chip.yaml:3"
    assert chip.sources["noc.hop"].text == "user file top.chip.yaml:2"


def test_an_override_leaves_the_catalog_alone() -> None:
    parse_chip("extends: tx81\nvector.rates.exp: 1\nmatrix.macs_per_cycle.f16: 1 MAC/cycle\n")
    assert TX81.vector.rates["exp"] == 4
    assert load_chip("tx81").matrix.macs_per_cycle["f16"] == 4096


def test_text_of_the_catalog_loads_as_an_equal_chip(tmp_path: Path) -> None:
    path = save(tmp_path, "other.chip.yaml", chip_text(TX81))
    assert load_chip(path) == TX81
    assert list(load_chip(path).profiles) == list(TX81.profiles)


@st.composite
def chips(draw: st.DrawFn) -> Chip:
    """The TX81 with some numbers at an end of their range, others changed, sources reworded."""
    ends = draw(
        st.dictionaries(st.sampled_from(sorted(uncertain(TX81))), st.sampled_from(["low", "high"]))
    )
    chip = at(TX81, ends)
    size = st.integers(1, 2**40)
    chip = replace(
        chip,
        title=draw(st.text()),
        limits=replace(chip.limits, rows=draw(size), pad=draw(size)),
        move=replace(chip.move, max_bytes=draw(size)),
        send=replace(chip.send, fanout=tuple(draw(st.lists(size)))),
        energy=replace(chip.energy, cap_watts=draw(st.floats(0, 1e6))),
    )
    sources = dict(chip.sources)
    for path in draw(st.sets(st.sampled_from(sorted(sources)), max_size=3)):
        sources[path] = replace(
            sources[path], text=draw(st.text()), grade=draw(st.sampled_from("ABCDEF"))
        )
    return replace(chip, sources=sources)


@settings(max_examples=15)
@given(chips())
def test_parsing_undoes_printing(chip: Chip) -> None:
    text = chip_text(chip)
    again = parse_chip(text)
    assert again == chip
    assert chip_text(again) == text


FIELDS = st.sampled_from(sorted(TX81.sources))
SCALARS = st.sampled_from(
    ["1 GHz", "3", "-1 B", "", "~", "*a", "x: y", "{}", "[]", "0x1F", "1e999"]
)
ENTRIES = st.builds("{{value: {}, range: [{}, {}], grade: {}}}".format, *[SCALARS] * 4)
LINES = st.builds(
    lambda path, cut, value: f"{'.'.join(path.split('.')[:cut])}: {value}",
    FIELDS,
    st.integers(1, 4),
    SCALARS | ENTRIES | st.text(max_size=8),
)


@settings(max_examples=200)
@given(st.lists(LINES | st.text(max_size=12), max_size=6))
def test_any_text_is_a_chip_or_an_input_error(lines: list[str]) -> None:
    text = "\n".join(["extends: tx81", *lines])
    with suppress(InputError):
        assert parse_chip(text).sources


def test_show_has_a_row_for_every_number() -> None:
    rows = {row.path: row for row in show(TX81)}
    assert set(rows) == set(TX81.sources)
    assert rows["dram.read"].value == "155.8 GB/s"
    assert rows["dram.read"].range == "150 GB/s to 200 GB/s"
    assert rows["dram.read"].grade == "A"
    assert rows["send.fanout"].value == "[1, 2, 4, 8, 15]"
    assert rows["energy.noc_per_byte_hop"].value == "3.2 pJ/B/hop"
    assert rows["blocking.block"].range == ""


def test_the_schema_is_json_and_knows_every_section() -> None:
    schema = json.loads(json.dumps(chip_schema()))
    assert set(schema["properties"]) >= {"extends", "clock", "matrix", "profiles"}
    assert "required" not in schema
    assert schema["$defs"]["MatrixPart"]["properties"]["block"]["description"]
    assert "required" not in schema["$defs"]["MatrixPart"]
    entry = schema["$defs"][schema["properties"]["clock"]["$ref"].rsplit("/", 1)[1]]
    bare, whole = entry["anyOf"]
    assert bare["type"] == ["string"]
    assert whole["required"] == ["value"]


def yaml_examples() -> list[str]:
    return re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)


def test_the_example_in_the_page_loads(tmp_path: Path) -> None:
    (example,) = yaml_examples()
    chip = load_chip(save(tmp_path, "tx81-hbm.chip.yaml", example))
    assert chip.name == "tx81-hbm"
    assert chip.scratchpad.bytes == 4 * 2**20
    assert chip.sources["scratchpad.bytes"].text == "user file tx81-hbm.chip.yaml:5"
    assert chip.sources["dram.read"].high == 680e9
    assert chip.energy.dram_per_byte == Range(44.0, 44.0, 44.0)
    assert list(chip.profiles) == ["lean", "vendor", "bare"]
    assert chip.profiles["lean"] == replace(TX81.profiles["lean"], issue=20)


def test_the_message_in_the_page_is_what_is_said(tmp_path: Path) -> None:
    told = message(
        save(tmp_path, "mine.chip.yaml", "extends: tx81\nclock: 1 MB/s\nmatrix:\n  blocks: 3\n")
    )
    assert told in PAGE.read_text(encoding="utf-8")


def test_the_python_in_the_page_runs() -> None:
    names: dict[str, object] = {}
    for code in re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S):
        exec(compile(code, str(PAGE), "exec"), names)
    slow = names["slow"]
    assert isinstance(slow, Chip)
    assert slow.clock == 680_000_000
    assert slow.vector.rates["exp"] == 16
