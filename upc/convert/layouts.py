"""From PyTorch's layouts to upc's: the axes of kernels, and the order of what was flattened.

PyTorch flattens a picture channels first, upc channels last. A dense layer behind a `flatten` therefore has its
inputs in another order, one in front of a `reshape` its units, and what stands between counts along.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from upc.emit.torch_entries import entries
from upc.ir import Array, Graph, Layer, Node, Weight
from upc.layers import Concatenate, Dense, Flatten, Permute, PRelu, Reshape, Slice, Split

_REORDERING = (Concatenate, Dense, Flatten, Permute, Reshape, Slice, Split)
"""Layers behind which a vector's elements are not where they were."""

Orders = Mapping[str, tuple[int, ...]]
"""The picture's shape, channels last, that a vector was or will be; by the vector's name."""


def entry_name(node: Node, weight: Weight) -> str:
    """The weight's name in a PyTorch module: `kernel` is weight."""
    return next(name for w, name, _ in entries(node) if w == weight)


def torch_shape(node: Node, weight: Weight) -> tuple[int, ...]:
    """The shape it has there."""
    shape = _permuted(node, weight)
    if weight.name == "kernel" and node.layer.name.startswith("depthwise"):
        return (shape[0] * shape[1], 1, *shape[2:])
    return tuple(n for n in shape if n != 1) or (1,) if isinstance(node.layer, PRelu) else shape


def accepts(node: Node, weight: Weight, found: tuple[int, ...]) -> bool:
    """Whether an array of this shape can be that weight: sizes of 1 that only one of the two writes do not count."""
    wanted = torch_shape(node, weight)
    if found == wanted:
        return True
    if isinstance(node.layer, PRelu):
        return found == (1,) or _squeezed(found) == _squeezed(wanted)
    pointwise = weight.name == "kernel" and all(n == 1 for n in (*wanted[2:], *found[2:]))
    return pointwise and min(len(found), len(wanted)) == 2 and found[:2] == wanted[:2]


def from_torch(node: Node, weight: Weight, array: Array) -> Array:
    """A PyTorch array as the weight that it is."""
    (axes,) = (axes for w, _, axes in entries(node) if w == weight)
    shape = _permuted(node, weight)
    if array.size == 1 and math.prod(shape) != 1:  # one slope for all channels
        array = np.broadcast_to(array.reshape(()), shape)
    return np.ascontiguousarray(array.reshape(shape).transpose(np.argsort(axes)))


def channels_last(node: Node, weight: Weight, array: Array, orders: Orders) -> Array:
    """A weight on vectors that were flattened channels first, as one on vectors flattened channels last."""
    if isinstance(node.layer, Dense):
        if weight.name == "kernel":
            array = array[_order(node.inputs[0].name, orders)]
        return np.ascontiguousarray(array[..., _order(node.outputs[0].name, orders)])
    if len(weight.shape) == 1 and len(node.input_shapes[0]) == 1:
        return np.ascontiguousarray(array[_order(node.inputs[0].name, orders)])
    return array


def flattened(graph: Graph) -> dict[str, tuple[int, ...]]:
    """The vectors of a graph that are pictures in a row."""
    found: dict[str, tuple[int, ...]] = {}
    for node in graph.nodes:
        before, after = node.inputs[0], node.outputs[0]
        if isinstance(node.layer, (Flatten, Reshape)) and len(after.shape) == 1 < len(before.shape):
            _note(found, after.name, before.shape)
        elif _keeps_order(node.layer, node) and before.name in found:
            found.setdefault(after.name, found[before.name])
    for node in reversed(graph.nodes):
        before, after = node.inputs[0], node.outputs[0]
        if isinstance(node.layer, Reshape) and len(before.shape) == 1 < len(after.shape):
            _note(found, before.name, after.shape)
        elif _keeps_order(node.layer, node) and after.name in found:
            for value in node.inputs:
                if value.shape == after.shape:
                    found.setdefault(value.name, found[after.name])
    return found


def _note(found: dict[str, tuple[int, ...]], name: str, shape: tuple[object, ...]) -> None:
    sizes = tuple(n for n in shape if isinstance(n, int))
    if len(sizes) == len(shape) and sizes[-1] > 1 and math.prod(sizes[:-1]) > 1:
        found.setdefault(name, sizes)


def _keeps_order(layer: Layer, node: Node) -> bool:
    return not isinstance(layer, _REORDERING) and node.inputs[0].shape == node.outputs[0].shape


def _order(value: str, orders: Orders) -> Array | slice:
    """Where each element of a flat value, channels last, stands in the same value channels first."""
    if value not in orders:
        return slice(None)
    *spatial, channels = orders[value]
    places = np.arange(math.prod(spatial) * channels).reshape(channels, *spatial)
    return np.moveaxis(places, 0, -1).ravel()


def _permuted(node: Node, weight: Weight) -> tuple[int, ...]:
    (axes,) = (axes for w, _, axes in entries(node) if w == weight)
    return tuple(weight.shape[axis] for axis in axes)


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(n for n in shape if n != 1)
