"""The answer for one machine: times, rates, energy and cost, each with its error bar.

serve    clients send their next prompt when their answer is whole; while one answers, the
         prompts of the others are read once each between its tokens. The host's part (a step's
         start, a prompt's wait) is that of one serving software on every machine alike.
prefill  prompts are read one after the other on each copy of the model
decode   one token for every sequence
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from drawloom.compare.ask import Ask
from drawloom.compare.errors import ClassError, error_of, nearest_error
from drawloom.compare.machine import Machine
from drawloom.compare.passes import Passes, binding
from drawloom.compare.power import token_joules
from drawloom.compare.span import Span
from drawloom.routes.gpu.fitted import numbers
from drawloom.routes.gpu.served import Passes as Times
from drawloom.routes.gpu.served import Workload, served

HOST = "vllm"  # the software whose host work every machine carries in ``serve``
S_PER_H, MILLION = 3600, 1e6
FIGURES = ("token", "first")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a machine does with a load.

    Attributes:
        machine: which.
        ask: the question.
        passes: what its route says; None where the model does not fit.
        first: seconds to the first token; None in ``decode``.
        token: seconds between two tokens of a sequence; None in ``prefill``.
        rate: tokens a second of the whole machine: of answers, or of prompts in ``prefill``.
        energy: joules a token; None where nothing bounds them.
        price: dollars an hour of the whole machine; None where it is unknown.
        cost: dollars for a million tokens; None where the price is unknown.
        errors: the classes of ``validate`` that ``token`` and ``first`` carry; none, where the
            route was not held to silicon.
        borrowed: where that is so of a GPU, the classes of the nearest that was, whose errors the
            bars have at least.
        short: why there is no answer.
    """

    machine: Machine
    ask: Ask
    passes: Passes | None
    first: Span | None = None
    token: Span | None = None
    rate: Span | None = None
    energy: Span | None = None
    price: Span | None = None
    cost: Span | None = None
    errors: tuple[ClassError, ...] = ()
    borrowed: tuple[ClassError, ...] = ()
    short: str = ""

    @property
    def binds(self) -> str:
        """What takes longest of the pass that the phase is made of."""
        if self.passes is None:
            return ""
        return binding(self.parts)

    @property
    def parts(self) -> Mapping[str, float]:
        """Seconds of each resource: of a token with its share of prompts, or of a prompt."""
        assert self.passes is not None
        token, prompt = self.passes.token_parts, self.passes.prompt_parts
        if self.ask.phase == "decode":
            return token
        if self.ask.phase in ("prefill", "forward"):
            return prompt
        share = self.ask.batch / self.passes.copies / self.ask.answer
        return {name: token[name] + share * prompt.get(name, 0.0) for name in token}


def answer(
    ask: Ask, machine: Machine, passes: Passes, price: Span | None, *, has_host: bool = True
) -> Answer:
    """Return the answer that a route's passes make.

    Args:
        ask: the question.
        machine: which chips.
        passes: of the route.
        price: dollars an hour of one chip; None where it is unknown.
        has_host: whether ``serve`` has the host's part.
    """
    first, token, rate = _times(ask, passes, has_host=has_host)
    errors = _errors(machine, ask, passes, has_host=has_host)
    borrowed = {} if errors or passes.is_bound else _borrowed(machine, ask)
    wide = {figure: error.median for figure, error in errors.items()} | {
        figure: error.p90 if passes.unlike else error.median for figure, error in borrowed.items()
    }
    if (share := wide.get("token")) and token:
        token, rate = token.widened(share), rate.widened(share)
    if (share := wide.get("first")) and first:
        first = first.widened(share)
        rate = rate.widened(share) if token is None else rate
    hourly = price and price.map(lambda each: each * machine.count)
    cost = None
    if hourly:
        cost = hourly.times(rate.over(MILLION / S_PER_H)) if rate.low else None
    return Answer(
        machine, ask, passes, first, token, rate, _energy(ask, machine, passes, rate), hourly, cost,
        tuple(errors.values()), tuple(borrowed.values()),
    )  # fmt: skip


def _errors(machine: Machine, ask: Ask, passes: Passes, *, has_host: bool) -> dict[str, ClassError]:
    """Return the errors by figure as measured silicon has them."""
    if passes.is_bound or passes.unlike or (ask.phase == "serve" and not has_host):
        return {}
    found = {figure: error_of(machine.sheet.model, ask.phase, figure) for figure in FIGURES}
    return {figure: error for figure, error in found.items() if error}


def _borrowed(machine: Machine, ask: Ask) -> dict[str, ClassError]:
    """Return the errors of the nearest GPU by figure: its kernels are timed by the same models."""
    if machine.sheet.route != "gpu":
        return {}
    return {figure: nearest_error(ask.phase, figure) for figure in FIGURES}


def _times(ask: Ask, passes: Passes, *, has_host: bool) -> tuple[Span | None, Span | None, Span]:
    """Return seconds to the first token and between tokens, and tokens a second."""
    if ask.phase in ("prefill", "forward"):
        tokens = ask.prompt if ask.phase == "prefill" else ask.batch
        return passes.prompt, None, passes.prompt.over(passes.copies * tokens)
    share = ask.batch / passes.copies
    if ask.phase == "decode":
        token = passes.token.map(lambda each: each * max(1.0, share / passes.admitted))
        return None, token, token.over(ask.batch)
    if passes.is_bound:
        assert passes.steady is not None
        return passes.prompt, passes.steady, passes.steady.over(ask.batch)
    made = [
        _served(ask, passes, token, prompt, has_host=has_host)
        for token, prompt in zip(_ends(passes.token), _ends(passes.prompt), strict=True)
    ]
    first, token, rate = (Span.of(*(end[at] for end in made)) for at in range(3))
    return first, token, rate


def _ends(span: Span) -> tuple[float, float, float]:
    return span.low, span.best, span.high


def _served(
    ask: Ask, passes: Passes, token: float, prompt: float, *, has_host: bool
) -> tuple[float, float, float]:
    """Return seconds to the first token, between tokens, and tokens a second of all copies."""
    clients = float(-(-ask.batch // passes.copies))
    load = Workload(
        np.array([clients]), np.array([float(ask.prompt)]), np.array([float(ask.answer)]),
        np.array([True]),
    )  # fmt: skip
    times = Times(np.array([token]), np.array([prompt]), np.array([min(clients, passes.admitted)]))
    if has_host:
        per_token, first = (float(each[0]) for each in served(HOST, times, load))
    else:
        others = times.admitted[0] - 1
        per_token = token + others * prompt / ask.answer
        # A prompt waits for the step in progress, and, where the cache is full, for a place.
        first = token + prompt
        first += (first + per_token * ask.answer) * (clients / float(times.admitted[0]) - 1)
    whole = first + per_token * max(1, ask.answer - 1)
    return first, per_token, ask.batch * ask.answer / whole


def host_seconds(batch: float) -> float:
    """Return what the host adds to each step of so many sequences."""
    fitted = numbers(f"serving_{HOST}")
    return fitted["step"] + fitted["sequence"] * batch


def _energy(ask: Ask, machine: Machine, passes: Passes, rate: Span) -> Span | None:
    """Return joules a token: what the mechanism counts, or between idling and the power limit."""
    power = machine.sheet.ends("power")
    most = power[1] * machine.count / rate.low if power and rate.low else None
    if passes.energy is not None:
        token, prompt = passes.energy
        each = ask.batch / passes.copies
        made = token.map(lambda joules: joules / each)
        read = prompt.map(lambda joules: joules / ask.prompt)
        if ask.phase in ("prefill", "forward"):
            made = read if ask.phase == "prefill" else prompt.map(lambda j: j / ask.batch)
        elif ask.phase == "serve":
            made = made.plus(prompt.map(lambda joules: joules / ask.answer))
        high = made.high if most is None else max(made.best, min(made.high, most))
        return Span.of(made.low, made.value, high)
    if passes.is_bound:
        return None
    return token_joules(ask, machine.sheet, machine.count, passes, rate)
