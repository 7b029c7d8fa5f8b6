"""How much memory a model's weights take while it is compiled and its program written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.frontends.weights.files import entry, write_safetensors

from drawloom.flow import Build
from drawloom.program.binary import program_hash
from drawloom.program.files import read_program

PEAK = Path(__file__).with_name("peak.py")
N = 12


def sharded(folder: Path, side: int) -> Path:
    """Write a model of ``N`` square matrices in float16, one a shard."""
    ramp = np.arange(side * side, dtype=np.uint16) & 0x3FF
    placed: dict[str, str] = {}
    for i in range(N):
        placed[f"w{i}"] = f"{i}.safetensors"
        header = {f"w{i}": entry("F16", [side, side], 0, 2 * side * side)}
        write_safetensors(folder / f"{i}.safetensors", header, (ramp + i).tobytes())
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": placed}))
    return folder


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the kernel tells no peak")
@pytest.mark.slow
@pytest.mark.parametrize("mb", [2, 40])
def test_compiling_holds_one_tensor_at_a_time(tmp_path: Path, mb: int) -> None:
    folder = sharded(tmp_path, side=int((mb * 1e6 / 2) ** 0.5) // 64 * 64)
    source = str(Path(__file__).parents[3] / "src")
    done = subprocess.run(
        [sys.executable, str(PEAK), str(folder)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": source},
    )
    largest, program, grown = map(int, done.stdout.split())
    assert program > N * largest
    # The promise; and that what is written is never held: in use at once are a tensor, its
    # layout on the chip with one copy on the way there, and the plan.
    assert grown < 1.3 * largest + program
    assert grown < 4 * largest + 40e6
    binary, text = (read_program(folder / name) for name in ("chain.prog", "chain.prog.txt"))
    assert program_hash(binary) == program_hash(text)
    if mb < 10:
        saved = Build.load(folder / "chain.build")
        assert program_hash(saved.program) == program_hash(binary)
        assert np.array_equal(saved.source.constants["w3"], saved.graph.constants["w3"])
