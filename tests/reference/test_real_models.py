"""Real models, end to end: an ONNX file in, a program out, executed, timed, compared.

f32 is compared with what others computed in float32 (the expected outputs that ship with the
onnx package, ONNX Runtime, torch), at the tolerance of onnx's own test runner. For f16 and bf16
a bound on the whole network is a worst case that grows with depth and soon says nothing; there
each node is held to its own bound (``test_numerics``), and here the network's distance from
float32 is held to that of another evaluation in the same format, which rounds each value once:
the chip may lie twice as far off (root of mean squares) and no more.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from examples.digits import data
from examples.models.resnet import resnet50
from examples.models.vit import vit_b16
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, numpy_helper
from tests.reference import samples
from tests.reference.nodewise import TX81, in_format

from drawloom.execute.machine import execute
from drawloom.frontends.onnx import read_onnx
from drawloom.graph.bounds import bounds
from drawloom.graph.evaluate import evaluate
from drawloom.graph.ir import Graph
from drawloom.mapping.plan import map_graph
from drawloom.program.assemble import assemble
from drawloom.timing import time

Values = NDArray[Any]
LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
# What onnx/backend/test/runner asks of a backend on these models.
RTOL, ATOL = 1e-3, 1e-7

EASY = ("light_squeezenet",)
HARD = (
    "light_bvlc_alexnet", "light_densenet121", "light_inception_v1", "light_inception_v2",
    "light_resnet50", "light_shufflenet", "light_vgg19", "light_zfnet512",
)  # fmt: skip


def on_chip(graph: Graph, inputs: samples.Inputs) -> Values:
    """Compile, time, execute; return the one output."""
    program = assemble(map_graph(graph, TX81))
    trace = time(program, TX81)
    assert trace.total_ps > 0
    (out,) = execute(program, inputs).values()
    return out


def on_host(model: ModelProto | Path, inputs: samples.Inputs) -> Values:
    source = model if isinstance(model, Path) else model.SerializeToString()
    return np.asarray(onnxruntime.InferenceSession(source).run(None, inputs)[0])


def distance(a: Values, b: Values) -> float:
    return float(np.sqrt(np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2)))


# The nine models in the onnx package.


def light(name: str) -> tuple[Graph, samples.Inputs, Values]:
    """A model, the input that onnx's runner feeds it, the output that ships with it."""
    graph = read_onnx(LIGHT / f"{name}.onnx")
    kind = graph.types[graph.inputs[0]]
    x = (np.arange(kind.size).reshape(kind.shape) / kind.size).astype(np.float32)
    expected = TensorProto()
    expected.ParseFromString((LIGHT / f"{name}_output_0.pb").read_bytes())
    return graph, {graph.inputs[0]: x}, numpy_helper.to_array(expected)


NAMES = [*EASY, *(pytest.param(name, marks=pytest.mark.slow) for name in HARD)]


def test_all_nine_are_there() -> None:
    assert sorted((*EASY, *HARD)) == sorted(path.stem for path in LIGHT.glob("*.onnx"))


@pytest.mark.parametrize("name", NAMES)
def test_a_light_model_gives_what_ships_with_it(name: str) -> None:
    graph, inputs, wanted = light(name)
    found = on_chip(in_format(graph, "f32"), inputs)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, rtol=RTOL, atol=ATOL)


@pytest.mark.parametrize("name", NAMES)
def test_a_light_model_in_f16_is_like_any_evaluation_in_it(name: str) -> None:
    """Constant weights drive values of five of them past 65504: infinities and NaN agree, too."""
    sixteen_bits(name, "f16")


@pytest.mark.slow
@pytest.mark.parametrize("name", EASY)
def test_a_light_model_in_bf16_is_like_any_evaluation_in_it(name: str) -> None:
    sixteen_bits(name, "bf16")


def sixteen_bits(name: str, precision: str) -> None:
    graph, inputs, wanted = light(name)
    narrow = in_format(graph, precision)
    found = on_chip(narrow, inputs)
    (plain,) = evaluate(narrow, inputs).values()
    np.testing.assert_array_equal(kind_of(found), kind_of(plain))
    if np.isfinite(plain).all():
        assert distance(found, wanted) <= 2.0 * distance(plain, wanted)


def kind_of(values: Values) -> Values:
    """Return 0 for numbers, 1 and -1 for infinities, 2 for NaN."""
    return np.where(np.isnan(values), 2.0, np.where(np.isinf(values), np.sign(values), 0.0))


# Networks with random weights.

SMALL: dict[str, Callable[[], ModelProto]] = {
    "resnet18": samples.small_resnet18,
    "vit": samples.small_vit,
}
WHOLE: dict[str, Callable[[], ModelProto]] = {"resnet50": resnet50, "vit_b16": vit_b16}


def agrees_in_f32(model: ModelProto) -> None:
    graph, inputs = samples.with_noise(model)
    found, wanted = on_chip(in_format(graph, "f32"), inputs), on_host(model, inputs)
    print(f"f32: {np.abs(found - wanted).max():.3g} apart, of {np.abs(wanted).max():.3g}")
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-5)


def agrees_in_sixteen(model: ModelProto, precision: str) -> None:
    graph, inputs = samples.with_noise(model)
    narrow = in_format(graph, precision)
    (plain,) = evaluate(narrow, inputs).values()
    found, wanted = on_chip(narrow, inputs), on_host(model, inputs)
    print(f"{precision}: {np.abs(found - wanted).max():.3g} apart, of {np.abs(wanted).max():.3g}")
    assert np.isfinite(found).all()
    assert distance(found, wanted) <= 2.0 * distance(plain, wanted)


@pytest.mark.parametrize("name", SMALL)
def test_a_small_network_agrees_with_onnx_runtime(name: str) -> None:
    agrees_in_f32(SMALL[name]())


@pytest.mark.parametrize("precision", ["f16", "bf16"])
@pytest.mark.parametrize("name", SMALL)
def test_a_small_network_in_sixteen_bits_is_like_any_evaluation_in_them(
    name: str, precision: str
) -> None:
    agrees_in_sixteen(SMALL[name](), precision)


@pytest.mark.slow
@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_network_agrees_with_onnx_runtime(name: str) -> None:
    agrees_in_f32(WHOLE[name]())


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["f16", "bf16"])
@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_network_in_sixteen_bits_is_like_any_evaluation_in_them(
    name: str, precision: str
) -> None:
    agrees_in_sixteen(WHOLE[name](), precision)


# The byte-level Llama, trained.


def prompt_logits(precision: str) -> tuple[Values, Values, Values]:
    """The chip's logits for the stored prompt, a plain evaluation's, and torch's."""
    graph, inputs = samples.llama(128)
    narrow = in_format(graph, precision)
    (plain,) = evaluate(narrow, inputs).values()
    return on_chip(narrow, inputs), plain, np.load(samples.LLAMA)["logits"]


@pytest.mark.slow
def test_llama_answers_the_prompt_as_torch_did() -> None:
    found, _, wanted = prompt_logits("f32")
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4)  # of logits up to 20
    np.testing.assert_array_equal(found.argmax(axis=-1), wanted.argmax(axis=-1))


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["f16", "bf16"])
def test_llama_in_sixteen_bits_foretells_the_same_bytes(precision: str) -> None:
    found, plain, wanted = prompt_logits(precision)
    assert distance(found, wanted) <= 2.0 * distance(plain, wanted)
    same = np.count_nonzero(found.argmax(axis=-1) == wanted.argmax(axis=-1))
    print(
        f"{precision}: {same} of 128 next bytes as torch has them, {np.abs(found - wanted).max()}"
    )
    assert same == 128


# The digit classifier, trained.


@pytest.mark.parametrize(
    "precision", ["f16", *(pytest.param(word, marks=pytest.mark.slow) for word in ("f32", "bf16"))]
)
def test_all_held_out_digits_are_named_as_onnx_runtime_names_them(precision: str) -> None:
    images, labels = data.held_out()
    graph, inputs = samples.digits(len(images))
    narrow = in_format(graph, precision)
    found, wanted = on_chip(narrow, inputs), on_host(samples.DIGITS, inputs)
    right, expected = (int((v.argmax(axis=1) == labels).sum()) for v in (found, wanted))
    print(f"{precision}: {right} of 450 right, {np.abs(found - wanted).max()} apart")
    assert right == expected == 447
    (bound,) = bounds(narrow, inputs).values()
    assert np.isfinite(bound.error).all()
    assert bound.holds(found).all()
