"""drawloom as a backend of ONNX: ``prepare`` a model, ``run`` it on values.

    from drawloom.backend import DrawloomBackend
    y, = DrawloomBackend.run_model(model, [x])

Every run executes the program that the model was compiled to, never another
evaluator. A model is compiled for the shapes it is given. Inputs that steer
shapes (a Reshape's shape, a Slice's bounds, an If's condition: whole numbers,
truth values or a few floats) are baked in at ``run``: a program is specialised
to their values, and kept for the next run with the same ones. All other inputs
stay inputs of the program.

Floats are computed in f32 unless another precision is asked for, those of a
narrower model too; results are rounded once, to the type that the model says.
Doubles are computed in f32 as well; those beyond its range are refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.backend.base import Backend, BackendRep, Device, DeviceType

from drawloom.errors import Fault, InputError, Unsupported
from drawloom.flow import Build
from drawloom.flow import compile as compile_model

Value = NDArray[Any]
_MOST_BUILDS = 8


@dataclass(frozen=True, slots=True)
class Specialised:
    """A model compiled for the shapes and steering values of one run.

    Attributes:
        build: the model compiled.
        baked: the inputs that are constants of the program.
    """

    build: Build
    baked: tuple[str, ...]


@dataclass(eq=False)
class DrawloomRep(BackendRep):
    """A model ready to run; compiles at the first run with new shapes or steering values.

    Attributes:
        model: the model.
        chip: the chip to compile for.
        precision: format of floating-point numbers.
        last: what the last run executed.
    """

    model: ModelProto
    chip: str = "tx81"
    precision: str = "f32"
    last: Specialised | None = None
    _kept: dict[Any, Specialised] = field(default_factory=dict[Any, Specialised], repr=False)

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Value, ...]:
        """Return the program's outputs, in the model's order.

        Args:
            inputs: a list in the order of the inputs that are no initial values, or by name.
            kwargs: ignored, as the interface has it.

        Raises:
            InputError: the model or the values are not what they should be; ``Unsupported`` where
                it is drawloom that falls short.
            DoesNotFit: the model does not fit the chip.
        """
        given = self._named(inputs)
        self._need_range(given)
        special = self._special(given)
        self.last = special
        fed = {name: given[name] for name in special.build.source.inputs}
        made = special.build.run(fed)
        return tuple(made[o.name] for o in self.model.graph.output)

    def _named(self, inputs: Any) -> dict[str, Value]:
        initial = {t.name for t in self.model.graph.initializer}
        names = [i.name for i in self.model.graph.input if i.name not in initial]
        named = _by_name(inputs, names)
        missing = [Fault(f"input '{name}'", "absent", "") for name in names if name not in named]
        odd = [
            Fault(f"input '{name}'", _kind(named[name]), "a tensor of numbers")
            for name in names
            if name in named and not _is_tensor(named[name])
        ]
        if missing:
            raise InputError("backend.inputs", "inputs are missing", missing)
        if odd:
            raise Unsupported("backend.inputs", "inputs of this kind are not supported", odd)
        return {name: np.asarray(named[name]) for name in names}

    def _need_range(self, given: Mapping[str, Value]) -> None:
        """Refuse doubles that the chip's widest floats cannot hold: they would become others."""
        faults = [
            Fault(f"input '{name}'", "values beyond the range of f32", "f64 is computed as f32")
            for name, array in given.items()
            if array.dtype == np.float64 and _leaves_f32(array)
        ]
        if faults:
            raise Unsupported("backend.inputs", "inputs are out of the chip's range", faults)

    def _special(self, given: Mapping[str, Value]) -> Specialised:
        for key, special in self._kept.items():
            if key == _key(given, special.baked):
                return special
        special = self._compiled(given)
        if len(self._kept) >= _MOST_BUILDS:
            del self._kept[next(iter(self._kept))]
        self._kept[_key(given, special.baked)] = special
        return special

    def _compiled(self, given: Mapping[str, Value]) -> Specialised:
        from drawloom.frontends.onnx import steering_inputs

        baked: dict[str, Value] = {}
        shaped = _with_shapes(self.model, given)
        model = shaped
        while names := steering_inputs(model) - baked.keys():
            baked |= {name: given[name] for name in sorted(names)}
            model = _with_constants(shaped, baked)
        build = compile_model(model, self.chip, precision=self.precision)
        return Specialised(build, tuple(sorted(baked)))


class DrawloomBackend(Backend):
    """The backend: compiles for the chip ``tx81`` and executes the program."""

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Return whether a device word names the simulated chip (``CPU``, where it runs)."""
        return Device(device).type == DeviceType.CPU

    @classmethod
    def is_compatible(cls, model: ModelProto, device: str = "CPU", **kwargs: Any) -> bool:
        """Return True: what cannot be compiled says so when it is prepared or run."""
        return True

    @classmethod
    def prepare(cls, model: ModelProto, device: str = "CPU", **kwargs: Any) -> DrawloomRep:
        """Return the model ready to run.

        Args:
            model: the model.
            device: ``CPU``; the chip is simulated there.
            kwargs: ``chip`` and ``precision`` as ``drawloom.compile`` takes them; others are
                ignored.

        Raises:
            Unsupported: no such device.
        """
        if not cls.supports_device(device):
            fault = Fault("device", f"'{device}'", "CPU")
            raise Unsupported("backend.device", "there is no such device", [fault])
        chosen = {key: kwargs[key] for key in ("chip", "precision") if key in kwargs}
        return DrawloomRep(model, **chosen)

    @classmethod
    def run_model(
        cls, model: ModelProto, inputs: Any, device: str = "CPU", **kwargs: Any
    ) -> tuple[Value, ...]:
        """Return the model's outputs: ``prepare`` and ``run`` at once."""
        return cls.prepare(model, device, **kwargs).run(inputs)

    @classmethod
    def run_node(
        cls,
        node: NodeProto,
        inputs: Any,
        device: str = "CPU",
        outputs_info: Sequence[tuple[np.dtype[Any], tuple[int, ...]]] | None = None,
        **kwargs: Any,
    ) -> tuple[Value, ...]:
        """Return one node's outputs, as a model of its own; ``opset_version`` may be given."""
        arrays = [np.asarray(value) for value in inputs]
        names = [name for name in node.input if name]
        infos = [
            helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
            for n, a in zip(names, arrays, strict=True)
        ]
        ends = [helper.make_empty_tensor_value_info(name) for name in node.output if name]
        graph = helper.make_graph([node], node.op_type, infos, ends)
        version = kwargs.pop("opset_version", None)
        opsets = [helper.make_opsetid(node.domain, version)] if version else None
        model = helper.make_model(graph, **({"opset_imports": opsets} if opsets else {}))
        return cls.run_model(model, arrays, device, **kwargs)


prepare = DrawloomBackend.prepare
run_model = DrawloomBackend.run_model
run_node = DrawloomBackend.run_node
supports_device = DrawloomBackend.supports_device
is_compatible = DrawloomBackend.is_compatible


def _by_name(inputs: Any, names: Sequence[str]) -> dict[str, Any]:
    if isinstance(inputs, Mapping):
        return dict(cast("Mapping[str, Any]", inputs))
    listed = [inputs] if hasattr(inputs, "dtype") else list(cast("Sequence[Any]", inputs))
    return dict(zip(names, listed, strict=False))


def _kind(value: object) -> str:
    """Return in a word what a value is that is no tensor of numbers."""
    if isinstance(value, (list, tuple)):
        return "a sequence"
    if value is None:
        return "an optional without a value"
    return f"a tensor of {np.asarray(value).dtype}"


def _is_tensor(value: object) -> bool:
    if isinstance(value, (list, tuple)) or value is None:
        return False
    return np.asarray(value).dtype.kind not in "OUST"


def _leaves_f32(array: Value) -> bool:
    with np.errstate(over="ignore", under="ignore"):
        narrow = array.astype(np.float32)
    lost = (narrow == 0) & (array != 0) | np.isinf(narrow) & np.isfinite(array)
    return bool(lost.any())


def _key(given: Mapping[str, Value], baked: Sequence[str]) -> tuple[Any, ...]:
    """Return what a program is specialised to: shapes, and the values of what is baked."""
    kinds = tuple((name, a.shape, a.dtype.str) for name, a in given.items())
    return tuple(baked), kinds, tuple(given[name].tobytes() for name in baked)


def _with_shapes(model: ModelProto, given: Mapping[str, Value]) -> ModelProto:
    """Return the model with the shapes of these values for its inputs."""
    shaped = ModelProto()
    shaped.CopyFrom(model)
    for info in shaped.graph.input:
        if info.name in given and info.type.HasField("tensor_type"):
            shape = info.type.tensor_type.shape
            del shape.dim[:]
            # A scalar has a shape, too, though no dim.
            shape.SetInParent()
            for size in given[info.name].shape:
                shape.dim.add().dim_value = size
    return shaped


def _with_constants(model: ModelProto, values: Mapping[str, Value]) -> ModelProto:
    """Return the model with some inputs as initial values."""
    fixed = ModelProto()
    fixed.CopyFrom(model)
    kept = [info for info in fixed.graph.input if info.name not in values]
    del fixed.graph.input[:]
    fixed.graph.input.extend(kept)
    fixed.graph.initializer.extend(_tensor(name, array) for name, array in values.items())
    return fixed


def _tensor(name: str, array: Value) -> TensorProto:
    return numpy_helper.from_array(array, name)
