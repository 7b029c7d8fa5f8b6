"""Models whose convolutions and products are done on codes of eight bits: QDQ, as ONNX Runtime makes it.

Weights have a scale for each output, what flows has one for all, both without a zero point. The
first convolution, of three channels, stays as it is. Sums of residuals and what Relu leaves of them
are numbers; codes stand where a convolution reads. Scales of what flows may be rounded up to powers
of two, so that making codes of numbers is one exact product.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from examples.models.resnet import resnet50
from numpy.typing import NDArray
from onnx import ModelProto, numpy_helper
from onnx.utils import Extractor
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

PRODUCTS = ["Conv", "Gemm", "MatMul"]


class _Samples(CalibrationDataReader):
    """Random images, always the same."""

    def __init__(self, name: str, shape: tuple[int, ...], count: int) -> None:
        rng = np.random.default_rng(0)
        images = (rng.standard_normal(shape).astype(np.float32) for _ in range(count))
        self.feeds: Iterator[dict[str, NDArray[Any]]] = iter([{name: image} for image in images])

    def get_next(self) -> Any:
        return next(self.feeds, None)


def quantized(
    model: ModelProto, shape: tuple[int, ...], exclude: list[str], *, powers: bool = True
) -> ModelProto:
    """Return a model of one input ``shape`` with codes; ``exclude`` names nodes that stay."""
    with TemporaryDirectory() as folder:
        raw, ready, made = (str(Path(folder) / f"{n}.onnx") for n in ("raw", "ready", "made"))
        onnx.save(model, raw)
        level = logging.getLogger().level
        logging.getLogger().setLevel(logging.ERROR)
        quant_pre_process(raw, ready, skip_symbolic_shape=True)
        quantize_static(
            ready, made, _Samples(model.graph.input[0].name, shape, 2),
            quant_format=QuantFormat.QDQ, activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8, per_channel=True, op_types_to_quantize=PRODUCTS,
            nodes_to_exclude=exclude,
            extra_options={
                "ActivationSymmetric": True,
                "OpTypesToExcludeOutputQuantization": PRODUCTS,
                "QuantizeBias": False,
            },
        )  # fmt: skip
        logging.getLogger().setLevel(level)
        found = onnx.load(made)
    return _in_powers(found) if powers else found


def quantized_resnet50(image: int = 224, batch: int = 1, *, powers: bool = True) -> ModelProto:
    """Return ResNet-50 with codes; its scales come from small images, whatever the size."""
    small = (1, 3, 32, 32)
    model = quantized(resnet50(image=32), small, ["stem.conv"], powers=powers)
    for dim, size in zip(
        model.graph.input[0].type.tensor_type.shape.dim, (batch, 3, image, image), strict=True
    ):
        dim.dim_value = size
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = batch
    del model.graph.value_info[:]
    return model


def codes_of_resnet50() -> ModelProto:
    """Return what of a small ResNet-50 is done on codes: from behind the first pool to the last sum."""
    whole = onnx.shape_inference.infer_shapes(quantized_resnet50(image=32))
    first = next(n for n in whole.graph.node if n.op_type == "MaxPool").output[0]
    start = next(n for n in whole.graph.node if n.op_type == "QuantizeLinear" and first in n.input)
    average = next(n for n in whole.graph.node if n.op_type == "GlobalAveragePool")
    return Extractor(whole).extract_model([start.output[0]], [average.input[0]])


def _in_powers(model: ModelProto) -> ModelProto:
    """Round the scales of what flows up to powers of two."""
    flowing = {node.input[1] for node in model.graph.node if node.op_type == "QuantizeLinear"}
    for held in model.graph.initializer:
        if held.name in flowing:
            scale = numpy_helper.to_array(held)
            rounded = np.exp2(np.ceil(np.log2(scale))).astype(np.float32)
            held.CopyFrom(numpy_helper.from_array(rounded, held.name))
    return model
