"""Graphs that make no tokens in a comparison: ONNX files, models of images."""

from __future__ import annotations

from pathlib import Path

import pytest
from examples.models.resnet import resnet18

from drawloom.compare.run import Load, compare
from drawloom.errors import InputError


@pytest.fixture(scope="module")
def resnet(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("models") / "resnet.onnx"
    path.write_bytes(resnet18(image=64, width=16).SerializeToString())
    return str(path)


def test_an_onnx_model_runs_on_each_chip_by_itself(resnet: str) -> None:
    one, four = compare(resnet, "tpu_v5e,tpu_v5e-4", Load(phase="forward"))
    assert one.first is not None
    assert one.rate is not None
    assert four.rate is not None
    assert one.token is None
    assert one.first == four.first
    assert four.rate.best == pytest.approx(4 * one.rate.best)
    assert one.passes is not None
    assert not one.passes.is_bound


def test_a_route_that_cannot_walk_a_graph_gives_its_bound(resnet: str) -> None:
    tpu, unit = compare(resnet, "tpu_v5e,sn40l")
    assert unit.passes is not None
    assert unit.passes.is_bound
    assert "no chip file" in unit.passes.lacks[0]
    assert tpu.passes is not None
    bound = compare(resnet, "mlu370_x4")[0]
    assert bound.first is not None
    assert bound.first.low > 0


def test_another_grid_of_tiles_runs_a_graph_as_it_is_compiled_for_them(resnet: str) -> None:
    one, two = compare(resnet, "tt_n150,tt_n300")
    assert one.passes is not None
    assert two.passes is not None
    assert not one.passes.is_bound
    assert (one.passes.copies, two.passes.copies) == (1, 2)  # a card of two chips
    assert one.first is not None
    assert one.first == two.first
    assert one.first.low < one.first.best < one.first.high


def test_a_gpu_runs_a_graph_kernel_by_kernel(resnet: str) -> None:
    h200, unknown = compare(resnet, "h200,metax_c588")
    assert h200.passes is not None
    assert unknown.passes is not None
    assert (h200.passes.is_bound, unknown.passes.is_bound) == (False, True)
    assert unknown.passes.lacks == ("memory_rate is unknown",)
    assert h200.first is not None
    assert h200.first.best > 20 * 2e-6  # launches of its twenty convolutions


def test_a_model_of_images_is_asked_for_by_batch() -> None:
    few, many = compare("vit-b-16", "tpu_v6e", Load(batches=(1, 8)))
    assert (few.ask.batch, many.ask.batch) == (1, 8)
    assert few.rate is not None
    assert many.rate is not None
    assert many.rate.best > few.rate.best


@pytest.mark.slow
def test_a_small_graph_is_compiled_for_tiles(resnet: str) -> None:
    (found,) = compare(resnet, "tx81x2")
    assert found.first is not None
    assert found.first.low < found.first.best < found.first.high
    assert found.energy is not None


def test_a_language_model_is_not_asked_forward_and_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'gpt2' makes tokens"):
        compare("gpt2", "tpu_v5e", Load(phase="forward"))
    with pytest.raises(InputError):
        compare(str(tmp_path / "none.onnx"), "tpu_v5e")
