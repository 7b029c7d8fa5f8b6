"""The digit classifier: its data stay put, its stored model is the one the README describes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from examples.digits import data

MODEL = Path(data.__file__).with_name("digits.onnx")


def digest(array: np.ndarray) -> str:
    return hashlib.sha256(array.tobytes()).hexdigest()[:16]


def run(images: np.ndarray) -> np.ndarray:
    return np.asarray(onnxruntime.InferenceSession(MODEL).run(None, {"image": images})[0])


def test_held_out_images_never_change() -> None:
    images, labels = data.held_out()
    assert (images.dtype, images.shape) == (np.float32, (450, 1, 8, 8))
    assert (labels.dtype, labels.shape) == (np.int64, (450,))
    assert (digest(images), digest(labels)) == ("76769d517880f8e0", "cfdc9738668c4eb7")


def test_held_out_and_training_images_make_up_the_whole() -> None:
    held_out, training = (labels for _, labels in (data.held_out(), data.training()))
    assert len(held_out) + len(training) == 1797
    # Each digit is held out about as often as the next: 45 of 450, give or take.
    assert all(38 <= n <= 50 for n in np.bincount(held_out))


def test_pixels_are_sixteenths_from_0_to_1() -> None:
    images, _ = data.training()
    assert (images.min(), images.max()) == (0.0, 1.0)
    assert np.array_equal(images * 16, np.round(images * 16))


def test_stored_model_names_98_of_100_held_out_digits() -> None:
    images, labels = data.held_out()
    assert (run(images).argmax(axis=1) == labels).mean() >= 0.98


@pytest.mark.parametrize("batch", [1, 7])
def test_batch_is_open(batch: int) -> None:
    images, _ = data.held_out()
    np.testing.assert_allclose(run(images[:batch]), run(images)[:batch], rtol=1e-4, atol=1e-4)


def test_stored_model_is_small_and_its_nodes_have_plain_names() -> None:
    model = onnx.load(MODEL)
    assert MODEL.stat().st_size < 2**20
    names = "conv1 relu1 conv2 relu2 pool1 conv3 relu3 flatten fc1"
    assert [node.name for node in model.graph.node] == names.split()
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
