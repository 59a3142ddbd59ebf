"""How far two right evaluations of one net may lie apart: derived once, used by `upc check` and by the sweep.

Adding n numbers in float32, in any order, errs by about sqrt(n) roundings of the size of the largest
partial sum; through a net the squares of its layers' errors add, so n is the number of terms added up
along the longest way from an input to the output. With u = 2**-24, half the spacing of float32 at 1:

    bound = 32 u * sqrt(n) * max|reference|  +  8 * max|reference in float32 - reference in float64|

32 u is 1.9e-6. The second part is 0 or nearly so for most nets. It stands for those that lose digits by
their nature, such as a normalization of almost equal values: they lose them on every target, and the
reference run in float32 shows how many. It subtracts the mean before it scales; most targets scale x and the
mean by themselves, which rounds by u of the scaled mean, so as much is put in behind every normalization.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod, sqrt

import numpy as np

from upc.ir import Array, Graph, Node
from upc.layers import (
    AveragePooling,
    BatchNormalization,
    GlobalAveragePooling,
    GroupNormalization,
    InstanceNormalization,
    LayerNormalization,
    Resizing,
    UpSampling,
)
from upc.shape import evaluate

_NORMALIZATIONS = (BatchNormalization, LayerNormalization, InstanceNormalization, GroupNormalization)

UNIT = 2.0**-24
FACTOR = 32
CONDITION_FACTOR = 8


@dataclass(frozen=True, slots=True)
class Bound:
    """What an output may differ by: `limit` from the reference, and twice that between two targets."""

    terms: int
    scale: float
    limit: float


def bounds(
    graph: Graph, sizes: Mapping[str, int], exact: Mapping[str, Array], single: Mapping[str, Array]
) -> dict[str, Bound]:
    """The bound of every value that `exact` (the reference in float64) and `single` (in float32) hold."""
    terms = longest_sums(graph, sizes)
    named = {output.name: output.value.name for output in graph.outputs}
    found = {}
    for name, values in exact.items():
        finite = np.isfinite(values) & np.isfinite(single[name])
        scale = _largest(values[finite])
        lost = _largest(single[name][finite] - values[finite])
        n = terms[named.get(name, name)]
        found[name] = Bound(n, scale, FACTOR * UNIT * sqrt(n) * scale + CONDITION_FACTOR * lost)
    return found


def in_single(graph: Graph, weights: Mapping[str, Array], inputs: Sequence[Array]) -> dict[str, Array]:
    """Every value and output in float32, with the rounding that other ways to write a normalization have."""
    random = np.random.default_rng(0)
    values = {value.name: np.asarray(x, np.float32) for value, x in zip(graph.inputs, inputs, strict=True)}
    for node in graph.nodes:
        own = {w.name: np.asarray(weights[f"{node.path}.{w.name}"], np.float32) for w in node.weights}
        given = [values[value.name] for value in node.inputs]
        results = node.layer.forward(given, own)
        if isinstance(node.layer, _NORMALIZATIONS):
            (y,) = results
            signs = random.choice(np.array([-1, 1], np.float32), y.shape)
            results = (y + signs * np.float32(UNIT) * _scaled_mean(node, given[0], own),)
        values.update(zip((value.name for value in node.outputs), results, strict=True))
    return {**values, **{output.name: values[output.value.name] for output in graph.outputs}}


def _scaled_mean(node: Node, x: Array, own: Mapping[str, Array]) -> Array:
    """What is subtracted from the scaled input of a normalization, as magnitudes."""
    layer = node.layer
    if isinstance(layer, BatchNormalization):
        mean, variance = own["moving_mean"], own["moving_variance"]
    else:
        groups = {LayerNormalization: 1, InstanceNormalization: x.shape[-1]}.get(type(layer)) or _groups(node)
        apart = x.reshape(*x.shape[:-1], groups, -1)
        axes = (
            (apart.ndim - 1,) if isinstance(layer, LayerNormalization) else (*range(1, apart.ndim - 2), apart.ndim - 1)
        )
        mean, variance = (
            np.broadcast_to(f(apart, axis=axes, keepdims=True), apart.shape).reshape(x.shape) for f in (np.mean, np.var)
        )
    epsilon: float = getattr(layer, "epsilon")  # noqa: B009 - every normalization has it, their common class has not
    scaled = np.abs(mean) / np.sqrt(variance + epsilon) * np.abs(own.get("gamma", np.ones(1, np.float32)))
    return np.asarray(np.broadcast_to(scaled, x.shape), np.float32)


def longest_sums(graph: Graph, sizes: Mapping[str, int]) -> dict[str, int]:
    """For every value, how many terms are added up along the longest way to it from an input."""
    found = {value.name: 1 for value in graph.inputs}
    for node in graph.nodes:
        before = max((found[value.name] for value in node.inputs), default=1)
        for value in node.outputs:
            found[value.name] = before + _terms(node, sizes)
    return found


def _terms(node: Node, sizes: Mapping[str, int]) -> int:
    """The longest sum of one layer."""
    layer = node.layer
    shape = [evaluate(dim, sizes) for dim in node.input_shapes[0]]
    kernels = [weight.shape for weight in node.weights if weight.name == "kernel"]
    if kernels:
        # All of a kernel but the axis of results: a transposed kernel has it before the last.
        (kernel,) = kernels
        results = node.output_shapes[0][-1]
        assert isinstance(results, int)
        return max(1, prod(kernel) * _groups(node) // results) + 1
    if isinstance(layer, AveragePooling):
        return prod(layer.pool_size)
    if isinstance(layer, (GlobalAveragePooling, InstanceNormalization)):
        return prod(shape[:-1])
    if isinstance(layer, GroupNormalization):
        return prod(shape) // layer.groups
    if isinstance(layer, LayerNormalization):
        return shape[-1]
    if isinstance(layer, (UpSampling, Resizing)):
        return {"nearest": 1, "bilinear": 4, "bicubic": 16}[layer.interpolation]
    return len(node.inputs)


def _groups(node: Node) -> int:
    return int(getattr(node.layer, "groups", 1))


def _largest(values: Array) -> float:
    return float(np.abs(values).max()) if values.size else 0.0
