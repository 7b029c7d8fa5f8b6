"""Systolic arrays against SCALE-Sim's counts: every layer of ResNet-50, GEMMs, its closed forms.

``scale_sim_cycles.csv`` has the cycles that SCALE-Sim 3.0.0 itself steps through: the rows of its
demand matrices for sums, all distinct shapes of ResNet-50's layers on 32 x 32 and some products on
128 x 128. Its stall-free report prints the number of the last cycle, one less.
Source: Samajdar et al., SCALE-Sim, ISPASS 2020; PyPI package scalesim.
"""

from __future__ import annotations

import csv
from math import ceil
from pathlib import Path

import pytest

from drawloom.routes.systolic.array import Array, Dataflow, Product

DATAFLOWS: tuple[Dataflow, ...] = ("weight", "output", "input")
GEMMS = [(256,) * 3, (512,) * 3, (1024,) * 3, (2048,) * 3, (4096,) * 3, (4096, 1024, 4096),
         (1, 1000, 2048), (129, 257, 127)]  # fmt: skip

COUNTED = Path(__file__).with_name("scale_sim_cycles.csv")


def counted() -> list[dict[str, int]]:
    with COUNTED.open(encoding="utf-8") as file:
        return [{key: int(value) for key, value in row.items()} for row in csv.DictReader(file)]


def closed_form(R: int, C: int, M: int, N: int, K: int, dataflow: str) -> int:
    return {
        "output": ceil(M / R) * ceil(N / C) * (K + R + C - 2),
        "weight": ceil(K / R) * ceil(N / C) * (M + 2 * R + C - 2),
        "input": ceil(K / R) * ceil(M / C) * (N + 2 * R + C - 2),
    }[dataflow]


def resnet50() -> list[Product]:
    """Return the products of ResNet-50's 53 convolutions and its last layer, one image of 224."""
    found = [Product(112 * 112, 64, 7 * 7 * 3)]
    channels, size = 64, 56
    for stage, (width, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
        for block in range(blocks):
            stride = 2 if block == 0 and stage else 1
            after = size // stride
            found += [
                Product(size * size, width, channels),
                Product(after * after, width, 9 * width),
                Product(after * after, 4 * width, width),
            ]
            if block == 0:
                found.append(Product(after * after, 4 * width, channels))
            channels, size = 4 * width, after
    return [*found, Product(1, 1000, 2048)]


def test_resnet50_has_its_layers_and_multiply_adds() -> None:
    layers = resnet50()
    assert len(layers) == 54
    assert sum(layer.macs for layer in layers) == 4_089_184_256  # torchvision says 4.09 GMAC


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_cycles_are_those_that_scale_sim_steps_through(dataflow: Dataflow) -> None:
    rows = counted()
    assert {(row["rows"], row["columns"]) for row in rows} == {(32, 32), (128, 128)}
    for row in rows:
        array = Array(row["rows"], row["columns"])
        found = array.cycles(Product(row["m"], row["n"], row["k"]), dataflow)
        assert found == row[dataflow], row


def test_every_layer_of_resnet50_was_counted() -> None:
    shapes = {(row["m"], row["n"], row["k"]) for row in counted() if row["rows"] == 32}
    assert {(layer.m, layer.n, layer.k) for layer in resnet50()} == shapes


def test_all_layers_together_take_what_scale_sim_counts() -> None:
    counts = {(r["m"], r["n"], r["k"]): r["weight"] for r in counted() if r["rows"] == 32}
    theirs = sum(counts[layer.m, layer.n, layer.k] for layer in resnet50())
    ours = sum(Array(32, 32).cycles(layer, "weight") for layer in resnet50())
    assert (ours, theirs) == (6_349_260, 6_349_260)  # benchmarks/measures/peers.py has it


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_every_layer_of_resnet50_on_32_by_32(dataflow: Dataflow) -> None:
    array = Array(32, 32)
    for layer in resnet50():
        expected = closed_form(32, 32, layer.m, layer.n, layer.k, dataflow)
        assert array.cycles(layer, dataflow) == expected, layer


@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize("shape", GEMMS)
def test_gemms_on_128_by_128(shape: tuple[int, int, int], dataflow: Dataflow) -> None:
    expected = closed_form(128, 128, *shape, dataflow)
    assert Array(128, 128).cycles(Product(*shape), dataflow) == expected
