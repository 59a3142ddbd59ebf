"""Which scopes are alike, and what sets them apart: the blocks and loops of the emitted source.

A target spells every node as steps whose fields are finished values. Scopes whose spelling differs in
numbers and names only share one Definition; the fields that differ become its parameters, under the name
the source's block gave them where the values are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Union

from upc.emit.layout import Code, Names
from upc.emit.structure import Item, Loop, Scope
from upc.ir import Node, Value


class Text(str):
    """A string that may differ between alike scopes, as a layer's name does."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Step:
    """One call in the emitted source; a node is one or more, each working on what the one before made.

    `macro` names the row of the target's table, or is a Row that stands in none. A `layer` is made once and then
    called; anything else is an expression in the flow. `suffix` sets further layers of one node apart.
    """

    macro: Any
    fields: Mapping[str, Any] = field(default_factory=dict)
    layer: bool = True
    suffix: str = ""


Spell = Callable[[Node], tuple[Step, ...]]


@dataclass(frozen=True, slots=True)
class Parameter:
    """What alike scopes differ in."""

    name: str
    type: str


@dataclass(frozen=True, slots=True, eq=False)
class Definition:
    """A function, class or loop body of the emitted source: one of its scopes, its differences as names."""

    scope: Scope
    parameters: tuple[Parameter, ...]
    items: tuple[Resolved, ...]


@dataclass(frozen=True, slots=True, eq=False)
class LayerItem:
    """A node with its steps. `name` is its path within the scope; in a turn, where that changes, its variable or ""."""

    node: Node
    steps: tuple[Step, ...]
    name: str

    @property
    def inputs(self) -> tuple[Value, ...]:
        return self.node.inputs

    @property
    def outputs(self) -> tuple[Value, ...]:
        return self.node.outputs


@dataclass(frozen=True, slots=True, eq=False)
class UseItem:
    """A definition used once, with what stands for its parameters here."""

    definition: Definition
    arguments: tuple[Any, ...]
    scope: Scope
    name: str

    @property
    def inputs(self) -> tuple[Value, ...]:
        return self.scope.inputs

    @property
    def outputs(self) -> tuple[Value, ...]:
        return self.scope.outputs


@dataclass(frozen=True, slots=True, eq=False)
class LoopItem:
    """A definition used turn after turn: one row of arguments a turn."""

    definition: Definition
    rows: tuple[tuple[Any, ...], ...]
    loop: Loop

    @property
    def inputs(self) -> tuple[Value, ...]:
        return self.loop.inputs

    @property
    def outputs(self) -> tuple[Value, ...]:
        return self.loop.outputs


Resolved = Union[LayerItem, UseItem, LoopItem]


@dataclass(frozen=True, slots=True)
class _Leaf:
    """A value in which alike scopes may differ. `loop` numbers the loop whose table it stands in, under `name`."""

    name: str
    value: Any
    loop: int | None = None


@dataclass(slots=True)
class Definitions:
    """Finds the definitions of a net. `named` targets write every layer's name into the source."""

    spell: Spell
    reserved: frozenset[str]
    named: bool
    _steps: dict[str, tuple[Step, ...]] = field(default_factory=dict)
    _uses: dict[int, tuple[Definition, tuple[Any, ...]]] = field(default_factory=dict)

    def resolve(self, net: Scope) -> tuple[Resolved, ...]:
        """The net's own items, every scope in them bound to its definition."""
        levels: dict[int, list[Scope]] = {}
        _by_height(net, levels)
        for height in sorted(levels)[:-1]:  # the highest is the net
            alike: dict[Any, list[tuple[Scope, list[_Leaf]]]] = {}
            for scope in levels[height]:
                skeleton, leaves = self._skeleton(scope)
                alike.setdefault((scope.kind, scope.name, skeleton), []).append((scope, leaves))
            for group in alike.values():
                self._define(group)
        return tuple(self._rebuilt(net, iter(leaf.value for leaf in self._skeleton(net)[1])))

    def _define(self, group: Sequence[tuple[Scope, list[_Leaf]]]) -> None:
        first, leaves = group[0]
        columns = [tuple(leaves_[i].value for _, leaves_ in group) for i in range(len(leaves))]
        # In a loop of the net itself nothing is called `name` yet.
        names = Names(self.reserved - {"name"} if first.kind == "turn" and not first.prefix else self.reserved)
        given = {tuple(dict(s.arguments).get(name) for s, _ in group): name for name, _ in reversed(first.arguments)}
        # Equal numbers of two types are two parameters: `nn.Conv2d(4.0, 8, 3)` is an error.
        parameters: dict[tuple[str, tuple[Any, ...]], Parameter] = {}
        values: list[Any] = []
        # A loop in here binds these names. One may stay ours only if the loop would bind it to itself.
        bound: dict[tuple[int | None, str], set[tuple[Any, ...]]] = {}
        for leaf, column in zip(leaves, columns, strict=True):
            if self.named and leaf.loop is not None:
                bound.setdefault((leaf.loop, leaf.name), set()).add(column)
        for leaf, column in zip(leaves, columns, strict=True):
            if len(set(column)) == 1:
                values.append(leaf.value)
                continue
            kind = "str" if isinstance(leaf.value, str) else type(leaf.value).__name__
            if (kind, column) not in parameters:
                wanted = given.get(column, leaf.name)
                if any(name == wanted and seen != {column} for (_, name), seen in bound.items()):
                    names.reserve(wanted)
                parameters[kind, column] = Parameter(names.new(wanted), kind)
            values.append(Code(parameters[kind, column].name))
        items = tuple(self._rebuilt(first, iter(values)))
        definition = Definition(first, tuple(parameters.values()), items)
        for i, (scope, _) in enumerate(group):
            self._uses[id(scope)] = definition, tuple(column[i] for _, column in parameters)

    def items(self, scope: Scope) -> Iterator[Item]:
        """The scope's items. Loops are laid out whose turns are not alike, and, where names are written, outer ones."""
        for item in scope.items:
            if isinstance(item, Loop) and self._is_laid_out(item):
                for turn in item.turns:
                    yield from self.items(turn)
            else:
                yield item

    def _is_laid_out(self, loop: Loop) -> bool:
        unlike = len({id(self._uses[id(turn)][0]) for turn in loop.turns}) > 1
        return unlike or (self.named and any(isinstance(item, Loop) for turn in loop.turns for item in turn.items))

    def _spelled(self, node: Node) -> tuple[Step, ...]:
        if node.path not in self._steps:
            self._steps[node.path] = self.spell(node)
        return self._steps[node.path]

    def _skeleton(self, scope: Scope) -> tuple[Any, list[_Leaf]]:
        """What alike scopes have in common, hashable, and the values in which they may differ."""
        numbers: dict[Value, int] = {v: i for i, v in enumerate(scope.inputs)}
        leaves: list[_Leaf] = []
        parts: list[Any] = []
        for item in self.items(scope):
            flow = tuple(numbers[v] for v in item.inputs)
            numbers.update({v: len(numbers) + i for i, v in enumerate(item.outputs)})
            common: Any
            if isinstance(item, Node):
                steps = self._spelled(item)
                name = self._name(scope, item.path, item.layer.name, leaves)
                fields = tuple((s.macro, s.layer, s.suffix, _collect("", s.fields, leaves)) for s in steps)
                place = (item.span.source.name, item.span.start)
                common = ("layer", name, fields, place, item.trainable, len(item.outputs))
            elif isinstance(item, Scope):
                definition, arguments = self._uses[id(item)]
                name = self._name(scope, item.prefix[:-1], "name", leaves)
                leaves += [_Leaf(p.name, a) for p, a in zip(definition.parameters, arguments, strict=True)]
                common = ("use", id(definition), name, item.site.start)
            else:
                definition = self._uses[id(item.turns[0])][0]
                for turn in item.turns:
                    row = zip(definition.parameters, self._uses[id(turn)][1], strict=True)
                    leaves += [_Leaf(p.name, a, len(parts)) for p, a in row]
                common = ("loop", id(definition), len(item.turns))
            parts.append((common, flow))
        return (tuple(parts), tuple(numbers[v] for v in scope.outputs)), leaves

    def _name(self, scope: Scope, path: str, column: str, leaves: list[_Leaf]) -> str | None:
        """A name within the scope. It stays the same in every instance of a block, and changes every turn."""
        inner = path[len(scope.prefix) :]
        if scope.kind != "turn":
            return inner
        if self.named:
            leaves.append(_Leaf(column, Text(inner)))
        return None

    def _rebuilt(self, scope: Scope, values: Iterator[Any]) -> Iterator[Resolved]:
        """The scope's items with these values for leaves, in the order in which `_skeleton` took them."""

        def name(path: str) -> str:
            if scope.kind != "turn":
                return path[len(scope.prefix) :]
            return next(values) if self.named else ""

        for item in self.items(scope):
            if isinstance(item, Node):
                layer_name = name(item.path)
                steps = tuple(
                    Step(s.macro, _substitute(s.fields, values), s.layer, s.suffix) for s in self._spelled(item)
                )
                yield LayerItem(item, steps, layer_name)
            elif isinstance(item, Scope):
                use_name = name(item.prefix[:-1])
                definition, arguments = self._uses[id(item)]
                yield UseItem(definition, tuple(next(values) for _ in arguments), item, use_name)
            else:
                definition, arguments = self._uses[id(item.turns[0])]
                rows = tuple(tuple(next(values) for _ in arguments) for _ in item.turns)
                yield LoopItem(definition, rows, item)


def used(items: Sequence[Resolved]) -> tuple[Definition, ...]:
    """The definitions these items need, each after those it needs itself."""
    found: dict[int, Definition] = {}

    def visit(items: Sequence[Resolved]) -> None:
        for item in items:
            if not isinstance(item, LayerItem) and id(item.definition) not in found:
                visit(item.definition.items)
                found[id(item.definition)] = item.definition

    visit(items)
    return tuple(found.values())


def _by_height(scope: Scope, levels: dict[int, list[Scope]]) -> int:
    inner = [s for item in scope.items for s in (item.turns if isinstance(item, Loop) else (item,))]
    height = 1 + max((_by_height(s, levels) for s in inner if isinstance(s, Scope)), default=0)
    levels.setdefault(height, []).append(scope)
    return height


def reworded(value: Any, words: Mapping[str, str]) -> Any:
    """A field in which parameters of these names are read by other words."""
    if isinstance(value, Code):
        return Code(words.get(value, value))
    if isinstance(value, Mapping):
        return {key: reworded(inner, words) for key, inner in value.items()}
    if isinstance(value, (tuple, list)):
        return type(value)(reworded(inner, words) for inner in value)
    return value


def _may_differ(value: Any) -> bool:
    return isinstance(value, (int, float, Text)) and not isinstance(value, bool)


def _collect(name: str, value: Any, leaves: list[_Leaf]) -> Any:
    """The hashable form of a field, its leaves taken out."""
    if _may_differ(value):
        leaves.append(_Leaf(name, value))
        return type(value)
    if isinstance(value, Mapping):
        return tuple((key, _collect(key, inner, leaves)) for key, inner in value.items())
    if isinstance(value, (tuple, list)):
        return tuple(_collect(name, inner, leaves) for inner in value)
    return (type(value), value)


def _substitute(value: Any, values: Iterator[Any]) -> Any:
    if _may_differ(value):
        return next(values)
    if isinstance(value, Mapping):
        return {key: _substitute(inner, values) for key, inner in value.items()}
    if isinstance(value, (tuple, list)):
        return type(value)(_substitute(inner, values) for inner in value)
    return value
