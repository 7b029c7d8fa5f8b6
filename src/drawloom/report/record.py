"""The figures of a run as plain data for JSON: stable keys, with units in their names."""

from __future__ import annotations

from drawloom.bound import Bound
from drawloom.chip.model import Range
from drawloom.compare.errors import held_words
from drawloom.report.figures import Figures
from drawloom.report.layers import Layer
from drawloom.timing.table import ENGINES

Record = dict[str, object]


def record(figures: Figures) -> Record:
    """Return all figures of a run."""
    trace = figures.trace
    read, written = trace.dram_bytes
    return {
        "model": trace.program.name,
        "chip": trace.chip.name,
        "profile": trace.profile,
        "notes": dict(trace.program.notes),
        "latency_ps": figures.latency_ps,
        "latency_range_ps": range_record(figures.latency_range) if figures.latency_range else None,
        "on_chip_ps": figures.on_chip_ps,
        "launch_ps": figures.launch_ps,
        "runs_per_s": figures.runs_per_s,
        "held_to": held_words(trace.chip.name),
        "bound": _bound(figures) if figures.has_bound else None,
        "over_bound_ratio": figures.over_bound if figures.has_bound else None,
        "matrix_operations_per_s": figures.operations_per_s,
        "matrix_peak_share": figures.peak_share,
        "dram_read_bytes": read,
        "dram_write_bytes": written,
        "dram_bytes_per_s": figures.dram_bytes_per_s,
        "noc_byte_hops": trace.noc_byte_hops,
        "noc_messages": trace.n_sends,
        "link_bytes": trace.link_bytes(),
        "commands_run": len(trace),
        "commands_written": len(trace.table.commands),
        "energy_j": range_record(figures.energy),
        "power_w": range_record(figures.watts),
        "energy_by_engine_j": {
            name: range_record(each) for name, each in figures.energy_parts.items()
        },
        "busy_share_by_tile": {
            engine.value: list(shares) for engine, shares in figures.utilisation.items()
        },
        "no_engine_ps": figures.layers.waiting_ps,
        "layers": [_layer(figures, layer) for layer in figures.layers.layers],
    }


def _bound(figures: Figures) -> Record:
    return {"of": "model" if figures.has_graph else "program"} | bound_record(figures.bound)


def bound_record(bound: Bound) -> Record:
    """Return a bound with its parts."""
    return {
        "ps": bound.ps,
        "limit": bound.limit,
        "matrix_ps": bound.matrix_ps,
        "dram_read_ps": bound.read_ps,
        "dram_write_ps": bound.write_ps,
        "dram_both_ps": bound.both_ps,
        "vector_ps": bound.vector_ps,
        "fixed_ps": bound.fixed_ps,
        "dram_read_bytes": bound.read_bytes,
        "dram_write_bytes": bound.write_bytes,
        "multiply_adds": dict(bound.macs),
        "functions": bound.functions,
    }


def range_record(figure: Range) -> Record:
    """Return a figure with its ends."""
    return {"low": figure.low, "value": figure.default, "high": figure.high}


def _layer(figures: Figures, layer: Layer) -> Record:
    low, value, high = layer.energy_j
    busy = {engine.value: ps for engine, ps in zip(ENGINES, layer.busy_ps, strict=True) if ps}
    return {
        "layer": layer.name,
        "nodes": list(layer.nodes),
        "share_ps": layer.share_ps,
        "bound_ps": least.busiest_ps if (least := figures.layer_bounds.get(layer.name)) else None,
        "start_ps": layer.start_ps,
        "end_ps": layer.end_ps,
        "busy_ps": busy,
        "commands_run": layer.n_commands,
        "multiply_adds": layer.macs,
        "dram_read_bytes": layer.dram_read_bytes,
        "dram_write_bytes": layer.dram_write_bytes,
        "noc_byte_hops": layer.noc_byte_hops,
        "energy_j": {"low": low, "value": value, "high": high},
    }
