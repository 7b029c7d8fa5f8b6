"""The whole tool on one page.

    model ─read─▶ Graph ─simplify─▶ Graph ─precision─▶ Graph ─map─▶ Mapping ─assemble─▶ Program
    Program ─run─▶ values                 Program ─time─▶ Trace

``compile`` does the first line, a ``Build`` holds what came of it and does the second.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from numpy.typing import NDArray

from drawloom.chip.files import load_chip
from drawloom.chip.model import Chip
from drawloom.errors import Fault, InputError, nearest
from drawloom.files import BROKEN, open_archive, read_whole, write_whole
from drawloom.graph.dtypes import DType
from drawloom.graph.files import graph_of, is_large, put_graph, read_graph
from drawloom.graph.ir import Graph
from drawloom.host import uncollected
from drawloom.mapping.files import mapping_of, put_mapping
from drawloom.mapping.mapping import Mapping as ChipMapping
from drawloom.mapping.options import MapOptions
from drawloom.program.binary import encode
from drawloom.program.decode import decode
from drawloom.program.program import Program

if TYPE_CHECKING:
    from onnx import ModelProto

    from drawloom.frontends.hf.request import Request
    from drawloom.timing import Trace

    Model = str | Path | bytes | ModelProto | Mapping[str, Any] | Graph

Arrays = Mapping[str, NDArray[Any]]
Progress = Callable[[int, int], None]
Step = Callable[[str], None]
Put = Callable[[IO[bytes]], None]

STEPS = ("read", "simplify", "precision", "map", "assemble", "check")
VERSION = 1  # of a ``.build`` file
# What it holds.
PARTS = ("source.graph", "computed.graph", "mapping.map", "program.prog", "options.json")
# What a person calls the precision of a program.
WEIGHT_BITS = {"float": 0, "int8": 8, "int4": 4}
PRECISIONS = {"f16": "fp16", "bf16": "bf16", "f32": "fp32, each product made of three in tf32"}


@dataclass(frozen=True, slots=True)
class Options:
    """Everything about a compilation but the model and the chip.

    Attributes:
        dims: the number for each symbolic dimension of the model.
        precision: format of floating-point numbers: f16, bf16 or f32; empty for that of the model
            where it has 16 bits, else f16.
        profile: software profile of the chip by which ``time`` goes unless told otherwise.
        request: which phase of a model that is given by its configuration, for how much.
        weights: ``int8`` or ``int4`` holds weights as codes with scales; ``float`` does not.
        group: how many inputs share a scale of ``weights``, 32 or 128; 0 is all of a channel.
        mapping: options of the mapper.
    """

    dims: Mapping[str, int] = field(default_factory=dict[str, int])
    precision: str = ""
    profile: str = "lean"
    request: Request | None = None
    weights: str = "float"
    group: int = 0
    mapping: MapOptions = field(default_factory=MapOptions)

    def __post_init__(self) -> None:
        """Refuse a precision, a form of weights or a group that there is not, all at once."""
        words = {"precision": ("", *PRECISIONS), "weights": tuple(WEIGHT_BITS)}
        faults = [
            Fault(
                key, f"'{getattr(self, key)}'", nearest(getattr(self, key), [w for w in legal if w])
            )
            for key, legal in words.items()
            if getattr(self, key) not in legal
        ]
        if self.group not in (0, 32, 128) or (self.group and self.weights == "float"):
            faults.append(
                Fault("group", str(self.group), "0, or 32 or 128 with int8 or int4 weights")
            )
        if faults:
            raise InputError("compile.options", "there are no such options", faults)


@dataclass(frozen=True, slots=True, eq=False)
class Build:
    """A model compiled for a chip, with every stage that it went through.

    Attributes:
        source: the graph as it was read.
        graph: the graph after ``simplify`` and ``precision``: what is computed.
        chip: the machine.
        mapping: which tile does what, from which buffers, and where values lie.
        program: what the chip loads.
        options: how it was compiled.
    """

    source: Graph
    graph: Graph
    chip: Chip
    mapping: ChipMapping
    program: Program
    options: Options
    _traces: dict[str, Trace] = field(default_factory=dict[str, "Trace"], repr=False)

    def run(self, inputs: Arrays, *, progress: Progress | None = None) -> dict[str, NDArray[Any]]:
        """Return the program's outputs for these inputs, bit for bit as on the chip.

        Raises:
            InputError: inputs are missing, unknown or of the wrong type (``run.inputs``).
        """
        from drawloom.execute.machine import execute

        return execute(self.program, inputs, progress=progress)

    def time(self, profile: str | None = None, *, progress: Progress | None = None) -> Trace:
        """Return when every command runs and what it costs; worked out once per profile."""
        from drawloom.timing import time

        name = profile or self.options.profile
        if name not in self._traces:
            with uncollected():
                self._traces[name] = time(self.program, self.chip, name, progress=progress)
        return self._traces[name]

    def timed(self, profile: str | None = None) -> Trace | None:
        """Return the trace if ``time`` has worked it out already."""
        return self._traces.get(profile or self.options.profile)

    def write_page(self, path: str | Path, profile: str | None = None) -> None:
        """Write the page of a run: one HTML file that needs no network."""
        _report("write_page")(self._figures(profile), path)

    def write_trace(self, path: str | Path, profile: str | None = None) -> None:
        """Write the trace: ``.json`` or ``.json.gz`` for Perfetto, ``.trace`` to read back."""
        _report("write_trace")(self.time(profile), path)

    def report(self, folder: str | Path, profile: str | None = None) -> tuple[Path, ...]:
        """Write page, trace file and figures into a folder; return their paths."""
        return _report("write_report")(self._figures(profile), folder)

    def save(self, path: str | Path) -> None:
        """Write the build to a ``.build`` file, which ``load`` reads.

        Raises:
            InputError: the file cannot be written (``files.write``).
        """
        options = json.dumps({"version": VERSION} | asdict(self.options)).encode()
        parts: dict[str, Put] = {
            "source.graph": partial(put_graph, self.source),
            "computed.graph": partial(put_graph, self.graph),
            "mapping.map": partial(put_mapping, self.mapping),
            "program.prog": lambda file: file.writelines(encode(self.program)),
            "options.json": lambda file: file.writelines((options,)),
        }
        large = is_large(self.source) or is_large(self.graph)
        write_whole(path, partial(_zip, parts, large=large))

    @staticmethod
    def load(path: str | Path) -> Build:
        """Return the build in a ``.build`` file.

        Raises:
            InputError: the file cannot be read (``files.read``) or is no build (``build.file``).
        """
        parts, options = _parts(read_whole(path), str(path))
        mapping = mapping_of(parts["mapping.map"], "mapping.map")
        return Build(
            source=graph_of(parts["source.graph"], "source.graph"),
            graph=graph_of(parts["computed.graph"], "computed.graph"),
            chip=mapping.chip,
            mapping=mapping,
            program=decode(parts["program.prog"], "program.prog"),
            options=options,
        )

    def _figures(self, profile: str | None) -> Any:
        return _report("figures")(self.time(profile), self.graph)

    def _repr_html_(self) -> str:
        return _report("build_html")(self)


def compile(
    model: Model,
    chip: str | Path | Chip = "tx81",
    *,
    dims: Mapping[str, int] | None = None,
    precision: str = "",
    profile: str | None = None,
    request: Request | None = None,
    weights: str = "float",
    group: int = 0,
    mapping: MapOptions | None = None,
    check: bool = True,
    step: Step | None = None,
) -> Build:
    """Compile a model for a chip.

    Args:
        model: an ONNX model (path, bytes or message); a program of ``torch.export``; a model of
            the catalog by name, a ``config.json``, a folder with one (and weights), a
            dictionary of one, or a ``.gguf`` file; a ``.graph`` file; or a graph.
        chip: a chip of the catalog by name, a chip file, or a chip.
        dims: the number for each symbolic dimension, such as ``{"batch": 1}``.
        precision: format of floating-point numbers: f16, bf16 or f32; empty for that of the model
            where it has 16 bits, else f16.
        profile: software profile by which ``Build.time`` goes; by default the chip's first.
        request: which phase of a model that is given by its configuration, for how much.
        weights: ``int8`` or ``int4`` holds weights as codes with scales; ``float`` does not.
        group: how many inputs share a scale of ``weights``, 32 or 128; 0 is all of a channel.
        mapping: options of the mapper.
        check: whether the program is checked for races, hangs and bytes that are not there.
        step: called with the name of each step of ``STEPS`` as it begins, and while ways to map are
            tried, with how far that is.

    Raises:
        InputError: the model, the chip or an option is not what it should be.
        DoesNotFit: the model does not fit the chip; says by how much and what would help.
        Unsound: the checker found something in the program: a fault of drawloom.
    """
    machine = chip if isinstance(chip, Chip) else load_chip(chip)
    chosen = _profile(machine, profile)
    options = Options(
        dict(dims or {}), precision, chosen, request, weights, group, mapping or MapOptions()
    )
    with uncollected():
        return _compiled(model, machine, options, step or _nobody, check)


def _compiled(model: Model, machine: Chip, options: Options, tell: Step, check: bool) -> Build:
    tell("read")
    source = read(model, options)
    options = replace(options, precision=options.precision or own_precision(source))
    tell("simplify")
    simple = simplify(source)
    tell("precision")
    graph = to_precision(simple, options)
    tell("map")
    mapped = map_graph(graph, machine, options, tell)
    tell("assemble")
    program = assemble(mapped, options.profile)
    if check:
        tell("check")
        check_sound(program, machine)
    return Build(source, graph, machine, mapped, program, options)


def read(model: Model, options: Options) -> Graph:
    """Model to graph; a graph passes."""
    from drawloom.frontends import configured

    if isinstance(model, Graph):
        return model
    if isinstance(model, (str, Path)) and Path(model).suffix == ".graph":
        return read_graph(model)
    if isinstance(model, Mapping) or configured.is_configured(model):
        return configured.read(model, options.request, options.precision)
    if type(model).__module__.startswith("torch."):
        from drawloom.frontends.torch import read_exported

        return read_exported(cast("Any", model))
    from drawloom.frontends.onnx import read_onnx

    return read_onnx(model, options.dims)


def own_precision(graph: Graph) -> str:
    """Return the precision a graph is computed in unless a person says otherwise."""
    held = {kind.dtype for kind in graph.types.values()}
    return "bf16" if DType.BF16 in held and DType.F16 not in held else "f16"


def simplify(graph: Graph) -> Graph:
    """Graph to simpler graph with the same meaning."""
    from drawloom.frontends import rewrite

    return rewrite.simplify(graph)


def to_precision(graph: Graph, options: Options) -> Graph:
    """Graph to graph whose weights and floats are in the formats asked for."""
    from drawloom import quantize

    if bits := WEIGHT_BITS[options.weights]:
        graph = quantize.quantize_weights(graph, bits, options.group)
    return quantize.to_precision(quantize.to_integers(graph), options.precision)


def map_graph(graph: Graph, chip: Chip, options: Options, tell: Step) -> ChipMapping:
    """Graph and chip to mapping, with the precision among its notes."""
    from drawloom import tune

    mapping = tune.mapped(graph, tune.Bench(chip, options.profile, options.mapping), tell)
    notes = {**mapping.notes, "precision": PRECISIONS[options.precision]}
    if options.weights != "float":
        scales = f"a scale for {options.group} inputs" if options.group else "a scale a channel"
        notes["weights"] = f"{options.weights}, {scales}"
    return replace(mapping, notes=notes)


def assemble(mapping: ChipMapping, profile: str = "") -> Program:
    """Mapping to program; what waits for what is timed under a profile, by default the chip's first."""
    from drawloom.program import assemble as room
    from drawloom.timing import ends

    under = profile or next(iter(mapping.chip.profiles))
    return room.assemble(mapping, partial(ends, chip=mapping.chip, profile=under))


def check_sound(program: Program, chip: Chip) -> None:
    """Nothing, or ``Unsound`` where the checker finds something in a program."""
    from drawloom.check import check_sound as room

    room(program, chip)


def assemble_read(mapping: ChipMapping, file: str) -> Program:
    """Mapping that stood in a file to program.

    Raises:
        InputError: what the file says of its pieces contradicts itself (``mapping.file``).
    """
    try:
        return assemble(mapping)
    except (ArithmeticError, AssertionError, LookupError, TypeError, ValueError) as error:
        fault = Fault(file, f"{type(error).__name__}: {error}", "a mapping that drawloom wrote")
        raise InputError("mapping.file", "its pieces contradict themselves", [fault]) from error


def _request(given: Mapping[str, Any]) -> Request:
    from drawloom.frontends.hf.request import Request

    return Request(**given)


def _profile(chip: Chip, asked: str | None) -> str:
    """Return the profile asked for, or the chip's first."""
    profile = asked or next(iter(chip.profiles))
    if profile not in chip.profiles:
        fault = Fault("profile", f"'{profile}'", nearest(profile, chip.profiles))
        raise InputError("compile.options", f"chip '{chip.name}' has no such profile", [fault])
    return profile


def _zip(parts: Mapping[str, Put], file: IO[bytes], *, large: bool) -> None:
    """Write the parts of a build as one archive: stored, in one order, under one date."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name in PARTS:
            with archive.open(zipfile.ZipInfo(name), "w", force_zip64=large) as member:
                parts[name](member)


def _parts(raw: bytes, file: str) -> tuple[dict[str, bytes], Options]:
    """Return what a build holds, and how it was compiled."""
    try:
        with open_archive(io.BytesIO(raw)) as archive:
            parts = {name: archive.read(name) for name in PARTS}
        given = json.loads(parts["options.json"])
        if (version := given.pop("version", None)) != VERSION:
            raise ValueError(f"version {version}, this drawloom reads version {VERSION}")
        given["mapping"] = MapOptions(**given["mapping"])
        given["request"] = given["request"] and _request(given["request"])
        return parts, Options(**given)
    except (*BROKEN, AttributeError) as error:
        fault = Fault(file, str(error).strip("'\""), "a file that Build.save writes")
        raise InputError("build.file", "this is no build", [fault]) from None


def _nobody(_: str) -> None:
    return None


def _report(name: str) -> Callable[..., Any]:
    """Return a function of the report room.

    Report stands above flow on the ladder, and compiling must not load it. So flow knows it by
    name alone, and only where a person asks a build to show itself.
    """
    return getattr(import_module("drawloom.report"), name)
