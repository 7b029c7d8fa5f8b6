"""Printing a mapping and reading it back changes nothing, in texts and in files."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.laws.strategies import graphs as named_graphs
from tests.mapping.drawing import graphs

from drawloom.chip.files import load_chip
from drawloom.errors import InputError
from drawloom.graph.ir import Graph
from drawloom.graph.lazy import values
from drawloom.mapping.files import read_mapping, write_mapping
from drawloom.mapping.mapping import Mapping
from drawloom.mapping.options import MapOptions
from drawloom.mapping.parse import parse_mapping
from drawloom.mapping.plan import map_graph
from drawloom.mapping.text import mapping_text
from drawloom.program.assemble import assemble
from drawloom.program.binary import program_hash

TX81 = load_chip("tx81")
OPTIONS = st.builds(MapOptions, fuse=st.booleans(), multicast=st.booleans(), resident=st.booleans())


def same(a: Mapping, b: Mapping) -> bool:
    contents = a.constants.keys() == b.constants.keys() and all(
        held.dtype == b.constants[at].dtype
        and values(held).tobytes() == values(b.constants[at]).tobytes()
        for at, held in a.constants.items()
    )
    parts = (a.pieces, a.storages, a.dram_bytes, dict(a.notes))
    return contents and parts == (b.pieces, b.storages, b.dram_bytes, dict(b.notes))


@settings(max_examples=20)
@given(graphs(), OPTIONS)
def test_parse_undoes_print(graph: Graph, options: MapOptions) -> None:
    mapping = map_graph(graph, TX81, options)
    text = mapping_text(mapping)
    again = parse_mapping(text, mapping.graph, TX81)
    assert same(mapping, again)
    assert mapping_text(again) == text
    assert program_hash(assemble(again)) == program_hash(assemble(mapping))


@settings(max_examples=12)
@given(named_graphs(names=True))
def test_any_name_survives(graph: Graph) -> None:
    mapping = map_graph(graph, TX81)
    again = parse_mapping(mapping_text(mapping), mapping.graph, TX81)
    assert same(mapping, again)


@settings(max_examples=4)
@given(graphs(max_nodes=4), st.booleans())
def test_a_file_holds_the_mapping_in_the_same_bytes(graph: Graph, changed: bool) -> None:
    mapping = map_graph(graph, TX81)
    if changed:  # contents that are not the graph's own
        other = {at: np.zeros_like(array) for at, array in mapping.constants.items()}
        mapping = replace(mapping, constants=other)
    with tempfile.TemporaryDirectory() as folder:
        first, second = Path(folder) / "a.map", Path(folder) / "b.map"
        write_mapping(mapping, first)
        again = read_mapping(first)
        write_mapping(again, second)
        assert same(mapping, again)
        assert again.chip == mapping.chip
        assert again.graph.text() == mapping.graph.text()
        assert first.read_bytes() == second.read_bytes()


@settings(max_examples=10)
@given(graphs(max_nodes=2), st.data())
def test_a_damaged_file_is_refused_or_read_right(graph: Graph, data: st.DataObject) -> None:
    mapping = map_graph(graph, TX81)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.map"
        write_mapping(mapping, path)
        whole = bytearray(path.read_bytes())
        at = data.draw(st.integers(0, len(whole) - 1))
        if data.draw(st.booleans()):
            del whole[at:]
        else:
            whole[at] ^= 1 << data.draw(st.integers(0, 7))
        path.write_bytes(whole)
        try:
            again = read_mapping(path)
        except InputError:
            return
        assert same(mapping, again)


@settings(max_examples=25)
@given(graphs(max_nodes=3), st.data())
def test_a_changed_text_is_refused_or_read_as_it_stands(graph: Graph, data: st.DataObject) -> None:
    """No change to a text makes anything but an InputError or a mapping that prints again."""
    mapping = map_graph(graph, TX81)
    lines = mapping_text(mapping).split("\n")
    at = data.draw(st.integers(0, len(lines) - 1))
    words = lines[at].split(" ")
    spot = data.draw(st.integers(0, len(words) - 1))
    words[spot] = data.draw(
        st.sampled_from(("", "-", "7", "x", "[", ")", '"', "t0", "a=1", "body"))
    )
    lines[at] = " ".join(words)
    try:
        again = parse_mapping("\n".join(lines), mapping.graph, TX81)
    except InputError:
        return
    text = mapping_text(again)
    assert mapping_text(parse_mapping(text, again.graph, TX81)) == text
