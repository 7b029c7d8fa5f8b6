"""Random valid graphs by seed: compiled, executed, held to what the graph means.

    .venv/bin/python -m tests.fuzz.random_graphs 1234          # one seed again, shrunk if it fails
    .venv/bin/python -m tests.fuzz.random_graphs 1000 1999     # from one seed to another

A seed says everything: the graph, its values, the chip, the mapper's options, the precision. The
program's outputs are held to the bound that ``graph/bounds`` derives for the graph that is
computed and, where the precision is f32, to that of the graph as it was given: so a wrong
rewrite cannot hide. Integers and truth values that depend on no float have a bound of zero. Where
a bound says nothing each node is judged by itself, at the operands that the chip had.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from tests.fuzz.idioms import IDIOMS
from tests.fuzz.maker import FLOATS, HALVES, MOST, WHOLE, Maker
from tests.fuzz.seeds import main
from tests.fuzz.steps import STEPS
from tests.fuzz.windows import MORE
from tests.reference.nodewise import judge

from drawloom.chip.files import load_chip, parse_chip
from drawloom.chip.model import Chip
from drawloom.errors import DoesNotFit, InputError
from drawloom.flow import Build
from drawloom.flow import compile as compile_graph
from drawloom.graph.bounds import Bounded, bounds
from drawloom.graph.dtypes import DType
from drawloom.graph.evaluate import evaluate
from drawloom.graph.ir import Array, Graph
from drawloom.graph.rounding import UNIT_ROUNDOFF, wide
from drawloom.mapping.options import MapOptions

LIMIT = 200
CHIPS = {
    "tx81": "",
    "one tile": "rows: 1\ncols: 1\n",
    "small": "rows: 2\ncols: 2\nscratchpad: {bytes: 256 KiB}\n",
    "blocks of 32": "blocking: {block: 32, block_8bit: 64}\n",
}
VAGUE = 0.25
"""A bound that is a larger share of the value than this says too little."""
_FOLDED = 32.0  # roundings of the largest result


@dataclass(frozen=True, slots=True)
class Case:
    """A graph with values for its inputs, and how it is compiled."""

    seed: int
    graph: Graph
    inputs: Mapping[str, Array]
    chip: str
    options: MapOptions
    precision: str
    timed: bool

    def text(self) -> str:
        """Return the case for a person: how to see it again, and the graph."""
        lines = [
            f"seed {self.seed}: chip '{self.chip}', precision {self.precision}, {self.options}",
            f"again: .venv/bin/python -m tests.fuzz.random_graphs {self.seed}",
            self.graph.text(),
        ]
        shown = {**self.inputs, **self.graph.constants}
        lines += [f"{name} = {array.tolist()}" for name, array in shown.items() if array.size <= 8]
        return "\n".join(lines)


@cache
def chip(name: str) -> Chip:
    """Return a chip of ``CHIPS``."""
    changes = CHIPS[name]
    return parse_chip(f"extends: tx81\n{changes}", "mine.chip.yaml") if changes else load_chip(name)


def case(seed: int, limit: int = LIMIT) -> Case:
    """Return a seed's case, no axis longer than ``limit`` where that can be."""
    rng = np.random.default_rng([seed, 1])
    precision = str(rng.choice(["f32", "f32", "f32", "f16", "bf16"]))
    name = str(rng.choice(["tx81", "tx81", "tx81", *list(CHIPS)[1:]]))
    fuse, multicast, resident = (bool(v) for v in rng.integers(0, 4, 3) > 0)
    narrow = None if precision == "f32" else DType(precision)
    maker = Maker(seed, limit, narrow)
    graph = _drawn(maker)
    inputs = {v: maker.inputs[v] for v in graph.inputs}
    options = MapOptions(fuse, multicast, resident)
    return Case(seed, graph, inputs, name, options, precision, seed % 4 == 0)


def _drawn(m: Maker) -> Graph:
    steps = [step for step, weight in (*STEPS, *MORE, *IDIOMS) for _ in range(weight)]
    for _ in range(m.pick(1, 1, 2)):
        dtype = m.float_type if m.chance(0.7) else m.pick(*FLOATS, *WHOLE, DType.I8, DType.U8)
        dtype = DType.BOOL if m.chance(0.03) else dtype
        rank = m.pick(0, 1, 2, 2, 3, 3, 4, 4, 4, 5)
        m.values.append(m.operand(dtype, m.shape(rank), False))
    wanted = m.whole(1, 9)
    for _ in range(40):
        x = m.pick(*m.values, m.values[-1], m.values[-1])
        made = m.pick(*steps)(m, x) if m.kind(x).size <= MOST else None
        m.values += [made] if isinstance(made, str) else list(made or ())
        if len(m.b.nodes) >= wanted:
            break
    made = [v for node in m.b.nodes for v in node.outputs]
    ends = [v for v in made if v not in {u for n in m.b.nodes for u in n.inputs}]
    outputs = list(dict.fromkeys([*ends[-3:], *m.order(made)[: m.whole(0, 2)]]))
    # An input or a constant may be a result, too.
    outputs += [m.pick(*m.b.inputs)] if m.chance(0.05) or not outputs else []
    outputs += [m.pick(*m.b.constants)] if m.chance(0.03) and len(m.b.constants) else []
    return m.b.finish(list(dict.fromkeys(outputs)), prune=True)


# --- judging ---------------------------------------------------------------


def fault(c: Case) -> str:
    """Return what is wrong with a case's program, in words; "" where all is right."""
    try:
        build = compile_graph(c.graph, chip(c.chip), precision=c.precision, mapping=c.options)
        found = build.run(c.inputs)
        if c.timed and build.time().total_ps <= 0 and build.program.commands(0):
            return "it takes no time"
    except DoesNotFit as error:
        # True of the small chips that are made up here; the catalog's must take such graphs.
        return "" if CHIPS[c.chip] else f"DoesNotFit: {error.text()}"
    except InputError as error:
        return f"InputError: {error.text()}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return _wrong(c, build, found)


def _wrong(c: Case, build: Build, found: Mapping[str, Array]) -> str:
    if list(found) != list(dict.fromkeys(c.graph.outputs)):
        return f"outputs {list(found)}, not {list(c.graph.outputs)}"
    computed, given = bounds(build.graph, c.inputs), bounds(c.graph, c.inputs)
    vague = False
    for name in c.graph.outputs:
        kind, got, want = c.graph.types[name], found[name], computed[name]
        if (got.dtype, got.shape) != (kind.dtype.numpy, kind.shape):
            return f"'{name}' is {got.dtype}{list(got.shape)}, not {kind.text()}"
        if not want.holds(got).all():
            return f"'{name}': {_worst(got, want)}"
        if c.precision == "f32":
            slack = _folded(c.graph, given[name])
            whole = Bounded(given[name].value, given[name].error + want.error + slack)
            if not whole.holds(got).all():
                return f"'{name}', as given: {_worst(got, whole)}"
        vague |= _is_vague(want)
    return _by_nodes(c, build) if vague else ""


def _folded(graph: Graph, bound: Bounded) -> float:
    """Return what constants may cost that are folded in a half format: no bound counts that.

    They round once more, so that a sum moves by as large a part of its terms.
    """
    units = [UNIT_ROUNDOFF[k.dtype] for k in graph.types.values() if k.dtype in HALVES]
    sizes = np.abs(wide(bound.value))
    largest = float(np.max(sizes, initial=0.0, where=np.isfinite(sizes)))
    return _FOLDED * max(units, default=0.0) * largest


def _is_vague(bound: Bounded) -> bool:
    with np.errstate(invalid="ignore"):
        size = np.abs(wide(bound.value)) + 1e-3
        return bool(np.any(bound.error > VAGUE * size) & np.any(bound.error > 0))


def _by_nodes(c: Case, build: Build) -> str:
    try:
        broken = [j for j in judge(build.graph, c.inputs, c.options, chip(c.chip)) if j.broken]
    except DoesNotFit as error:
        return "" if CHIPS[c.chip] else f"every value stored, DoesNotFit: {error.text()}"
    except InputError as error:
        return f"every value stored, InputError: {error.text()}"
    return "; ".join(f"{j.node.op} by itself: {j.text()}" for j in broken)


def _worst(got: Array, want: Bounded) -> str:
    held = np.broadcast_to(want.holds(got), got.shape)
    at = tuple(int(i) for i in np.argwhere(~held)[0])
    error = np.broadcast_to(want.error, got.shape)
    return (
        f"{np.count_nonzero(~held)} of {held.size} outside, first at {at}: "
        f"got {got[at]}, reference {want.value[at]}, bound {error[at]:.3g}"
    )


# --- shrinking -------------------------------------------------------------


def shrunk(c: Case) -> Case:
    """Return a smaller case that fails, too: shorter axes, fewer outputs, fewer nodes."""
    for limit in (1, 2, 3, 5, 9, 17, 33, 65):
        smaller = case(c.seed, limit)
        if fault(smaller):
            c = smaller
            break
    changed = True
    while changed:
        changed = False
        for smaller in _smaller(c):
            if fault(smaller):
                c, changed = smaller, True
                break
    return c


def _smaller(c: Case) -> Iterator[Case]:
    """Yield cases with less in them: an output less, or a node's values given from outside."""
    if c.timed:
        yield replace(c, timed=False)
    for out in c.graph.outputs if len(c.graph.outputs) > 1 else ():
        yield _with_outputs(c, tuple(v for v in c.graph.outputs if v != out))
    made = [v for node in c.graph.nodes for v in node.outputs if v]
    if len(c.graph.nodes) > 1:
        yield from (_with_outputs(c, (v,)) for v in made[:-1] if (v,) != c.graph.outputs)
        values = evaluate(c.graph, c.inputs, keep=made)
        for node in reversed(c.graph.nodes):
            if not set(node.outputs) & set(c.graph.outputs):
                yield _cut(c, {v: values[v] for v in node.outputs if v})


def _with_outputs(c: Case, outputs: tuple[str, ...]) -> Case:
    return _cut(replace(c, graph=replace(c.graph, outputs=outputs)), {})


def _cut(c: Case, known: Mapping[str, Array]) -> Case:
    """Give values from outside instead of computing them; drop what nothing needs any more."""
    needed, nodes = set(c.graph.outputs), []
    for node in reversed(c.graph.nodes):
        if (set(node.outputs) & needed) - set(known):
            nodes.insert(0, node)
            needed |= set(node.inputs)
    given = {v: a for v, a in {**c.inputs, **known}.items() if v in needed}
    made = {v for node in nodes for v in node.outputs} | set(given)
    held = {v: a for v, a in c.graph.constants.held.items() if v in needed}
    types = {v: k for v, k in c.graph.types.items() if v in made or v in held}
    constants = type(c.graph.constants)(held)
    graph = Graph(c.graph.name, tuple(given), c.graph.outputs, tuple(nodes), types, constants)
    return replace(c, graph=graph, inputs=given)


def report(c: Case) -> str:
    """Return a failing case, shrunk, with what is wrong with it."""
    small = shrunk(c)
    return f"{fault(small)}\n{small.text()}"


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1:], case, fault, report), 1))
