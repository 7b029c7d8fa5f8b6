"""Models from a Hugging Face ``config.json``: no torch, and no weights unless they are given.

config = read_config("llama-3-8b")
graph = model_graph(config, Request("decode", batch=8, context=4096))
"""

from __future__ import annotations

from drawloom.frontends.hf.config import Config, catalog_names, read_config
from drawloom.frontends.hf.model import model_graph
from drawloom.frontends.hf.request import Request

__all__ = ["Config", "Request", "catalog_names", "model_graph", "read_config"]
