"""What of the source's blocks and repeats is still to be seen in a flat Graph: a tree of scopes.

Nodes carry the frames they stand in. Consecutive nodes of one block instance become a Scope, consecutive
turns of one repeat a Loop, and what lies in neither stays a plain Node.

Non-goals: deciding which scopes are alike. That depends on how a target spells them; see `definitions`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Union

from upc.ir import Frame, Graph, Literal, Node, Value
from upc.source import Span


@dataclass(frozen=True, slots=True)
class Scope:
    """The net's body, one instance of a block, or one turn of a repeat.

    `prefix` is the path its nodes' paths start with, dot included, or "". `inputs` come from outside in
    the order of their first use, `outputs` are used outside.
    """

    kind: str  # "net", "block" or "turn"
    name: str
    prefix: str
    arguments: tuple[tuple[str, Literal], ...]
    site: Span
    items: tuple[Item, ...]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]

    def nodes(self) -> Iterator[Node]:
        """Every layer in it, in order."""
        for item in self.items:
            if isinstance(item, Node):
                yield item
            else:
                yield from item.nodes()


@dataclass(frozen=True, slots=True)
class Loop:
    """Turns of one repeat that hand a single value on.

    `inputs` are the value that enters the first turn, then values every turn reads; `outputs` the last
    turn's result.
    """

    turns: tuple[Scope, ...]
    site: Span
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]

    def nodes(self) -> Iterator[Node]:
        for turn in self.turns:
            yield from turn.nodes()


Item = Union[Node, Scope, Loop]


def scopes(graph: Graph) -> Scope:
    """The graph as a tree of scopes."""
    wanted = [output.value for output in graph.outputs]
    items = _items(graph.nodes, 0, wanted)
    return Scope("net", graph.name, "", graph.parameters, graph.span, items, graph.inputs, tuple(dict.fromkeys(wanted)))


def _items(nodes: Sequence[Node], depth: int, wanted: Iterable[Value]) -> tuple[Item, ...]:
    """Group nodes by the frame at a depth; `wanted` is what must come out of all of them."""
    found: list[Item] = []
    runs = [(key, tuple(run)) for key, run in groupby(nodes, key=lambda n: _frame_key(n, depth))]
    last = {v: i for i, (_, run) in enumerate(runs) for node in run for v in node.inputs}
    wanted = set(wanted)
    for i, (key, run) in enumerate(runs):
        if key is None:
            found.extend(run)
            continue
        made = {v for node in run for v in node.outputs}
        found.append(_scope(run, run[0].frames[depth], depth, {v for v in made if v in wanted or last.get(v, i) > i}))
    return tuple(_loops(found, wanted))


def _frame_key(node: Node, depth: int) -> object:
    if len(node.frames) <= depth:
        return None
    frame = node.frames[depth]
    return frame.kind, frame.path, frame.arguments, frame.site.source.name, frame.site.start


def _scope(nodes: Sequence[Node], frame: Frame, depth: int, used: set[Value]) -> Scope:
    made = {v for node in nodes for v in node.outputs}
    inputs = dict.fromkeys(v for node in nodes for v in node.inputs if v not in made)
    outputs = tuple(v for node in nodes for v in node.outputs if v in used)
    items = _items(nodes, depth + 1, outputs)
    block = frame.kind == "block"
    prefix = _block_prefix(nodes[0], depth)
    return Scope(
        "block" if block else "turn", frame.name, prefix, frame.arguments, frame.site, items, tuple(inputs), outputs
    )


def _block_prefix(node: Node, depth: int) -> str:
    """The part of a path that the block instances down to a depth have put in front of it."""
    blocks = sum(frame.kind == "block" for frame in node.frames[: depth + 1])
    return "".join(f"{part}." for part in node.path.split(".")[:blocks])


def _loops(items: Sequence[Item], wanted: Iterable[Value]) -> Iterator[Item]:
    """Join the turns of each repeat, or lay them out one after another where they are no loop."""
    wanted = set(wanted)
    runs = [(site, tuple(group)) for site, group in groupby(items, key=_turn_site)]
    uses: dict[Value, set[int]] = {}  # by which runs a value is used
    for i, (_, run) in enumerate(runs):
        for item in run:
            for v in item.inputs:
                uses.setdefault(v, set()).add(i)
    for i, (site, run) in enumerate(runs):
        if site is None:
            yield from run
            continue
        turns = tuple(item for item in run if isinstance(item, Scope))
        made = {v for turn in turns for v in turn.outputs}
        elsewhere = {v for v in made if v in wanted or uses.get(v, set()) - {i}}
        if (loop := _loop(turns, elsewhere)) is not None:
            yield loop
        else:
            for turn in turns:
                yield from turn.items


def _turn_site(item: Item) -> object:
    return (item.site.source.name, item.site.start) if isinstance(item, Scope) and item.kind == "turn" else None


def _loop(turns: tuple[Scope, ...], elsewhere: set[Value]) -> Loop | None:
    """The loop these turns are, if each hands exactly one value to the next and keeps it from all others."""
    if len(turns) < 2 or any(len(t.outputs) != 1 for t in turns):
        return None
    if elsewhere.intersection(t.outputs[0] for t in turns[:-1]):
        return None
    entering = [v for v in turns[0].inputs if v not in turns[1].inputs]
    if len(entering) != 1:
        return None
    fixed = tuple(v for v in turns[0].inputs if v != entering[0])
    carried = (entering[0], *(t.outputs[0] for t in turns[:-1]))
    if any(set(t.inputs) != {v, *fixed} for t, v in zip(turns, carried, strict=True)):
        return None
    ordered = tuple(replace(t, inputs=(v, *fixed)) for t, v in zip(turns, carried, strict=True))
    return Loop(ordered, turns[0].site, (entering[0], *fixed), turns[-1].outputs)
