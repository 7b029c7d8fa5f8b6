"""Fit the latencies of ``chip/nocs/wormhole.yaml`` on twelve of the 36 traces.

    python benchmarks/validation/fit_noc.py

Prints the mean error on the twelve and on the rest for each pair tried; the least on the twelve is
what the file should say. ``poll`` is read off: a barrier of those traces with nothing to wait for.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np

from drawloom.chip.noc import TorusNoc, load_noc
from drawloom.validate.comparisons.noc import GATHER, is_fitted_on, run_traces

ANSWERS = range(60, 161, 20)
MEMORY_ANSWERS = range(40, 181, 30)


def errors(noc: TorusNoc) -> tuple[float, float]:
    """Return the mean error on the traces for fitting, and on the others, in percent."""
    ran = [each for each in run_traces(noc) if not each.name.startswith(GATHER)]
    found = np.array([abs(each.predicted / each.measured - 1) for each in ran])
    fitted = is_fitted_on([each.name for each in ran])
    return 100 * float(found[fitted].mean()), 100 * float(found[~fitted].mean())


def main() -> None:
    noc = load_noc("wormhole")
    print("answer  memory_answer  fitted on  others")
    tried: list[tuple[float, int, int]] = []
    for answer, memory in product(ANSWERS, MEMORY_ANSWERS):
        on, off = errors(replace(noc, answer=answer, memory_answer=memory))
        tried.append((on, answer, memory))
        print(f"{answer:6}  {memory:13}  {on:7.2f} %  {off:4.2f} %")
    _, answer, memory = min(tried)
    print(f"least: answer {answer}, memory_answer {memory}")


if __name__ == "__main__":
    main()
