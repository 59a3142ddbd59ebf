"""How each layer kind is carried out: one entry a kind, which gives its steps, or says why there are none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from upc.gaps import CannotSay, Unsupported
from upc.ir import Layer, Node
from upc.layers.activations import Softmax as SoftmaxLayer
from upc.layers.conv import Conv, DepthwiseConv
from upc.layers.conv_transpose import ConvTranspose
from upc.layers.dense import Dense
from upc.layers.merge import Concatenate
from upc.layers.normalization import GroupNormalization, InstanceNormalization, LayerNormalization
from upc.layers.padding import Cropping, ReflectPadding, ReplicatePadding, ZeroPadding
from upc.layers.pixel_shuffle import PixelShuffle, PixelUnshuffle
from upc.layers.pooling import AveragePooling, GlobalAveragePooling, GlobalMaxPooling, MaxPooling, Pooling
from upc.layers.reshaping import Flatten, Permute
from upc.layers.reshaping import Reshape as ReshapeLayer
from upc.layers.resizing import Resizing, UpSampling
from upc.layers.slicing import Slice, Split
from upc.plan.joining import concatenate, merge, split
from upc.plan.lowered import Lowered, activated, channels_of, head, pair, position
from upc.plan.operations import MERGES, POINTWISE, pointwise_operations
from upc.plan.plan import picture
from upc.runtime.steps import (
    NO_PADDING,
    Combine,
    Convolution,
    Cut,
    Depthwise,
    Gather,
    GlobalPool,
    KernelAndBias,
    Move,
    Normalize,
    Operation,
    Pad,
    Padding,
    Pointwise,
    Pool,
    Repeat,
    RepeatChannels,
    Reshape,
    Resize,
    Shuffle,
    Softmax,
    Step,
    Unshuffle,
)
from upc.runtime.steps import (
    Permute as PermuteAxes,
)

Lowering = Callable[[Any, Node], Step | Lowered]
"""From a layer's card and its node to the steps that do it. Raises CannotSay for what they cannot do."""


def _weights(node: Node, use_bias: bool) -> KernelAndBias:
    return f"{node.path}.kernel", f"{node.path}.bias" if use_bias else None


def _padding(given: str | tuple[tuple[int, int], ...]) -> Padding:
    """A card's padding."""
    if isinstance(given, str):
        return NO_PADDING if given == "valid" else given
    rows, columns = given
    return rows, columns


def _dense(layer: Dense, node: Node) -> Lowered:
    inputs = channels_of(picture(node.inputs[0].shape))
    weights = _weights(node, layer.use_bias)
    step = Convolution(*head(node), layout="gather", kernel=(1, 1), inputs=inputs, outputs=layer.units, weights=weights)
    return activated(step, node, layer.activation)


def _conv(layer: Conv, node: Node) -> Lowered:
    step = Convolution(
        *head(node),
        kernel=pair(layer.kernel_size),
        inputs=channels_of(picture(node.inputs[0].shape)),
        outputs=layer.filters,
        weights=_weights(node, layer.use_bias),
        strides=pair(layer.strides),
        dilation=pair(layer.dilation_rate),
        padding=_padding(layer.padding),
        groups=layer.groups,
    )
    return activated(step, node, layer.activation)


def _conv_transpose(layer: ConvTranspose, node: Node) -> Lowered:
    (top, _), (left, _) = layer.crops(node.inputs[0].shape)
    step = Convolution(
        *head(node),
        form="transposed",
        layout="conv_transpose",
        kernel=pair(layer.kernel_size),
        inputs=channels_of(picture(node.inputs[0].shape)),
        outputs=layer.filters,
        weights=_weights(node, layer.use_bias),
        strides=pair(layer.strides),
        dilation=pair(layer.dilation_rate),
        padding=((top, 0), (left, 0)),
        groups=layer.groups,
    )
    return activated(step, node, layer.activation)


def _depthwise(layer: DepthwiseConv, node: Node) -> Lowered:
    """Each channel as often as it is to be filtered, then a window for every one."""
    name, line, source, target = head(node)
    before = Lowered(())
    if layer.depth_multiplier > 1:
        rows, columns, channels = picture(node.inputs[0].shape)
        wide = f"{node.path} repeated"
        repeat = Gather(wide, line, source, wide, move=RepeatChannels(layer.depth_multiplier))
        before = Lowered((repeat,), {wide: (rows, columns, channels * layer.depth_multiplier)})
        source = wide
    step = Depthwise(
        *(name, line, source, target),
        kernel=pair(layer.kernel_size),
        weights=_weights(node, layer.use_bias),
        strides=pair(layer.strides),
        dilation=pair(layer.dilation_rate),
        padding=_padding(layer.padding),
    )
    return activated(step, node, layer.activation, before)


def _pointwise(layer: Layer, node: Node) -> Step:
    return Pointwise(*head(node), then=pointwise_operations(node))


def pointwise(operations: Callable[[Any], tuple[Operation, ...]]) -> Lowering:
    """The lowering of a layer that does these operations, made from its card, to every value.

    A Combine with operand 0 joins what they have come to with the value itself.
    """

    def lower(layer: Layer, node: Node) -> Step:
        then = operations(layer)
        itself = any(isinstance(operation, Combine) for operation in then)
        return Pointwise(*head(node), then=then, operands=(node.inputs[0].name,) if itself else ())

    return lower


def _softmax(layer: SoftmaxLayer, node: Node) -> Step:
    return Softmax(*head(node), axis=position(node, layer.axis))


def _reshape(layer: Layer, node: Node) -> Step:
    return Reshape(*head(node))


def _moved(move: Callable[[Any], Move]) -> Lowering:
    """The lowering of a layer that moves values as its card says."""
    return lambda layer, node: Gather(*head(node), move=move(layer))


def _crop(layer: Cropping) -> Move:
    (top, _), (left, _) = layer.cropping
    return Cut((top, left, 0))


def _slice(layer: Slice, node: Node) -> Step:
    at, shape = position(node, layer.axis), node.inputs[0].shape
    start, _ = layer.bounds(shape[at - 3 + len(shape)])
    if not isinstance(start, int):
        raise CannotSay("a start counted from the end of a free size")
    starts, steps = [0, 0, 0], [1, 1, 1]
    starts[at], steps[at] = start, layer.step
    return Gather(*head(node), move=Cut((starts[0], starts[1], starts[2]), (steps[0], steps[1], steps[2])))


def _permute(layer: Permute, node: Node) -> Step:
    rank = len(node.inputs[0].shape)
    if rank > 3:
        raise CannotSay("values of more than three axes")
    a, b, c = (*range(3 - rank), *(dim - 1 + 3 - rank for dim in layer.dims))
    return Gather(*head(node), move=PermuteAxes((a, b, c)))


def _pool(layer: Pooling, node: Node) -> Step:
    return Pool(
        *head(node),
        window=pair(layer.pool_size),
        strides=pair(layer.strides),
        padding=_padding(layer.padding),
        largest=isinstance(layer, MaxPooling),
        count_padding=isinstance(layer, AveragePooling) and layer.count_include_padding,
    )


def _global_pool(largest: bool) -> Lowering:
    return lambda layer, node: GlobalPool(*head(node), largest=largest)


def _resize(layer: UpSampling | Resizing, node: Node) -> Step:
    return Resize(
        *head(node),
        interpolation=layer.interpolation,
        coordinates=layer.coordinates,
        cubic_coefficient=layer.cubic_coefficient,
        border=layer.border,
    )


def _up_sampling(layer: UpSampling, node: Node) -> Step:
    if layer.interpolation == "nearest":
        return Gather(*head(node), move=Repeat(pair(layer.size)))
    return _resize(layer, node)


def _normalize(groups: Callable[[Any, Node], int]) -> Lowering:
    """The lowering of a normalisation over so many groups of channels, 0 for each pixel's by themselves."""
    return lambda layer, node: Normalize(
        *head(node),
        path=node.path,
        epsilon=layer.epsilon,
        groups=groups(layer, node),
        scales=layer.scale,
        centers=layer.center,
    )


LOWERINGS: dict[type[Layer], Lowering | Unsupported] = {
    Dense: _dense,
    Conv: _conv,
    ConvTranspose: _conv_transpose,
    DepthwiseConv: _depthwise,
    **dict.fromkeys(POINTWISE, _pointwise),
    SoftmaxLayer: _softmax,
    **dict.fromkeys(MERGES, merge),
    Concatenate: concatenate,
    Split: split,
    Slice: _slice,
    ReshapeLayer: _reshape,
    Flatten: _reshape,
    Permute: _permute,
    ZeroPadding: _moved(lambda layer: Pad(layer.padding, "zero")),
    ReflectPadding: _moved(lambda layer: Pad(layer.padding, "reflect")),
    ReplicatePadding: _moved(lambda layer: Pad(layer.padding, "replicate")),
    Cropping: _moved(_crop),
    PixelShuffle: _moved(lambda layer: Shuffle(layer.factor, layer.order)),
    PixelUnshuffle: _moved(lambda layer: Unshuffle(layer.factor, layer.order)),
    UpSampling: _up_sampling,
    Resizing: _resize,
    MaxPooling: _pool,
    AveragePooling: _pool,
    GlobalAveragePooling: _global_pool(largest=False),
    GlobalMaxPooling: _global_pool(largest=True),
    LayerNormalization: _normalize(lambda layer, node: 0),
    InstanceNormalization: _normalize(lambda layer, node: channels_of(picture(node.inputs[0].shape))),
    GroupNormalization: _normalize(lambda layer, node: layer.groups),
}
"""Every layer kind."""
