from __future__ import annotations

import json

import pytest
from tests.report import hand

from drawloom.chip.model import Range
from drawloom.program.commands import Engine
from drawloom.report.figures import figures, spelled_out
from drawloom.report.layers import by_layer
from drawloom.report.record import record
from drawloom.timing.table import ENGINES

CONV = "/model/conv1/<Conv> & co"


def test_layers_share_the_time_without_rest() -> None:
    trace = hand.trace()
    split = by_layer(trace)
    total = sum(layer.share_ps for layer in split.layers) + split.waiting_ps
    assert total == pytest.approx(trace.total_ps, abs=len(split.layers))


def test_layers_come_in_the_order_in_which_they_start_and_name_their_nodes() -> None:
    split = by_layer(hand.trace())
    assert [layer.name for layer in split.layers] == [
        "share", CONV, "/model/softmax", "/model/relu1",
    ]  # fmt: skip
    assert split.layers[1].nodes == ("conv1.load", "conv1")
    starts = [layer.start_ps for layer in split.layers]
    assert starts == sorted(starts)


def test_what_layers_moved_and_did_adds_up_to_the_trace() -> None:
    trace = hand.trace()
    layers = by_layer(trace).layers
    read, written = trace.dram_bytes
    assert sum(layer.dram_read_bytes for layer in layers) == read
    assert sum(layer.dram_write_bytes for layer in layers) == written
    assert sum(layer.noc_byte_hops for layer in layers) == trace.noc_byte_hops
    assert sum(layer.n_commands for layer in layers) == len(trace)
    spent = sum(layer.energy_j[1] for layer in layers) * 1e12
    assert spent == pytest.approx(trace.energy.default - trace.idle_energy.default)
    assert sum(layer.macs for layer in layers) == 16 * 4 * 128 * 256 * 128


def test_a_processor_that_only_waits_is_not_at_work() -> None:
    trace = hand.trace()
    share = by_layer(trace).layers[0]
    assert share.busy_ps[ENGINES.index(Engine.CPU)] == 0
    assert share.busy_ps[ENGINES.index(Engine.SEND)] > 0


def test_headline_figures_follow_from_the_trace() -> None:
    trace = hand.trace()
    shown = figures(trace)
    assert shown.latency_ps == trace.latency_ps == trace.total_ps + shown.launch_ps
    assert shown.over_bound == trace.total_ps / shown.bound.ps
    assert not shown.has_graph
    parts = [each.default for each in shown.energy_parts.values()]
    assert sum(parts) == pytest.approx(shown.energy.default)
    assert shown.energy.low < shown.energy.default < shown.energy.high
    assert shown.watts.default == pytest.approx(shown.energy.default / (trace.total_ps * 1e-12))
    assert shown.notes == {"precision": "fp16"}
    assert set(shown.utilisation) == set(Engine)
    assert shown.mean(Engine.MATRIX) == pytest.approx(sum(shown.utilisation[Engine.MATRIX]) / 16)


def test_the_record_is_json_with_units_in_its_keys() -> None:
    made = json.loads(json.dumps(record(figures(hand.trace()))))
    assert made["latency_ps"] == hand.trace().latency_ps
    assert made["notes"]["precision"] == "fp16"
    assert made["bound"]["of"] == "program"
    assert made["layers"][1]["layer"] == CONV
    assert list(made["energy_j"]) == ["low", "value", "high"]
    endings = ("_ps", "_bytes", "_s", "_share", "_ratio", "_j", "_w", "_hops", "_tile", "_engine_j")
    words = {"model", "chip", "profile", "notes", "bound", "layers", "noc_messages", "held_to"}
    words |= {"commands_run", "commands_written"}
    assert {key for key in made if key not in words and not key.endswith(endings)} == set()


def test_a_figure_with_ends_keeps_them_in_order() -> None:
    shown = figures(hand.trace())
    for each in [shown.energy, shown.watts, *shown.energy_parts.values()]:
        assert isinstance(each, Range)
        assert each.low <= each.default <= each.high


def test_layers_that_were_mapped_as_one_go_by_the_name_of_all() -> None:
    shown = "h.0-1.att.{query,key}"
    names = ("h.0.att.query", "h.1.att.query", "h.0.att.key", "h.1.att.key")
    assert spelled_out([shown, "head"]) == dict.fromkeys(names, shown) | {"head": "head"}
