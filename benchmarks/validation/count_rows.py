"""Count the instructions of loops over rows in machine code: the numbers of routes/gpu/pointwise.py.

    python benchmarks/validation/count_rows.py [--nvcc nvcc] [--nvdisasm nvdisasm] [--arch sm_80]

Needs a CUDA compiler, no GPU: row_kernels.cu is compiled and taken apart, and each loop's instructions
are printed, with those of the special units. A loop is what a backward branch closes.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).with_name("row_kernels.cu")
_KERNEL = re.compile(r"\.text\.(\w+):")
_LABEL = re.compile(r"(\.L_x_\d+):")
_INSTRUCTION = re.compile(r"/\*[0-9a-f]{4}\*/\s+(?P<text>.*?);")
_BRANCH = re.compile(r"BRA `\((\.L_x_\d+)\)")
SPECIAL = ("MUFU",)


def loops(listing: str) -> Iterator[tuple[str, int, int]]:
    """Yield each loop of a listing: its kernel, its instructions, those of the special units."""
    kernel, labels, made = "", dict[str, int](), list[str]()
    for line in listing.splitlines():
        if found := _KERNEL.match(line):
            kernel, labels, made = found[1], {}, []
        elif found := _LABEL.match(line):
            labels[found[1]] = len(made)
        elif (found := _INSTRUCTION.search(line)) and "NOP" not in found["text"]:
            made.append(found["text"])
            branch = _BRANCH.search(found["text"])
            if branch and branch[1] in labels and labels[branch[1]] < len(made) - 1:
                body = made[labels[branch[1]] :]
                yield kernel, len(body), sum(any(s in each for s in SPECIAL) for each in body)


def main() -> None:
    """Compile, take apart, print."""
    parser = argparse.ArgumentParser(description="Count instructions of loops over rows.")
    parser.add_argument("--nvcc", default="nvcc")
    parser.add_argument("--nvdisasm", default="nvdisasm")
    parser.add_argument("--arch", default="sm_80")
    parser.add_argument("--flag", action="append", default=[], help="one more for the compiler")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        code = Path(folder) / "rows.cubin"
        command = [asked.nvcc, "-O3", f"-arch={asked.arch}", "-cubin", *asked.flag]
        subprocess.run([*command, "-o", str(code), str(SOURCE)], check=True)
        listing = subprocess.run(
            [asked.nvdisasm, "-c", str(code)], check=True, capture_output=True, text=True
        ).stdout
    for kernel, instructions, special in loops(listing):
        print(f"{kernel:20} {instructions:4} instructions, {special:3} special")


if __name__ == "__main__":
    main()
