"""Graph -> Keras source: `build_<net>()`, `set_weights` and `load_weights`, on any of Keras's backends."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from upc.emit.carried import parts, reads, take, words
from upc.emit.common import (
    CannotSay,
    Flow,
    aliases,
    document,
    environment,
    flow,
    header,
    macro,
    place,
    signature,
    unsupported,
)
from upc.emit.definitions import Definition, Definitions, LayerItem, LoopItem, Resolved, Step, UseItem, used
from upc.emit.keras_spelling import OPERATIONS, SPELLINGS, spell
from upc.emit.layout import INDENT, Code, Names, fit, literal
from upc.emit.rows import carried_by
from upc.emit.structure import Scope, scopes
from upc.ir import Graph, Node, Value
from upc.shape import Size
from upc.source import Span

_RESERVED = frozenset({"keras", "layers", "ops", "np", "Mapping", "stack", "name", "x", "y", "z", *parts("keras")})
_CLOSING = ("set_weights", "load_weights")
"""What every module ends with."""


def emit(graph: Graph, *, source_name: str, source_sha256: str, version: str) -> str:
    """The network as a Keras module.

    Errors: UpcError for a layer Keras has no words for.
    """
    return _Writer(graph, source_name).module(source_sha256, version)


def builder_name(graph: Graph) -> str:
    """The function of the module that builds the model."""
    return Names(_reserved(graph)).new(f"build_{graph.name}")


def _carried(graph: Graph) -> dict[str, str]:
    """Definitions that layers of a person's own bring along."""
    return carried_by([SPELLINGS.get(type(node.layer)) for node in graph.nodes])


def _reserved(graph: Graph) -> frozenset[str]:
    """What no name of the net may be."""
    return _RESERVED | _carried(graph).keys()


@dataclass(slots=True)
class _Writer:
    """Writes one module. `chain` nets become a Sequential, made of lists of layers; others flow through names."""

    graph: Graph
    source_name: str
    functions: dict[int, str] = field(default_factory=dict)
    names: Names = field(init=False)
    reserved: frozenset[str] = field(init=False)
    chain: bool = True

    def __post_init__(self) -> None:
        self.reserved = _reserved(self.graph)
        self.names = Names(self.reserved)

    def module(self, source_sha256: str, version: str) -> str:
        """The whole text."""
        net = scopes(self.graph)
        items = Definitions(self._spell, self.reserved, named=True).resolve(net)
        self.chain = _is_chain(self.graph, self._spell)
        builder = builder_name(self.graph)
        self.names.reserve(builder)
        definitions = []
        needed = used(items)
        self.names.reserve(*(p.name for definition in needed for p in definition.parameters))
        for definition in needed:
            if definition.scope.kind == "block":
                self.functions[id(definition)] = self.names.numbered(definition.scope.name)
                definitions.append(self._function(definition))
        body = self._net_body(net, items)
        text = "\n".join([body, *(d["body"] for d in definitions)])
        own = list(_carried(self.graph).values())
        said = words(text).union(*map(reads, own))
        helpers, closing = take("keras", said), take("keras", _CLOSING)
        said = said.union(*(part.reads for part in helpers))
        imported = [name for name in ("layers", "ops") if name in said]
        return (
            environment("keras")
            .get_template("module.py.j2")
            .render(
                title=document(f"Keras network `{self.graph.name}`: {signature(self.graph)}.").rstrip(),
                header=header(self.source_name, source_sha256, version),
                keras_imports=f"from keras import {', '.join(imported)}" if imported else "",
                helpers=[*(part.text for part in helpers), *own],
                definitions=definitions,
                builder=builder,
                model_class="keras.Sequential" if self.chain else "keras.Model",
                body=body,
                closing=[part.text for part in closing],
            )
        )

    def _spell(self, node: Node) -> tuple[Step, ...]:
        try:
            return spell(node)
        except CannotSay as e:
            raise unsupported("keras", node, str(e)) from None

    # The net

    def _net_body(self, net: Scope, items: Sequence[Resolved]) -> str:
        paths = {node.path.replace(".", "-") for node in self.graph.nodes}
        name = f"name={literal(self.graph.name)}"
        if self.chain:
            first = self._input(self.graph.inputs[0], paths)
            if not any(isinstance(item, LoopItem) for item in items):
                elements = [fit(f"{first},", 3), *self._elements(items, net, 3)]
                closing = [f"{INDENT * 2}],", f"{INDENT * 2}{name},", f"{INDENT})"]
                return "\n".join([f"{INDENT}return keras.Sequential(", f"{INDENT * 2}[", *elements, *closing])
            return "\n".join([*self._list(items, net, [first]), fit(f"return keras.Sequential(stack, {name})", 1)])
        names = Names(self.reserved - {"x", "y", "z"} | {*self.functions.values(), *_loop_names(items)})
        given = {value: names.new(value.name) for value in net.inputs}
        lines = [fit(f"{given[v]} = {self._input(v, paths)}", 1) for v in net.inputs]
        values = flow(net, items, given, aliases(self.graph), names, inputs_last=True)
        lines += self._statements(items, net, values, names, 1)
        inputs = [Code(given[v]) for v in net.inputs]
        outputs = [Code(values[o.value]) for o in self.graph.outputs]
        ends = (literal(side[0] if len(side) == 1 else side) for side in (inputs, outputs))
        return "\n".join([*lines, fit(f"return keras.Model({', '.join(ends)}, {name})", 1)])

    def _input(self, value: Value, paths: set[str]) -> str:
        name = value.name
        while name in paths or re.fullmatch(rf"({'|'.join(OPERATIONS)})(_\d+)?", name):
            name += "-input"
        shape = tuple(None if isinstance(dim, Size) else dim for dim in value.shape)
        return f"keras.Input({literal(shape)}, name={literal(name)})"

    # Blocks

    def _function(self, definition: Definition) -> dict[str, str]:
        scope = definition.scope
        parameters = [f"{p.name}: {p.type}" for p in definition.parameters] + ["name: str"]
        name = self.functions[id(definition)]
        doc = f"Block `{scope.name}`."
        if self.chain:
            *before, last = self._list(definition.items, scope, [])
            tail = last.replace("stack = ", "return ", 1) if not before else last + f"\n{INDENT}return stack"
            head = f"def {name}({', '.join(parameters)}) -> list[keras.Layer]:"
            return {"signature": _head(head), "doc": doc, "body": "\n".join([*before, tail])}
        own = {p.name for p in definition.parameters} | _loop_names(definition.items)
        names = Names({*self.reserved, *self.functions.values(), *own})
        given = {v: "x" if i == 0 else names.new("other") for i, v in enumerate(scope.inputs)}
        values = flow(scope, definition.items, given, {}, names)
        lines = list(self._statements(definition.items, scope, values, names, 1))
        results = [values[v] for v in scope.outputs]
        lines.append(f"{INDENT}return {', '.join(results)}")
        taken = [f"{given[v]}: keras.KerasTensor" for v in scope.inputs]
        result = "keras.KerasTensor"
        if len(results) > 1:
            result = f"tuple[{', '.join([result] * len(results))}]"
        head = f"def {name}({', '.join([*taken, *parameters])}) -> {result}:"
        return {"signature": _head(head), "doc": doc, "body": "\n".join(lines)}

    # Chains: lists of layers

    def _elements(self, items: Sequence[Resolved], scope: Scope, depth: int) -> Iterator[str]:
        """Layers and lists of layers as the items of a list."""
        for item in items:
            if isinstance(item, LayerItem):
                for step in item.steps:
                    text = self._constructor(step, item.name, scope)
                    yield fit(f"{text},", depth, self._place(item.node.span))
            elif isinstance(item, UseItem):
                text = self._call(item, self._name(item.name, scope), [])
                yield fit(f"*{text},", depth, self._place(item.scope.site))

    def _list(self, items: Sequence[Resolved], scope: Scope, first: Sequence[str], depth: int = 1) -> Iterator[str]:
        """Statements that gather the layers in `stack`: lists, and loops that add to it."""
        started = depth > 1
        for is_loop, group in groupby(items, key=lambda item: isinstance(item, LoopItem)):
            run = list(group)
            head = [] if started else [fit(f"{element},", depth + 1) for element in first]
            sign = "+=" if started else "="
            if not is_loop:
                if len(run) == 1 and isinstance(run[0], UseItem) and not head:
                    call = self._call(run[0], self._name(run[0].name, scope), [])
                    yield fit(f"stack {sign} {call}", depth, self._place(run[0].scope.site))
                else:
                    elements = [*head, *self._elements(run, scope, depth + 1)]
                    yield "\n".join([f"{INDENT * depth}stack {sign} [", *elements, f"{INDENT * depth}]"])
            elif not started:
                yield fit(f"stack: list[keras.Layer] = [{', '.join(first)}]", depth)
            started = True
            for item in run:
                if isinstance(item, LoopItem):
                    yield self._for(item, depth)
                    yield from self._list(item.definition.items, item.definition.scope, [], depth + 1)

    def _for(self, item: LoopItem, depth: int) -> str:
        # A column that says nothing but its own name is a parameter of the function around the loop.
        columns = [
            (parameter, column)
            for parameter, column in zip(item.definition.parameters, zip(*item.rows, strict=True), strict=True)
            if any(value != Code(parameter.name) or not isinstance(value, Code) for value in column)
        ]
        parameters = [parameter for parameter, _ in columns]
        names = ", ".join(p.name for p in parameters)
        table = list(zip(*(column for _, column in columns), strict=True)) or [()] * len(item.rows)
        rows = tuple(row[0] if len(parameters) == 1 else row for row in table)
        over = literal(rows) if names else f"range({len(rows)})"
        if len(parameters) == 1 and parameters[0].type == "str":
            over = _numbered(rows) or over
        return fit(f"for {names or '_'} in {over}:", depth, self._place(item.loop.site))

    def _place(self, span: Span) -> str:
        return place(span, self.graph.span.source.name)

    # Nets that branch: statements

    def _statements(
        self, items: Sequence[Resolved], scope: Scope, values: Flow, names: Names, depth: int
    ) -> Iterator[str]:
        for item in items:
            results = ", ".join(values[v] for v in item.outputs)
            taken = [values[v] for v in item.inputs]
            if isinstance(item, LayerItem):
                yield from self._layer(item, results, taken, scope, depth)
            elif isinstance(item, UseItem):
                text = self._call(item, self._name(item.name, scope), taken)
                yield fit(f"{results} = {text}", depth, self._place(item.scope.site))
            else:
                yield from self._loop(item, results, values, names, depth)

    def _layer(self, item: LayerItem, result: str, taken: list[str], scope: Scope, depth: int) -> Iterator[str]:
        comment = self._place(item.node.span)
        current = taken[0] if len(taken) == 1 else f"[{', '.join(taken)}]"
        if not item.steps:
            yield fit(f"{result} = {current}", depth, comment)
        for step in item.steps:
            if step.layer:
                text = f"{self._constructor(step, item.name, scope)}({current})"
            else:
                text = macro("keras", "layers", step.macro)(step.fields, Code(current))
            current = result
            yield fit(f"{result} = {text}", depth, comment)

    def _loop(self, item: LoopItem, result: str, values: Flow, names: Names, depth: int) -> Iterator[str]:
        turn = item.definition.scope
        entering, *fixed = item.inputs
        carried = values.chain
        if values[entering] != carried:
            yield f"{INDENT * depth}{carried} = {values[entering]}"
        yield self._for(item, depth)
        given = {turn.inputs[0]: carried, **{a: values[b] for a, b in zip(turn.inputs[1:], fixed, strict=True)}}
        inner = flow(turn, item.definition.items, given, {}, names, outer=values)
        yield from self._statements(item.definition.items, turn, inner, names, depth + 1)
        last = inner[turn.outputs[0]]
        if last != carried:
            yield f"{INDENT * (depth + 1)}{carried} = {last}"
        if result != carried:
            yield f"{INDENT * depth}{result} = {carried}"

    # Calls

    def _constructor(self, step: Step, name: str, scope: Scope) -> str:
        fields = {**step.fields, "name": self._name(name, scope, step.suffix)}
        return str(macro("keras", "layers", step.macro)(fields))

    def _call(self, item: UseItem, name: Code, taken: Sequence[str]) -> str:
        arguments = [*taken, *map(literal, item.arguments), f"name={name}"]
        return f"{self.functions[id(item.definition)]}({', '.join(arguments)})"

    def _name(self, name: str, scope: Scope, suffix: str = "") -> Code:
        """A layer's name as an expression: in a block its own name follows the instance's."""
        in_block = bool(scope.prefix)
        text = f"{{{name}}}" if isinstance(name, Code) else name.replace(".", "-")
        if isinstance(name, Code) and not in_block and not suffix:
            return name
        text = ("{name}-" if in_block else "") + text + (f"-{suffix}" if suffix else "")
        return Code(("f" if "{" in text else "") + f'"{text}"')


def _head(text: str) -> str:
    """A function's head without `def` and the colon, broken where it is too long."""
    return fit(text).removeprefix("def ").removesuffix(":")


def _numbered(names: tuple[Any, ...]) -> str | None:
    """A long row of names that differ in their numbers, as an expression: `layer`, `layer_1`, `layer_2`."""
    stems = {re.sub(r"_\d+$", "", name) for name in names[1:]}
    if len(names) < 5 or len(stems) != 1:
        return None
    (stem,) = stems
    first = int(names[1].removeprefix(f"{stem}_"))
    if names[1:] != tuple(f"{stem}_{i}" for i in range(first, first + len(names) - 1)):
        return None
    numbered = f'f"{stem}_{{i}}" for i in range'
    if names[0] == stem:
        return f'("{stem}", *({numbered}({first}, {first + len(names) - 1})))'
    return f"({numbered}({first - 1}, {first + len(names) - 1}))" if names[0] == f"{stem}_{first - 1}" else None


def _loop_names(items: Sequence[Resolved]) -> set[str]:
    """The names that the loops among these items bind."""
    return {p.name for item in items if isinstance(item, LoopItem) for p in item.definition.parameters}


def _is_chain(graph: Graph, spelled: Any) -> bool:
    """Whether every layer takes exactly what the one before made."""
    if len(graph.inputs) != 1 or len(graph.outputs) != 1 or not graph.nodes:
        return False
    current = graph.inputs[0]
    for node in graph.nodes:
        steps = spelled(node)
        if node.inputs != (current,) or len(node.outputs) != 1 or not steps or not all(s.layer for s in steps):
            return False
        current = node.outputs[0]
    return current == graph.outputs[0].value
