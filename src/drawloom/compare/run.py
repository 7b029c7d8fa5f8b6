"""All machines on all batches: which route answers for which, and what it says where it cannot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from drawloom.compare.answer import Answer, answer
from drawloom.compare.ask import Ask, Phase, check
from drawloom.compare.bounds import bound_passes
from drawloom.compare.gpu import gpu_passes
from drawloom.compare.grid import grid_passes
from drawloom.compare.machine import Machine, parse_machines
from drawloom.compare.passes import Lacking, Passes
from drawloom.compare.price import parse_prices, price_of
from drawloom.compare.sizes import sizes_of
from drawloom.errors import DoesNotFit
from drawloom.frontends.hf import read_config

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked of every machine.

    Attributes:
        phase: ``serve``, ``prefill`` or ``decode``.
        prompt: tokens of a prompt.
        answer: tokens of an answer.
        batches: sequences at a time, one comparison each.
        weights: ``float`` or ``int8``.
        has_host: whether ``serve`` has the host's part.
    """

    phase: str = "serve"
    prompt: int = 2048
    answer: int = 512
    batches: tuple[int, ...] = (16,)
    weights: str = "float"
    has_host: bool = True


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
        model: a name of the catalog, a ``config.json`` or a folder with one.
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
    config = read_config(model)
    sizes = sizes_of(config)
    found: list[Answer] = []
    for batch in load.batches:
        ask = Ask(
            config, sizes, cast("Phase", load.phase), load.prompt, load.answer, batch, load.weights
        )
        for machine in machines:
            if tell:
                tell(f"{machine.label}, batch {batch}")
            price, _ = price_of(machine.sheet, given)
            try:
                passes = route_passes(ask, machine, tell or (lambda _: None))
            except DoesNotFit as error:
                found.append(Answer(machine, ask, None, short=str(error)))
                continue
            found.append(answer(ask, machine, passes, price, has_host=load.has_host))
    return tuple(found)


def route_passes(ask: Ask, machine: Machine, tell: Tell) -> Passes:
    """Return the passes as the machine's route has them, or their bounds and why only these.

    Raises:
        DoesNotFit: the model is too large for the machine.
    """
    try:
        if machine.sheet.route == "gpu":
            return gpu_passes(ask, machine)
        if machine.sheet.route == "grid":
            return grid_passes(ask, machine, tell)
        raise Lacking(f"the route '{machine.sheet.route}' is not modelled")
    except Lacking as error:
        return bound_passes(ask, machine, error.what)
