"""The catalog's figures are those of the models they name."""

from __future__ import annotations

import time
import tomllib
from pathlib import Path

import pytest

import drawloom.frontends.hf
from drawloom.frontends.hf import Request, catalog_names, model_graph, read_config
from drawloom.frontends.hf.config import catalog_entry
from drawloom.frontends.hf.families import FAMILIES
from drawloom.graph.ir import Graph

MADE = ("rope.", "mask.", "moe.", "table.")  # constants that are no weights


def request_of(name: str) -> Request:
    family = FAMILIES[read_config(name).figures.model_type]
    if family.has_cache:
        return Request("decode", context=128)
    return Request("forward", tokens=8 if family.needs_tokens else None)


def parameters(graph: Graph) -> int:
    return sum(graph.types[k].size for k in graph.constants if not k.startswith(MADE))


@pytest.mark.parametrize("name", catalog_names())
def test_a_model_has_as_many_weights_as_its_publisher_counts(name: str) -> None:
    entry = catalog_entry(name)
    assert entry.source.startswith("config.json of ")
    graph = model_graph(read_config(name), request_of(name))
    assert parameters(graph) == entry.parameters
    assert graph.name.startswith(f"{name}.")


def test_dit_counts_what_its_paper_counts_once() -> None:
    graph = model_graph(read_config("dit-xl-2"), Request("forward"))
    repeated = [k for k in graph.constants if ".norm1.emb." in k and "blocks.0." not in k]
    once = parameters(graph) - sum(graph.types[k].size for k in repeated)
    assert round(once / 1e6) == 675


def test_the_models_people_ask_about_are_there() -> None:
    wanted = """llama-2-7b llama-2-70b llama-3-8b llama-3-70b llama-3.1-405b qwen3-4b qwen3-32b
    qwen3-30b-a3b mixtral-8x7b deepseek-v3"""
    assert set(wanted.split()) <= set(catalog_names())


def test_the_catalog_travels_with_the_package() -> None:
    root = Path(__file__).parents[3]
    wheel = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    folder = Path(drawloom.frontends.hf.__file__).parent / "catalog"
    pattern = f"{folder.relative_to(root).as_posix()}/*.json"
    assert pattern in wheel["targets"]["wheel"]["artifacts"]


@pytest.mark.parametrize(("name", "limit_s"), [("llama-3-8b", 0.5), ("llama-3.1-405b", 2.0)])
def test_a_graph_is_quickly_made(name: str, limit_s: float) -> None:
    config = read_config(name)
    begun = time.process_time()
    model_graph(config, Request("decode", batch=8, context=4096))
    assert time.process_time() - begun < limit_s
