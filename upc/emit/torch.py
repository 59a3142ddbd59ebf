"""Graph -> PyTorch source: `class <Net>(nn.Module)`, `set_weights` and `load_weights`. Channels first."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from upc.emit.definitions import Definition, Definitions, LayerItem, LoopItem, Resolved, Step, UseItem, reworded, used
from upc.emit.layout import WIDTH, Code, Names, camel, fit, literal
from upc.emit.rows import carried_by
from upc.emit.structure import Scope, scopes
from upc.emit.torch_entries import entries
from upc.emit.torch_spelling import SPELLINGS, spell
from upc.ir import Graph, Node
from upc.shape import Shape, show
from upc.source import Span

# fmt: off
_MODULE_NAMES = (
    "T_destination", "add_module", "apply", "bfloat16", "buffers", "call_super_init", "children", "compile", "cpu",
    "cuda", "double", "dump_patches", "eval", "extra_repr", "float", "forward", "get_buffer", "get_extra_state",
    "get_parameter", "get_submodule", "half", "ipu", "load_state_dict", "modules", "mtia", "named_buffers",
    "named_children", "named_modules", "named_parameters", "parameters", "register_backward_hook", "register_buffer",
    "register_forward_hook", "register_forward_pre_hook", "register_full_backward_hook",
    "register_full_backward_pre_hook", "register_load_state_dict_post_hook", "register_load_state_dict_pre_hook",
    "register_module", "register_parameter", "register_state_dict_post_hook", "register_state_dict_pre_hook",
    "requires_grad_", "set_extra_state", "set_submodule", "share_memory", "state_dict", "to", "to_empty", "train",
    "training", "type", "xpu", "zero_grad",
)
"""What every nn.Module has already: no layer may be called that."""
# fmt: on

_RESERVED = frozenset(
    {"math", "Mapping", "torch", "F", "Tensor", "nn", "WEIGHTS", "self", "x", "y", "z", *parts("torch")}
)
_CLOSING = ("initialize", "set_weights", "load_weights")
"""What every module ends with."""


def emit(graph: Graph, *, source_name: str, source_sha256: str, version: str) -> str:
    """The network as a PyTorch module.

    Errors: UpcError for a layer PyTorch has no words for.
    """
    return _Writer(graph, source_name).module(source_sha256, version)


def class_name(graph: Graph) -> str:
    """The class of the module that is the network."""
    return Names(_reserved(graph)).new(camel(graph.name))


def _carried(graph: Graph) -> dict[str, str]:
    """Definitions that layers of a person's own bring along."""
    return carried_by([SPELLINGS.get(type(node.layer)) for node in graph.nodes])


def _reserved(graph: Graph) -> frozenset[str]:
    """What no name of the net may be."""
    return _RESERVED | _carried(graph).keys()


@dataclass(frozen=True, slots=True)
class _Body:
    """What a class is made of: its lines, and the attribute of every item that has one."""

    constructor: str
    forward: str
    head: str
    attributes: tuple[str | None, ...]


@dataclass(slots=True)
class _Writer:
    """Writes one module."""

    graph: Graph
    source_name: str
    classes: dict[int, str] = field(default_factory=dict)
    bodies: dict[int, _Body] = field(default_factory=dict)
    names: Names = field(init=False)
    reserved: frozenset[str] = field(init=False)
    resolver: Definitions = field(init=False)

    def __post_init__(self) -> None:
        self.reserved = _reserved(self.graph)
        self.names = Names(self.reserved)
        self.resolver = Definitions(self._spell, self.reserved, named=False)

    def module(self, source_sha256: str, version: str) -> str:
        """The whole text."""
        net = scopes(self.graph)
        items = self.resolver.resolve(net)
        net_class = class_name(self.graph)
        self.names.reserve(net_class)
        definitions = []
        for definition in used(items):
            if _inner(definition) is None:
                self.classes[id(definition)] = self.names.numbered(_class_name(definition), "")
                definitions.append(self._class(definition))
        body = self._body(net, items, ())
        self.bodies[id(net)] = body
        weights = [self._row(*row) for row in self._rows(net, items, body, "")]
        texts = [body.constructor, body.forward, *(d["forward"] + d["constructor"] for d in definitions), *weights]
        own = list(_carried(self.graph).values())
        said = words("\n".join(texts)).union(*map(reads, own))
        helpers, closing = take("torch", said), take("torch", _CLOSING)
        said = said.union(*(part.reads for part in helpers))
        return (
            environment("torch")
            .get_template("module.py.j2")
            .render(
                name=net_class,
                header=header(self.source_name, source_sha256, version),
                title=document(f"PyTorch network {net_class}: {signature(self.graph, _first)}.").rstrip(),
                doc=document(signature(self.graph, _first), 1),
                math="import math\n" if "math" in said else "",
                functional="import torch.nn.functional as F\n" if "F" in said else "",
                helpers=[*(part.text for part in helpers), *own],
                definitions=definitions,
                constructor=body.constructor,
                initialize=bool(weights),
                head=body.head,
                forward=body.forward,
                weights=weights,
                closing=[part.text for part in closing],
            )
        )

    def _spell(self, node: Node) -> tuple[Step, ...]:
        try:
            return spell(node)
        except CannotSay as e:
            raise unsupported("torch", node, str(e)) from None

    # Classes

    def _class(self, definition: Definition) -> dict[str, str]:
        scope = definition.scope
        body = self._body(scope, definition.items, tuple(p.name for p in definition.parameters))
        self.bodies[id(definition)] = body
        parameters = "".join(f", {p.name}: {p.type}" for p in definition.parameters)
        return {
            "name": self.classes[id(definition)],
            "doc": f"Block `{scope.name}`." if scope.kind == "block" else f"A turn of {self._place(scope.site)}.",
            "init_head": fit(f"def __init__(self{parameters}) -> None:", 1),
            "constructor": body.constructor,
            "head": body.head,
            "forward": body.forward,
        }

    def _body(self, scope: Scope, items: Sequence[Resolved], parameters: Sequence[str]) -> _Body:
        held = _held(items, parameters)
        items = [_holding(item, held) for item in items]
        attributes = Names({*_MODULE_NAMES, *parameters, *held.values()})
        members = tuple(self._attribute(item, attributes) for item in items)
        constructor = [fit(f"self.{attribute} = {parameter}", 2) for parameter, attribute in held.items()]
        constructor += [
            line
            for item, member in zip(items, members, strict=True)
            if member is not None
            for line in self._construct(item, member)
        ]
        names = Names(self.reserved - {"x", "y", "z"} | {*self.classes.values()})
        words = aliases(self.graph) if scope.kind == "net" else {}
        if scope.kind == "net":
            given = {v: names.new(v.name) for v in scope.inputs}
        else:
            given = {v: "x" if i == 0 else names.new("other") for i, v in enumerate(scope.inputs)}
        values = flow(scope, items, given, words, names)
        forward = [
            line
            for item, member in zip(items, members, strict=True)
            for line in self._statements(item, member, values, names)
        ]
        outputs = [o.value for o in self.graph.outputs] if scope.kind == "net" else scope.outputs
        forward.append(fit(f"return {', '.join(values[v] for v in outputs)}", 2))
        result = "Tensor" if len(outputs) == 1 else f"tuple[{', '.join(['Tensor'] * len(outputs))}]"
        taken = "".join(f", {given[v]}: Tensor" for v in scope.inputs)
        head = fit(f"def forward(self{taken}) -> {result}:", 1)
        return _Body("\n".join(constructor), "\n".join(forward), head, members)

    def _attribute(self, item: Resolved, attributes: Names) -> str | None:
        if isinstance(item, LoopItem):
            inner = _inner(item.definition)
            stem = inner.scope.name if inner else _snake(self.classes[id(item.definition)])
            return attributes.new(f"{stem}s")
        if isinstance(item, UseItem):
            return attributes.new(item.name) if item.name else attributes.numbered(item.scope.name)
        if any(step.layer for step in item.steps):
            return attributes.new(item.name) if item.name else attributes.numbered(item.node.layer.name)
        return None

    def _construct(self, item: Resolved, member: str) -> Iterator[str]:
        if isinstance(item, LayerItem):
            step = next(step for step in item.steps if step.layer)
            yield fit(f"self.{member} = {macro('torch', 'layers', step.macro)(step.fields)}", 2)
            yield from self._frozen(item.node, member)
        elif isinstance(item, UseItem):
            yield fit(f"self.{member} = {self._made(item.definition, item.arguments)}", 2)
        else:
            made = [self._turn(item, row) for row in item.rows]
            container = "nn.Sequential" if len(item.inputs) == 1 else "nn.ModuleList"
            if len(set(made)) == 1:
                listed = f"{made[0]} for _ in range({len(made)})"
                listed = f"*({listed})" if container == "nn.Sequential" else listed
            else:
                listed = ", ".join(made)
                listed = listed if container == "nn.Sequential" else f"[{listed}]"
            yield fit(f"self.{member} = {container}({listed})", 2)

    def _turn(self, item: LoopItem, row: Sequence[Any]) -> str:
        """The module of one turn; a turn that is one block alone is that block."""
        if (inner := _inner(item.definition)) is None:
            return self._made(item.definition, row)
        (use,) = item.definition.items
        assert isinstance(use, UseItem)
        here = {p.name: value for p, value in zip(item.definition.parameters, row, strict=True)}
        return self._made(inner, [here[a] if isinstance(a, Code) else a for a in use.arguments])

    def _made(self, definition: Definition, arguments: Sequence[Any]) -> str:
        return f"{self.classes[id(definition)]}({', '.join(map(literal, arguments))})"

    def _frozen(self, node: Node, member: str) -> Iterator[str]:
        """Parameters that are not trained: all of a frozen layer, and the half of an affine pair that is not there."""
        if not node.trainable and node.weights:
            yield fit(f"self.{member}.requires_grad_(False)", 2)
            return
        names = {w.name for w in node.weights}
        if len(names & {"gamma", "beta"}) == 1 and not ("gamma" in names and node.layer.name == "layer_normalization"):
            missing, of = ("weight", "scale") if "beta" in names else ("bias", "center")
            yield fit(f"self.{member}.{missing}.requires_grad_(False)", 2, f"{of}=false")

    # Forward

    def _statements(self, item: Resolved, member: str | None, values: Flow, names: Names) -> Iterator[str]:
        results = ", ".join(values[v] for v in item.outputs)
        taken = [values[v] for v in item.inputs]
        if isinstance(item, LayerItem):
            yield from self._layer(item, member, results, taken)
        elif isinstance(item, UseItem):
            yield fit(f"{results} = self.{member}({', '.join(taken)})", 2, self._place(item.scope.site))
        elif len(taken) == 1:
            yield fit(f"{results} = self.{member}({taken[0]})", 2, self._place(item.loop.site))
        else:
            if taken[0] != values.chain:
                yield fit(f"{values.chain} = {taken[0]}", 2)
            turn = names.new("turn")
            yield fit(f"for {turn} in self.{member}:", 2, self._place(item.loop.site))
            yield fit(f"{values.chain} = {turn}({', '.join([values.chain, *taken[1:]])})", 3)
            if results != values.chain:
                yield fit(f"{results} = {values.chain}", 2)

    def _layer(self, item: LayerItem, member: str | None, result: str, taken: list[str]) -> Iterator[str]:
        """One statement where it fits a line, else one a step."""
        comment = self._place(item.node.span)
        if not item.steps:
            yield fit(f"{result} = {taken[0]}", 2, comment)
            return
        nested = taken[0]
        for i, step in enumerate(item.steps):
            nested = self._expression(item, step, member, nested, taken if i == 0 else [nested])
        if len(item.steps) == 1 or (len(line := fit(f"{result} = {nested}", 2, comment)) <= WIDTH and "\n" not in line):
            yield fit(f"{result} = {nested}", 2, comment)
            return
        current = taken[0]
        for i, step in enumerate(item.steps):
            text = self._expression(item, step, member, current, taken if i == 0 else [current])
            yield fit(f"{result} = {text}", 2, comment)
            current = result

    def _expression(self, item: LayerItem, step: Step, member: str | None, x: str, taken: Sequence[str]) -> str:
        if step.layer:
            return f"self.{member}({', '.join(taken)})"
        row = macro("torch", "layers", step.macro)
        if "indices" in step.fields:
            operands = [Code(name + index) for name, index in zip(taken, step.fields["indices"], strict=True)]
            return str(row(step.fields, [*operands, *(Code(literal(c)) for c in step.fields["constants"])]))
        if len(taken) > 1:
            return str(row(step.fields, list(map(Code, taken))))
        return str(row(step.fields, Code(x)))

    def _place(self, span: Span) -> str:
        return place(span, self.graph.span.source.name)

    # Weights

    def _rows(self, scope: Scope, items: Sequence[Resolved], body: _Body, prefix: str) -> Iterator[tuple[Node, str]]:
        """Every node with weights in a scope, with the path of its module."""
        for item, actual, member in zip(items, self.resolver.items(scope), body.attributes, strict=True):
            path = f"{prefix}{member}"
            if isinstance(item, LayerItem):
                assert isinstance(actual, Node)
                if actual.weights:
                    yield actual, path
            elif isinstance(item, UseItem):
                assert isinstance(actual, Scope)
                yield from self._inside(item.definition, actual, f"{path}.")
            else:
                assert not isinstance(actual, (Node, Scope))
                for number, turn in enumerate(actual.turns):
                    yield from self._inside(item.definition, turn, f"{path}.{number}.")

    def _inside(self, definition: Definition, scope: Scope, prefix: str) -> Iterator[tuple[Node, str]]:
        if (inner := _inner(definition)) is not None:
            (only,) = self.resolver.items(scope)
            assert isinstance(only, Scope)
            return self._rows(only, inner.items, self.bodies[id(inner)], prefix)
        return self._rows(scope, definition.items, self.bodies[id(definition)], prefix)

    def _row(self, node: Node, path: str) -> str:
        """The lines of WEIGHTS for a node."""
        lines = []
        for weight, entry, axes in entries(node):
            initial = {"zeros": "torch.zeros", "ones": "torch.ones"}.get(weight.initializer, weight.initializer)
            row = (f"{path}.{entry}", weight.shape, axes, Code(initial))
            lines.append(fit(f"{literal(f'{node.path}.{weight.name}')}: {literal(row)},", 1))
        return "\n".join(lines)


def _held(items: Sequence[Resolved], parameters: Sequence[str]) -> dict[str, str]:
    """The parameters that `forward` reads, with the attribute that each is held in from the constructor on."""
    said = [step.fields for item in items if isinstance(item, LayerItem) for step in item.steps if not step.layer]
    read = [name for name in parameters if any(reworded(fields, {name: ""}) != fields for fields in said)]
    attributes = Names(_MODULE_NAMES)
    return {name: attributes.new(name) for name in read}


def _holding(item: Resolved, held: Mapping[str, str]) -> Resolved:
    """The item with what it reads in `forward` read from the module itself."""
    if not isinstance(item, LayerItem):
        return item
    words = {parameter: f"self.{attribute}" for parameter, attribute in held.items()}
    steps = (step if step.layer else replace(step, fields=reworded(step.fields, words)) for step in item.steps)
    return replace(item, steps=tuple(steps))


def _inner(definition: Definition) -> Definition | None:
    """The block that a turn consists of, where it is one block and nothing else."""
    if definition.scope.kind != "turn" or len(definition.items) != 1:
        return None
    (item,) = definition.items
    alone = isinstance(item, UseItem) and item.inputs == definition.scope.inputs
    return item.definition if isinstance(item, UseItem) and alone else None


def _class_name(definition: Definition) -> str:
    if definition.scope.kind == "block":
        return camel(definition.scope.name)
    kinds = [item.node.layer.name if isinstance(item, LayerItem) else "block" for item in definition.items]
    return camel("_".join([*kinds, "turn"])) if len(kinds) <= 3 else "Turn"


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _first(shape: Shape) -> str:
    """A shape as this target lays it out."""
    return show((shape[-1], *shape[:-1]) if len(shape) > 1 else shape)
