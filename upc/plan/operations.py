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
from upc.plan.steps import BatchNorm, Operation

_UNARY: dict[type[Layer], Callable[[Any], tuple[Operation, ...]]] = {
    Relu: lambda a: (("relu", a.max_value, a.negative_slope),),
    LeakyRelu: lambda a: (("leaky_relu", a.negative_slope),),
    Elu: lambda a: (("elu", a.alpha),),
    Selu: lambda a: (("selu",),),
    Gelu: lambda a: (("gelu_tanh",),) if a.approximate else (("gelu",),),
    Silu: lambda a: (("silu",),),
    Softplus: lambda a: (("softplus",),),
    Tanh: lambda a: (("tanh",),),
    Sigmoid: lambda a: (("sigmoid",),),
    HardSigmoid: lambda a: (("hard_sigmoid",),),
    HardSwish: lambda a: (("hard_swish",),),
    Clip: lambda a: (("clip", float(a.min_value), float(a.max_value)),),
    Rescaling: lambda a: (("affine", float(a.scale), float(a.offset)),),
    Dropout: lambda a: (),
}

_MERGE: dict[type[Merge], tuple[str, Callable[[float], Operation]]] = {
    Add: ("add", lambda c: ("plus", c)),
    Average: ("add", lambda c: ("plus", c)),
    Subtract: ("subtract", lambda c: ("plus", -c)),
    Multiply: ("multiply", lambda c: ("times", c)),
    Maximum: ("maximum", lambda c: ("at_least", c)),
    Minimum: ("minimum", lambda c: ("at_most", c)),
}


def merge_operation(layer: Layer, reversed_order: bool = False) -> str | None:
    """The operation that joins two values, with the current one second if `reversed_order`."""
    if not isinstance(layer, Merge):
        return None
    name = _MERGE[type(layer)][0]
    return "subtract_from" if name == "subtract" and reversed_order else name


def constant_operations(layer: Merge, inputs: int) -> tuple[Operation, ...]:
    """What a merge layer does with its numbers, after its values are joined."""
    constant = _MERGE[type(layer)][1]
    made = tuple(constant(float(number)) for number in layer.constants)
    if isinstance(layer, Average):
        made += (("times", 1.0 / (inputs + len(layer.constants))),)
    return made


def unary_operations(node: Node) -> tuple[Operation, ...] | None:
    """What a node does to every value of its one input, or None if that is not all it does."""
    layer = node.layer
    if type(layer) in _UNARY:
        return _UNARY[type(layer)](layer)
    if isinstance(layer, BatchNormalization):
        return (BatchNorm(node.path, layer.epsilon),)
    if isinstance(layer, PRelu):
        (alpha,) = node.weights
        shape = (1,) * (3 - len(alpha.shape)) + alpha.shape
        return (("channel_prelu", f"{node.path}.{alpha.name}", shape),)
    return None


def activation_operations(name: str | None) -> tuple[Operation, ...] | None:
    """The operations of an `activation=`; None where it is not one of single values (softmax)."""
    if name is None:
        return ()
    layer = ACTIVATIONS[name]
    return _UNARY[type(layer)](layer) if type(layer) in _UNARY else None
