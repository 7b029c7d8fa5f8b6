from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.report import hand

from drawloom.errors import InputError
from drawloom.report import write_trace
from drawloom.report.perfetto import trace_json, write_perfetto
from drawloom.timing.files import read_trace


def parsed() -> dict[str, Any]:
    return json.loads("".join(trace_json(hand.trace())))


def test_every_span_is_an_event_at_its_exact_time() -> None:
    trace = hand.trace()
    events = [event for event in parsed()["traceEvents"] if event["ph"] == "X"]
    assert len(events) == len(trace)
    assert [round(e["ts"] * 1e6) for e in events] == trace.start_ps.tolist()
    assert [round(e["dur"] * 1e6) for e in events] == (trace.end_ps - trace.start_ps).tolist()
    assert [e["pid"] for e in events] == trace.tile.tolist()
    assert [e["tid"] for e in events] == trace.engine.tolist()


def test_an_event_leads_home_to_its_layer() -> None:
    events = [e for e in parsed()["traceEvents"] if e["name"].startswith("MatMul")]
    assert events[0]["name"] == "MatMul 128×256×128 f16"
    args = events[0]["args"]
    assert args["layer"] == "/model/conv1/<Conv> & co"
    assert (args["node"], args["piece"]) == ("conv1", "p0")
    assert args["text"].startswith("matmul ")
    assert args["energy_pj"] > 0


def test_tiles_are_processes_and_engines_their_threads() -> None:
    names = {
        (e["pid"], e["tid"]): e["args"]["name"]
        for e in parsed()["traceEvents"]
        if e["ph"] == "M" and e["name"] == "thread_name"
    }
    assert len(names) == 16 * 7
    assert [names[3, tid] for tid in range(7)] == [
        "matrix", "vector", "read", "write", "move", "send", "cpu",
    ]  # fmt: skip


def test_counters_of_dram_add_up_to_its_bytes() -> None:
    trace = hand.trace()
    events = [e for e in parsed()["traceEvents"] if e["name"] == "DRAM read GB/s"]
    values = np.array([e["args"]["value"] for e in events]) * 1e9
    step_s = (events[1]["ts"] - events[0]["ts"]) * 1e-6
    assert values.sum() * step_s == pytest.approx(trace.dram_bytes[0], rel=0.01)


def test_equal_traces_give_equal_gzipped_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "a.json.gz", tmp_path / "b.json.gz"
    write_perfetto(hand.trace(), first)
    write_perfetto(hand.trace(), second)
    assert first.read_bytes() == second.read_bytes()
    assert json.loads(gzip.decompress(first.read_bytes())) == parsed()


def test_the_ending_of_a_trace_file_says_its_form(tmp_path: Path) -> None:
    trace = hand.trace()
    write_trace(trace, tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text()) == parsed()
    write_trace(trace, tmp_path / "a.trace")
    assert read_trace(tmp_path / "a.trace").total_ps == trace.total_ps
    with pytest.raises(InputError) as caught:
        write_trace(trace, tmp_path / "a.txt")
    assert str(caught.value) == (
        f"error[report.trace]: '{tmp_path}/a.txt' does not say in which form\n"
        "  a.txt (a name that ends in .json, .json.gz or .trace)"
    )
