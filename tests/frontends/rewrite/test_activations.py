from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from tests.frontends.rewrite.pairs import built, check, unchanged

from drawloom.graph.build import GraphBuilder

ROOT = math.sqrt(2.0)
PI = math.sqrt(2.0 / math.pi)


class Terms:
    """Arithmetic on the values of a graph in the making."""

    def __init__(self, b: GraphBuilder, x: str) -> None:
        self.b = b
        self.x = x

    def __call__(self, op: str, *operands: str | float, **attrs: float) -> str:
        names = [
            v if isinstance(v, str) else self.b.constant("n", np.array(v, np.float32))
            for v in operands
        ]
        return self.b.add(op, names, attrs)

    def erf(self, argument: str) -> str:
        return self("Add", self("Erf", argument), 1.0)

    def cube(self) -> str:
        return self("Mul", self("Mul", self.x, self.x), self.x)


FORMS: dict[str, tuple[str, Callable[[Terms], str]]] = {
    "x (1 + erf) / 2": ("Gelu", lambda t: t("Mul", t("Mul", t.x, t.erf(t("Div", t.x, ROOT))), 0.5)),
    "x (0.5 (1 + erf))": ("Gelu", lambda t: t("Mul", t.x, t("Mul", 0.5, t.erf(t("Mul", t.x, 1 / ROOT))))),
    "(0.5 x)(1 + erf)": ("Gelu", lambda t: t("Mul", t("Div", t.x, 2.0), t.erf(t("Mul", 0.7071, t.x)))),
    "0.5 x + 0.5 x erf": (
        "Gelu",
        lambda t: t("Add", h := t("Mul", 0.5, t.x), t("Mul", h, t("Erf", t("Div", t.x, ROOT)))),
    ),
    "tanh, x ** 3": (
        "Gelu tanh",
        lambda t: t(
            "Mul",
            t("Mul", 0.5, t.x),
            t("Add", 1.0, t("Tanh", t("Mul", PI, t("Add", t.x, t("Mul", 0.044715, t("Pow", t.x, 3.0)))))),
        ),
    ),
    "tanh, x x x": (
        "Gelu tanh",
        lambda t: t(
            "Mul",
            t.x,
            t("Mul", 0.5, t("Add", t("Tanh", t("Mul", t("Add", t("Mul", t.cube(), 0.044715), t.x), PI)), 1.0)),
        ),
    ),
    "tanh, x (1 + x x)": (
        "Gelu tanh",
        lambda t: t(
            "Mul",
            t("Mul", 0.5, t.x),
            t(
                "Add",
                t("Tanh", t("Mul", t("Mul", t.x, PI), t("Add", 1.0, t("Mul", t("Mul", t.x, 0.044715), t.x)))),
                1.0,
            ),
        ),
    ),
    "x sigmoid": ("Silu", lambda t: t("Mul", t("Sigmoid", t.x), t.x)),
    "x sigmoid(1.702 x)": ("Silu 1.702", lambda t: t("Mul", t.x, t("Sigmoid", t("Mul", 1.702, t.x)))),
    "x hardsigmoid": ("HardSwish", lambda t: t("Mul", t.x, t("HardSigmoid", t.x, alpha=1 / 6, beta=0.5))),
    "x clip(x + 3) / 6": (
        "HardSwish",
        lambda t: t("Div", t("Mul", t.x, t("Clip", t("Add", t.x, 3.0), min=0.0, max=6.0)), 6.0),
    ),
    "x tanh softplus": ("Mish", lambda t: t("Mul", t.x, t("Tanh", t("Softplus", t.x)))),
}  # fmt: skip

OTHERS: dict[str, Callable[[Terms], str]] = {
    "a third": lambda t: t("Mul", t("Mul", t.x, t.erf(t("Div", t.x, ROOT))), 0.33),
    "three digits": lambda t: t("Mul", t("Mul", t.x, t.erf(t("Mul", t.x, 0.708))), 0.5),
    "erf of x": lambda t: t("Mul", t("Mul", t.x, t.erf(t.x)), 0.5),
    "gated": lambda t: t("Mul", t("Exp", t.x), t("Sigmoid", t.x)),
    "sigmoid(x + 1)": lambda t: t("Mul", t.x, t("Sigmoid", t("Add", t.x, 1.0))),
    "hardsigmoid of slope 0.2": lambda t: t("Mul", t.x, t("HardSigmoid", t.x)),
    "clip to 7": lambda t: t("Div", t("Mul", t.x, t("Clip", t("Add", t.x, 3.0), min=0.0, max=7.0)), 6.0),
    "tanh of x": lambda t: t("Mul", t.x, t("Tanh", t.x)),
    "x squared tanh softplus": lambda t: t("Mul", t("Mul", t.x, t.x), t("Tanh", t("Softplus", t.x))),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("after_exp", [False, True])
def test_activation(form: str, after_exp: bool) -> None:
    word, make = FORMS[form]

    def build(b: GraphBuilder, x: str) -> str:
        start = b.add("Sin", [x]) if after_exp else x
        return b.add("Cos", [make(Terms(b, start))])

    op, _, detail = word.partition(" ")
    ops = f"Sin {op} Cos" if after_exp else f"{op} Cos"
    after = check("fuse-activations", built(build), ops, 1e-4 if "0.5 x)(1" in form else 2e-6)
    attrs = dict(after.nodes[-2].attrs)
    expected = {"": {}, "tanh": {"approximate": "tanh"}}.get(detail)
    assert attrs == (expected if expected is not None else {"alpha": pytest.approx(float(detail))})


@pytest.mark.parametrize("form", OTHERS)
def test_what_only_looks_like_one(form: str) -> None:
    unchanged("fuse-activations", built(lambda b, x: b.add("Cos", [OTHERS[form](Terms(b, x))])))
