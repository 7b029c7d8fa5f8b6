"""Compiling is pure: the same graph, chip and options give the same bytes, in any process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.mapping.drawing import graphs

from drawloom.chip.files import load_chip
from drawloom.graph.files import write_graph
from drawloom.graph.ir import Graph
from drawloom.mapping.options import MapOptions
from drawloom.mapping.plan import map_graph
from drawloom.mapping.text import mapping_text
from drawloom.program.assemble import assemble
from drawloom.program.binary import program_hash

TX81 = load_chip("tx81")
OPTIONS = st.builds(MapOptions, fuse=st.booleans(), multicast=st.booleans(), resident=st.booleans())
ROOT = Path(__file__).parents[2]
CODE = """
import sys
from drawloom.chip.files import load_chip
from drawloom.graph.files import read_graph
from drawloom.mapping.plan import map_graph
from drawloom.mapping.text import mapping_text
from drawloom.program.assemble import assemble
from drawloom.program.binary import program_hash
for path in sys.argv[1:]:
    mapping = map_graph(read_graph(path), load_chip("tx81"))
    print(mapping_text(mapping))
    print(program_hash(assemble(mapping)))
"""


def compiled(seed: str, paths: list[Path]) -> str:
    env = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-c", CODE, *map(str, paths)],
        env=env, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@settings(max_examples=20)
@given(graphs(), OPTIONS)
def test_mapping_twice_gives_the_same(graph: Graph, options: MapOptions) -> None:
    first, second = map_graph(graph, TX81, options), map_graph(graph, TX81, options)
    assert mapping_text(first) == mapping_text(second)
    assert program_hash(assemble(first)) == program_hash(assemble(second))


def test_the_hash_seed_changes_no_byte(tmp_path: Path) -> None:
    found: list[Graph] = []

    @settings(max_examples=12, database=None, derandomize=True)
    @given(graphs(max_nodes=10))
    def collect(graph: Graph) -> None:
        found.append(graph)

    collect()
    paths = [tmp_path / f"{i}.graph" for i in range(len(found))]
    for graph, path in zip(found, paths, strict=True):
        write_graph(graph, path)
    assert compiled("1", paths) == compiled("4096", paths)
