"""PyTorch, which is optional: looked up when something of it is needed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from drawloom.errors import Fault, InputError


def torch() -> Any:
    """Return the module ``torch``.

    Raises:
        InputError: it is not installed (``torch.missing``).
    """
    try:
        return import_module("torch")
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        fault = Fault("torch", "not installed", "the extra: pip install 'drawloom[torch]'")
        raise InputError("torch.missing", "PyTorch is needed to read its models", [fault]) from None
