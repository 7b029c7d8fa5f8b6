"""Matrix pieces: products and convolutions with the elementwise work fused behind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import prod

from drawloom.graph.dtypes import DType
from drawloom.graph.ir import Node, TensorType
from drawloom.mapping.body import Body, Slot, Step
from drawloom.mapping.cut.panels import panel_buffers
from drawloom.mapping.cut.scratch import Scratch
from drawloom.mapping.cut.sizes import Cut, Work, sizes_of
from drawloom.mapping.cut.tiler import ALIKE, THRIFTY, cut
from drawloom.mapping.cut.windows import fold_of, folded_weights, folded_window, window_of
from drawloom.mapping.fuse.bodies import build_body, plain_body
from drawloom.mapping.fuse.compact import compact
from drawloom.mapping.fuse.groups import Group
from drawloom.mapping.fuse.quantized import coded_body, is_convolution, weights_of
from drawloom.mapping.layout.site import Site
from drawloom.mapping.layout.storage import Storage
from drawloom.mapping.pieces import Buffer, Coding, Fold, MatrixPiece

SUMS, SCALES = "sums", "scales"  # slots of a product of codes that is scaled behind


@dataclass(frozen=True, slots=True)
class Prepared:
    """A matrix piece before it is cut: its body with the slot of the product, operands, and the work."""

    group: Group
    body: Body
    result: str
    values: Mapping[str, Storage]
    coding: Coding | None
    a: Storage
    b: Storage
    work: Work


def plan(group: Group, stored: set[str], site: Site) -> MatrixPiece:
    """Return the piece of a matrix group."""
    made = prepare(group, stored, site)
    chosen = _cut(made.work, group, stored, site)
    return piece(made, site, chosen, raised=_is_raised(site, made.b))


def prepare(group: Group, stored: set[str], site: Site) -> Prepared:
    """Settle everything about a matrix group's piece but how it is cut."""
    node, graph = group.nodes[0], site.graph
    out = node.outputs[0]
    sums = _sums_format(group, stored)
    body, result = build_body(
        graph, group.nodes[1:], group.shape, group.layout, stored, given=out, fmt=sums
    )
    if not group.nodes[1:]:
        body, result = plain_body(graph.types[out].dtype.value, out)
    body = compact(body, (result,))
    values = {v: site.loaded(body, slot, v, group.layout) for slot, v in body.loads}
    values |= {v: site.made(v, group.layout) for _, v in body.stores}
    coding = _coding(node, site)
    if coding and coding.behind:
        body, result = _scaled(body, result, node.name)
    if node.op == "QLinearConv":
        sums, (body, result) = "f32", coded_body(body, result, node)
        for _, value in body.loads[: len(node.inputs) - 7]:
            values[value] = site.store.constant(value, "channel", DType.F32)
    a, b, work = _work(node, site, body, coding)
    work = replace(work, out_fmt=sums) if sums else work
    loads, stores = (
        sum(values[value].kind == "resident" for _, value in each)
        for each in (body.loads, body.stores)
    )
    work = replace(
        work,
        by_batch=group.by_batch,
        by_rows=group.by_rows,
        reserved=site.residency.reserved,
        a_local=a.kind == "resident",
        loads=work.loads - loads,
        stores=work.stores - stores,
        local=loads + stores,
        seen=a.everywhere,
        sent=sum(values[value].everywhere for _, value in body.stores),
    )
    return Prepared(group, body, result, values, coding, a, b, work)


def piece(
    made: Prepared, site: Site, chosen: Cut, *, raised: bool, beside: bool = False
) -> MatrixPiece:
    """Return a piece that is cut so; ``raised`` puts its buffers at the end of the scratchpad."""
    group, work = made.group, made.work
    node = group.nodes[0]
    return MatrixPiece(
        name=node.name,
        nodes=tuple(n.name for n in group.nodes),
        a=made.a, b=made.b, batch=work.batch, m=work.m, k=work.k, n=work.n,
        fmt=work.fmt, out_fmt=work.out_fmt, grid=chosen.grid, chunk=chosen.chunk, order=chosen.order,
        share_a=chosen.share_a, share_b=chosen.share_b, trans_a=work.trans_a, trans_b=work.trans_b,
        body=made.body, result=made.result, values=made.values,
        buffers=_buffers(site, work, chosen, made.body, raised=raised),
        window=work.window, depthwise=work.depthwise, products=work.products, coding=made.coding,
        fold=work.fold, numbers=_numbers(node, site), panel=chosen.panel, beside=beside,
        estimate=chosen.estimate,
    )  # fmt: skip


def _sums_format(group: Group, stored: set[str]) -> str:
    """Return f32 for sums of codes that are only made numbers of; else nothing."""
    made = group.nodes[0].outputs[0]
    readers = [node for node in group.nodes if made in node.inputs]
    scaled = readers and all(node.op == "DequantizeLinear" for node in readers)
    return "f32" if scaled and made not in stored else ""


def _cut(work: Work, group: Group, stored: set[str], site: Site) -> Cut:
    """Return how a piece is cut: as somebody chose, else as prices say."""
    chosen = site.choose(work, group.nodes, stored, site.graph) if site.choose else None
    options = site.options
    alike = ALIKE if options.effort else THRIFTY
    name = group.nodes[0].layer or group.nodes[0].name
    return chosen or cut(work, site.chip, name, multicast=options.multicast, alike=alike)


def _coding(node: Node, site: Site) -> Coding | None:
    """Return how a product's weight is decoded; None where it is a number already."""
    coded = site.coded.get(node.inputs[1])
    if coded is None:
        return None
    fmt = site.graph.types[coded.scales].dtype
    rows, inputs = site.graph.types[node.outputs[0]].shape[-2], coded.group
    whole = inputs == site.graph.types[node.inputs[1]].shape[-2]
    scales = site.store.constant(coded.scales, "rows", fmt)
    # Results are scaled in f32, at half the rate of weights.
    return Coding(coded.bits, inputs, scales, behind=whole and 2 * rows <= inputs)


def _scaled(body: Body, result: str, node: str) -> tuple[Body, str]:
    """Return a body that first multiplies the sums of a product of codes by the scales."""
    sums, scales = Slot(SUMS, "full", "f32"), Slot(SCALES, "channel", "f32")
    first = Step("mul", result, SUMS, SCALES, node=node)
    return replace(body, slots=(*body.slots, sums, scales), steps=(first, *body.steps)), SUMS


def _numbers(node: Node, site: Site) -> Storage | None:
    """Return where the numbers stand by which a product picks its weights; None where it does not."""
    value = node.inputs[1]
    numbers = site.coded[value].numbers if value in site.coded else ""
    if value in site.picked:
        numbers = site.picked[value].numbers
    return site.need(numbers, "dense") if numbers else None


def _weight(node: Node, site: Site) -> Storage:
    """Return where the second operand of a product is read from: numbers, or codes."""
    coded, picked = site.coded.get(node.inputs[1]), site.picked.get(node.inputs[1])
    if picked is not None:
        return site.store.constant(picked.stack, "rows", site.graph.types[picked.stack].dtype)
    if coded is None:
        return site.need(node.inputs[1], "rows")
    return site.store.constant(coded.codes, "codes", DType.U8 if coded.bits == 4 else DType.I8)


def _kernels(node: Node, site: Site, fold: Fold | None, *, depthwise: bool) -> Storage:
    """Return where the weights of a convolution are read from."""
    name, types = weights_of(node), site.graph.types
    if fold is None:
        return site.need(name, "depthwise" if depthwise else "weights")
    window = window_of(node, types)
    over = folded_window(window, fold)
    taps, top = over.kernel[0], over.pads[0]
    shape = (types[name].shape[0], fold.rows * fold.pixels * fold.channels, taps, 1)
    kind = TensorType(types[name].dtype, shape)
    change = partial(folded_weights, fold, taps, top, window.pads[0])
    return site.store.derived(name, "weights", f"folded{fold.rows}", change, kind)


def _work(
    node: Node, site: Site, body: Body, coding: Coding | None
) -> tuple[Storage, Storage, Work]:
    graph = site.graph
    types = graph.types
    out = types[node.outputs[0]]
    fmt, products = types[node.inputs[0]].dtype.value, 1
    if fmt == "f32":
        fmt, products = "tf32", 3
    convolution = is_convolution(node)
    depthwise = convolution and node.int("group", 1) > 1
    window, fold = None, None
    if convolution:
        a = site.need(node.inputs[0], "image")
        fold = None if depthwise else fold_of(node, types, site.chip.blocking)
        b = _kernels(node, site, fold, depthwise=depthwise)
        batch, m, k, n = out.shape[0], out.shape[2], b.shape[1], out.shape[1]
        window = window_of(node, types)
        if depthwise:
            k = a.shape[1]
        if window.is_pointwise and not depthwise:
            # Pixels are rows of a product, which can be cut anywhere.
            m, window = m * out.shape[3], None
        if window and fold:
            window = folded_window(window, fold)
    else:
        a, b = site.need(node.inputs[0], "rows"), _weight(node, site)
        batch, m, n = prod(out.shape[:-2]), out.shape[-2], out.shape[-1]
        k = a.shape[-2 if node.int("trans_a") else -1]
    work = Work(
        batch=batch,
        m=m,
        k=k,
        n=n,
        fmt=fmt,
        out_fmt="f32" if coding and coding.behind else out.dtype.value,
        trans_a=bool(node.int("trans_a")),
        trans_b=(convolution and window is None) or bool(node.int("trans_b")),
        b_batched=not convolution and b.blocked.batch > 1,
        window=window,
        fold=fold,
        depthwise=depthwise,
        slots=tuple((slot.kind, slot.fmt) for slot in body.slots),
        loads=sum(body.slot(s).kind != "channel" for s, _ in body.loads),
        stores=len(body.stores),
        passes=len(body.steps),
        products=products,
        picked=_numbers(node, site) is not None,
        coded=coding and (coding.bits, 0 if coding.behind else coding.group),
    )
    return a, b, work


def _buffers(site: Site, work: Work, chosen: Cut, body: Body, *, raised: bool) -> dict[str, Buffer]:
    if chosen.panel is not None:
        return panel_buffers(site.chip, work, chosen, body, raised=raised)
    sized = sizes_of(work, site.chip, chosen)
    size_a, size_b = int(sized.bytes_a), int(sized.bytes_b)
    scratch = Scratch(site.chip, work.reserved)
    scratch.add("a", size_a, chosen.a_copies)
    scratch.add("b", size_b, chosen.b_copies)
    if work.fold:
        scratch.add("a.wide", int(sized.folded_bytes), chosen.a_copies)
    if work.coded:
        scratch.add("b.wide", int(sized.decoded_bytes), chosen.b_copies)
    if work.products > 1:
        for part in ("a.high", "a.low"):
            scratch.add(part, size_a, chosen.a_copies)
        for part in ("b.high", "b.low"):
            scratch.add(part, size_b, chosen.b_copies)
    if bool(sized.sums):
        # One copy: a matrix engine takes its commands in order.
        scratch.add("psum", int(sized.psum_bytes), 1)
    for slot in body.slots:
        scratch.add(
            f"slot.{slot.name}",
            int(sized.slot_bytes(slot.kind, slot.fmt)),
            1 if slot.kind == "channel" else 2,
        )
    return scratch.raised() if raised else scratch.buffers


def _is_raised(site: Site, b: Storage) -> bool:
    """Whether a piece's buffers lie at the end of the scratchpad.

    So do those of every other piece that streams a constant, which can then begin to load while
    the piece before it, or small ones that have theirs at the beginning, still go on.
    """
    if b.kind != "constant":
        return False
    before = site.pieces[-1] if site.pieces else None
    low = site.chip.scratchpad.reserve_low
    return not isinstance(before, MatrixPiece) or before.buffers["a"].address == low
