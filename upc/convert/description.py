"""Two descriptions of one network made comparable: operations, one at a time, each with the card that says what it is.

Activations that stand in a layer's arguments become operations of their own, what does nothing at inference is left
out, and zeros or cuts at the edges of a convolution's picture become part of it, however they are written.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

from upc.ir import Graph, Layer, Node
from upc.layers import (
    ACTIVATIONS,
    Add,
    Average,
    AveragePooling,
    Conv,
    ConvTranspose,
    Cropping,
    Dense,
    DepthwiseConv,
    Dropout,
    Flatten,
    GroupNormalization,
    InstanceNormalization,
    LeakyRelu,
    Multiply,
    Relu,
    Rescaling,
    Reshape,
    Split,
    Subtract,
    ZeroPadding,
)
from upc.layers.activations import Activation
from upc.layers.merge import Merge

Pairs = tuple[tuple[int, int], ...]
NONE: Pairs = ((0, 0), (0, 0))

_OWN_TRANSPOSE = "transposed_convolution2d"
"""upc's own layer for what Keras's transposed convolution cannot do."""

_WITH_ACTIVATION = (Dense, Conv, DepthwiseConv, ConvTranspose)


@dataclass(slots=True)
class Operation:
    """One step: `name` for people, `layer` its card (None where upc has none), `inputs` the operations before it.

    `known` are the card's attributes that the description gives, None for all; `strange` what it says beyond them.
    `weights` is the key by which its weights are found, `shapes` theirs; `edges` the zeros or cuts at the edges of a
    picture that were written apart from it.
    """

    name: str
    kind: str
    layer: Layer | None
    inputs: tuple[int, ...]
    weights: str | None = None
    shapes: tuple[tuple[int, ...], ...] = ()
    node: Node | None = None
    known: frozenset[str] | None = None
    strange: dict[str, Any] = field(default_factory=dict)
    edges: Pairs = NONE


@dataclass(frozen=True, slots=True)
class Description:
    """Operations, each after those that it takes, and which of them are the results."""

    operations: list[Operation]
    outputs: tuple[int, ...]


def of_graph(graph: Graph) -> Description:
    """A graph's description; weights are known by their node's path."""
    operations: list[Operation] = []
    at: dict[str, int] = {}
    for value in graph.inputs:
        at[value.name] = len(operations)
        operations.append(Operation(value.name, "input", None, ()))
    for node in graph.nodes:
        start = len(operations)
        before = tuple(at[value.name] for value in node.inputs)
        key, shapes = node.path if node.weights else None, tuple(weight.shape for weight in node.weights)
        own = Operation(node.path, node.layer.name, node.layer, before, key, shapes, node)
        operations += with_constants(own, start) if isinstance(node.layer, Merge) else with_activation(own, start)
        at[node.outputs[0].name] = len(operations) - 1
        for number, value in enumerate(node.outputs[1:], start=1):
            at[value.name] = len(operations)
            operations.append(Operation(f"{node.path}:{number}", f"split, part {number}", None, (start,), node=node))
    return normalized(Description(operations, tuple(at[output.value.name] for output in graph.outputs)))


def with_activation(operation: Operation, place: int) -> list[Operation]:
    """An operation that will stand at a place, and the activation among its arguments as one that follows it."""
    layer = operation.layer
    if not isinstance(layer, _WITH_ACTIVATION) or layer.activation is None:
        return [operation]
    after = ACTIVATIONS[layer.activation]
    plain = replace(operation, layer=replace(layer, activation=None))
    return [plain, Operation(operation.name, after.name, after, (place,), node=operation.node)]


def with_constants(operation: Operation, place: int) -> list[Operation]:
    """A join of values and, apart from it, what its constants do."""
    layer = operation.layer
    if not isinstance(layer, Merge) or not layer.constants:
        return [operation]
    values, joins = len(operation.inputs), len(operation.inputs) > 1
    does = _scaled(layer, values)
    kind = does.name if does else f"{layer.name} with constants"
    after = Operation(operation.name, kind, does, (place,) if joins else operation.inputs, node=operation.node)
    return [replace(operation, layer=replace(layer, constants=())), after] if joins else [after]


def _scaled(layer: Merge, values: int) -> Rescaling | None:
    """What joining with constants comes to beyond joining the values; None for a bound, which has no card."""
    constants = layer.constants
    if isinstance(layer, Multiply):
        return Rescaling(scale=math.prod(constants))
    if isinstance(layer, Average):
        total = values + len(constants)
        return Rescaling(scale=values / total, offset=sum(constants) / total)
    if isinstance(layer, (Add, Subtract)):
        return Rescaling(scale=1.0, offset=sum(constants) if isinstance(layer, Add) else -sum(constants))
    return None


def normalized(found: Description) -> Description:
    """The same network in the form in which two are compared."""
    operations = found.operations
    stands_for = list(range(len(operations)))
    uses = Counter(found.outputs)
    for operation in operations:
        uses.update(operation.inputs)
    for place, operation in enumerate(operations):
        operation.inputs = tuple(stands_for[i] for i in operation.inputs)
        layer = operation.layer
        if isinstance(layer, Dropout) or (operation.kind == "identity" and len(operation.inputs) == 1):
            stands_for[place] = operation.inputs[0]
        elif isinstance(layer, LeakyRelu):
            operation.layer, operation.kind = Relu(negative_slope=layer.negative_slope), "relu"
        elif isinstance(layer, InstanceNormalization) and operation.node is not None:
            channels = operation.node.input_shapes[0][-1]
            assert isinstance(channels, int)  # or the card would have refused it
            same = {name: getattr(layer, name) for name in ("epsilon", "center", "scale")}
            operation.layer = GroupNormalization(groups=channels, **same)
            operation.kind = "group_normalization"
        elif isinstance(layer, Flatten):
            operation.layer, operation.kind = Reshape(target=(-1,)), "reshape"
        elif isinstance(layer, Split):
            operation.layer = None  # frameworks write it in too many ways to compare
        elif isinstance(layer, (Conv, DepthwiseConv, AveragePooling)) and layer.padding != "same":
            before = operations[operation.inputs[0]]
            while isinstance(before.layer, ZeroPadding):
                operation.edges, operation.inputs = _wider(operation.edges, before.layer.padding), before.inputs
                before = operations[operation.inputs[0]]
            if before.kind == "same_padding2d":  # upc's own layer, for free sizes
                operation.layer, operation.inputs = replace(layer, padding="same"), before.inputs
        elif operation.kind == "subsampling2d":  # upc's own, behind a dilated convolution
            source = _behind_activations(operations, uses, operation.inputs[0])
            before = operations[source]
            if isinstance(before.layer, (Conv, DepthwiseConv)) and uses[source] == 1:
                before.layer = replace(before.layer, strides=operation.strange["strides"])
                stands_for[place] = operation.inputs[0]
        elif isinstance(layer, Cropping):
            source = _behind_activations(operations, uses, operation.inputs[0])
            cut = operations[source]
            if (isinstance(cut.layer, ConvTranspose) or cut.kind == _OWN_TRANSPOSE) and uses[source] == 1:
                cut.edges = _wider(cut.edges, layer.cropping)
                stands_for[place] = operation.inputs[0]
    return Description(operations, tuple(stands_for[i] for i in found.outputs))


def _behind_activations(operations: list[Operation], uses: Counter[int], place: int) -> int:
    """What stands before activations of a single use: these may as well come after pixels are left out."""
    while isinstance(operations[place].layer, Activation) and not operations[place].weights and uses[place] == 1:
        place = operations[place].inputs[0]
    return place


def _wider(one: Pairs, other: Pairs) -> Pairs:
    return tuple((a + c, b + d) for (a, b), (c, d) in zip(one, other, strict=True))
