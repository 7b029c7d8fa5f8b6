"""Small language models of every family by seed: compiled, checked, some of them executed.

    .venv/bin/python -m tests.fuzz.random_models 1234          # one seed again
    .venv/bin/python -m tests.fuzz.random_models 1000 1999     # from one seed to another

A seed says everything: the family and its sizes, the phase with odd numbers of tokens, contexts and
sequences, whether weights are numbers or codes and how many share a scale, the precision, the chip, the
mapper's options. Compiling checks the program. Every third is a model with values, executed and held to
the graph that it was made of.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from tests.frontends.hf.tiny import DECODERS, checkpoint
from tests.fuzz.random_graphs import CHIPS, chip
from tests.fuzz.seeds import main

from drawloom.errors import DoesNotFit, InputError
from drawloom.flow import Build
from drawloom.flow import compile as compile_graph
from drawloom.frontends.hf import Config, Request, model_graph, read_config
from drawloom.graph.dtypes import DType
from drawloom.graph.evaluate import evaluate
from drawloom.graph.ir import Array, Graph
from drawloom.mapping.options import MapOptions
from drawloom.quantize.weights import GROUPS

NEAR = {"f32": 1e-4, "f16": 0.02, "bf16": 0.15}  # root of squares over all elements, relative
LEARNED = 120  # positions that models have which learn them
EXECUTED = 3  # every so many seeds


@dataclass(frozen=True)
class Case:
    """A model, what is asked of it, and how it is compiled."""

    seed: int
    family: str
    config: Mapping[str, Any]
    request: Request
    precision: str
    weights: str
    group: int
    chip: str
    options: MapOptions

    @property
    def is_executed(self) -> bool:
        """Whether it is held to values as well."""
        # Where experts are chosen by numbers that are rounded, a tie goes either way.
        has_ties = "experts" in " ".join(self.config) and self.precision != "f32"
        return self.seed % EXECUTED == 0 and not has_ties

    @cached_property
    def graph(self) -> Graph:
        """The model, with values if it is executed."""
        read = read_config(self.config)
        tensors = _calm(read, self.seed) if self.is_executed else None
        return model_graph(read, self.request, tensors, DType(self.precision))

    def text(self) -> str:
        """Return the case for a person: how to see it again, and what it is."""
        return "\n".join(
            (
                f"seed {self.seed}: {self.family}, chip '{self.chip}', {self.options}",
                f"precision {self.precision}, weights {self.weights}, group {self.group}",
                f"{self.request}",
                f"{dict(self.config)}",
                f"again: .venv/bin/python -m tests.fuzz.random_models {self.seed}",
            )
        )


def _calm(config: Config, seed: int) -> dict[str, Array]:
    """Return weights so small that nothing overflows 16 bits."""
    tensors = checkpoint(config, seed)
    return {name: t * np.float32(0.4) if t.ndim > 1 else t for name, t in tensors.items()}


def case(seed: int) -> Case:
    """Return a seed's case."""
    rng = np.random.default_rng([seed, 2])

    def pick(*of: Any) -> Any:
        return of[int(rng.integers(len(of)))]

    family = pick(*DECODERS)
    weights = pick("float", "int8", "int8", "int4", "int4")
    group = 0 if weights == "float" else pick(*GROUPS)
    name = pick("tx81", "tx81", "tx81", *list(CHIPS)[1:])
    fuse, multicast, resident = (bool(v) for v in rng.integers(0, 4, 3) > 0)
    return Case(
        seed,
        family,
        _sized(DECODERS[family], pick),
        _request(rng, pick),
        pick("f16", "bf16", "f32"),
        weights,
        group,
        name,
        MapOptions(fuse, multicast, resident),
    )


def _sized(config: Mapping[str, Any], pick: Any) -> dict[str, Any]:
    """Return a configuration with sizes at which weights are worth codes."""
    width, inner = pick(64, 96, 128, 160, 256), pick(64, 72, 100, 128, 192, 256, 384)
    if "n_embd" in config:
        sizes = {"n_embd": width, "n_layer": pick(1, 2), "n_positions": LEARNED, "n_inner": inner}
    else:
        sizes = {"hidden_size": width, "num_hidden_layers": pick(1, 2)}
        sizes |= {
            key: pick(64, 72, 96, 128, 160)
            for key in config
            if key in ("moe_intermediate_size", "shared_expert_intermediate_size", "kv_lora_rank")
        }
        sizes["ffn_dim" if "ffn_dim" in config else "intermediate_size"] = inner
        sizes["max_position_embeddings"] = LEARNED
    if config.get("q_lora_rank"):
        sizes["q_lora_rank"] = pick(64, 96)
    return {**config, **sizes, "vocab_size": pick(61, 64, 100, 128, 257)}


def _request(rng: np.random.Generator, pick: Any) -> Request:
    phase = pick("prefill", "prefill", "decode", "decode", "forward")
    batch = pick(1, 1, 1, 2, 3, 5, 7)
    tokens = int(rng.integers(1, 71))
    if phase == "decode":
        batch = pick(1, 1, 2, 3, 8, 17)
        more = pick(1, 1, 1, 8, 13)
        return Request("decode", batch=batch, context=tokens, capacity=tokens + more)
    if phase == "forward":
        return Request("forward", batch=pick(1, 1, 2), tokens=tokens)
    capacity = tokens + pick(0, 0, 0, 1, 9)
    logits = pick("last", "last", "all")
    return Request("prefill", batch=batch, tokens=tokens, capacity=capacity, logits=logits)


def inputs(c: Case, graph: Graph) -> dict[str, Array]:
    """Return values for a model's inputs."""
    rng = np.random.default_rng([c.seed, 3])
    given: dict[str, Array] = {}
    for name in graph.inputs:
        kind = graph.types[name]
        if name == "position":
            given[name] = np.full(kind.shape, c.request.context, np.int32)
        elif kind.dtype.is_float:
            given[name] = rng.standard_normal(kind.shape).astype(kind.dtype.numpy)
        else:
            words = int(c.config["vocab_size"])
            given[name] = rng.integers(0, words, kind.shape).astype(kind.dtype.numpy)
    return given


def fault(c: Case) -> str:
    """Return what is wrong with a case's program, in words; "" where all is right."""
    try:
        build = compile_graph(
            c.graph,
            chip(c.chip),
            precision=c.precision,
            weights=c.weights,
            group=c.group,
            mapping=c.options,
        )
        return _far(c, build) if c.is_executed else ""
    except DoesNotFit as error:
        # True of the small chips that are made up here; the catalog's must take such models.
        return "" if CHIPS[c.chip] else f"DoesNotFit: {error.text()}"
    except InputError as error:
        return f"InputError: {error.text()}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def _far(c: Case, build: Build) -> str:
    given = inputs(c, build.graph)
    wanted, made = evaluate(build.graph, given, wide=True), build.run(given)
    for name, value in made.items():
        exact = np.asarray(wanted[name], np.float64)
        size = float((exact**2).sum()) ** 0.5
        off = float(((value.astype(np.float64) - exact) ** 2).sum()) ** 0.5
        if not off <= NEAR[c.precision] * size:
            return f"'{name}' is off by {off:.3g} of {size:.3g}"
    return ""


def report(c: Case) -> str:
    """Return a failing case with what is wrong with it."""
    return f"{fault(c)}\n{c.text()}"


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1:], case, fault, report), 1))
