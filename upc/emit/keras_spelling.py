"""How each layer card is said in Keras: which rows of the table, with which values.

Values that a call would have anyway are None, and the row leaves them out; what frameworks disagree about
is always written.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, prod
from typing import Any

from upc.emit.common import CannotSay, Unsupported, compact, difference, free_axes
from upc.emit.definitions import Step
from upc.emit.layout import Code, literal
from upc.ir import Layer, Node
from upc.layers import (
    Add,
    Average,
    AveragePooling,
    BatchNormalization,
    Clip,
    Concatenate,
    Conv,
    ConvTranspose,
    Cropping,
    Dense,
    DepthwiseConv,
    Dropout,
    Elu,
    Flatten,
    Gelu,
    GlobalAveragePooling,
    GlobalMaxPooling,
    GroupNormalization,
    HardSigmoid,
    HardSwish,
    InstanceNormalization,
    LayerNormalization,
    LeakyRelu,
    Maximum,
    MaxPooling,
    Minimum,
    Multiply,
    Permute,
    PixelShuffle,
    PixelUnshuffle,
    PRelu,
    ReflectPadding,
    Relu,
    ReplicatePadding,
    Rescaling,
    Reshape,
    Resizing,
    Selu,
    Sigmoid,
    Silu,
    Slice,
    Softmax,
    Softplus,
    Split,
    Subtract,
    Tanh,
    UpSampling,
    ZeroPadding,
)
from upc.shape import conv_transpose_crop, same_padding, window_span

Steps = tuple[Step, ...]
Spelling = Callable[[Any, Node], Steps]

OPERATIONS = ("clip", "gelu", "get_item", "split")
"""Rows that are operations, which Keras gives these names and numbers: nothing else may be called so."""


def spell(node: Node) -> Steps:
    """The steps of a node, in order."""
    say = SPELLINGS[type(node.layer)]
    if isinstance(say, Unsupported):
        raise CannotSay(say.reason)
    return say(node.layer, node)


def _unless(value: Any, default: Any) -> Any:
    return None if value == default else value


def _frozen(node: Node) -> bool | None:
    return None if node.trainable else False


def _options(layer: Dense | Conv | DepthwiseConv | ConvTranspose, node: Node) -> dict[str, Any]:
    """What dense and convolutional layers have in common."""
    initializer = layer.depthwise_initializer if isinstance(layer, DepthwiseConv) else layer.kernel_initializer
    return {
        "activation": None if layer.activation == "leaky_relu" else layer.activation,
        "use_bias": _unless(layer.use_bias, True),
        "initializer": _unless(initializer, "glorot_uniform"),
        "bias_initializer": _unless(layer.bias_initializer, "zeros"),
        "trainable": _frozen(node),
    }


def _slope(activation: str | None) -> Steps:
    """Keras's leaky_relu activation had another slope before version 3, so it is a layer of its own here."""
    if activation != "leaky_relu":
        return ()
    return (Step("leaky_relu", {"negative_slope": 0.2}, suffix="leaky_relu"),)


def _dense(layer: Dense, node: Node) -> Steps:
    return (Step("dense", {"units": layer.units, **_options(layer, node)}), *_slope(layer.activation))


def _convolution(macro: str, layer: Conv | DepthwiseConv, node: Node, fields: dict[str, Any]) -> Steps:
    """Explicit padding as a layer before; a dilated window with a stride as one without, every s-th kept."""
    (shape,) = node.input_shapes
    before: Steps = ()
    after: Steps = ()
    padding: Any = layer.padding
    strides = layer.strides
    if max(strides) > 1 and max(layer.dilation_rate) > 1:
        if padding == "same" and free_axes(shape):
            window = {"kernel_size": compact(layer.kernel_size), "strides": compact(strides)}
            window["dilation_rate"] = compact(layer.dilation_rate)
            before, padding = (Step("same_padding", window, suffix="padding"),), "valid"
        elif padding == "same":
            padding = tuple(
                same_padding(n, k, s, d)
                for n, k, s, d in zip(shape, layer.kernel_size, strides, layer.dilation_rate, strict=False)
            )
        after = (Step("subsampling", {"strides": compact(strides)}, suffix="subsampling"),)
        strides = (1,) * layer.rank
    if isinstance(padding, tuple):
        if any(max(pair) for pair in padding):
            before = (Step("zero_padding2d", {"padding": _pairs(padding)}, suffix="padding"),)
        padding = "valid"
    fields |= {
        "kernel_size": compact(layer.kernel_size),
        "strides": _unless(compact(strides), 1),
        "padding": _unless(padding, "valid"),
        "dilation_rate": _unless(compact(layer.dilation_rate), 1),
        **_options(layer, node),
    }
    return (*before, Step(macro, fields), *after, *_slope(layer.activation))


def _pairs(pairs: Any) -> Any:
    """Amounts before and after each axis as Keras takes them, in their shortest form."""
    if len({amount for pair in pairs for amount in pair}) == 1:
        return pairs[0][0]
    if all(before == after for before, after in pairs):
        return tuple(before for before, _ in pairs)
    return tuple(tuple(pair) for pair in pairs)


def _conv(layer: Conv, node: Node) -> Steps:
    return _convolution("conv2d", layer, node, {"filters": layer.filters, "groups": _unless(layer.groups, 1)})


def _depthwise_conv(layer: DepthwiseConv, node: Node) -> Steps:
    return _convolution("depthwise_conv2d", layer, node, {"depth_multiplier": _unless(layer.depth_multiplier, 1)})


def _conv_transpose(layer: ConvTranspose, node: Node) -> Steps:
    """Keras's own `same` and `valid` where they mean this; else `valid` and a crop; else our own layer."""
    (shape,) = node.input_shapes
    crops = layer.crops(shape)
    geometry = list(zip(shape, layer.kernel_size, layer.strides, layer.dilation_rate, strict=False))
    fields = {"filters": layer.filters, "kernel_size": compact(layer.kernel_size), **_options(layer, node)}
    fields["strides"] = _unless(compact(layer.strides), 1)
    if layer.groups == 1 and max(layer.dilation_rate) == 1:
        for padding in ("valid", "same"):
            if crops == tuple(conv_transpose_crop(n, k, s, d, padding, None) for n, k, s, d in geometry):
                fields["padding"] = _unless(padding, "valid")
                return (Step("conv2d_transpose", fields), *_slope(layer.activation))
        written = [(n - 1) * s + max(k, s) for n, k, s, _ in geometry]
        cut = [(before, difference(whole, before + size)) for (before, size), whole in zip(crops, written, strict=True)]
        if all(after >= 0 for _, after in cut):
            fields["padding"] = None
            crop = Step("cropping2d", {"cropping": _pairs(cut)}, suffix="cropping")
            return (Step("conv2d_transpose", fields), crop, *_slope(layer.activation))
    full = [(n - 1) * s + window_span(k, d) for n, k, s, d in geometry]
    fields["crop"] = tuple(
        (before, difference(whole, before + size)) for (before, size), whole in zip(crops, full, strict=True)
    )
    fields["dilation_rate"] = _unless(compact(layer.dilation_rate), 1)
    fields["groups"] = _unless(layer.groups, 1)
    return (Step("transposed_convolution", fields), *_slope(layer.activation))


def _pooling(macro: str, layer: MaxPooling | AveragePooling, node: Node) -> Steps:
    (shape,) = node.input_shapes
    count_all = layer.count_include_padding if isinstance(layer, AveragePooling) else None
    strides = layer.strides
    assert strides is not None
    fields = {
        "pool_size": compact(layer.pool_size),
        "strides": _unless(compact(strides), compact(layer.pool_size)),
    }
    pairs: Any = layer.padding if isinstance(layer.padding, tuple) else None
    if layer.padding == "same" and not free_axes(shape):
        pairs = tuple(same_padding(n, k, s) for n, k, s in zip(shape, layer.pool_size, strides, strict=False))
    if layer.padding == "valid" or (pairs and not any(max(pair) for pair in pairs)):
        return (Step(macro, {**fields, "padding": None}),)
    if layer.padding == "same" and count_all is None:
        return (Step(macro, {**fields, "padding": "same"}),)
    if count_all and pairs:
        return (
            Step("zero_padding2d", {"padding": _pairs(pairs)}, suffix="padding"),
            Step(macro, {**fields, "padding": None}),
        )
    # Keras on PyTorch repeats edge pixels where it averages over an uneven `same` padding.
    fields["kind"] = "max" if count_all is None else "mean" if count_all else "mean_inside"
    fields["strides"] = compact(strides)
    fields["padding"] = pairs or "same"
    return (Step("padded_pooling", fields),)


def _up_sampling(layer: UpSampling, node: Node) -> Steps:
    native = layer.interpolation == "nearest" or (layer.interpolation, layer.coordinates) == ("bilinear", "half_pixel")
    if native:
        return (Step("up_sampling2d", {"size": compact(layer.size), "interpolation": layer.interpolation}),)
    return (Step("resampling", {"size": None, "factor": layer.size, **_resampling(layer)}),)


def _resizing(layer: Resizing, node: Node) -> Steps:
    (shape,) = node.input_shapes
    if (layer.coordinates == "half_pixel" and layer.interpolation == "bilinear") or _whole_ratio(layer, shape):
        height, width = layer.target
        return (Step("resizing", {"height": height, "width": width, "interpolation": layer.interpolation}),)
    return (Step("resampling", {"size": layer.target, "factor": None, **_resampling(layer)}),)


def _whole_ratio(layer: Resizing, shape: Any) -> bool:
    """Whether nearest repeats or skips whole pixels, so that no rounding can pick another one."""
    if layer.interpolation != "nearest":
        return False
    repeats = all(isinstance(n, int) and target % n == 0 for n, target in zip(shape, layer.target, strict=False))
    skips = all(isinstance(n, int) and n % target == 0 for n, target in zip(shape, layer.target, strict=False))
    return repeats or (skips and layer.coordinates == "half_pixel")


def _resampling(layer: UpSampling | Resizing) -> dict[str, Any]:
    cubic = layer.interpolation == "bicubic"
    return {
        "interpolation": layer.interpolation,
        "coordinates": layer.coordinates,
        "cubic_coefficient": layer.cubic_coefficient if cubic else None,
        "border": layer.border if cubic else None,
    }


def _batch_normalization(layer: BatchNormalization, node: Node) -> Steps:
    return (Step("batch_normalization", {"momentum": layer.momentum, **_normalization(layer, node)}),)


def _normalization(layer: Any, node: Node) -> dict[str, Any]:
    return {
        "epsilon": layer.epsilon,
        "center": _unless(layer.center, True),
        "scale": _unless(layer.scale, True),
        "trainable": _frozen(node),
    }


def _group_normalization(layer: GroupNormalization | InstanceNormalization, node: Node) -> Steps:
    groups = layer.groups if isinstance(layer, GroupNormalization) else -1
    return (Step("group_normalization", {"groups": groups, **_normalization(layer, node)}),)


def _relu(layer: Relu, node: Node) -> Steps:
    fields = {"max_value": layer.max_value, "negative_slope": _unless(layer.negative_slope, 0.0)}
    return (Step("relu", fields),)


def _prelu(layer: PRelu, node: Node) -> Steps:
    fields = {
        "shared_axes": list(layer.shared_axes) or None,
        "initializer": _unless(layer.alpha_initializer, "zeros"),
        "trainable": _frozen(node),
    }
    return (Step("prelu", fields),)


def _gelu(layer: Gelu, node: Node) -> Steps:
    # As an operation in both forms: Keras names it `gelu`, which no layer beside it may be called then.
    return (Step("gelu", {"approximate": layer.approximate}, layer=False),)


def _activation(layer: Layer, node: Node) -> Steps:
    return (Step("activation", {"activation": layer.name}),)


def _bounded(low: float | None, high: float | None) -> Steps:
    """Keras's own operation: a saved model then loads where nothing of ours is known."""
    fields = {"min_value": -inf if low is None else low, "max_value": inf if high is None else high}
    return (Step("clip", fields, layer=False),)


def _merge(macro: str) -> Spelling:
    """Several values in Keras's own layer; constants afterwards, as one scaling, shift or bound."""

    def say(layer: Any, node: Node) -> Steps:
        values, constants = len(node.inputs), layer.constants
        joined = (Step(macro),) if values > 1 else ()
        if not constants:
            return joined
        suffix = "constants" if joined else ""
        if macro in ("maximum", "minimum"):
            low, high = (max(constants), None) if macro == "maximum" else (None, min(constants))
            return (*joined, *_bounded(low, high))
        scale, offset = 1.0, None
        if macro == "multiply":
            scale = prod(constants)
        elif macro == "average":
            # Keras averages the values alone: their share first, then that of the constants.
            total = values + len(constants)
            scale, offset = values / total, sum(constants) / total
        else:
            offset = sum(constants) if macro == "add" else -sum(constants)
        return (*joined, Step("rescaling", {"scale": scale, "offset": offset}, suffix=suffix))

    return say


def _edge_padding(mode: str) -> Spelling:
    return lambda layer, node: (Step("edge_padding", {"padding": layer.padding, "mode": mode}),)


def _slice(layer: Slice, node: Node) -> Steps:
    rank = len(node.input_shapes[0])
    at = layer.axis if layer.axis > 0 else layer.axis + rank + 1
    start = literal(layer.start) if layer.start else ""
    stop = "" if layer.stop is None else literal(layer.stop)
    step = f":{layer.step}" if layer.step > 1 else ""
    index = ", ".join([":"] * at + [f"{start}:{stop}{step}"])
    return (Step("slice", {"index": Code(index)}, layer=False),)


def _split(layer: Split, node: Node) -> Steps:
    if layer.sections == 1:  # a list of one is not the value in it
        return ()
    return (Step("split", {"sections": layer.sections, "axis": layer.axis}, layer=False),)


def _fields(macro: str, *names: str, **renamed: str) -> Spelling:
    """A row that takes the card's attributes as they are."""

    def say(layer: Any, node: Node) -> Steps:
        fields = {name: getattr(layer, name) for name in names}
        return (Step(macro, {**fields, **{to: getattr(layer, name) for to, name in renamed.items()}}),)

    return say


SPELLINGS: dict[type[Layer], Spelling | Unsupported] = {
    Dense: _dense,
    Reshape: _fields("reshape", "target"),
    Flatten: lambda layer, node: (
        Step("flatten", {"data_format": "channels_last" if len(node.input_shapes[0]) > 1 else None}),
    ),
    Permute: _fields("permute", "dims"),
    Conv: _conv,
    DepthwiseConv: _depthwise_conv,
    ConvTranspose: _conv_transpose,
    UpSampling: _up_sampling,
    Resizing: _resizing,
    PixelShuffle: _fields("pixel_shuffle", "factor", "order"),
    PixelUnshuffle: _fields("pixel_unshuffle", "factor", "order"),
    MaxPooling: lambda layer, node: _pooling("max_pooling2d", layer, node),
    AveragePooling: lambda layer, node: _pooling("average_pooling2d", layer, node),
    GlobalAveragePooling: lambda layer, node: (
        Step("global_average_pooling2d", {"keepdims": _unless(layer.keepdims, False)}),
    ),
    GlobalMaxPooling: lambda layer, node: (Step("global_max_pooling2d", {"keepdims": _unless(layer.keepdims, False)}),),
    BatchNormalization: _batch_normalization,
    LayerNormalization: lambda layer, node: (Step("layer_normalization", _normalization(layer, node)),),
    InstanceNormalization: _group_normalization,
    GroupNormalization: _group_normalization,
    Relu: _relu,
    LeakyRelu: _fields("leaky_relu", "negative_slope"),
    PRelu: _prelu,
    Elu: _fields("elu", "alpha"),
    Selu: _activation,
    Gelu: _gelu,
    Silu: _activation,
    Softplus: _activation,
    Tanh: _activation,
    Sigmoid: _activation,
    HardSigmoid: _activation,
    HardSwish: _activation,
    Softmax: _fields("softmax", "axis"),
    Clip: lambda layer, node: _bounded(layer.min_value, layer.max_value),
    Dropout: _fields("dropout", "rate"),
    Rescaling: lambda layer, node: (Step("rescaling", {"scale": layer.scale, "offset": _unless(layer.offset, 0.0)}),),
    Add: _merge("add"),
    Subtract: _merge("subtract"),
    Multiply: _merge("multiply"),
    Average: _merge("average"),
    Maximum: _merge("maximum"),
    Minimum: _merge("minimum"),
    Concatenate: _fields("concatenate", "axis"),
    ZeroPadding: lambda layer, node: (Step("zero_padding2d", {"padding": _pairs(layer.padding)}),),
    ReflectPadding: _edge_padding("reflect"),
    ReplicatePadding: _edge_padding("replicate"),
    Cropping: lambda layer, node: (Step("cropping2d", {"cropping": _pairs(layer.cropping)}),),
    Slice: _slice,
    Split: _split,
}
