"""PyTorch models become graphs."""

from __future__ import annotations

from drawloom.frontends.torch.read import Traced, read_exported, read_module, read_traced

__all__ = ["Traced", "read_exported", "read_module", "read_traced"]
