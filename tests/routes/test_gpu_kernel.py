"""Matrix kernels on GPUs: waves, limits, what grows with what."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from drawloom.chip.gpu import load_gpu
from drawloom.routes.gpu.fitted import behaviour
from drawloom.routes.gpu.gemm import FORMATS, gemm_seconds
from drawloom.routes.gpu.kernel import Kernel, Shapes, Tile
from drawloom.routes.gpu.libraries import cublas_tiles, earlier_cublas_tiles

H200 = load_gpu("h200_sxm")
A100 = load_gpu("a100_sxm")
TILE = Tile(128, 128, 64)


def shapes(*sizes: tuple[int, int, int]) -> Shapes:
    m, n, k = np.array(sizes, np.float64).T
    return Shapes(m, n, k)


def kernel(tile: Tile = TILE) -> Kernel:
    return Kernel(H200, behaviour("cublas"), tile, "bf16", 2)


def test_tiles_are_counted_up_to_whole_clusters() -> None:
    some = shapes((128, 128, 64), (129, 128, 64), (384, 128, 64))
    assert kernel().blocks(some).tolist() == [1, 2, 3]
    assert kernel(replace(TILE, cluster_m=2)).blocks(some).tolist() == [2, 2, 4]
    assert kernel().blocks(some, parts=4).tolist() == [4, 8, 12]


def test_one_tile_more_than_the_sms_is_another_wave() -> None:
    one, two = kernel().waves(shapes((128, 128 * 132, 8192), (128, 128 * 133, 8192)))
    assert two > 1.8 * one


def test_a_gpu_without_clusters_gets_none() -> None:
    older, newer = cublas_tiles(A100, 2), cublas_tiles(H200, 2)
    assert {(tile.cluster_m, tile.cluster_n) for tile in older} == {(1, 1)}
    assert {(tile.cluster_m, tile.cluster_n) for tile in newer} == {(1, 1), (1, 2), (2, 1)}


def test_an_earlier_library_has_some_of_the_tiles_and_is_no_quicker() -> None:
    earlier, later = earlier_cublas_tiles(H200, 2), cublas_tiles(H200, 2)
    assert len(earlier) == 5
    assert {(tile.m, tile.n, tile.k) for tile in earlier} < {(t.m, t.n, t.k) for t in later}
    assert earlier_cublas_tiles(A100, 2) == cublas_tiles(A100, 2)
    m = np.array([1, 100, 256, 300, 1000, 5000])
    sizes = (m, np.full_like(m, 12288), np.full_like(m, 4096))
    slower = gemm_seconds(H200, "bfloat16_earlier", *sizes)
    assert (slower >= gemm_seconds(H200, "bfloat16", *sizes)).all()
    assert slower[2] > 1.05 * gemm_seconds(H200, "bfloat16", *sizes)[2]


def test_power_holds_large_products_to_what_is_sustained() -> None:
    large = shapes((16384, 16384, 16384))
    most = H200.rated_peak("bf16") * H200.sustained * behaviour("cublas").power_share
    assert kernel(Tile(256, 128, 64)).seconds(large) >= large.macs() / most


@pytest.mark.parametrize("word", FORMATS)
def test_no_product_is_quicker_than_peak_or_dram_allow(word: str) -> None:
    sizes = np.array([1, 16, 100, 1000, 4096, 20000])
    m, n, k = (each.ravel() for each in np.meshgrid(sizes, sizes * 128, sizes * 128))
    seconds = gemm_seconds(H200, word, m, n, k)
    width = 2 if word == "bfloat16" else 1
    peak = H200.peak("bf16" if word == "bfloat16" else "f8")
    assert (seconds >= m * n * k / peak).all()
    assert (seconds >= width * n.astype(float) * k / H200.dram_rate).all()


@pytest.mark.parametrize("word", FORMATS)
def test_more_columns_take_longer_on_the_whole(word: str) -> None:
    n = 2 ** np.arange(7, 17)
    seconds = gemm_seconds(H200, word, np.full(10, 512), n, np.full(10, 4096))
    assert (np.diff(seconds) > -0.02 * seconds[:-1]).all()
    assert seconds[-1] > 2 * seconds[0]


def test_a_deep_and_narrow_product_is_split() -> None:
    deep = shapes((16, 256, 65536))
    assert kernel(Tile(64, 64, 64)).seconds(deep, 16) < kernel(Tile(64, 64, 64)).seconds(deep) / 3


def test_rows_that_do_not_fill_a_tile_cost_more_than_no_rows() -> None:
    full, one_more = gemm_seconds(H200, "fp8", *np.array([[512, 513], [8192] * 2, [8192] * 2]))
    assert one_more > 1.2 * full
