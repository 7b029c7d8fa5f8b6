"""What of a model is asked for: which phase, for how many sequences of how many tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from drawloom.errors import Fault, InputError, nearest

Phase = Literal["prefill", "decode", "forward"]
Logits = Literal["last", "all"]

_MOST = 2**31 - 1  # positions are 32-bit integers


@dataclass(frozen=True, slots=True)
class Request:
    """One graph of a model.

    Attributes:
        phase: ``prefill`` reads a prompt and gives the cache it fills; ``decode`` reads one token
            and a cache, and gives both grown by that token; ``forward`` is the model on a whole
            sequence (or image) without a cache.
        batch: sequences, or images, at a time.
        context: tokens that stand in the cache before a decode step; decode only.
        tokens: tokens of the prompt, of each sequence; of the text that conditions a U-Net.
            A decode step reads one.
        capacity: positions the cache has room for; ``context + 1`` or ``tokens`` unless given.
        logits: ``last``, of the last token [batch, vocabulary], or ``all`` [batch, tokens,
            vocabulary]; a forward gives all.

    Raises:
        InputError: numbers out of range or that do not suit the phase (``hf.request``).
    """

    phase: Phase = "decode"
    batch: int = 1
    context: int | None = None
    tokens: int | None = None
    capacity: int | None = None
    logits: Logits = "last"

    def __post_init__(self) -> None:
        """Check the words and the numbers, all at once."""
        faults = [*self._word_faults(), *self._number_faults()]
        if not faults:
            faults = self._decode_faults() if self.phase == "decode" else self._prompt_faults()
        if faults:
            raise InputError("hf.request", "this cannot be asked of a model", faults)

    @property
    def n_tokens(self) -> int:
        """Tokens the graph reads, of each sequence; 0 where it does not say."""
        return 1 if self.phase == "decode" else self.tokens or 0

    @property
    def n_slots(self) -> int:
        """Positions of the cache."""
        if self.capacity is not None:
            return self.capacity
        return (self.context or 0) + 1 if self.phase == "decode" else self.n_tokens

    @property
    def has_all_logits(self) -> bool:
        """Whether every token's logits are wanted."""
        return self.logits == "all" or self.phase == "forward"

    def _word_faults(self) -> list[Fault]:
        words = (("phase", self.phase, Phase), ("logits", self.logits, Logits))
        return [
            Fault(key, f"'{word}'", nearest(word, get_args(legal)))
            for key, word, legal in words
            if word not in get_args(legal)
        ]

    def _number_faults(self) -> list[Fault]:
        least = {"batch": 1, "context": 0, "tokens": 1, "capacity": 1}
        given = {key: getattr(self, key) for key in least}
        return [
            Fault(key, str(given[key]), f"from {low} to {_MOST}")
            for key, low in least.items()
            if given[key] is not None and not low <= given[key] <= _MOST
        ]

    def _decode_faults(self) -> list[Fault]:
        faults: list[Fault] = []
        if self.context is None:
            faults.append(Fault("context", "missing", "the number of tokens in the cache"))
        if self.tokens not in (None, 1):
            faults.append(Fault("tokens", str(self.tokens), "a decode step reads 1 token"))
        if self.context is not None and self.n_slots <= self.context:
            allowed = f"more than the {self.context} tokens of the context"
            faults.append(Fault("capacity", str(self.capacity), allowed))
        return faults

    def _prompt_faults(self) -> list[Fault]:
        faults: list[Fault] = []
        if self.context is not None:
            allowed = f"absent: a {self.phase} starts from nothing, say tokens"
            faults.append(Fault("context", str(self.context), allowed))
        if self.phase == "forward" and self.capacity is not None:
            faults.append(Fault("capacity", str(self.capacity), "absent: a forward has no cache"))
        if self.phase == "prefill" and self.tokens is None:
            faults.append(Fault("tokens", "missing", "the number of tokens of the prompt"))
        if self.tokens is not None and self.n_slots < self.tokens:
            allowed = f"at least the {self.tokens} tokens of the prompt"
            faults.append(Fault("capacity", str(self.capacity), allowed))
        return faults
