"""Cycles of a systolic array against one that is stepped cell by cell, and laws of the counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from drawloom.routes.systolic.array import Array, Dataflow, Product

DATAFLOWS: tuple[Dataflow, ...] = ("weight", "output", "input")
sizes = st.integers(1, 40)
products = st.builds(Product, sizes, sizes, sizes)
arrays = st.builds(Array, st.integers(1, 9), st.integers(1, 9))
Matrix = NDArray[np.int64]


def skewed(streams: Matrix, cycle: int) -> Matrix:
    """Return what enters each row in a cycle: row r is r cycles late, zero where nothing is."""
    rows, length = streams.shape
    at = cycle - np.arange(rows)
    inside = (at >= 0) & (at < length)
    return np.where(inside, streams[np.arange(rows), at.clip(0, length - 1)], 0)


def stepped_fold(kept: Matrix, streams: Matrix) -> tuple[Matrix, int]:
    """Multiply kept [R, C] by streams [R, T] cell by cell; sums move down, values to the right.

    Returns sums [C, T] and the cycle after which the last one has left the lowest row.
    """
    rows, columns = kept.shape
    cycles = rows  # what is kept moves in, a row a cycle
    values, sums = np.zeros((2, rows, columns), np.int64)
    out: list[list[int]] = [[] for _ in range(columns)]
    length = streams.shape[1]
    clock = 0
    while any(len(column) < length for column in out):
        values = np.hstack([skewed(streams, clock)[:, None], values[:, :-1]])
        sums = np.vstack([np.zeros((1, columns), np.int64), sums[:-1]]) + kept * values
        for column in range(columns):
            begun = clock - (rows - 1) - column
            if 0 <= begun < length:
                out[column].append(int(sums[-1, column]))
        clock += 1
    return np.array(out), cycles + clock


def stepped_sums(left: Matrix, top: Matrix) -> tuple[Matrix, int]:
    """Multiply left [R, K] by top [K, C] with sums that stay; returns them and the last cycle."""
    rows, columns, length = left.shape[0], top.shape[1], left.shape[1]
    across, down = np.zeros((2, rows, columns), np.int64)
    sums = np.zeros((rows, columns), np.int64)
    clock, done = 0, np.zeros((rows, columns), np.int64)
    while (done < length).any():
        across = np.hstack([skewed(left, clock)[:, None], across[:, :-1]])
        down = np.vstack([skewed(top.T, clock)[None, :], down[:-1]])
        sums += across * down
        begun = clock - np.add.outer(np.arange(rows), np.arange(columns))
        done += (begun >= 0) & (begun < length)
        clock += 1
    return sums, clock


def padded(matrix: Matrix, rows: int, columns: int) -> Matrix:
    out = np.zeros((rows, columns), np.int64)
    out[: matrix.shape[0], : matrix.shape[1]] = matrix
    return out


def stepped(array: Array, a: Matrix, b: Matrix, dataflow: Dataflow) -> tuple[Matrix, int]:
    """Multiply on the stepped array, fold after fold."""
    R, C = array.rows, array.columns
    if dataflow == "input":
        out, cycles = stepped(array, b.T, a.T, "weight")
        return out.T, cycles
    total, cycles = np.zeros((a.shape[0], b.shape[1]), np.int64), 0
    for x in range(0, b.shape[1], C):
        if dataflow == "weight":
            for y in range(0, b.shape[0], R):
                kept = padded(b[y : y + R, x : x + C], R, C)
                sums, took = stepped_fold(kept, padded(a[:, y : y + R].T, R, a.shape[0]))
                total[:, x : x + C] += sums.T[:, : total[:, x : x + C].shape[1]]
                cycles += took
            continue
        for y in range(0, a.shape[0], R):
            left, top = padded(a[y : y + R], R, a.shape[1]), padded(b[:, x : x + C], len(b), C)
            sums, took = stepped_sums(left, top)
            part = total[y : y + R, x : x + C]
            part += sums[: part.shape[0], : part.shape[1]]
            cycles += took
    return total, cycles


@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize(("shape"), [(1, 1, 1), (5, 7, 3), (8, 4, 9), (13, 3, 4), (2, 11, 6)])
def test_cycles_are_those_of_an_array_stepped_cell_by_cell(
    shape: tuple[int, int, int], dataflow: Dataflow
) -> None:
    m, n, k = shape
    rng = np.random.default_rng(m * n * k)
    a, b = rng.integers(-5, 6, (m, k)), rng.integers(-5, 6, (k, n))
    array = Array(4, 3)
    out, cycles = stepped(array, a, b, dataflow)
    np.testing.assert_array_equal(out, a @ b)
    assert array.cycles(Product(m, n, k), dataflow) == cycles


@given(arrays, products, st.sampled_from(DATAFLOWS))
def test_no_array_outruns_its_cells(array: Array, product: Product, dataflow: Dataflow) -> None:
    for each in (array, replace(array, is_overlapped=True), replace(array, per_cycle=2)):
        assert 0 < each.utilisation(product, dataflow) <= 1


@given(arrays, products, st.sampled_from(DATAFLOWS), st.booleans())
def test_overlap_never_costs_cycles(
    array: Array, product: Product, dataflow: Dataflow, has_drain: bool
) -> None:
    serial = replace(array, has_drain=has_drain)
    overlapped = replace(serial, is_overlapped=True)
    assert overlapped.cycles(product, dataflow) <= serial.cycles(product, dataflow)


@given(arrays, products)
def test_the_best_dataflow_is_no_slower_than_any(array: Array, product: Product) -> None:
    best = array.cycles(product, array.best(product))
    assert all(best <= array.cycles(product, word) for word in DATAFLOWS)


@given(arrays, products)
def test_exchanging_the_operands_exchanges_weights_and_inputs(
    array: Array, product: Product
) -> None:
    turned = Product(product.n, product.m, product.k)
    assert array.cycles(product, "input") == array.cycles(turned, "weight")


def test_an_overlapped_array_shows_fill_and_skew_once() -> None:
    array = Array(128, 128, is_overlapped=True)
    product = Product(4096, 1024, 512)
    assert array.cycles(product, "weight") == 128 + 8 * 4 * 4096 + 254
    drained = replace(array, has_drain=True)
    assert drained.cycles(Product(256, 256, 8), "output") == 3 * 128 + 8 + 254 + 128
