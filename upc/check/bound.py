"""How far two right evaluations of one net may lie apart: derived once, for `upc check`, the sweep and the tests.

Adding n numbers in float32, in any order, errs by about sqrt(n) roundings of the size of the largest partial sum
(Higham and Mary 2019, doi:10.1137/18M1226312). With u = 2**-24, half the spacing of float32 at 1, the result y of a
layer whose longest sum has n terms may therefore be off by

    16 u * sqrt(n) * max|y|  +  8 u * m

16 u is 9.5e-7. m stands for what cancels: of a sum, a quarter of the sum of its terms' magnitudes (what random
roundings of random terms come to); of a normalization the scaled mean, since most targets scale x and the mean by
themselves.

What becomes of such errors further on depends on the net: a subtraction keeps them while the values vanish, a
normalization magnifies or forgets them. That is not guessed but measured: the float64 reference runs a few times more
with errors of the allowed size and of random signs put in at every layer. The largest change of a value is its bound,
and never less than the error of its own layer.

The bound does not grow with pictures. Kernels do not, and a mean over many pixels (of a window, of a whole picture,
inside a normalization) has n = log2 of how many there are, because whoever adds millions of numbers in a row is off by
thousands of roundings: a larger n would only say how wrong a target may be. Numba's kernels take means in float64, and
sums of more than 2**14 products in pieces; PyTorch takes means and variances of pictures pairwise, JAX in blocks. Two
kernels of frameworks do add in a row, and of large pictures of equal pixels they are out of bounds, as they should be:
of 3000x3000 times 0.7 the mean of TensorFlow's `reduce_mean` is 7 % off, and that of average pooling with a window of
1000x1000, PyTorch's and TensorFlow's, 1 %. Of pixels that vary they stay within 1e-4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod, sqrt
from typing import Any

import numpy as np

from upc.ir import Array, Graph, Layer, Node
from upc.layers import (
    Add,
    Average,
    AveragePooling,
    BatchNormalization,
    Concatenate,
    Conv,
    ConvTranspose,
    Cropping,
    Dense,
    DepthwiseConv,
    Dropout,
    Flatten,
    GlobalAveragePooling,
    GlobalMaxPooling,
    GroupNormalization,
    InstanceNormalization,
    LayerNormalization,
    MaxPooling,
    Permute,
    PixelShuffle,
    PixelUnshuffle,
    ReflectPadding,
    ReplicatePadding,
    Reshape,
    Resizing,
    Slice,
    Softmax,
    Split,
    Subtract,
    UpSampling,
    ZeroPadding,
)
from upc.layers.activations import ACTIVATIONS, activate
from upc.layers.shapes import axis_index
from upc.shape import evaluate

_NORMALIZATIONS = (BatchNormalization, LayerNormalization, InstanceNormalization, GroupNormalization)
_PRODUCTS = (Conv, DepthwiseConv, ConvTranspose, Dense)
_MOVES = (
    *(Reshape, Flatten, Permute, Concatenate, Slice, Split, PixelShuffle, PixelUnshuffle, Dropout),
    *(ZeroPadding, ReflectPadding, ReplicatePadding, Cropping, MaxPooling, GlobalMaxPooling),
)
_MEANS = (AveragePooling, GlobalAveragePooling, UpSampling, Resizing)

UNIT = 2.0**-24
FACTOR = 16
CONDITION_FACTOR = 8
LONGEST = 1 << 14
"""Products added up in a row; more are taken in pieces, whose own sum counts for nothing beside them."""

TRIALS = 2


@dataclass(frozen=True, slots=True)
class Bound:
    """What a value may differ by: `limit` from the reference, and twice that between two targets.

    `terms` are added up along the longest way to it.
    """

    terms: int
    limit: float


@dataclass(frozen=True, slots=True)
class _Error:
    """What a layer may be off by: `sums` in front of its activation, number by number; `results` each as a whole."""

    sums: Array | None
    results: tuple[float, ...]


def bounds(
    graph: Graph, weights: Mapping[str, Array], sizes: Mapping[str, int], exact: Mapping[str, Array]
) -> dict[str, Bound]:
    """The bound of every value and output that `exact`, the reference in float64, holds by its name."""
    errors = {node.path: _error(node, _weights_of(node, weights), sizes, exact) for node in graph.nodes}
    limits = dict.fromkeys(exact, 0.0)
    for node in graph.nodes:
        limits.update(zip((value.name for value in node.outputs), errors[node.path].results, strict=True))
    for trial in range(TRIALS):
        random = np.random.default_rng(trial)
        values = {value.name: exact[value.name] for value in graph.inputs}
        for node in graph.nodes:
            given = [values[value.name] for value in node.inputs]
            results = _shaken(node, given, _weights_of(node, weights), errors[node.path], random)
            for value, result in zip(node.outputs, results, strict=True):
                values[value.name] = result
                limits[value.name] = max(limits[value.name], _largest(result - exact[value.name]))
    named = {output.name: output.value.name for output in graph.outputs}
    terms = longest_sums(graph, sizes)
    return {name: Bound(terms[named.get(name, name)], limits[named.get(name, name)]) for name in exact}


def _weights_of(node: Node, weights: Mapping[str, Array]) -> dict[str, Array]:
    return {w.name: np.asarray(weights[f"{node.path}.{w.name}"], np.float64) for w in node.weights}


def _error(node: Node, weights: Mapping[str, Array], sizes: Mapping[str, int], exact: Mapping[str, Array]) -> _Error:
    """What a layer may be off by, given the reference's values."""
    layer, inputs, terms = node.layer, [exact[value.name] for value in node.inputs], rounded_terms(node, sizes)
    size = FACTOR * UNIT * sqrt(terms)
    results = tuple(size * _largest(exact[value.name]) for value in node.outputs)
    cancelled = None
    if isinstance(layer, _NORMALIZATIONS):
        cancelled = _scaled_mean(node, inputs[0], weights)
    elif terms and isinstance(layer, (*_PRODUCTS, *_MEANS)):
        magnitudes = {name: np.abs(array) for name, array in weights.items()}
        cancelled = _without_activation(layer).forward([np.abs(x) for x in inputs], magnitudes)[0] / 4
    return _Error(None if cancelled is None else CONDITION_FACTOR * UNIT * cancelled, results)


def _shaken(
    node: Node, inputs: Sequence[Array], weights: Mapping[str, Array], error: _Error, random: np.random.Generator
) -> tuple[Array, ...]:
    """The results of a layer with all of its error, its signs at random."""
    results = _without_activation(node.layer).forward(inputs, weights)
    if error.sums is not None:
        results = (results[0] + _signs(results[0], random) * error.sums,)
    name = getattr(node.layer, "activation", None)
    return tuple(
        activate(name, result) + _signs(result, random) * size if size else activate(name, result)
        for result, size in zip(results, error.results, strict=True)
    )


def _signs(values: Array, random: np.random.Generator) -> Array:
    return random.integers(0, 2, values.shape, np.int8) * 2.0 - 1.0


def _without_activation(layer: Layer) -> Layer:
    changes: dict[str, Any] = {"activation": None}
    return replace(layer, **changes) if getattr(layer, "activation", None) else layer


def _scaled_mean(node: Node, x: Array, own: Mapping[str, Array]) -> Array:
    """What is subtracted from the scaled input of a normalization, as magnitudes."""
    layer = node.layer
    if isinstance(layer, BatchNormalization):
        mean, variance = own["moving_mean"], own["moving_variance"]
    else:
        groups = layer.groups if isinstance(layer, GroupNormalization) else 1
        groups = x.shape[-1] if isinstance(layer, InstanceNormalization) else groups
        apart = x.reshape(*x.shape[:-1], groups, x.shape[-1] // groups).astype(np.float64)
        last = (apart.ndim - 1,)
        axes = last if isinstance(layer, LayerNormalization) else (*range(1, apart.ndim - 2), *last)
        mean, variance = (
            np.broadcast_to(f(apart, axis=axes, keepdims=True), apart.shape).reshape(x.shape) for f in (np.mean, np.var)
        )
    epsilon: float = getattr(layer, "epsilon")  # noqa: B009 - every normalization has it, their common class has not
    scaled = np.abs(mean) / np.sqrt(variance + epsilon) * np.abs(own.get("gamma", np.ones(1)))
    return np.asarray(np.broadcast_to(scaled, x.shape))


def longest_sums(graph: Graph, sizes: Mapping[str, int]) -> dict[str, int]:
    """For every value, how many terms are added up along the longest way to it from an input."""
    found = {value.name: 1 for value in graph.inputs}
    for node in graph.nodes:
        before = max((found[value.name] for value in node.inputs), default=1)
        for value in node.outputs:
            found[value.name] = before + rounded_terms(node, sizes)
    return found


def rounded_terms(node: Node, sizes: Mapping[str, int]) -> int:
    """The longest sum of one layer, its activation's with it; of means the logarithm, 0 where nothing is rounded."""
    layer = node.layer
    if isinstance(layer, _MOVES) or getattr(layer, "interpolation", None) == "nearest":
        return 0
    shape = tuple(evaluate(dim, sizes) for dim in node.input_shapes[0])
    count = next((say(layer, node, shape) for kinds, say in _TERMS if isinstance(layer, kinds)), 1)
    name = getattr(layer, "activation", None)
    softmax = name is not None and isinstance(ACTIVATIONS[name], Softmax)
    results = node.output_shapes[0][-1]
    return count + (_halvings(results) if softmax and isinstance(results, int) else 0)


def _halvings(count: int) -> int:
    """How often so many numbers can be added in pairs, and one rounding for the division."""
    return 1 + (count - 1).bit_length()


def _products(layer: Any, node: Node, shape: tuple[int, ...]) -> int:
    """All of a kernel for each of the results, of a transposed one the taps that meet in a pixel; and the bias."""
    (kernel,) = (weight.shape for weight in node.weights if weight.name == "kernel")
    results = node.output_shapes[0][-1]
    assert isinstance(results, int)
    taps = prod(kernel) // results
    if isinstance(layer, ConvTranspose):
        meeting = prod(-(-k // s) for k, s in zip(layer.kernel_size, layer.strides, strict=True))
        taps = taps // prod(layer.kernel_size) * (meeting if max(layer.dilation_rate) == 1 else prod(layer.kernel_size))
    return min(max(1, taps), LONGEST) + 1


_TERMS: tuple[tuple[type[Layer] | tuple[type[Layer], ...], Callable[[Any, Node, tuple[int, ...]], int]], ...] = (
    (_PRODUCTS, _products),
    (AveragePooling, lambda layer, node, shape: _halvings(prod(layer.pool_size))),
    ((GlobalAveragePooling, InstanceNormalization), lambda layer, node, shape: _halvings(prod(shape[:-1]))),
    (GroupNormalization, lambda layer, node, shape: _halvings(prod(shape) // layer.groups)),
    (LayerNormalization, lambda layer, node, shape: _halvings(shape[-1])),
    (Softmax, lambda layer, node, shape: _halvings(shape[axis_index(layer.name, layer.axis, shape)])),
    ((UpSampling, Resizing), lambda layer, node, shape: 4 if layer.interpolation == "bilinear" else 16),
    ((Add, Subtract, Average), lambda layer, node, shape: len(node.inputs) + len(layer.constants)),
)
"""How many terms the layers that add up do; all others round each number once."""


def _largest(values: Array) -> float:
    """The largest magnitude among what is finite."""
    return float(np.abs(values).max(initial=0.0, where=np.isfinite(values)))
