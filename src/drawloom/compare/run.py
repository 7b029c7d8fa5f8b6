"""All machines on all batches: which route answers for which, and what it says where it cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from drawloom.compare.answer import Answer, answer
from drawloom.compare.ask import Ask, Phase, check
from drawloom.compare.bounds import bound_passes
from drawloom.compare.forward import ask_of, forward_passes, read_forward
from drawloom.compare.gpu import gpu_passes
from drawloom.compare.grid import grid_passes
from drawloom.compare.machine import Machine, parse_machines
from drawloom.compare.passes import Lacking, Passes
from drawloom.compare.price import parse_prices, price_of
from drawloom.compare.resident import resident_passes
from drawloom.compare.sizes import sizes_of
from drawloom.compare.systolic import systolic_passes
from drawloom.errors import DoesNotFit, Fault, InputError
from drawloom.frontends.configured import is_configured
from drawloom.frontends.hf import read_config

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked of every machine.

    Attributes:
        phase: ``serve``, ``prefill`` or ``decode``.
        prompt: tokens of a prompt.
        answer: tokens of an answer.
        batches: sequences at a time, one comparison each; images, of a model of images.
        dims: the number for each symbolic dimension of an ONNX model.
        weights: ``float`` or ``int8``.
        has_host: whether ``serve`` has the host's part.
    """

    phase: str = "serve"
    prompt: int = 2048
    answer: int = 512
    batches: tuple[int, ...] = (16,)
    weights: str = "float"
    has_host: bool = True
    dims: Mapping[str, int] = field(default_factory=dict[str, int])


def compare(
    model: str,
    on: str | Sequence[Machine],
    load: Load | None = None,
    *,
    prices: Sequence[str] = (),
    tell: Tell | None = None,
) -> tuple[Answer, ...]:
    """Return what each machine does with a model under a load, in the order that was asked.

    Args:
        model: a name of the catalog, a ``config.json`` or a folder with one; an ONNX or ``.graph``
            file, which is asked for as it is.
        on: machines, such as ``tx81x32,h200x8``.
        load: phase, lengths, batches, form of the weights.
        prices: dollars an hour of a chip, such as ``h200=2.5``, in place of the datasheet's.
        tell: called with what is being worked on.

    Raises:
        InputError: the model, a machine, a number or a price is not what it should be.
    """
    load = load or Load()
    check(load.phase, load.prompt, load.answer, load.batches, load.weights)
    machines = parse_machines(on) if isinstance(on, str) else tuple(on)
    given = parse_prices(prices)
    found: list[Answer] = []
    for ask in _asks(model, load):
        for machine in machines:
            if tell:
                tell(f"{machine.label}, batch {ask.batch}")
            price, _ = price_of(machine.sheet, given)
            try:
                passes = route_passes(ask, machine, tell or (lambda _: None))
            except DoesNotFit as error:
                found.append(Answer(machine, ask, None, short=str(error)))
                continue
            found.append(answer(ask, machine, passes, price, has_host=load.has_host))
    return tuple(found)


def _asks(model: str, load: Load) -> Iterator[Ask]:
    """Yield the question of each batch."""
    graph = read_forward(model, load.dims, load.batches[0])
    if graph is None:
        config = read_config(model)
        sizes, phase = sizes_of(config), cast("Phase", load.phase)
        if phase == "forward":
            fault = Fault("phase", "'forward'", "serve, prefill or decode")
            raise InputError("compare.ask", f"'{config.name}' makes tokens", [fault])
        for batch in load.batches:
            yield Ask(config, sizes, phase, load.prompt, load.answer, batch, load.weights)
        return
    yield ask_of(graph, load.weights)
    if is_configured(model) and len(load.batches) > 1:
        for batch in load.batches[1:]:
            again = read_forward(str(model), load.dims, batch)
            assert again is not None
            yield ask_of(again, load.weights)


def route_passes(ask: Ask, machine: Machine, tell: Tell) -> Passes:
    """Return the passes as the machine's route has them, or their bounds and why only these.

    Raises:
        DoesNotFit: the model is too large for the machine.
    """
    if ask.phase == "forward":
        return forward_passes(ask, machine, tell)
    try:
        if machine.sheet.route == "gpu":
            return gpu_passes(ask, machine)
        if machine.sheet.route == "grid":
            return grid_passes(ask, machine, tell)
        if machine.sheet.route == "systolic":
            return systolic_passes(ask, machine)
        if machine.sheet.route == "sram":
            return resident_passes(ask, machine)
        raise Lacking(f"the route '{machine.sheet.route}' is not modelled")
    except Lacking as error:
        return bound_passes(ask, machine, error.what)
