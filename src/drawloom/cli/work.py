"""A file that can be run and timed: a model that is compiled first, or a later stage of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from numpy.typing import NDArray

from drawloom import flow
from drawloom.chip.files import load_chip
from drawloom.chip.model import Chip
from drawloom.cli.flags import Asked
from drawloom.cli.screen import Progress
from drawloom.errors import DrawloomError, Fault, InputError, nearest
from drawloom.flow import Build
from drawloom.frontends.configured import is_configured
from drawloom.graph.ir import Graph
from drawloom.mapping.files import read_mapping
from drawloom.mapping.mapping import Mapping as ChipMapping
from drawloom.mapping.options import MapOptions
from drawloom.program.files import read_program
from drawloom.program.fits import refuse_misfit
from drawloom.program.program import Program
from drawloom.timing import Trace

if TYPE_CHECKING:
    from drawloom.check import Finding
    from drawloom.execute.orders import Orders


@dataclass(frozen=True, slots=True)
class Choices:
    """What a person asked for on the command line; None where they did not say."""

    chip: str | None = None
    dims: tuple[str, ...] = ()
    precision: str | None = None
    profile: str | None = None
    asked: Asked = field(default_factory=Asked)
    mapping: MapOptions = field(default_factory=MapOptions)
    check: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """A program with its chip, and the earlier stages as far as they are known."""

    program: Program
    chip: Chip
    profile: str
    graph: Graph | None = None
    mapping: ChipMapping | None = None
    build: Build | None = None

    def run(
        self, inputs: Mapping[str, NDArray[Any]], progress: Progress
    ) -> dict[str, NDArray[Any]]:
        """Return the outputs for these inputs."""
        from drawloom.execute.machine import execute

        progress.step("run")
        return execute(self.program, inputs, progress=progress.count)

    def run_orders(
        self, inputs: Mapping[str, NDArray[Any]], orders: int, seed: int, progress: Progress
    ) -> Orders:
        """Return what comes of other legal orders too."""
        from drawloom.execute.orders import execute_orders

        progress.step("run in many orders")
        return execute_orders(
            self.program, inputs, orders, seed=seed, chip=self.chip, progress=progress.count
        )

    def check_values(
        self, inputs: Mapping[str, NDArray[Any]], progress: Progress
    ) -> tuple[Finding, ...]:
        """Return what does not fit its format with these inputs, and outputs that the model does not say."""
        from drawloom.check.values import misfits, stopped, wrong
        from drawloom.execute.watch import overflows

        progress.step("run")
        try:
            outputs, found = overflows(self.program, inputs)
        except InputError:
            raise
        except DrawloomError as fault:
            return (stopped(fault),)
        told = tuple(misfits(self.program, found))
        return (*told, *wrong(self.graph, inputs, outputs)) if self.graph else told

    def time(self, progress: Progress) -> Trace:
        """Return the trace."""
        from drawloom.timing import time

        progress.step("time")
        return time(self.program, self.chip, self.profile, progress=progress.events)


def open_work(path: Path, choices: Choices, progress: Progress) -> Work:
    """Read a file and bring it to a program.

    Raises:
        InputError: the file is not what it should be, or a choice does not suit it.
        DoesNotFit: the model does not fit the chip.
    """
    if is_configured(str(path)):
        return _model(path, choices, progress)
    stage = stage_of(path)
    if stage not in OPENERS:
        fault = Fault(str(path), f"'{stage}'", " ".join(OPENERS))
        raise InputError("cli.file", "this is no file that can be run", [fault])
    return OPENERS[stage](path, choices, progress)


def given_inputs(work: Work, given: list[str] | None, seed: int | None) -> dict[str, Any]:
    """Return the inputs of a program: those of files, or made up from a seed.

    Raises:
        InputError: a file is not what it should be; ``typer.BadParameter`` where none or both are given.
    """
    from drawloom.cli import arrays

    if given and seed is not None:
        raise typer.BadParameter("give --inputs or --random-inputs, not both")
    if given:
        return arrays.read_inputs(given, tuple(work.program.named("input")))
    if seed is not None:
        return arrays.random_inputs(work.program, work.graph, seed)
    if not work.program.named("input"):
        return {}
    raise typer.BadParameter("the model has inputs: give --inputs FILE.npz or --random-inputs SEED")


def stage_of(path: Path) -> str:
    """Return the part of a file's name that says its stage, such as ``.prog.txt``."""
    for long in (".prog.txt", ".chip.yaml", ".chip.yml"):
        if path.name.endswith(long):
            return long
    return path.suffix


def parse_dims(words: tuple[str, ...]) -> dict[str, int]:
    """Return the dimensions that ``--dim name=number`` gives.

    Raises:
        InputError: a word is not of that form; all at once (``cli.dim``).
    """
    dims: dict[str, int] = {}
    faults: list[Fault] = []
    for word in words:
        name, _, number = word.rpartition("=")
        if name and number.isascii() and number.isdigit():
            dims[name] = int(number)
        else:
            faults.append(Fault("--dim", f"'{word}'", "name=number, such as batch=1"))
    if faults:
        raise InputError("cli.dim", "a dimension is not given as name=number", faults)
    return dims


def _model(path: Path, choices: Choices, progress: Progress) -> Work:
    build = flow.compile(
        str(path),
        choices.chip or "tx81",
        dims=parse_dims(choices.dims),
        precision=choices.precision or "",
        profile=choices.profile,
        request=choices.asked.request(),
        weights=choices.asked.weights,
        group=choices.asked.group,
        mapping=choices.mapping,
        check=choices.check,
        step=progress.step,
    )
    return _built(build, choices)


def _build(path: Path, choices: Choices, _: Progress) -> Work:
    _refuse(path, choices, chip=choices.chip is not None)
    return _built(Build.load(path), choices)


def _built(build: Build, choices: Choices) -> Work:
    profile = _profile(build.chip, choices.profile or build.options.profile)
    return Work(build.program, build.chip, profile, build.graph, build.mapping, build)


def _mapping(path: Path, choices: Choices, progress: Progress) -> Work:
    _refuse(path, choices, chip=choices.chip is not None)
    mapping = read_mapping(path)
    progress.step("assemble")
    profile = _profile(mapping.chip, choices.profile)
    program = flow.assemble_read(mapping, path.name)
    if choices.check:
        progress.step("check")
        flow.check_sound(program, mapping.chip)
    return Work(program, mapping.chip, profile, mapping=mapping)


def _program(path: Path, choices: Choices, _: Progress) -> Work:
    _refuse(path, choices)
    asked = load_chip(choices.chip) if choices.chip else None
    program = read_program(path, asked)
    chip = asked or load_chip(program.chip)
    refuse_misfit(program, chip)
    return Work(program, chip, _profile(chip, choices.profile))


OPENERS: dict[str, Callable[[Path, Choices, Progress], Work]] = {
    ".onnx": _model,
    ".graph": _model,
    ".map": _mapping,
    ".prog": _program,
    ".prog.txt": _program,
    ".build": _build,
}


def _profile(chip: Chip, asked: str | None) -> str:
    """Return the profile asked for, or the chip's first."""
    profile = asked or next(iter(chip.profiles))
    if profile not in chip.profiles:
        fault = Fault("--profile", f"'{profile}'", nearest(profile, chip.profiles))
        raise InputError("cli.option", f"chip '{chip.name}' has no such profile", [fault])
    return profile


def _refuse(path: Path, choices: Choices, *, chip: bool = False) -> None:
    """What is settled already cannot be chosen: say so rather than pass over it."""
    given = {
        "--chip": chip,
        "--dim": bool(choices.dims),
        "--precision": choices.precision is not None,
        "what is asked of a model": choices.asked != Asked(),
        "options of the mapper": choices.mapping != MapOptions(),
    }
    faults = [Fault(flag, "", "only for a model") for flag, is_given in given.items() if is_given]
    if faults:
        raise InputError("cli.option", f"'{path}' is compiled already", faults)
