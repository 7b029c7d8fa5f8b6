"""Rotary positions: the tables of cosines and sines, as transformers computes them.

Element i of a head turns with position p by the angle p * rate(i); the two halves of a head turn
alike. The rules that stretch the rates for longer contexts are those of transformers'
``modeling_rope_utils`` (default, linear, dynamic, yarn, llama3).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drawloom.errors import Fault, nearest

F32 = NDArray[np.float32]

_NEEDED: dict[str, tuple[str, ...]] = {
    "default": (),
    "linear": ("factor",),
    "dynamic": ("factor",),
    "yarn": (),
    "llama3": (
        "factor",
        "low_freq_factor",
        "high_freq_factor",
        "original_max_position_embeddings",
    ),
}

_OPTIONAL = (
    "factor",
    "original_max_position_embeddings",
    "rope_theta",
    "attention_factor",
    "beta_fast",
    "beta_slow",
)


@dataclass(frozen=True, slots=True)
class Rope:
    """How a model's angles grow with positions.

    Attributes:
        kind: which rule stretches the rates.
        theta: the base; element i of ``width`` has the rate ``theta ** (-2 i / width)``.
        length: positions the model is made for, ``max_position_embeddings``.
        scaling: the rule's own numbers, by their names in the configuration.
    """

    kind: str
    theta: float
    length: int
    scaling: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @staticmethod
    def read(scaling: Mapping[str, Any] | None, theta: float, length: int) -> Rope:
        """Return what ``rope_parameters`` or ``rope_scaling`` says; either may be absent."""
        given = scaling or {}
        kind = str(given.get("rope_type", given.get("type", "default")))
        base = given.get("rope_theta", theta)
        return Rope(kind, _number(base) or theta, length, given)

    def unknown(self, where: str) -> list[Fault]:
        """Return the fault that there is no such rule here, if so."""
        if self.kind in _NEEDED:
            return []
        return [Fault(f"{where}.rope_type", f"'{self.kind}'", nearest(self.kind, _NEEDED))]

    def faults(self, where: str) -> list[Fault]:
        """Return what is wrong with the numbers; ``where`` is the name they stand under."""
        faults: list[Fault] = []
        for key in dict.fromkeys((*_NEEDED[self.kind], *_OPTIONAL)):
            value = self.scaling.get(key)
            if value is None and key not in _NEEDED[self.kind]:
                continue
            if (_number(value) or 0) <= 0:
                shown = "missing" if value is None else repr(value)
                faults.append(Fault(f"{where}.{key}", shown, "a number above 0"))
        if not faults and self.kind == "llama3":
            low, high = self.scaling["low_freq_factor"], self.scaling["high_freq_factor"]
            if high <= low:
                allowed = f"more than low_freq_factor, {low}"
                faults.append(Fault(f"{where}.high_freq_factor", str(high), allowed))
        if self.theta <= 1:
            faults.append(Fault("rope_theta", str(self.theta), "a number above 1"))
        return faults

    def tables(self, n_positions: int, width: int, *, steps: bool) -> tuple[F32, F32]:
        """Return cosines and sines, float32 [n_positions, width].

        Args:
            n_positions: positions from 0 on.
            width: numbers of a head that turn; both halves have the same angles.
            steps: each position is the last of a sequence that grows token by token, so that a
                rule that looks at the sequence's length sees ``position + 1``; else all see
                ``n_positions``.
        """
        positions = np.arange(n_positions, dtype=np.float32)[:, None]
        if self.kind == "dynamic" and n_positions > self.length:
            lengths = np.arange(1, n_positions + 1) if steps else np.full(n_positions, n_positions)
            rates = np.stack([self.rates(width, int(n)) for n in lengths])
        else:
            rates = self.rates(width, n_positions)[None, :]
        half = positions * rates
        angles = np.concatenate((half, half), axis=1)
        factor = np.float32(self.amplitude)
        return np.cos(angles) * factor, np.sin(angles) * factor

    def rates(self, width: int, n_positions: int) -> F32:
        """Return the angle per position of each of ``width // 2`` elements, float32."""
        if self.kind == "dynamic":
            return _rates(self._grown(width, n_positions), width)
        plain = _rates(self.theta, width)
        if self.kind == "linear":
            return plain / np.float32(self.scaling["factor"])
        if self.kind == "llama3":
            return self._llama3(plain)
        if self.kind == "yarn":
            return self._yarn(plain, width)
        return plain

    @property
    def amplitude(self) -> float:
        """What cosines and sines are multiplied by (yarn's attention factor)."""
        if self.kind != "yarn":
            return 1.0
        if (stated := self.scaling.get("attention_factor")) is not None:
            return float(stated)
        factor, mscale, all_dim = self._factor(), *self._mscales()
        if mscale and all_dim:
            return mscale_of(factor, mscale) / mscale_of(factor, all_dim)
        return mscale_of(factor, 1.0)

    def _mscales(self) -> tuple[float, float]:
        return float(self.scaling.get("mscale") or 0), float(
            self.scaling.get("mscale_all_dim") or 0
        )

    @property
    def score_scale(self) -> float:
        """What DeepSeek multiplies the scores by besides (yarn's ``mscale_all_dim``)."""
        all_dim = self._mscales()[1]
        if self.kind == "default" or not all_dim:
            return 1.0
        return mscale_of(self._factor(), all_dim) ** 2

    def _original(self) -> float:
        return _number(self.scaling.get("original_max_position_embeddings")) or float(self.length)

    def _factor(self) -> float:
        """Return how many times longer contexts become; yarn may leave it to the lengths."""
        return _number(self.scaling.get("factor")) or self.length / self._original()

    def _grown(self, width: int, n_positions: int) -> float:
        """Return the base for a sequence longer than the model is made for."""
        seen, factor = max(n_positions, self.length), float(self.scaling["factor"])
        stretch = factor * seen / self.length - (factor - 1)
        return self.theta * stretch ** (width / (width - 2))

    def _llama3(self, plain: F32) -> F32:
        factor = np.float32(self.scaling["factor"])
        low = float(self.scaling["low_freq_factor"])
        high = float(self.scaling["high_freq_factor"])
        original = self._original()
        waves = np.float32(2 * math.pi) / plain
        slow = np.where(waves > original / low, plain / factor, plain)
        smooth = (np.float32(original) / waves - np.float32(low)) / np.float32(high - low)
        mixed = (1 - smooth) * slow / factor + smooth * slow
        is_medium = ~(waves < original / high) & ~(waves > original / low)
        return np.where(is_medium, mixed, slow).astype(np.float32)

    def _yarn(self, plain: F32, width: int) -> F32:
        fast = float(self.scaling.get("beta_fast") or 32)
        slow = float(self.scaling.get("beta_slow") or 1)
        ends = [self._turning(turns, width) for turns in (fast, slow)]
        if self.scaling.get("truncate", True):
            ends = [math.floor(ends[0]), math.ceil(ends[1])]
        low, high = max(ends[0], 0), min(ends[1], width - 1)
        high = high + 0.001 if low == high else high
        ramp = (np.arange(width // 2, dtype=np.float32) - np.float32(low)) / np.float32(high - low)
        keep = 1 - np.clip(ramp, 0, 1)
        stretched = plain / np.float32(self._factor())
        return (stretched * (1 - keep) + plain * keep).astype(np.float32)

    def _turning(self, turns: float, width: int) -> float:
        """Return the element that makes ``turns`` turns over the original length."""
        ratio = self._original() / (turns * 2 * math.pi)
        return width * math.log(ratio) / (2 * math.log(self.theta))


def mscale_of(factor: float, mscale: float) -> float:
    """Return yarn's growth of the scores for a context ``factor`` times as long."""
    return 1.0 if factor <= 1 else 0.1 * mscale * math.log(factor) + 1.0


def _rates(theta: float, width: int) -> F32:
    exponents = np.arange(0, width, 2, dtype=np.float32) / np.float32(width)
    return (np.float32(1.0) / np.power(np.float32(theta), exponents)).astype(np.float32)


def _number(value: object) -> float | None:
    """Return a number of a configuration; None where it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value)
