"""drawloom as a backend of ``torch.compile``.

    model = torch.compile(model, backend="drawloom")
    with torch.no_grad():
        y = model(x)

Every graph that Dynamo traces is compiled for the chip, and its program is executed: no other
evaluator takes part. What stands between the graphs (a graph break, a branch on data) runs in
PyTorch. A program is made for the shapes of one run and kept for the next with the same ones.

Floats are computed in f32 unless another precision is asked for, those of a narrower model too;
results are rounded once, to the type that the model says.

    backend = TorchBackend(precision="f16")
    model = torch.compile(model, backend=backend)
    ...
    backend.builds[0].report("out")
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from drawloom.errors import Fault, InputError, nearest
from drawloom.flow import Build
from drawloom.flow import compile as compile_graph
from drawloom.frontends.torch.dynamo import Runner, compiled
from drawloom.frontends.torch.read import Traced

_OPTIONS = ("chip", "precision")


@dataclass(slots=True)
class TorchBackend:
    """A backend with its options, and what it compiled.

    Attributes:
        chip: the chip to compile for.
        precision: format of floating-point numbers.
        builds: every program made, in order.
    """

    chip: str = "tx81"
    precision: str = "f32"
    builds: list[Build] = field(default_factory=list[Build])

    def __call__(
        self, module: Any, examples: Sequence[Any], *, options: Mapping[str, Any] | None = None
    ) -> Any:
        """Return a function that runs a traced module on the chip.

        Args:
            module: what Dynamo traced.
            examples: its arguments.
            options: ``chip`` and ``precision``, in place of the backend's own.

        Raises:
            InputError: no such option (``torch.options``).
            Unsupported: gradients are wanted (``torch.gradients``), or the module asks for what
                drawloom cannot do.
            DoesNotFit: the module does not fit the chip; when it first runs.
        """
        chosen = {"chip": self.chip, "precision": self.precision, **(options or {})}
        faults = [
            Fault(key, repr(chosen[key]), nearest(key, _OPTIONS))
            for key in chosen
            if key not in _OPTIONS
        ]
        if faults:
            raise InputError("torch.options", "there are no such options", faults)

        def make(traced: Traced) -> Runner:
            return self._runner(traced, chosen["chip"], chosen["precision"])

        return compiled(module, examples, make, "torch")

    def _runner(self, traced: Traced, chip: str, precision: str) -> Runner:
        if not traced.graph.outputs:
            return _nothing
        build = compile_graph(traced.graph, chip, precision=precision)
        self.builds.append(build)
        return build.run


def backend(
    module: Any, examples: Sequence[Any], *, options: Mapping[str, Any] | None = None
) -> Any:
    """Compile a traced module: what ``torch.compile(model, backend="drawloom")`` calls."""
    return TorchBackend()(module, examples, options=options)


def _nothing(_: Mapping[str, Any]) -> dict[str, Any]:
    return {}
