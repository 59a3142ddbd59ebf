"""Whether layers of one shape, paired in a file's order, are surely who they are taken for.

Shapes alone may leave a pairing open. What then counts, and nothing else does:

- Every layer that could change places has the same values: it does not matter which is which.
- The file lists layers as a model runs them (Keras), and in the net each of those in question depends on the one
  before it. Layers side by side stay open: Keras lists them by their distance from the result, a net as written.
- Their names differ by numbers, first of all, and the numbers rise in the net's order: `main.0`, `main.3`, `main.12`;
  `conv1`, `conv2`; `dense`, `dense_1`. Then whoever named them counted them, which a state dict is paired by.

Any other names in the order in which they were registered, or in that of the alphabet, are no evidence.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from upc.convert.foreign import Foreign, ForeignLayer, Tensor
from upc.ir import Graph, Node


@dataclass(frozen=True, slots=True)
class Matched:
    """A node, the layer of the file that it is paired with, and the tensors of that which are its weights."""

    node: Node
    layer: ForeignLayer
    tensors: tuple[Tensor, ...]


Group = list[Matched]
"""Layers that could change places by their shapes."""


def of_one_shape(matched: Sequence[Matched]) -> list[Group]:
    """The groups of layers that shapes do not tell apart, in the file or in the net; each in the net's order."""
    groups: dict[object, Group] = {}
    for one in matched:
        in_file = ("file", *(tensor.shape for tensor in one.tensors))
        in_net = ("net", *(weight.shape for weight in one.node.weights))
        # Shapes may agree on one side alone: a slope for all channels fits any PReLU.
        group, other = groups.setdefault(in_file, []), groups.get(in_net)
        if other is not None and other is not group:
            group += other
            groups.update((key, group) for key, joined in list(groups.items()) if joined is other)
        groups[in_net] = group
        group.append(one)
    place = {id(one): number for number, one in enumerate(matched)}
    distinct = {id(group): sorted(group, key=lambda one: place[id(one)]) for group in groups.values()}
    return [group for group in distinct.values() if len(group) > 1]


def undecided(graph: Graph, groups: list[Group], foreign: Foreign) -> list[Group]:
    """Those of the groups that nothing but their order in the file decides."""
    if foreign.order in ("run", "kind"):
        behind = _dependencies(graph)
        open_still = [group for group in groups if not _in_a_row(group, behind)]
    else:
        open_still = [group for group in groups if not _counted(group)]
    return [group for group in open_still if not _equal(group)]


def _dependencies(graph: Graph) -> dict[str, int]:
    """For each value the nodes that it depends on, as bits by their place in the graph."""
    behind: dict[str, int] = {value.name: 0 for value in graph.inputs}
    for place, node in enumerate(graph.nodes):
        bits = 1 << place
        for value in node.inputs:
            bits |= behind[value.name]
        behind.update(dict.fromkeys((value.name for value in node.outputs), bits))
    return behind


def _in_a_row(group: Group, behind: dict[str, int]) -> bool:
    """Whether each node depends on the one before it: what one depends on lies within what the next does."""
    own = [behind[one.node.outputs[0].name] for one in group]
    return all(first & second == first for first, second in pairwise(own))


def _counted(group: Group) -> bool:
    """Whether the names of a group's layers differ by numbers that rise."""
    names = [re.split(r"([0-9]{1,9})", one.layer.name[:4096]) for one in group]
    return all(_rises(first, second) for first, second in pairwise(names))


def _rises(first: list[str], second: list[str]) -> bool:
    """Whether two names, split at their numbers, first differ in a number, and the second's is larger."""
    for place in range(max(len(first), len(second))):
        one, other = (name[place] if place < len(name) else None for name in (first, second))
        if one == other:
            continue
        if place % 2:
            # A name that ends where the other goes on to count comes first.
            return one is None or (other is not None and int(one) < int(other))
        return _stem_of(one, other, second, place)
    return False


def _stem_of(one: str | None, other: str | None, second: list[str], place: int) -> bool:
    """Whether the second name is the first one, an underscore and a number: `conv2d` and `conv2d_1`."""
    return other == f"{one or ''}_" and place == len(second) - 3 and second[-1] == ""


def _equal(group: Group) -> bool:
    """Whether all of a group hold the same values."""
    first = [tensor.read() for tensor in group[0].tensors]
    return all(
        np.array_equal(values, tensor.read(), equal_nan=True)
        for one in group[1:]
        for values, tensor in zip(first, one.tensors, strict=True)
    )
