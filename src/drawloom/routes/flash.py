"""Attention that a graph writes as product, softmax and product: one kernel, scores never stored."""

from __future__ import annotations

from drawloom.routes.walk import Group, Walk, beyond_views, results
from drawloom.routes.work import Attended, Products, kind_of


class Flash:
    """Finds attention that is written as product, softmax and product."""

    def __init__(self, walk: Walk) -> None:
        self.walk = walk

    def merged(self) -> dict[int, tuple[Group, Group, Group, Attended]]:
        """Return, by the last kernel's place, the three that are one, and its work."""
        found: dict[int, tuple[Group, Group, Group, Attended]] = {}
        for group in self.walk.groups:
            if group.kind == "rows" and group.nodes[0].op == "Softmax":
                parts = self._around(group)
                if parts is not None:
                    found[parts[2].at] = parts
        return found

    def _around(self, middle: Group) -> tuple[Group, Group, Group, Attended] | None:
        walk, softmax = self.walk, middle.nodes[0]
        before = walk.made_in.get(walk.root_of(softmax.inputs[0]))
        readers = beyond_views(walk, middle.nodes[-1].outputs[0])
        if before is None or len(readers) != 1 or kind_of(readers[0]) != "product":
            return None
        first, last = walk.groups[before], walk.groups[walk.made_in[readers[0].outputs[0]]]
        one, two = first.work, last.work
        if not isinstance(one, Products) or not isinstance(two, Products):
            return None
        is_alone = all(self._is_within(value, (first, middle)) for value in results(first))
        fits = (one.batch, one.m, one.n) == (two.batch, two.m, two.k)
        fits = fits and max(one.k, two.n) <= walk.fusion.most_head
        if not (is_alone and fits) or one.has_weights or two.has_weights:
            return None
        size = self.walk.graph.types[softmax.inputs[0]].dtype.bytes
        return first, middle, last, _as_attention(one, two, size)

    def _is_within(self, value: str, groups: tuple[Group, ...]) -> bool:
        names = {node.name for group in groups for node in group.nodes}
        if value in self.walk.graph.outputs:
            return False
        return all(node.name in names for node in beyond_views(self.walk, value))


def _as_attention(one: Products, two: Products, number_bytes: int) -> Attended:
    """Return products of scores and of values as attention of ``batch`` heads."""
    return Attended(
        batch=1,
        queries=one.m,
        keys=one.n,
        heads=one.batch,
        kv_heads=one.batch,
        head_dim=one.k,
        value_dim=two.n,
        pairs=one.batch * one.m * one.n,
        window=0,
        is_causal=False,
        number_format=one.number_format,
        number_bytes=number_bytes,
    )
