"""The handwritten digits scikit-learn carries: 8 x 8 pixels, ten classes, 1,797 images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

HELD_OUT_EVERY = 4
"""Every fourth image is held out: a rule needs no generator, so no version of one can change it."""

BRIGHTEST = 16.0
"""Pixels are whole numbers from 0 to 16. A sixteenth is exact in every float format."""


def held_out() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The 450 images training never saw, [450, 1, 8, 8] with pixels from 0 to 1; their digits."""
    images, labels = _all()
    return images[::HELD_OUT_EVERY].copy(), labels[::HELD_OUT_EVERY].copy()


def training() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The other 1,347 images and their digits: what to train on, what to calibrate on."""
    images, labels = _all()
    seen = np.arange(len(labels)) % HELD_OUT_EVERY != 0
    return images[seen], labels[seen]


def _all() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    pixels, labels = load_digits(return_X_y=True)
    images = (np.asarray(pixels) / BRIGHTEST).astype(np.float32).reshape(-1, 1, 8, 8)
    return images, np.asarray(labels).astype(np.int64)
