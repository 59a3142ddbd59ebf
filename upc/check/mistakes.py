"""The mistakes that people and exporters make with these layers, each as what the layer would then compute."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import product
from typing import Any

import numpy as np

from upc.ir import Array, Graph, Layer, LayerError, Node
from upc.layers import (
    ACTIVATIONS,
    AveragePooling,
    BatchNormalization,
    Concatenate,
    Conv,
    ConvTranspose,
    Cropping,
    DepthwiseConv,
    Elu,
    Flatten,
    Gelu,
    GroupNormalization,
    InstanceNormalization,
    LayerNormalization,
    LeakyRelu,
    MaxPooling,
    PixelShuffle,
    PixelUnshuffle,
    PRelu,
    ReflectPadding,
    Relu,
    ReplicatePadding,
    Rescaling,
    Reshape,
    Resizing,
    Softmax,
    Split,
    Subtract,
    UpSampling,
    ZeroPadding,
)
from upc.layers.activations import activate
from upc.layers.windows import amounts, padded

Forward = Callable[[Sequence[Array], Mapping[str, Array]], tuple[Array, ...]]


@dataclass(frozen=True, slots=True)
class Mistake:
    """`name` is the kind of mistake, `detail` what exactly was done."""

    name: str
    detail: str


Found = Iterator[tuple[Mistake, Forward]]

_EPSILONS = (1e-3, 1e-5, 1e-6, 1e-7, 1e-4, 1e-12, 1e-8, 1e-2, 1e-1)
_SLOPES = (0.01, 0.2, 0.3, 0.1, 0.25, 0.0, 0.05)


def mistakes(graph: Graph, node: Node, weights: Mapping[str, Array]) -> Found:
    """What may have gone wrong in a layer, the more specific first."""
    layer = node.layer
    for applies, say in _TABLE:
        if isinstance(layer, applies):
            yield from say(layer, node)
    if isinstance(layer, BatchNormalization):
        yield from _folding(graph, node, weights)
    yield from _weights(layer, node)
    yield from _activation(layer)
    yield from _channels(layer, node)


# How a mistake is made


def _other(layer: Layer, **changed: Any) -> Forward | None:
    """The layer with other arguments; None where that is no layer."""
    try:
        return replace(layer, **changed).forward
    except LayerError:
        return None


def _reweighed(layer: Layer, name: str, change: Callable[[Array], Array]) -> Forward:
    return lambda xs, ws: layer.forward(xs, {**ws, name: change(ws[name])})


def _after(layer: Layer, change: Callable[[Array], Array]) -> Forward:
    return lambda xs, ws: tuple(change(y) for y in layer.forward(xs, ws))


def _before(layer: Layer, change: Callable[[Array], Array]) -> Forward:
    return lambda xs, ws: layer.forward([change(x) for x in xs], ws)


def _replaced(layer: Layer, name: str, argument: str, values: Sequence[Any]) -> Found:
    """The layer with each of some values of an argument."""
    own = getattr(layer, argument)
    for value in values:
        if value != own and (forward := _other(layer, **{argument: value})) is not None:
            yield Mistake(name, f"{argument} {_shown(value)} in place of {_shown(own)}"), forward


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


# Windows


def _conv_transpose(layer: ConvTranspose, node: Node) -> Found:
    none = ((0, 0),) * layer.rank
    plain = replace(layer, padding=none, output_padding=None, output_size=None, activation=None, use_bias=False)

    def cut(moved: Sequence[int]) -> Forward:
        def forward(xs: Sequence[Array], ws: Mapping[str, Array]) -> tuple[Array, ...]:
            (x,) = xs
            (full,) = plain.forward(xs, ws)
            crops = layer.crops(x.shape[1:])
            margins = [(before + size + 8, before + size + 8) for before, size in _numbers(crops)]
            wide = padded(full, margins)
            starts = [
                m[0] + before - move for m, (before, _), move in zip(margins, _numbers(crops), moved, strict=True)
            ]
            index = tuple(slice(a, a + size) for a, (_, size) in zip(starts, _numbers(crops), strict=True))
            y = wide[(slice(None), *index)]
            return (activate(layer.activation, y + ws["bias"] if layer.use_bias else y),)

        return forward

    # The rows that output_padding adds stand behind; put in front they move the rest.
    shape = node.input_shapes[0]
    extra = layer.output_paddings(shape)
    if any(extra):
        yield Mistake("output_padding side", "output_padding added in front, not behind"), cut([q or 0 for q in extra])
    for shift in _shifts(layer.rank):
        yield Mistake("one-pixel shift", f"the result moved by {_moved(shift)}"), cut(shift)


def _numbers(crops: Sequence[tuple[int, Any]]) -> list[tuple[int, int]]:
    return [(before, int(size)) for before, size in crops]


def _shifts(rank: int) -> list[tuple[int, ...]]:
    """Moves by one pixel: along both axes as padding does, then along one."""
    both = [(1,) * rank, (-1,) * rank]
    return both + [s for s in product((0, 1, -1), repeat=rank) if any(s) and s not in both]


def _moved(shift: Sequence[int]) -> str:
    return str(shift[0]) if len(set(shift)) == 1 else f"({', '.join(map(str, shift))})"


def _window(layer: Any, node: Node) -> Found:
    """The window starts a pixel too early or too late: padding on the wrong side."""
    kernel = layer.pool_size if isinstance(layer, (MaxPooling, AveragePooling)) else layer.kernel_size
    dilation = getattr(layer, "dilation_rate", (1,) * layer.rank)
    plain = replace(layer, padding="valid")
    filler = -np.inf if isinstance(layer, MaxPooling) else 0.0
    counted = isinstance(layer, AveragePooling) and not layer.count_include_padding

    def seen(x: Array, shift: Sequence[int], value: float) -> Array:
        pairs = amounts(x.shape[1:-1], kernel, layer.strides, layer.padding, dilation)
        wide = padded(x, [(a + 1, b + 1) for a, b in pairs], value)
        lengths = [n + a + b for n, (a, b) in zip(x.shape[1:-1], pairs, strict=True)]
        index = tuple(slice(1 - s, 1 - s + n) for s, n in zip(shift, lengths, strict=True))
        return np.asarray(wide[(slice(None), *index)])

    def moved(shift: Sequence[int]) -> Forward:
        def forward(xs: Sequence[Array], ws: Mapping[str, Array]) -> tuple[Array, ...]:
            (x,) = xs
            (y,) = plain.forward([seen(x, shift, filler)], ws)
            if counted:
                y = y / plain.forward([seen(np.ones_like(x), shift, 0.0)], ws)[0]
            return (y,)

        return forward

    for shift in _shifts(layer.rank):
        yield Mistake("one-pixel shift", f"the window moved by {_moved([-s for s in shift])}"), moved(shift)


def _pooling(layer: AveragePooling, node: Node) -> Found:
    yield from _replaced(layer, "count_include_padding", "count_include_padding", (True, False))


def _borders(layer: Any, node: Node) -> Found:
    turned = tuple((b, a) for a, b in layer.padding)
    yield from _replaced(layer, "padding side", "padding", (turned,))
    for other in (ZeroPadding, ReflectPadding, ReplicatePadding):
        if not isinstance(layer, other):
            card = other(rank=layer.rank, padding=layer.padding)
            yield Mistake("padding mode", f"{card.name} in place of {layer.name}"), card.forward


def _cropping(layer: Cropping, node: Node) -> Found:
    turned = tuple((b, a) for a, b in layer.cropping)
    yield from _replaced(layer, "padding side", "cropping", (turned,))


# Resampling and rearranging


def _resampling(layer: Any, node: Node) -> Found:
    for coordinates in ("align_corners", "half_pixel", "asymmetric"):
        aligned = "align_corners" in (coordinates, layer.coordinates)
        name = "align_corners" if aligned else "half_pixel"
        yield from _replaced(layer, name, "coordinates", (coordinates,))
    if layer.interpolation == "bicubic":
        yield from _replaced(layer, "cubic coefficient", "cubic_coefficient", (-0.75, -0.5))
        yield from _replaced(layer, "border", "border", ("renormalize", "replicate"))
        yield from (
            (Mistake("cubic coefficient", f"cubic_coefficient {a} and border {border}"), forward)
            for a, border in product((-0.75, -0.5), ("renormalize", "replicate"))
            if a != layer.cubic_coefficient and border != layer.border
            if (forward := _other(layer, cubic_coefficient=a, border=border)) is not None
        )
    for interpolation in ("nearest", "bilinear", "bicubic"):
        if interpolation != layer.interpolation:
            changed = {"interpolation": interpolation, "cubic_coefficient": -0.5, "border": "renormalize"}
            if (forward := _other(layer, **changed)) is not None:
                yield Mistake("interpolation", f"{interpolation} in place of {layer.interpolation}"), forward
    for shift in _shifts(layer.rank):
        yield Mistake("one-pixel shift", f"the result moved by {_moved(shift)}"), _after(layer, _roll(shift))


def _roll(shift: Sequence[int]) -> Callable[[Array], Array]:
    """Moved, the edge repeated."""

    def move(y: Array) -> Array:
        for axis, by in enumerate(shift, start=1):
            y = np.take(y, np.clip(np.arange(y.shape[axis]) - by, 0, y.shape[axis] - 1), axis=axis)
        return y

    return move


def _shuffle(layer: PixelShuffle | PixelUnshuffle, node: Node) -> Found:
    yield from _replaced(layer, "crd/dcr", "order", ("crd", "dcr"))
    swapped = _after(layer, lambda y: _swap_within(y, layer.factor))
    if isinstance(layer, PixelShuffle):
        yield Mistake("crd/dcr", "rows and columns of a block exchanged"), swapped


def _swap_within(y: Array, factor: int) -> Array:
    """Rows and columns exchanged in each block of factor x factor pixels."""
    n, h, w, c = y.shape
    blocks = y.reshape(n, h // factor, factor, w // factor, factor, c)
    return blocks.transpose(0, 1, 4, 3, 2, 5).reshape(y.shape)


def _order(layer: Flatten | Reshape, node: Node) -> Found:
    """Elements laid out with the channels first, as PyTorch has them."""
    source, target = node.input_shapes[0], node.output_shapes[0]
    if len(source) > 1:
        first = _before(layer, lambda x: np.ascontiguousarray(np.moveaxis(x, -1, 1)))
        yield Mistake("flatten order", "channels flattened first, not last"), first
    if len(target) > 1:

        def unflattened(y: Array) -> Array:
            n, *axes, c = y.shape
            return np.moveaxis(y.reshape(n, c, *axes), 1, -1)

        yield Mistake("flatten order", "channels read first, not last"), _after(layer, unflattened)
        if len(source) > 1:
            both = _after(layer, unflattened)
            yield (
                Mistake("flatten order", "channels flattened and read first"),
                lambda xs, ws: both([np.ascontiguousarray(np.moveaxis(xs[0], -1, 1)).reshape(xs[0].shape)], ws),
            )
    if len(source) == 3:
        turned = _before(layer, lambda x: np.ascontiguousarray(x.swapaxes(1, 2)))
        yield Mistake("flatten order", "columns flattened before rows"), turned


def _joined(layer: Concatenate, node: Node) -> Found:
    yield Mistake("channel order", "operands in the opposite order"), lambda xs, ws: layer.forward(xs[::-1], ws)


def _parted(layer: Split, node: Node) -> Found:
    yield Mistake("channel order", "parts in the opposite order"), lambda xs, ws: layer.forward(xs, ws)[::-1]


def _subtracted(layer: Subtract, node: Node) -> Found:
    yield Mistake("operand order", "subtracted the other way round"), _after(layer, lambda y: -y)


def _rescaled(layer: Rescaling, node: Node) -> Found:
    wrong: Forward = lambda xs, ws: ((xs[0] + layer.offset) * layer.scale,)  # noqa: E731
    yield Mistake("rescaling", "offset added before scaling"), wrong


# Normalization


def _normalization(layer: Any, node: Node) -> Found:
    yield from _replaced(layer, "epsilon", "epsilon", _EPSILONS)


def _grouped(layer: GroupNormalization, node: Node) -> Found:
    def interleaved(x: Array) -> Array:
        *axes, c = x.shape
        return x.reshape(*axes, layer.groups, c // layer.groups).swapaxes(-1, -2).reshape(x.shape)

    def back(x: Array) -> Array:
        *axes, c = x.shape
        return x.reshape(*axes, c // layer.groups, layer.groups).swapaxes(-1, -2).reshape(x.shape)

    bare = replace(layer, center=False, scale=False)

    def forward(xs: Sequence[Array], ws: Mapping[str, Array]) -> tuple[Array, ...]:
        (x,) = xs
        y = interleaved(bare.forward([back(x)], {})[0])
        y = y * ws["gamma"] if layer.scale else y
        return (y + ws["beta"] if layer.center else y,)

    yield Mistake("group order", "groups of every n-th channel, not of neighbours"), forward


def _batch_statistics(layer: BatchNormalization, node: Node) -> Found:
    def mixed(kept: float) -> Forward:
        def forward(xs: Sequence[Array], ws: Mapping[str, Array]) -> tuple[Array, ...]:
            (x,) = xs
            axes = tuple(range(x.ndim - 1))
            mean = kept * ws["moving_mean"] + (1 - kept) * x.mean(axis=axes)
            variance = kept * ws["moving_variance"] + (1 - kept) * x.var(axis=axes)
            return layer.forward(xs, {**ws, "moving_mean": mean, "moving_variance": variance})

        return forward

    yield Mistake("training mode", "this batch's statistics in place of the moving ones"), mixed(0.0)
    m = layer.momentum
    yield Mistake("momentum", f"statistics moved on with momentum {m:g}"), mixed(m)
    yield Mistake("momentum", f"statistics moved on with momentum {1 - m:g} in place of {m:g}"), mixed(1 - m)


def _folding(graph: Graph, node: Node, weights: Mapping[str, Array]) -> Found:
    """Statistics put into the scale and the bias of the layer before, but not rightly."""
    layer = node.layer
    assert isinstance(layer, BatchNormalization)
    epsilon = layer.epsilon
    for name, change, detail in (
        ("moving_variance", lambda v: (v + epsilon) ** 2 - epsilon, "divided by the variance, not its root"),
        ("moving_variance", lambda v: np.maximum(v - epsilon, 0), "epsilon left out"),
        ("moving_variance", lambda v: (np.sqrt(v) + epsilon) ** 2 - epsilon, "epsilon added to the root"),
        ("moving_variance", lambda v: v * v, "a variance taken for a deviation"),
        ("moving_variance", lambda v: np.sqrt(v), "a deviation taken for a variance"),
        ("moving_mean", lambda v: 0 * v, "the mean not subtracted"),
        ("moving_mean", lambda v: -v, "the mean added, not subtracted"),
    ):
        kind = "epsilon" if "epsilon" in detail else "batch normalization folded wrongly"
        yield Mistake(kind, detail), _reweighed(layer, name, change)
    if layer.scale:
        yield Mistake("batch normalization folded wrongly", "gamma left out"), _reweighed(layer, "gamma", np.ones_like)
    producer = next((n for n in graph.nodes if node.inputs[0] in n.outputs), None)
    if producer is not None and any(w.name == "bias" for w in producer.weights):
        bias = np.asarray(weights[f"{producer.path}.bias"], np.float64)
        unscaled: Forward = lambda xs, ws: tuple(y + bias for y in layer.forward([xs[0] - bias], ws))  # noqa: E731
        yield Mistake("batch normalization folded wrongly", "the bias before it left unscaled"), unscaled


# Weights and activations


def _weights(layer: Layer, node: Node) -> Found:
    for weight in node.weights:
        if weight.name == "kernel":
            yield from _kernel(layer, weight.shape)
        elif weight.name in ("bias", "beta"):
            yield Mistake("bias", f"{weight.name} left out"), _reweighed(layer, weight.name, np.zeros_like)
        if weight.shape[-1] > 1 and weight.name != "kernel":
            turned = _reweighed(layer, weight.name, lambda v: v[..., ::-1])
            yield Mistake("channel order", f"{weight.name} from the last channel to the first"), turned


def _kernel(layer: Layer, shape: tuple[int, ...]) -> Found:
    *window, inner, outer = shape
    axes = tuple(range(len(window)))
    long = [axis for axis in axes if window[axis] > 1]
    if long:
        yield Mistake("kernel flip", "kernel turned by half a turn"), _reweighed(layer, "kernel", _flip(axes))
        if len(long) > 1:
            for axis, words in zip(axes, ("top to bottom", "left to right"), strict=False):
                yield Mistake("kernel flip", f"kernel mirrored {words}"), _reweighed(layer, "kernel", _flip((axis,)))
    name = "transposed kernel axes"
    if len(window) == 2 and window[0] == window[1] > 1:
        exchanged = _reweighed(layer, "kernel", lambda k: k.swapaxes(0, 1))
        yield Mistake(name, "rows and columns of the kernel exchanged"), exchanged
    if inner == outer > 1:
        yield Mistake(name, "inputs and outputs exchanged"), _reweighed(layer, "kernel", lambda k: k.swapaxes(-1, -2))
    if len(shape) > 1 and min(inner, outer) > 1:
        reread = _reweighed(layer, "kernel", lambda k: k.reshape(*window, outer, inner).swapaxes(-1, -2))
        yield Mistake(name, "inputs and outputs read the other way round"), reread
    if window and (inner > 1 or outer > 1):
        for lead in ((outer, inner), (inner, outer)):
            yield Mistake(name, "window read after the channels"), _reweighed(layer, "kernel", _read_last(lead, window))
    for axis, count, words in ((-2, inner, "inputs"), (-1, outer, "outputs")):
        if count > 1:
            turned = _reweighed(layer, "kernel", lambda k, axis=axis: np.flip(k, axis))  # type: ignore[misc]
            yield Mistake("channel order", f"kernel's {words} from last to first"), turned


def _flip(axes: tuple[int, ...]) -> Callable[[Array], Array]:
    return lambda k: np.flip(k, axes)


def _read_last(lead: tuple[int, int], window: Sequence[int]) -> Callable[[Array], Array]:
    """The kernel's memory read as (a, b, *window), though it lies as (*window, ...)."""

    def reread(k: Array) -> Array:
        moved = np.moveaxis(k.reshape(*lead, *window), (0, 1), (-2, -1))
        return moved if moved.shape == k.shape else moved.swapaxes(-1, -2)

    return reread


def _activation(layer: Layer) -> Found:
    """Another slope, or another activation in place of the one written."""
    name = getattr(layer, "activation", None)
    if name is None:
        return
    bare = replace(layer, activation=None)  # type: ignore[call-arg]

    def then(card: Layer) -> Forward:
        return lambda xs, ws: card.forward(bare.forward(xs, ws), {})

    for mistake, _, card in _other_activations(ACTIVATIONS[name], name):
        yield mistake, then(card)
    yield Mistake("activation", f"{name} left out"), bare.forward


def _lone_activation(layer: Layer, node: Node) -> Found:
    for mistake, forward, _ in _other_activations(layer, layer.name):
        yield mistake, forward
    yield Mistake("activation", f"{layer.name} left out"), lambda xs, ws: tuple(xs)


def _other_activations(card: Layer, name: str) -> Iterator[tuple[Mistake, Forward, Layer]]:
    for argument, values, words in (
        ("negative_slope", _SLOPES, "slope"),
        ("alpha", (1.0, 0.1, 0.2, 0.3, 1.67326), "slope"),
        ("approximate", (True, False), "gelu approximation"),
        ("axis", (1, 2, 3, -1), "axis"),
    ):
        if argument in {field.name for field in fields(card)}:
            for mistake, forward in _replaced(card, words, argument, values):
                value = next(v for v in values if mistake.detail.startswith(f"{argument} {_shown(v)} "))
                yield mistake, forward, replace(card, **{argument: value})  # type: ignore[arg-type]
    for other, instance in ACTIVATIONS.items():
        if type(instance) is not type(card):
            yield Mistake("activation", f"{other} in place of {name}"), instance.forward, instance


def _sloped(layer: PRelu, node: Node) -> Found:
    for slope in _SLOPES:
        constant = _reweighed(layer, "alpha", lambda a, slope=slope: np.full_like(a, slope))  # type: ignore[misc]
        yield Mistake("slope", f"alpha {slope:g} in place of the learned one"), constant


def _channels(layer: Layer, node: Node) -> Found:
    """Channels from last to first, such as blue before red."""
    source, target = node.input_shapes[0], node.output_shapes[0]
    if len(source) > 1 and source[-1] != 1:
        yield (
            Mistake("channel order", "the input's channels from last to first"),
            _before(layer, lambda x: x[..., ::-1]),
        )
    if len(target) > 1 and target[-1] != 1:
        yield (
            Mistake("channel order", "the result's channels from last to first"),
            _after(layer, lambda y: y[..., ::-1]),
        )
    if isinstance(layer, DepthwiseConv) and layer.depth_multiplier > 1:

        def regrouped(y: Array) -> Array:
            *axes, c = y.shape
            return (
                y.reshape(*axes, layer.depth_multiplier, c // layer.depth_multiplier).swapaxes(-1, -2).reshape(y.shape)
            )

        yield Mistake("channel order", "multiples of a channel apart, not side by side"), _after(layer, regrouped)


_ACTIVATION_CARDS = tuple({type(card) for card in ACTIVATIONS.values()} | {Elu, Gelu, LeakyRelu, Relu, Softmax})

_TABLE: tuple[tuple[Any, Callable[[Any, Node], Found]], ...] = (
    (ConvTranspose, _conv_transpose),
    ((Conv, DepthwiseConv, MaxPooling, AveragePooling), _window),
    (AveragePooling, _pooling),
    ((UpSampling, Resizing), _resampling),
    ((PixelShuffle, PixelUnshuffle), _shuffle),
    ((Flatten, Reshape), _order),
    (Concatenate, _joined),
    (Split, _parted),
    (Subtract, _subtracted),
    (Rescaling, _rescaled),
    ((ZeroPadding, ReflectPadding, ReplicatePadding), _borders),
    (Cropping, _cropping),
    (
        (BatchNormalization, LayerNormalization, InstanceNormalization, GroupNormalization),
        _normalization,
    ),
    (BatchNormalization, _batch_statistics),
    (GroupNormalization, _grouped),
    (PRelu, _sloped),
    (_ACTIVATION_CARDS, _lone_activation),
)
