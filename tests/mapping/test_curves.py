"""Curves that rules fit by polynomials: how far they are from what they stand for, everywhere."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import expit, ndtr

from drawloom.flow import compile
from drawloom.graph.bounds import bounds
from drawloom.graph.build import GraphBuilder
from drawloom.graph.dtypes import DType
from drawloom.graph.ir import TensorType
from drawloom.mapping.fuse.rules import PHI_16, PHI_32


@pytest.mark.parametrize(("terms", "error"), [(PHI_16, 1.5e-6), (PHI_32, 3e-8)])
def test_phi_is_fitted_everywhere(terms: tuple[float, ...], error: float) -> None:
    near = np.linspace(0.0, 40.0, 400_001)
    far = np.logspace(1.5, 4.9, 1000)
    for x in (near, far, -near, -far):
        odd = sum(c * x ** (2 * k + 1) for k, c in enumerate(terms))
        assert np.abs(expit(odd) - ndtr(x)).max() < error


@pytest.mark.parametrize(
    ("op", "precision"), [("Gelu", "f32"), *(("Erf", p) for p in ("f16", "bf16", "f32"))]
)
def test_every_number_of_16_bits_comes_out_exact_but_for_the_curve(op: str, precision: str) -> None:
    bits = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    x = bits[np.isfinite(bits)]
    dtype = {"f16": DType.F16, "bf16": DType.BF16, "f32": DType.F32}[precision]
    builder = GraphBuilder("curve")
    given = builder.input("x", TensorType(dtype, x.shape))
    build = compile(builder.finish([builder.add(op, (given,), output="y")]), precision=precision)
    stored = x.astype(dtype.numpy)
    made = build.run({"x": stored})["y"].astype(np.float64)
    wide = stored.astype(np.float64)
    erf = np.array([math.erf(v / math.sqrt(2.0) if op == "Gelu" else v) for v in wide])
    exact = wide * (1.0 + erf) / 2.0 if op == "Gelu" else erf
    half_ulp = {"f16": 2.0**-11, "bf16": 2.0**-8, "f32": 2.0**-22}[precision]
    curve = (6e-8 if precision == "f32" else 3e-6) * np.maximum(np.abs(wide), 1.0)
    # Below the least normal number of f16 what is left is a grain.
    allowed = half_ulp * np.abs(exact) + curve + 2.0**-24
    assert (np.abs(made - exact) <= allowed).all()


@pytest.mark.parametrize("dtype", [DType.F16, DType.BF16])
@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_every_gelu_of_16_bits_is_within_its_bound(approximate: str, dtype: DType) -> None:
    bits = np.arange(1 << 16, dtype=np.uint16).view(dtype.numpy)
    x = bits[np.isfinite(bits.astype(np.float32))]
    builder = GraphBuilder("curve")
    given = builder.input("x", TensorType(dtype, x.shape))
    made = builder.add("Gelu", (given,), {"approximate": approximate}, output="y")
    build = compile(builder.finish([made]), precision=dtype.value)
    bound = bounds(build.graph, {"x": x})["y"]
    assert bound.holds(build.run({"x": x})["y"]).all()
    # A bound that says nothing would hold whatever is made.
    assert np.isfinite(bound.error[np.abs(x.astype(np.float32)) < 100]).all()
