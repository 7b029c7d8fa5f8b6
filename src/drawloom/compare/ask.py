"""What is asked: a model, a phase, lengths, a batch, the form of the weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from drawloom.compare.sizes import Need, Sizes, prompt_need, token_need
from drawloom.errors import Fault, InputError, nearest
from drawloom.frontends.hf import Config
from drawloom.graph.ir import Graph

Phase = Literal["serve", "prefill", "decode", "forward"]
PHASES = ("serve", "prefill", "decode", "forward")
WEIGHTS = {"float": 2.0, "int8": 1.0}  # bytes of a weight by form; scales are left out
NUMBER_BYTES = 2.0  # of activations and the cache
MEMORY_SHARE = (
    0.9  # of a chip's memory that weights and caches may take, as serving software has it
)


@dataclass(frozen=True, slots=True)
class Ask:
    """One question.

    Attributes:
        config: the model's figures.
        sizes: what its passes must do.
        phase: ``prefill`` reads the prompts, ``decode`` makes one token a sequence, ``serve`` both
            as they come; ``forward`` is a graph that makes no tokens.
        prompt: tokens of a prompt.
        answer: tokens of an answer.
        batch: sequences at a time.
        weights: a key of ``WEIGHTS``.
        work: of ``forward``, what the graph must do.
        graph: of ``forward``, in 16 bits.
    """

    config: Config
    sizes: Sizes
    phase: Phase
    prompt: int
    answer: int
    batch: int
    weights: str
    work: Need | None = None
    graph: Graph | None = field(default=None, repr=False)

    @property
    def context(self) -> int:
        """Earlier tokens of a sequence: answers are at all lengths at once, half on average."""
        return self.prompt + self.answer // 2

    @property
    def weight_bytes(self) -> float:
        """Bytes of a weight."""
        return WEIGHTS[self.weights]

    def token_need(self, batch: float) -> Need:
        """Return what one token for each of so many sequences needs."""
        return token_need(self.sizes, batch, self.context)

    def prompt_need(self) -> Need:
        """Return what reading a prompt, or running the graph, needs."""
        return self.work or prompt_need(self.sizes, self.prompt)

    def held(self, batch: float) -> float:
        """Return the bytes of the weights and of so many sequences' caches, of one copy."""
        cache = self.sizes.cache_numbers(self.prompt + self.answer) * NUMBER_BYTES
        return self.sizes.weights * self.weight_bytes + batch * cache


def check(phase: str, prompt: int, answer: int, batches: tuple[int, ...], weights: str) -> None:
    """Refuse words and numbers that there are not, all at once.

    Raises:
        InputError: ``compare.ask``.
    """
    faults: list[Fault] = []
    if phase not in PHASES:
        faults.append(Fault("phase", f"'{phase}'", nearest(phase, PHASES)))
    if weights not in WEIGHTS:
        faults.append(Fault("weights", f"'{weights}'", nearest(weights, WEIGHTS)))
    for name, value in (("in", prompt), ("out", answer), *(("batch", each) for each in batches)):
        if not 1 <= value <= 2**20:
            faults.append(Fault(name, str(value), f"from 1 to {2**20:,}"))
    if not batches:
        faults.append(Fault("batch", "nothing", "sequences at a time: 16, or 1,16,64"))
    if faults:
        raise InputError("compare.ask", "this cannot be compared", faults)
