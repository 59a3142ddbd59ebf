"""Layers that work on every value by itself, as operations of an epilogue."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from upc.ir import Layer, Node
from upc.layers.activations import (
    ACTIVATIONS,
    Clip,
    Elu,
    Gelu,
    HardSigmoid,
    HardSwish,
    LeakyRelu,
    PRelu,
    Relu,
    Selu,
    Sigmoid,
    Silu,
    Softplus,
    Tanh,
)
from upc.layers.merge import Add, Average, Maximum, Merge, Minimum, Multiply, Subtract
from upc.layers.normalization import BatchNormalization
from upc.layers.pointwise import Dropout, Rescaling
from upc.runtime.steps import Apply, BatchNorm, CombineName, Operation, PixelPRelu

_UNARY: dict[type[Layer], Callable[[Any], tuple[Operation, ...]]] = {
    Relu: lambda a: (Apply("relu", (a.max_value, a.negative_slope)),),
    LeakyRelu: lambda a: (Apply("leaky_relu", (a.negative_slope,)),),
    Elu: lambda a: (Apply("elu", (a.alpha,)),),
    Selu: lambda a: (Apply("selu"),),
    Gelu: lambda a: (Apply("gelu_tanh" if a.approximate else "gelu"),),
    Silu: lambda a: (Apply("silu"),),
    Softplus: lambda a: (Apply("softplus"),),
    Tanh: lambda a: (Apply("tanh"),),
    Sigmoid: lambda a: (Apply("sigmoid"),),
    HardSigmoid: lambda a: (Apply("hard_sigmoid"),),
    HardSwish: lambda a: (Apply("hard_swish"),),
    Clip: lambda a: (Apply("clip", (float(a.min_value), float(a.max_value))),),
    Rescaling: lambda a: (Apply("affine", (float(a.scale), float(a.offset))),),
    Dropout: lambda a: (),
}

_MERGE: dict[type[Merge], tuple[CombineName, Callable[[float], Operation]]] = {
    Add: ("add", lambda c: Apply("plus", (c,))),
    Average: ("add", lambda c: Apply("plus", (c,))),
    Subtract: ("subtract", lambda c: Apply("plus", (-c,))),
    Multiply: ("multiply", lambda c: Apply("times", (c,))),
    Maximum: ("maximum", lambda c: Apply("at_least", (c,))),
    Minimum: ("minimum", lambda c: Apply("at_most", (c,))),
}

POINTWISE: tuple[type[Layer], ...] = (*_UNARY, BatchNormalization, PRelu)
"""The layers that do something to every value by itself."""

MERGES: tuple[type[Layer], ...] = tuple(_MERGE)
"""The layers that join values place by place."""


def merge_function(layer: Merge) -> CombineName:
    """The function that joins two values."""
    return _MERGE[type(layer)][0]


def constant_operations(layer: Merge, inputs: int) -> tuple[Operation, ...]:
    """What a merge layer does with its numbers, after its values are joined."""
    constant = _MERGE[type(layer)][1]
    made = tuple(constant(float(number)) for number in layer.constants)
    if isinstance(layer, Average):
        made += (Apply("times", (1.0 / (inputs + len(layer.constants)),)),)
    return made


def pointwise_operations(node: Node) -> tuple[Operation, ...]:
    """What a node of one of the `POINTWISE` layers does to every value."""
    layer = node.layer
    if isinstance(layer, BatchNormalization):
        return (BatchNorm(node.path, layer.epsilon, layer.scale, layer.center),)
    if isinstance(layer, PRelu):
        (alpha,) = node.weights
        rows, columns, channels = (1,) * (3 - len(alpha.shape)) + alpha.shape
        return (PixelPRelu(f"{node.path}.{alpha.name}", (rows, columns, channels)),)
    return _UNARY[type(layer)](layer)


def activation_operations(name: str | None) -> tuple[Operation, ...] | None:
    """The operations of an `activation=`; None where it is not one of single values (softmax)."""
    if name is None:
        return ()
    layer = ACTIVATIONS[name]
    return _UNARY[type(layer)](layer) if type(layer) in _UNARY else None
