"""Every card keeps its contract: shape rule, weights, values and arguments agree on all of its examples."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest

from upc.build import compile_source
from upc.ir import Array, Example, Graph, Layer, LayerError, Node
from upc.layers import ACTIVATIONS, LAYERS, construct
from upc.layers.examples import as_source
from upc.reference import run
from upc.shape import Shape, evaluate, free
from upc.source import Source
from upc.weights import initialize

EXAMPLES = [pytest.param(e, id=f"{e.call}-{e.shapes}") for card, _ in LAYERS.values() for e in card.examples]

FIXED_SIZES = {"flatten", "reshape", "prelu", "conv2d_transpose"}
"""Layers with an example that only works on sizes known beforehand, and says so."""


@cache
def graph_from(text: str) -> Graph:
    return compile_source(Source("example.upc", text))


def graph_of(example: Example) -> Graph:
    return graph_from(as_source(example))


def node_of(example: Example) -> Node:
    (node,) = graph_of(example).nodes
    return node


def drawn(shape: tuple[int, ...], seed: int, dtype: type = np.float64) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def weights_of(node: Node, dtype: type = np.float64) -> dict[str, Array]:
    """Weights that hide nothing: no zeros, variances above 0."""
    found = {}
    for i, w in enumerate(node.weights):
        values = drawn(w.shape, 100 + i, dtype)
        found[w.name] = np.abs(values) + dtype(0.5) if "variance" in w.name else values
    return found


def inputs_of(example: Example, dtype: type = np.float64, batch: int = 2) -> list[Array]:
    return [drawn((batch, *shape), i, dtype) for i, shape in enumerate(example.shapes)]


class Watched(Mapping[str, Array]):
    """Weights that remember which of them were read."""

    def __init__(self, arrays: dict[str, Array]) -> None:
        self.arrays, self.read = arrays, set[str]()

    def __getitem__(self, key: str) -> Array:
        value = self.arrays[key]
        self.read.add(key)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrays)

    def __len__(self) -> int:
        return len(self.arrays)


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_is_documented_and_has_examples(name: str) -> None:
    card, rank = LAYERS[name]
    assert card.kind.format(rank=rank) == name
    assert any(e.outputs for e in card.examples), "no example with worked values"
    assert len(card.examples) >= 2
    doc = card.__doc__ or ""
    assert "\n" in doc and any(word in doc for word in ("Shape:", "Math:")), doc
    assert ("Weights:" in doc) == any(node_of(e).weights for e in card.examples)


def test_every_activation_is_a_registered_card() -> None:
    assert {type(card) for card in ACTIVATIONS.values()} <= {card for card, _ in LAYERS.values()}
    for name in ACTIVATIONS:
        assert construct("dense", [3], {"activation": name}).activation == name  # type: ignore[attr-defined]


@pytest.mark.parametrize("example", EXAMPLES)
def test_shape_rule_says_what_comes_out(example: Example) -> None:
    node = node_of(example)
    assert len(node.outputs) == example.results
    for dtype in (np.float32, np.float64):
        results = node.layer.forward(inputs_of(example, dtype, batch=3), weights_of(node, dtype))
        assert [r.shape for r in results] == [(3, *shape) for shape in node.output_shapes]
        assert [r.dtype for r in results] == [dtype] * len(results)
        assert all(np.isfinite(r).all() for r in results)


@pytest.mark.parametrize("example", [p for p in EXAMPLES if p.values[0].inputs])  # type: ignore[union-attr]
def test_worked_values(example: Example) -> None:
    node = node_of(example)
    weights = {name: np.array(values, float) for name, values in (example.weights or {}).items()}
    assert {name: w.shape for name, w in weights.items()} == {w.name: w.shape for w in node.weights}
    inputs = [np.array([values], float) for values in example.inputs]
    assert [x.shape[1:] for x in inputs] == list(example.shapes)
    results = node.layer.forward(inputs, weights)
    for result, expected in zip(results, example.outputs, strict=True):
        np.testing.assert_allclose(result[0], np.array(expected, float), rtol=1e-7, atol=1e-7)
        assert result[0].shape == np.shape(expected)


@pytest.mark.parametrize("example", EXAMPLES)
def test_single_precision_is_close_to_double(example: Example) -> None:
    node = node_of(example)
    exact = node.layer.forward(inputs_of(example), weights_of(node))
    single = node.layer.forward(inputs_of(example, np.float32), weights_of(node, np.float32))
    for a, b in zip(exact, single, strict=True):
        np.testing.assert_allclose(b, a, rtol=0, atol=2e-6 * max(1.0, np.abs(a).max()))


@pytest.mark.parametrize("example", EXAMPLES)
def test_pictures_of_a_batch_do_not_see_each_other(example: Example) -> None:
    node = node_of(example)
    weights, inputs = weights_of(node), inputs_of(example, batch=3)
    together = node.layer.forward(inputs, weights)
    for i in range(3):
        alone = node.layer.forward([x[i : i + 1] for x in inputs], weights)
        for a, b in zip(together, alone, strict=True):
            np.testing.assert_allclose(a[i : i + 1], b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_empty_batch_stays_empty(example: Example) -> None:
    node = node_of(example)
    results = node.layer.forward(inputs_of(example, batch=0), weights_of(node))
    assert [r.shape for r in results] == [(0, *shape) for shape in node.output_shapes]


@pytest.mark.parametrize("example", EXAMPLES)
def test_inputs_and_weights_are_left_alone(example: Example) -> None:
    node = node_of(example)
    inputs, weights = inputs_of(example), weights_of(node)
    for array in (*inputs, *weights.values()):
        array.flags.writeable = False
    node.layer.forward(inputs, weights)


@pytest.mark.parametrize("example", EXAMPLES)
def test_forward_uses_exactly_the_weights_it_declares(example: Example) -> None:
    node = node_of(example)
    arrays = weights_of(node)
    watched = Watched(arrays)
    node.layer.forward(inputs_of(example), watched)
    assert watched.read == set(arrays)


@pytest.mark.parametrize("example", EXAMPLES)
def test_stored_arguments_make_the_same_card(example: Example) -> None:
    layer = node_of(example).layer
    stored = {f.name: getattr(layer, f.name) for f in layer.arguments()}
    assert construct(layer.name, [], stored) == layer
    assert dataclasses.replace(layer) == layer
    assert hash(layer) == hash(dataclasses.replace(layer))


@pytest.mark.parametrize("example", EXAMPLES)
def test_graph_and_card_agree(example: Example) -> None:
    graph = graph_of(example)
    (node,) = graph.nodes
    inputs = dict(zip("abc", inputs_of(example, np.float32), strict=False))
    weights = initialize(graph, 3)
    outputs = run(graph, weights, inputs)
    own = {w.name: weights[f"{node.path}.{w.name}"] for w in node.weights}
    direct = node.layer.forward([inputs[v.name] for v in node.inputs], own)
    for a, b in zip(outputs.values(), direct, strict=True):
        np.testing.assert_array_equal(a, b)


def freed(shapes: tuple[tuple[int, ...], ...]) -> list[Shape]:
    """The same shapes with every spatial axis free, equal sizes of one axis under one name."""
    return [
        tuple(free(f"{'HW'[axis]}{n}") if axis < 2 and len(s) == 3 and n > 1 else n for axis, n in enumerate(s))
        for s in shapes
    ]


@pytest.mark.parametrize("example", EXAMPLES)
def test_free_sizes_come_to_the_shapes_of_numbers(example: Example) -> None:
    layer = node_of(example).layer
    symbolic = freed(example.shapes)
    try:
        outputs = layer.output_shapes(symbolic)
        layer.weights(symbolic)
    except LayerError as refusal:
        assert layer.name in FIXED_SIZES, refusal
        return
    names = sorted({name for s in symbolic for d in s if not isinstance(d, int) for name in d.names()})
    for sizes in itertools.islice(itertools.product(range(1, 12), repeat=len(names)), 150):
        bound = dict(zip(names, sizes, strict=True))
        numbers = [tuple(evaluate(d, bound) for d in s) for s in symbolic]
        said = [tuple(evaluate(d, bound) for d in s) for s in outputs]
        demanded = all(evaluate(a, bound) == evaluate(b, bound) for a, b in layer.demands(symbolic)) and all(
            evaluate(a, bound) >= evaluate(b, bound) for a, b in layer.at_least(symbolic)
        )
        holds = demanded and all(n >= 1 for s in said for n in s)
        try:
            actual = list(layer.output_shapes(numbers))
        except LayerError:
            assert not holds, f"{numbers} is refused although every demand holds"
            continue
        if holds:
            assert actual == said, numbers


@pytest.mark.parametrize("name", ["conv2d", "depthwise_conv2d", "conv2d_transpose", "dense"])
def test_multiply_adds_are_those_of_the_arithmetic(name: str) -> None:
    """Counted with ones: without bias every result then is the number of products in it."""
    for example in LAYERS[name][0].examples:
        node = node_of(example)
        counted = node.layer.multiply_adds(node.input_shapes, node.output_shapes)
        layer: Any = dataclasses.replace(node.layer, activation=None, use_bias=False)  # type: ignore[call-arg]
        kernel = node.weights[0]
        ones = layer.forward([np.ones((1, *example.shapes[0]))], {"kernel": np.ones(kernel.shape)})[0]
        exact = float(ones.sum())
        assert isinstance(counted, int)
        # The rule counts taps that fall on padding, or outside the result, as if they were there.
        assert exact <= counted
        if getattr(layer, "padding", "valid") == "valid":
            assert counted == exact
        assert counted <= math.prod(kernel.shape) * math.prod((*node.input_shapes[0][:-1], *node.output_shapes[0][:-1]))


def test_multiply_adds_of_layers_without_products() -> None:
    for name, (card, _) in LAYERS.items():
        if not {"conv", "dense"} & set(name.replace("2d", "").split("_")):
            for example in card.examples:
                node = node_of(example)
                assert node.layer.multiply_adds(node.input_shapes, node.output_shapes) == 0, name


@pytest.mark.parametrize("rank", [1, 3])
def test_cards_serve_other_ranks(rank: int) -> None:
    """A picture of height 1 is a line, and a solid of depth 1 a picture: the same card works on all."""
    calls: list[tuple[type[Layer], dict[str, Any]]] = []
    for name in ("conv2d", "conv2d_transpose", "depthwise_conv2d", "max_pooling2d", "average_pooling2d"):
        card = LAYERS[name][0]
        own = {"filters": 3} if "filters" in {f.name for f in card.arguments()} else {}
        window = "pool_size" if "pool" in name else "kernel_size"
        calls += [(card, {**own, window: 3, "strides": 2, "padding": p}) for p in ("same", "valid")]
    calls += [(LAYERS["up_sampling2d"][0], {"size": 3, "interpolation": "bilinear"})]
    calls += [(LAYERS["zero_padding2d"][0], {"padding": 2}), (LAYERS["cropping2d"][0], {"cropping": 1})]
    calls += [(LAYERS["pixel_shuffle"][0], {"factor": 2, "order": order}) for order in ("crd", "dcr")]
    axes = (5, 4, 7)[:rank]
    for card, arguments in calls:
        layer = card(rank=rank, **arguments)
        shape = (*axes, 8)
        weights = {w.name: drawn(w.shape, 9) for w in layer.weights([shape])}
        x = drawn((2, *shape), 4)
        (y,) = layer.forward([x], weights)
        assert y.shape[1:] == layer.output_shapes([shape])[0]
        # The axes are treated alike: turning input and kernel around turns the result around.
        turned = {n: np.moveaxis(w, range(rank), range(rank)[::-1]) if n == "kernel" else w for n, w in weights.items()}
        back = layer.forward([np.moveaxis(x, range(1, rank + 1), range(1, rank + 1)[::-1])], turned)[0]
        if card.kind != "pixel_shuffle":
            np.testing.assert_allclose(np.moveaxis(back, range(1, rank + 1), range(1, rank + 1)[::-1]), y, atol=1e-12)
