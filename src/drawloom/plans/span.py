"""A model compiled into programs that span chips: cut, each part compiled, exchanges between.

    chip      = stage x tensor: groups of ``tensor`` chips share each layer, stage follows stage
    program   = what the chip has of each stretch between two exchanges, one after the other
    exchange  = the quickest schedule on the group's fabric, as commands of the tiles

Without values, the chips of a group do the same on other parts, and a stretch is compiled once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from drawloom.chip.files import load_chip
from drawloom.chip.model import Chip
from drawloom.chip.system import System
from drawloom.chip.system_files import load_system
from drawloom.chip.topology import topology
from drawloom.errors import Diagnosis, DoesNotFit, Fault, InputError
from drawloom.flow import Options, own_precision, read, simplify, to_precision
from drawloom.frontends.hf.request import Request
from drawloom.graph.ir import Graph
from drawloom.mapping.options import MapOptions
from drawloom.plans.builder import Builder, Built, Folded
from drawloom.plans.cut import Cut, cut
from drawloom.plans.places import blocks, groups, inner
from drawloom.plans.stages import staged
from drawloom.program.span import Span
from drawloom.timing.fabric import FabricClock

if TYPE_CHECKING:
    from drawloom.flow import Model

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Spread:
    """How a model is spread.

    Attributes:
        tensor: chips that share each layer.
        stages: such groups, one after the other.
        apart: of a decode step: how many chips share a key head and part the rows of its cache, the
            sequences of the batch, among them; 1: chips that share one hold all of its cache.
        experts: whether chips have whole experts of a mixture, and not a slice of each.
        context: of a decode step: whether caches are cut along the context, and not by heads.
        sliced: whether each chip has some rows of what sums are added to, where these can be shared
            out evenly: a sum is then scattered, and gathered where all of it is needed.
    """

    tensor: int
    stages: int = 1
    apart: int = 1
    experts: bool = False
    context: bool = False
    sliced: bool = False

    def __post_init__(self) -> None:
        """Refuse numbers of chips that there are not: InputError (``span.spread``)."""
        numbers = {"chips": self.tensor, "stages": self.stages, "apart": self.apart}
        faults = [Fault(name, str(n), "1 or more") for name, n in numbers.items() if n < 1]
        if faults:
            raise InputError("span.spread", "no model is spread so", faults)

    def cut(self, graph: Graph, held: int) -> Cut:
        """Return a graph cut so, with the graphs of ``held`` chips of a group."""
        return cut(
            graph, self.tensor, held, self.apart, whole_experts=self.experts, context=self.context,
            sliced=self.sliced,
        )  # fmt: skip

    @property
    def chips(self) -> int:
        """All chips."""
        return self.tensor * self.stages


def compile_span(
    model: Model,
    system: str | System = "rex1032",
    spread: Spread = Spread(2),
    *,
    request: Request | None = None,
    weights: str = "float",
    group: int = 0,
    precision: str = "",
    mapping: MapOptions | None = None,
    tell: Tell | None = None,
) -> Span:
    """Compile a model for several chips of a system: a program for each.

    Args:
        model: as ``flow.compile`` takes it.
        system: a name of the catalog, a system file, or a system.
        spread: over how many chips, and how.
        request: which phase of a model that is given by its configuration, for how much.
        weights: ``int8`` or ``int4`` holds weights as codes with scales; ``float`` does not.
        group: how many inputs share a scale of ``weights``, 32 or 128; 0 is all of a channel.
        precision: format of floats; empty for the model's own.
        mapping: options of the mapper.
        tell: called with what is being worked on.

    Raises:
        InputError: the model, the system or an option is not what it should be.
        DoesNotFit: the system has no room for such groups, or a chip for its part.
    """
    options = Options(
        precision=precision, request=request, weights=weights, group=group,
        mapping=mapping or MapOptions(),
    )  # fmt: skip
    given = _Given.of(model, system, spread, options, tell)
    builder = given.builder(spread.tensor)
    builder.build()
    return builder.span()


def compile_folded(
    model: Model,
    system: str | System = "rex1032",
    spread: Spread = Spread(2),
    *,
    request: Request | None = None,
    weights: str = "float",
    group: int = 0,
    precision: str = "",
    mapping: MapOptions | None = None,
    chip: Chip | None = None,
    tell: Tell | None = None,
    built: Built | None = None,
) -> Folded:
    """Compile a model for several chips, and of each group the one chip that stands for all.

    Args and errors are those of ``compile_span``; ``chip`` is what each chip is, in place of the
    system's own, and ``built`` keeps stretches that are alike from one call to the next, of the same
    chip and options. Also ``DoesNotFit`` (``span.folded``) where no schedule has all chips do alike.
    """
    options = Options(
        precision=precision, request=request, weights=weights, group=group,
        mapping=mapping or MapOptions(),
    )  # fmt: skip
    given = _Given.of(model, system, spread, options, tell, chip)
    builder = given.builder(1)
    if built is not None:
        builder.built = built
    builder.build()
    return builder.folded()


@dataclass(frozen=True, slots=True)
class _Given:
    """What is asked for, read."""

    graph: Graph
    system: System
    chip: Chip
    options: Options
    spread: Spread
    tell: Tell | None

    @staticmethod
    def of(
        model: Model, system: str | System, spread: Spread, options: Options,
        tell: Tell | None, chip: Chip | None = None,
    ) -> _Given:  # fmt: skip
        made = system if isinstance(system, System) else load_system(system)
        source = read(model, options)
        options = replace(options, precision=options.precision or own_precision(source))
        graph = to_precision(simplify(source), options)
        return _Given(graph, made, chip or load_chip(made.chip), options, spread, tell)

    def builder(self, held: int) -> Builder:
        found = _groups(self.system, self.spread)
        parts, stage_of = staged(self.spread.cut(self.graph, held), self.spread.stages)
        return Builder(
            parts,
            stage_of,
            self.graph,
            self.system,
            self.chip,
            self.options,
            found,
            held,
            self.tell,
        )


def _groups(system: System, spread: Spread) -> tuple[System, list[tuple[int, ...]]]:
    """Return the fabric inside a group, and the chips of each: of all shapes the quickest to sum on.

    Raises:
        DoesNotFit: there are too few whole groups (``span.system``).
    """
    found: list[tuple[int, System, list[tuple[int, ...]]]] = []
    for block in blocks(system, spread.tensor):
        members = groups(system, block)[: spread.stages]
        fabrics = [inner(system, block, each) for each in members]
        # One schedule serves all groups: what is dead inside must be the same.
        if len(members) == spread.stages and len({f.dead_links for f in fabrics}) == 1:
            clock = FabricClock(topology(fabrics[0]))
            ps = clock.best("all_reduce", 1 << 16).ps if spread.tensor > 1 else 0
            found.append((ps, fabrics[0], members))
    if not found:
        raise DoesNotFit(
            "span.system", f"system '{system.name}' has no room",
            Diagnosis(
                needs=f"{spread.stages} whole blocks of {spread.tensor} chips",
                has=f"{len(system.chips)} living chips", short="such blocks",
                ways_out=("fewer chips", "another number of stages"),
            ),
        )  # fmt: skip
    _, fabric, members = min(found, key=lambda each: each[0])
    return fabric, members
