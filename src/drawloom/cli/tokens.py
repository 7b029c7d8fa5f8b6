"""Text to tokens and back: bytes where a model reads bytes, else its own tokenizer."""

from __future__ import annotations

import codecs
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from drawloom.errors import Fault, InputError
from drawloom.frontends.hf.config import Config

_FILE = "tokenizer.json"


class Tokens(Protocol):
    """Turns text into tokens, and tokens into text as they come."""

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a text."""
        ...

    def add(self, token: int) -> str:
        """Take the next token; return the text that is certain now."""
        ...


class Bytes:
    """A token is a byte of UTF-8."""

    def __init__(self) -> None:
        """Start between two characters."""
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def encode(self, text: str) -> list[int]:
        """Return the bytes of a text."""
        return list(text.encode())

    def add(self, token: int) -> str:
        """Take the next byte; a character is certain with its last."""
        return self._decoder.decode(bytes([token]))


class Tokenizer:
    """A tokenizer of Hugging Face's, from its ``tokenizer.json``."""

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            InputError: the package ``tokenizers`` is not installed, or cannot read the file
                (``generate.tokenizer``).
        """
        try:
            made: Any = import_module("tokenizers").Tokenizer
        except ImportError:
            fault = Fault("tokenizers", "not installed", "pip install tokenizers, or --token-ids")
            raise InputError("generate.tokenizer", f"'{path}' needs a package", [fault]) from None
        try:
            self._own: Any = made.from_file(str(path))
        except Exception as error:  # whatever the package raises, it is about this file
            fault = Fault(path.name, str(error), "a tokenizer.json")
            raise InputError("generate.tokenizer", f"cannot read '{path}'", [fault]) from None
        self._made: list[int] = []
        self._shown = ""

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a text, with those that the model wants around it."""
        return list(self._own.encode(text).ids)

    def add(self, token: int) -> str:
        """Take the next token; a text that ends in half a character waits for the rest."""
        self._made.append(token)
        text = str(self._own.decode(self._made))
        if text.endswith("\N{REPLACEMENT CHARACTER}"):
            return ""
        fresh, self._shown = text[len(self._shown) :], text
        return fresh


def tokens_of(model: Path, config: Config) -> Tokens:
    """Return how a model reads text.

    Raises:
        InputError: the model has no tokenizer and does not read bytes (``generate.tokenizer``).
    """
    path = model / _FILE if model.is_dir() else model.with_name(_FILE)
    if path.is_file():
        return Tokenizer(path)
    size = getattr(config.figures, "vocab_size", 0)
    if size == 1 << 8:
        return Bytes()
    fault = Fault(str(path), "no such file", f"a tokenizer for {size} tokens, or --token-ids")
    raise InputError("generate.tokenizer", f"how '{config.name}' reads text is not known", [fault])
