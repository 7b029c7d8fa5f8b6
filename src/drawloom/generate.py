"""Text from a model on the simulated chip: a prompt is read, then token after token is made.

    generator = Generator.of("llama/", prompt_tokens=20, tokens=64)
    for token in generator.stream(ids):
        ...

Two programs take part: a prefill for the prompt's length and a decode step that runs once for
each token. Their caches lie at the same addresses of the chip's DRAM; they are made and grown
there, and never leave it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drawloom.chip.model import Chip
from drawloom.errors import Fault, InputError
from drawloom.execute.machine import Machine
from drawloom.flow import Build
from drawloom.flow import compile as compile_model
from drawloom.frontends.configured import dtype_of, read_model
from drawloom.frontends.hf.config import Config
from drawloom.frontends.hf.model import model_graph
from drawloom.frontends.hf.request import Request
from drawloom.mapping.options import MapOptions


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen.

    Attributes:
        temperature: 0 takes the likeliest token; otherwise tokens are drawn, their logits divided
            by this.
        seed: of what is drawn.
    """

    temperature: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse a temperature below 0."""
        if not 0 <= self.temperature < float("inf"):
            fault = Fault("temperature", str(self.temperature), "0 or more")
            raise InputError("generate.sampling", "tokens cannot be chosen so", [fault])


@dataclass(frozen=True, slots=True, eq=False)
class Generator:
    """A prefill and a decode step of one model, compiled for one chip.

    Attributes:
        config: the model's figures.
        prefill: reads a prompt of ``prompt_tokens``.
        decode: reads one token and the cache.
        prompt_tokens: tokens of a prompt.
        tokens: how many tokens the cache has room for behind the prompt.
    """

    config: Config
    prefill: Build
    decode: Build
    prompt_tokens: int
    tokens: int

    @staticmethod
    def of(
        model: str | Path | Mapping[str, Any],
        chip: str | Path | Chip = "tx81",
        *,
        prompt_tokens: int,
        tokens: int,
        precision: str = "",
        weights: str = "float",
        group: int = 0,
        mapping: MapOptions | None = None,
    ) -> Generator:
        """Compile both programs of a model.

        Args:
            model: a folder with a ``config.json`` and weights, or a ``.gguf`` file.
            chip: a chip of the catalog by name, a chip file, or a chip.
            prompt_tokens: tokens of a prompt, at least 1.
            tokens: how many to make at most, at least 1.
            precision: as ``drawloom.compile`` has it.
            weights: as ``drawloom.compile`` has it.
            group: as ``drawloom.compile`` has it.
            mapping: options of the mapper.

        Raises:
            InputError: the model is not what it should be, or has no weights at hand.
            DoesNotFit: the model does not fit the chip.
        """
        config, tensors = read_model(model)
        if tensors is None:
            fault = Fault(str(config.name), "no weights", "a folder with .safetensors, or a .gguf")
            raise InputError("generate.model", "only a model with its weights makes text", [fault])
        room = prompt_tokens + tokens
        requests = (
            Request("prefill", tokens=prompt_tokens, capacity=room),
            Request("decode", context=prompt_tokens, capacity=room),
        )
        prefill, decode = (
            compile_model(
                model_graph(config, request, tensors, dtype_of(config, precision)), chip,
                precision=precision, weights=weights, group=group, mapping=mapping,
            )
            for request in requests
        )  # fmt: skip
        return Generator(config, prefill, decode, prompt_tokens, tokens)

    def stream(self, prompt: Sequence[int], sampling: Sampling | None = None) -> Iterator[int]:
        """Iterate over the tokens that follow a prompt, each as soon as it is known.

        Ends after ``tokens`` of them, or after one that ends a text by the model's configuration.

        Raises:
            InputError: the prompt is of another length, or has a token that is none
                (``generate.prompt``).
        """
        self._check(prompt)
        choose = _Chooser(sampling or Sampling())
        machine = Machine(self.prefill.program)
        machine.load({"input_ids": np.array([prompt], np.int32)})
        machine.run()
        token = choose(machine.region("logits"))
        yield token
        caches = {name for name in self.decode.program.named("input") if name.startswith("past.")}
        machine = Machine(self.decode.program, machine)
        for position in range(self.prompt_tokens, self.prompt_tokens + self.tokens - 1):
            if token in self.config.figures.ends:
                return
            step = {
                "input_ids": np.array([[token]], np.int32),
                "position": np.array([position], np.int32),
            }
            machine.load(step, held=caches)
            machine.run()
            token = choose(machine.region("logits"))
            yield token

    def latencies_ps(self) -> tuple[int, int]:
        """Return the chip's time to the first token and for each one after it, in picoseconds."""
        return self.prefill.time().latency_ps, self.decode.time().latency_ps

    def _check(self, prompt: Sequence[int]) -> None:
        faults: list[Fault] = []
        if len(prompt) != self.prompt_tokens:
            faults.append(Fault("prompt", f"{len(prompt)} tokens", f"{self.prompt_tokens} tokens"))
        most = self.prefill.graph.types["logits"].shape[-1]
        faults += [
            Fault(f"prompt[{i}]", str(token), f"0 to {most - 1}")
            for i, token in enumerate(prompt)
            if not 0 <= token < most
        ]
        if faults:
            raise InputError("generate.prompt", "this prompt cannot be read", faults)


class _Chooser:
    """Chooses a token from logits of one sequence."""

    def __init__(self, sampling: Sampling) -> None:
        self.sampling = sampling
        self.random = np.random.default_rng(sampling.seed)

    def __call__(self, logits: NDArray[Any]) -> int:
        row = np.asarray(logits, np.float64).reshape(-1)
        if not self.sampling.temperature:
            return int(np.argmax(row))
        weights = np.exp((row - row.max()) / self.sampling.temperature)
        return int(self.random.choice(row.size, p=weights / weights.sum()))
