"""Which tensor of a file is which weight of a graph, always by shape: by names where these are upc's own, by what the
file says of its network, else in the file's order as far as that is evidence (`evidence` says when it is)."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from upc import limits
from upc.convert.compare import compare
from upc.convert.description import of_graph
from upc.convert.evidence import Group, Matched, of_one_shape, undecided
from upc.convert.foreign import Foreign, ForeignLayer, Tensor
from upc.convert.layouts import accepts, entry_name, torch_shape
from upc.diagnostics import EXIT_USAGE, Diagnostic, UpcError, error, nearest
from upc.emit import torch as torch_source
from upc.ir import Graph, Node, Weight
from upc.shape import show
from upc.weights import printable

_NEUTRAL = {"weight": 1.0, "gamma": 1.0, "bias": 0.0, "beta": 0.0}
"""Values that change nothing: what PyTorch keeps where a layer has no scale or no offset."""

_PARTS = {"weight_g", "weight_v", "original0", "original1"}

_KINDS = {
    "instance_normalization": "group_normalization",
    "prelu": "p_re_lu",
}
"""upc's kinds that Keras's files call otherwise."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A weight and the tensor that it is read from."""

    key: str
    node: Node
    weight: Weight
    tensor: Tensor


@dataclass(frozen=True, slots=True)
class Match:
    """All pairs, in the graph's order. `how` says by what they were found; `unused` names what was left."""

    pairs: tuple[Pair, ...]
    how: str
    unused: tuple[str, ...] = ()


def match(graph: Graph, foreign: Foreign, mapping: Mapping[str, str] | None = None, in_order: bool = False) -> Match:
    """Pair every weight of a graph with a tensor of a file.

    `mapping` names tensors for weights, or layers for layers. Without it, names are taken where the file has exactly
    those of the graph or of the module that upc emits; then the connections that the file describes; else layers
    pair up in order. Where shapes leave that order open, it is taken if something beside it speaks for it
    (`evidence`), or if `in_order` says that it is the one in which the layers run.

    Errors: UpcError that names the first layer that does not fit, or lists what cannot be told apart.
    """
    if mapping:
        return _mapped(graph, foreign, mapping, in_order)
    if (foreign.own or foreign.convention == "torch") and (named := _named(graph, foreign)) is not None:
        return named
    nodes = _weighty(graph.nodes)
    if (connected := _connected(graph, foreign)) is not None:
        pairs = [pair for node in nodes for pair in _fit(node, connected[node.path], foreign)]
        return Match(tuple(pairs), "by the connections that it describes")
    if foreign.convention == "keras" and (named := _named(graph, foreign)) is not None:
        # Keras counts layers as they are made, which gives the names that upc gives to layers as they are written.
        _sure(graph, _matched(named.pairs, foreign, counted_only=True), foreign, in_order)
        return named
    pairs, how = _in_order(graph, nodes, foreign, in_order)
    return Match(tuple(pairs), how)


def _connected(graph: Graph, foreign: Foreign) -> dict[str, ForeignLayer] | None:
    """The layer of each node, by its path, where a file describes a network that is connected as the graph is."""
    if foreign.description is None:
        return None
    net = of_graph(graph)
    found = compare(net, foreign.description, foreign.file)
    if not found.complete or len(found.pairs) != len(foreign.layers):
        return None
    layers = {layer.place: layer for layer in foreign.layers}
    its = foreign.description.operations
    return {net.operations[a].weights or "": layers[its[b].weights or ""] for a, b in found.pairs.items()}


def _weighty(nodes: Iterable[Node]) -> list[Node]:
    return [node for node in nodes if node.weights]


# By name


def _named(graph: Graph, foreign: Foreign) -> Match | None:
    """The match where a file's names are upc's own, those of an emitted module or of an emitted model."""
    tensors = {tensor.name: tensor for tensor in foreign.tensors()}
    if foreign.convention == "keras":
        layers = {layer.name.replace("-", "."): layer for layer in foreign.layers}
        nodes = _weighty(graph.nodes)
        if len(layers) != len(foreign.layers) or set(layers) != {node.path for node in nodes}:
            return None
        pairs = [pair for node in nodes for pair in _fit(node, layers[node.path], foreign)]
        return Match(tuple(pairs), "by the layers' names")
    entries = state_entries(graph)
    if not entries or not set(entries.values()) <= set(tensors):
        return None
    pairs = []
    for node in _weighty(graph.nodes):
        for weight in node.weights:
            key = f"{node.path}.{weight.name}"
            tensor = tensors.pop(entries[key])
            if not accepts(node, weight, tensor.shape):
                raise _misfit(node, weight, tensor, foreign)
            pairs.append(Pair(key, node, weight, tensor))
    for tensor in tensors.values():
        if not _is_neutral(tensor):
            raise _left_over(tensor.name, foreign)
    return Match(tuple(pairs), "by the emitted module's names")


def state_entries(graph: Graph) -> dict[str, str]:
    """For each weight its entry in the state dict of the PyTorch module that upc emits; empty where there is none.

    The module's own table says it, so that what is read here is what is run there.
    """
    try:
        text = torch_source.emit(graph, source_name="", source_sha256="", version="")
    except UpcError:
        return {}
    table = next(
        node.value
        for node in ast.parse(text).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "WEIGHTS"
    )
    assert isinstance(table, ast.Dict)
    rows = zip(table.keys, table.values, strict=True)
    return {ast.literal_eval(k): ast.literal_eval(v.elts[0]) for k, v in rows if k and isinstance(v, ast.Tuple)}


# By --map


def _mapped(graph: Graph, foreign: Foreign, mapping: Mapping[str, str], in_order: bool) -> Match:
    nodes = {node.path: node for node in _weighty(graph.nodes)}
    layers = {layer.name: layer for layer in foreign.layers}
    tensors = {tensor.name: (layer, tensor) for layer in foreign.layers for tensor in layer.tensors}
    weights = {f"{node.path}.{w.name}": (node, w) for node in nodes.values() for w in node.weights}
    found: dict[str, Pair] = {}
    used: set[str] = set()
    for target, source in mapping.items():
        if target in nodes:
            if source not in layers:
                raise _unknown(f"{foreign.file} has no layer", source, layers)
            pairs = _fit(nodes[target], layers[source], foreign)
            used.add(source)
        elif target in weights:
            if source not in tensors:
                raise _unknown(f"{foreign.file} has no tensor", source, tensors)
            node, weight = weights[target]
            layer, tensor = tensors[source]
            if not _accepts(node, weight, tensor, foreign):
                raise _misfit(node, weight, tensor, foreign)
            pairs = [Pair(target, node, weight, tensor)]
            used.add(layer.name)
        else:
            raise _unknown(f"{graph.name} has no weight or layer", target, [*nodes, *weights])
        for pair in pairs:
            if pair.key in found:
                raise error("E0632", f"--map gives {pair.key} twice", exit_code=EXIT_USAGE)
            found[pair.key] = pair
    rest = []
    for node in nodes.values():
        lacking = [w.name for w in node.weights if f"{node.path}.{w.name}" not in found]
        if len(lacking) == len(node.weights):
            rest.append(node)
        elif lacking:
            message = f"--map leaves out {node.path}.{lacking[0]}"
            raise error("E0632", message, hint="map the layer's every weight, or the layer", exit_code=EXIT_USAGE)
    left = tuple(layer for layer in foreign.layers if layer.name not in used)
    if not rest:
        pairs = [found[key] for key in weights]
        return Match(tuple(pairs), "by --map", tuple(layer.name for layer in left))
    pairs, how = _in_order(graph, rest, replace(foreign, layers=left), in_order)
    found.update({pair.key: pair for pair in pairs})
    return Match(tuple(found[key] for key in weights), f"by --map, the others {how}")


def _unknown(what: str, name: str, known: Iterable[str]) -> UpcError:
    known = list(known)
    near = nearest(name, known[:2000])
    listed = ", ".join(map(printable, known[:8])) + (", ..." if len(known) > 8 else "")
    hint = f"did you mean {printable(near)}?" if near else f"there is {listed}" if known else None
    return error("E0632", f"{what} `{printable(name)}`", hint=hint, exit_code=EXIT_USAGE)


# In order


def _in_order(graph: Graph, nodes: Sequence[Node], foreign: Foreign, in_order: bool) -> tuple[list[Pair], str]:
    if foreign.order == "kind" and not _known_kinds(nodes, foreign):
        foreign = replace(foreign, order="name")  # classes of the user's own, whose attributes are all there is
    layers = list(_by_kind(nodes, foreign) if foreign.order == "kind" else foreign.layers)
    pairs: list[Pair] = []
    for node, layer in zip(nodes, layers, strict=False):
        pairs += _fit(node, layer, foreign)
    if len(nodes) > len(layers):
        node = nodes[len(layers)]
        message = f"{foreign.file} has {_count(layers)}, none for {node.path}"
        raise UpcError(Diagnostic("E0631", message, node.span))
    for layer in layers[len(nodes) :]:
        if not all(_is_neutral(tensor) for tensor in layer.tensors):
            raise _left_over(layer.name, foreign)
    matched = _matched(pairs, foreign)
    _sure(graph, matched, foreign, in_order)
    if in_order:
        return pairs, "in order, as told"
    counted = foreign.order in ("registered", "name") and of_one_shape(matched)
    return pairs, "in order; the numbers in their names tell layers of one shape apart" if counted else "in order"


def _matched(pairs: Iterable[Pair], foreign: Foreign, counted_only: bool = False) -> list[Matched]:
    """The nodes of pairs with their layers; with `counted_only` those alone whose name is their kind and a number."""
    owners = {tensor.name: layer for layer in foreign.layers for tensor in layer.tensors}
    groups: dict[str, list[Pair]] = {}
    for pair in pairs:
        groups.setdefault(pair.node.path, []).append(pair)
    found = []
    for path, group in groups.items():
        stem, _, number = path.rpartition("_")
        node = group[0].node
        if not counted_only or path == node.layer.name or (stem == node.layer.name and number.isdigit()):
            found.append(Matched(node, owners[group[0].tensor.name], tuple(pair.tensor for pair in group)))
    return found


def _sure(graph: Graph, matched: Sequence[Matched], foreign: Foreign, in_order: bool) -> None:
    """Raise UpcError that lists the layers of one shape that nothing tells apart, unless their order is vouched for."""
    unclear = [] if in_order else undecided(graph, of_one_shape(matched), foreign)
    if unclear:
        raise UpcError([_unclear(group, foreign) for group in unclear[: limits.DIAGNOSTICS]], EXIT_USAGE)


_ORDERS = {
    "run": "Keras lists layers that stand side by side in an order of its own",
    "kind": "Keras lists layers that stand side by side in an order of its own",
    "registered": "the order in which a module's parts were made need not be the one in which they run",
    "name": "the file lists them by name, which says nothing of the order in which they run",
}
MAX_CANDIDATES = 20


def _unclear(group: Group, foreign: Foreign) -> Diagnostic:
    """What cannot be told apart, the candidates of both sides, and what would settle it."""
    names = [printable(one.layer.name) for one in group]
    shapes = ", ".join(show(tensor.shape) for tensor in group[0].tensors)
    listed = ", ".join(f"`{name}`" for name in names[:MAX_CANDIDATES])
    listed += f" and {len(names) - MAX_CANDIDATES} more" if len(names) > MAX_CANDIDATES else ""
    message = (
        f"{foreign.file}: which layer is which cannot be told of {listed}, all of {shapes}; {_ORDERS[foreign.order]}"
    )
    first = group[0]
    notes = [
        (one.node.span, f"{one.node.path}, which would be `{name}` as they stand in the file")
        for one, name in zip(group[1:MAX_CANDIDATES], names[1:], strict=False)
    ]
    hint = f"--map {first.node.path}={names[0]}, and so on, says which; --in-order takes them as they stand"
    own = (first.node.span, f"{first.node.path}, which would be `{names[0]}` as they stand in the file")
    return Diagnostic("E0634", message, first.node.span, hint, (own, *notes))


def _known_kinds(nodes: Sequence[Node], foreign: Foreign) -> bool:
    """Whether all kinds that a file's layers have are kinds of the nodes."""
    return {layer.kind or "" for layer in foreign.layers} <= {_kind(node) for node in nodes}


def _kind(node: Node) -> str:
    return _KINDS.get(node.layer.name, node.layer.name)


def _by_kind(nodes: Sequence[Node], foreign: Foreign) -> list[ForeignLayer]:
    """Layers in the nodes' order, where a file keeps order among equal kinds alone."""
    queues: dict[str, list[ForeignLayer]] = {}
    for layer in foreign.layers:
        queues.setdefault(layer.kind or "", []).append(layer)
    ordered = []
    for node in nodes:
        kind = _kind(node)
        if not queues.get(kind):
            has = sum(layer.kind == kind for layer in foreign.layers)
            message = f"{foreign.file} has {has} of kind {kind}, none for {node.path}"
            raise UpcError(Diagnostic("E0631", message, node.span))
        ordered.append(queues[kind].pop(0))
    return [*ordered, *(layer for queue in queues.values() for layer in queue)]


def _fit(node: Node, layer: ForeignLayer, foreign: Foreign) -> list[Pair]:
    """A node's weights in a layer's tensors, by their names within it, else by their order."""
    names = [entry_name(node, w) for w in node.weights] if foreign.convention == "torch" else []
    own = {tensor.own: tensor for tensor in layer.tensors}
    if names and set(names) <= set(own):
        chosen = [own[name] for name in names]
        extra = [tensor for tensor in layer.tensors if tensor.own not in names and not _is_neutral(tensor)]
    else:
        chosen, extra = list(layer.tensors[: len(node.weights)]), list(layer.tensors[len(node.weights) :])
    for weight, tensor in zip(node.weights, chosen, strict=False):
        if not _accepts(node, weight, tensor, foreign):
            raise _misfit(node, weight, tensor, foreign)
    if len(chosen) < len(node.weights):
        lacking = node.weights[len(chosen)].name
        hint = "use_bias=false leaves it out" if lacking == "bias" else None
        raise _refuse(node, f"{foreign.file}: `{printable(layer.name)}` has no {lacking} for {node.path}", hint)
    if extra:
        message = f"{foreign.file}: `{printable(extra[0].name)}` {show(extra[0].shape)} has no place in {node.path}"
        hint = "parts of a weight under weight norm, of which one is missing" if extra[0].own in _PARTS else None
        raise _refuse(node, message, hint)
    return [Pair(f"{node.path}.{w.name}", node, w, t) for w, t in zip(node.weights, chosen, strict=True)]


def _accepts(node: Node, weight: Weight, tensor: Tensor, foreign: Foreign) -> bool:
    return accepts(node, weight, tensor.shape) if foreign.convention == "torch" else tensor.shape == weight.shape


def _is_neutral(tensor: Tensor) -> bool:
    """Whether a tensor changes nothing: a scale of ones, an offset of zeros."""
    value = _NEUTRAL.get(tensor.own)
    if value is None or len(tensor.shape) != 1 or tensor.shape[0] >= 2**20:
        return False
    return bool(np.all(tensor.read() == value))


def _count(layers: Sequence[object]) -> str:
    return f"{len(layers)} layer{'' if len(layers) == 1 else 's'} with weights"


def _left_over(name: str, foreign: Foreign) -> UpcError:
    message = f"{foreign.file} has more than the net: `{printable(name)}` has no place"
    return error("E0631", message, hint="--map takes a part of a file")


def _misfit(node: Node, weight: Weight, tensor: Tensor, foreign: Foreign) -> UpcError:
    wanted = torch_shape(node, weight) if foreign.convention == "torch" else weight.shape
    message = (
        f"{foreign.file}: `{printable(tensor.name)}` {show(tensor.shape)} does not fit {node.path}.{weight.name}: "
        f"expected {show(wanted)}"
    )
    return _refuse(node, message, "--map pairs layers that stand in another order")


def _refuse(node: Node, message: str, hint: str | None) -> UpcError:
    return UpcError(Diagnostic("E0631", message, node.span, hint))
