"""How each layer card is said in PyTorch: modules that hold state, expressions for the rest.

Values with a spatial axis have their channels first, vectors have none to move. Everything here works on
that layout; where a layer's meaning depends on the last axis, the channels go there and back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from upc.emit.common import CannotSay, Unsupported, compact, difference, free_axes
from upc.emit.definitions import Step
from upc.emit.layout import Code, literal
from upc.ir import Layer, Node
from upc.layers import (
    ACTIVATIONS,
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
from upc.shape import Shape, Size, same_padding, window_span

Steps = tuple[Step, ...]
Spelling = Callable[[Any, Node], Steps]
Pairs = Sequence[tuple[Any, Any]]


def spell(node: Node) -> Steps:
    """The steps of a node, in order."""
    say = SPELLINGS[type(node.layer)]
    if isinstance(say, Unsupported):
        raise CannotSay(say.reason)
    return say(node.layer, node)


def position(axis: int, rank: int) -> int:
    """Where a Keras axis (1 up to rank, or from the end) of a value with `rank` axes stands here."""
    axis = axis if axis > 0 else axis + rank + 1
    return 1 if axis == rank else axis + 1


def first_axes(rank: int) -> tuple[int, ...]:
    """The permutation, batch included, that brings the last axis in front of the spatial ones."""
    return (0, rank, *range(1, rank)) if rank > 1 else (0, 1)


def last_axes(rank: int) -> tuple[int, ...]:
    """Its inverse."""
    return (0, *range(2, rank + 1), 1) if rank > 1 else (0, 1)


def _call(macro: str, **fields: Any) -> Step:
    return Step(macro, fields, layer=False)


def _to_last(rank: int) -> Steps:
    return (_call("permute", axes=last_axes(rank)),) if rank > 1 else ()


def _to_first(rank: int) -> Steps:
    return (_call("permute", axes=first_axes(rank)),) if rank > 1 else ()


def _unless(value: Any, default: Any) -> Any:
    return None if value == default else value


def _rank(node: Node) -> int:
    return len(node.input_shapes[0])


def _activation(name: str | None, node: Node) -> Steps:
    if name is None:
        return ()
    card = ACTIVATIONS[name]
    if isinstance(card, Softmax):
        return (_call("softmax", dim=1),)
    say = SPELLINGS[type(card)]
    assert not isinstance(say, Unsupported)
    return say(card, node)


def _dense(layer: Dense, node: Node) -> Steps:
    (shape,) = node.input_shapes
    rank = len(shape)
    linear = Step(
        "dense", {"in_features": shape[-1], "out_features": layer.units, "bias": _unless(layer.use_bias, True)}
    )
    return (*_to_last(rank), linear, *_to_first(rank), *_activation(layer.activation, node))


def _amounts(pairs: Pairs) -> list[Any]:
    """Amounts in the order of `F.pad`: last axis first."""
    return [amount for pair in reversed(pairs) for amount in pair]


def _padding(layer: Any, node: Node, kernel: Sequence[int], dilation: Sequence[int], value: Any = None) -> Any:
    """(steps that pad, the padding that the operation itself adds evenly)."""
    (shape,) = node.input_shapes
    pairs: Any = layer.padding
    if pairs == "valid":
        return (), None
    if pairs == "same":
        if free_axes(shape) and max(layer.strides) > 1:
            fields = {"kernel": list(kernel), "stride": list(layer.strides), "dilation": list(dilation)}
            return (_call("pad_same", **fields, value=value),), None
        geometry = zip(shape, kernel, layer.strides, dilation, strict=False)
        pairs = [same_padding(n, k, s, d) for n, k, s, d in geometry]
    # Pooling takes no padding beyond half its window.
    limits = [k // 2 if value is not None else None for k in kernel]
    if all(a == b and (limit is None or a <= limit) for (a, b), limit in zip(pairs, limits, strict=True)):
        return (), _unless(compact([a for a, _ in pairs]), 0)
    return (_call("pad", amounts=tuple(_amounts(pairs)), mode=None, value=value or None),), None


def _conv(layer: Conv | DepthwiseConv, node: Node) -> Steps:
    (shape,) = node.input_shapes
    before, padding = _padding(layer, node, layer.kernel_size, layer.dilation_rate)
    channels = shape[-1]
    fields = {
        "in_channels": channels,
        "out_channels": node.output_shapes[0][-1],
        "kernel_size": compact(layer.kernel_size),
        "stride": _unless(compact(layer.strides), 1),
        "padding": padding,
        "dilation": _unless(compact(layer.dilation_rate), 1),
        "groups": channels if isinstance(layer, DepthwiseConv) else _unless(layer.groups, 1),
        "bias": _unless(layer.use_bias, True),
    }
    return (*before, Step("conv2d", fields), *_activation(layer.activation, node))


def _conv_transpose(layer: ConvTranspose, node: Node) -> Steps:
    """PyTorch's own padding where it is even and enough; else the full result, cut to size."""
    (shape,) = node.input_shapes
    crops = layer.crops(shape)
    spans = [window_span(k, d) for k, d in zip(layer.kernel_size, layer.dilation_rate, strict=True)]
    full = [(n - 1) * s + span for n, s, span in zip(shape, layer.strides, spans, strict=False)]
    beyond = [difference(size, whole - 2 * before) for (before, size), whole in zip(crops, full, strict=True)]
    # PyTorch takes an output_padding below the dilation too, but not all that read its exported files do.
    if all(0 <= b < stride for b, stride in zip(beyond, layer.strides, strict=True)):
        padding, extra, cut = [before for before, _ in crops], beyond, []
    else:
        ends = [difference(whole, before + size) for (before, size), whole in zip(crops, full, strict=True)]
        padding, extra = [0] * layer.rank, [max(0, -end) for end in ends]
        cut = [(before, max(0, end)) for (before, _), end in zip(crops, ends, strict=True)]
    fields = {
        "in_channels": shape[-1],
        "out_channels": layer.filters,
        "kernel_size": compact(layer.kernel_size),
        "stride": _unless(compact(layer.strides), 1),
        "padding": _unless(compact(padding), 0),
        "output_padding": _unless(compact(extra), 0),
        "groups": _unless(layer.groups, 1),
        "bias": _unless(layer.use_bias, True),
        "dilation": _unless(compact(layer.dilation_rate), 1),
    }
    return (Step("conv2d_transpose", fields), *_cropping(cut), *_activation(layer.activation, node))


def _cropping(cut: Pairs) -> Steps:
    """Amounts cut from each spatial axis, as a slice."""
    if not any(max(pair) for pair in cut):
        return ()
    index = [f"{before or ''}:{-after if after else ''}" for before, after in cut]
    return (_call("index", index=Code(", ".join([":", ":", *index]))),)


def _pooling(layer: MaxPooling | AveragePooling, node: Node) -> Steps:
    assert layer.strides is not None
    ones = (1,) * layer.rank
    fields: dict[str, Any] = {
        "kernel_size": compact(layer.pool_size),
        "stride": _unless(compact(layer.strides), compact(layer.pool_size)),
    }
    if isinstance(layer, MaxPooling):
        before, padding = _padding(layer, node, layer.pool_size, ones, value=float("-inf"))
        return (*before, _call("max_pooling2d", **fields, padding=padding))
    before, padding = _padding(layer, node, layer.pool_size, ones, value=0.0)
    if padding is not None or not before:
        counted = _unless(layer.count_include_padding, True) if padding is not None else None
        return (_call("average_pooling2d", **fields, padding=padding, count_include_pad=counted),)
    if layer.count_include_padding:
        return (*before, _call("average_pooling2d", **fields, padding=None, count_include_pad=None))
    fields = {"kernel_size": list(layer.pool_size), "stride": list(layer.strides)}
    if before[0].macro == "pad_same":
        return (_call("average_inside_same", **fields),)
    return (_call("average_inside", **fields, amounts=list(before[0].fields["amounts"])),)


def _global_pooling(macro: str) -> Spelling:
    def say(layer: Any, node: Node) -> Steps:
        axes = tuple(range(2, layer.rank + 2))
        return (_call(macro, axes=axes, keepdim=_unless(layer.keepdims, False)),)

    return say


def _up_sampling(layer: UpSampling, node: Node) -> Steps:
    if not (native := _native_resampling(layer)):
        return (_call("resample", size=[], factor=list(layer.size), **_resampling(layer)),)
    factor = compact([float(n) for n in layer.size])
    return (
        _call("interpolate", size=None, scale_factor=list(factor) if isinstance(factor, tuple) else factor, **native),
    )


def _resizing(layer: Resizing, node: Node) -> Steps:
    native = _native_resampling(layer)
    if layer.interpolation == "nearest":
        native = _whole_ratio(layer, node.input_shapes[0])
    if not native:
        return (_call("resample", size=list(layer.target), factor=[], **_resampling(layer)),)
    return (_call("interpolate", size=list(layer.target), scale_factor=None, **native),)


def _whole_ratio(layer: Resizing, shape: Shape) -> dict[str, Any] | None:
    """PyTorch's words for nearest, where whole pixels are repeated or skipped and no rounding can pick another."""
    pairs = list(zip(shape, layer.target, strict=False))
    if all(isinstance(n, int) and target % n == 0 for n, target in pairs):
        return {"mode": "nearest", "align_corners": None}
    if all(isinstance(n, int) and n % target == 0 for n, target in pairs):
        return {"mode": "nearest-exact" if layer.coordinates == "half_pixel" else "nearest", "align_corners": None}
    return None


def _native_resampling(layer: UpSampling | Resizing) -> dict[str, Any] | None:
    """The arguments with which `F.interpolate` means this, if there are any."""
    if layer.interpolation == "nearest":
        return {"mode": "nearest", "align_corners": None}
    if layer.coordinates == "asymmetric":
        return None
    if layer.interpolation == "bicubic" and (layer.cubic_coefficient, layer.border) != (-0.75, "replicate"):
        return None
    return {"mode": layer.interpolation, "align_corners": layer.coordinates == "align_corners"}


def _resampling(layer: UpSampling | Resizing) -> dict[str, Any]:
    cubic = layer.interpolation == "bicubic"
    return {
        "interpolation": layer.interpolation,
        "coordinates": layer.coordinates,
        "cubic_coefficient": layer.cubic_coefficient if cubic else None,
        "border": layer.border if cubic else None,
    }


def _pixel_shuffle(macro: str) -> Spelling:
    def say(layer: Any, node: Node) -> Steps:
        return (_call(f"{macro}_{layer.order}", factor=layer.factor),)

    return say


def _batch_normalization(layer: BatchNormalization, node: Node) -> Steps:
    rank = _rank(node)
    if rank > 4:
        raise CannotSay(f"batch normalization of a value with {rank} axes")
    fields = {
        "spatial": Code(str(max(rank - 1, 1))),
        "features": node.input_shapes[0][-1],
        "eps": layer.epsilon,
        # PyTorch's momentum is the share of the new batch, Keras's that of the old mean.
        "momentum": round(1 - layer.momentum, 12),
        "affine": None if layer.center or layer.scale else False,
    }
    return (Step("batch_normalization" if node.trainable else "frozen_batch_normalization", fields),)


def _layer_normalization(layer: LayerNormalization, node: Node) -> Steps:
    rank = _rank(node)
    fields = {
        "features": node.input_shapes[0][-1],
        "eps": layer.epsilon,
        "affine": None if layer.center or layer.scale else False,
        "bias": False if layer.scale and not layer.center else None,
    }
    return (*_to_last(rank), Step("layer_normalization", fields), *_to_first(rank))


def _group_normalization(layer: GroupNormalization | InstanceNormalization, node: Node) -> Steps:
    """`nn.InstanceNorm2d` refuses an empty batch, `nn.GroupNorm` some groups of one value: neither is used there."""
    *spatial, channels = node.input_shapes[0]
    groups = layer.groups if isinstance(layer, GroupNormalization) else channels
    fields = {
        "groups": groups,
        "channels": channels,
        "eps": layer.epsilon,
        "affine": None if layer.center or layer.scale else False,
    }
    # A free size may be 1.
    single = groups == channels and all(isinstance(n, Size) or n == 1 for n in spatial)
    return (Step("single_group_normalization" if single else "group_normalization", fields),)


def _relu(layer: Relu, node: Node) -> Steps:
    if layer.max_value == 6 and not layer.negative_slope:
        return (_call("relu6"),)
    first = _call("leaky_relu", negative_slope=layer.negative_slope) if layer.negative_slope else _call("relu")
    return (first,) if layer.max_value is None else (first, _call("clip", min_value=None, max_value=layer.max_value))


def _prelu(layer: PRelu, node: Node) -> Steps:
    *spatial, channels = node.weights[0].shape
    if all(n == 1 for n in spatial):
        return (Step("prelu", {"channels": channels}),)
    return (Step("prelu_everywhere", {"shape": (channels, *spatial)}),)


def _gelu(layer: Gelu, node: Node) -> Steps:
    return (_call("gelu", approximate="tanh" if layer.approximate else None),)


def _merge(operator: str) -> Spelling:
    """An expression over all operands, shorter shapes given axes between channels and batch."""

    def say(layer: Any, node: Node) -> Steps:
        rank = max(len(shape) for shape in node.input_shapes)
        # Axes of size 1 go behind the channels: a value's spatial axes are its last ones in both layouts.
        missing = [rank - len(shape) for shape in node.input_shapes]
        indices = tuple(Code(f"[{', '.join([':', ':'] + ['None'] * n)}]" if n else "") for n in missing)
        if operator not in ("maximum", "minimum"):
            return (_call(operator, indices=indices, constants=layer.constants),)
        # Constants are a bound: `torch.maximum` takes tensors alone.
        joined = (_call(operator, indices=indices, constants=()),) if len(node.inputs) > 1 else ()
        if not layer.constants:
            return joined
        low = max(layer.constants) if operator == "maximum" else None
        high = min(layer.constants) if operator == "minimum" else None
        return (*joined, _call("clip", min_value=low, max_value=high))

    return say


def _concatenate(layer: Concatenate, node: Node) -> Steps:
    return (_call("concatenate", dim=position(layer.axis, _rank(node))),)


def _slice(layer: Slice, node: Node) -> Steps:
    at = position(layer.axis, _rank(node))
    start = literal(layer.start) if layer.start else ""
    stop = "" if layer.stop is None else literal(layer.stop)
    step = f":{layer.step}" if layer.step > 1 else ""
    return (_call("index", index=Code(", ".join([":"] * at + [f"{start}:{stop}{step}"]))),)


def _split(layer: Split, node: Node) -> Steps:
    if layer.sections == 1:  # a tuple of one is not the value in it
        return ()
    return (_call("split", sections=layer.sections, dim=position(layer.axis, _rank(node))),)


def _reshape(layer: Reshape, node: Node) -> Steps:
    rank, target = _rank(node), layer.target
    laid_out: Steps = () if len(target) == 1 else (_call("unflatten", sizes=target),)
    return (*_to_last(rank), *_flat(rank), *laid_out, *_to_first(len(target)))


def _flat(rank: int) -> Steps:
    return (_call("flatten"),) if rank > 1 else ()


def _permute(layer: Permute, node: Node) -> Steps:
    rank = len(layer.dims)
    places = [position(dim, rank) for dim in layer.dims]
    axes = (0, *(places[axis - 1] for axis in first_axes(rank)[1:]))
    return (_call("permute", axes=axes),)


def _expression(macro: str, *names: str) -> Spelling:
    """A row that takes the card's attributes as they are."""
    return lambda layer, node: (_call(macro, **{name: getattr(layer, name) for name in names}),)


def _pad(mode: str | None) -> Spelling:
    return lambda layer, node: (_call("pad", amounts=tuple(_amounts(layer.padding)), mode=mode, value=None),)


SPELLINGS: dict[type[Layer], Spelling | Unsupported] = {
    Dense: _dense,
    Reshape: _reshape,
    Flatten: lambda layer, node: (*_to_last(_rank(node)), *_flat(_rank(node))),
    Permute: _permute,
    Conv: _conv,
    DepthwiseConv: _conv,
    ConvTranspose: _conv_transpose,
    UpSampling: _up_sampling,
    Resizing: _resizing,
    PixelShuffle: _pixel_shuffle("pixel_shuffle"),
    PixelUnshuffle: _pixel_shuffle("pixel_unshuffle"),
    MaxPooling: _pooling,
    AveragePooling: _pooling,
    GlobalAveragePooling: _global_pooling("global_average_pooling"),
    GlobalMaxPooling: _global_pooling("global_max_pooling"),
    BatchNormalization: _batch_normalization,
    LayerNormalization: _layer_normalization,
    InstanceNormalization: _group_normalization,
    GroupNormalization: _group_normalization,
    Relu: _relu,
    LeakyRelu: _expression("leaky_relu", "negative_slope"),
    PRelu: _prelu,
    Elu: _expression("elu", "alpha"),
    Selu: _expression("selu"),
    Gelu: _gelu,
    Silu: _expression("silu"),
    Softplus: _expression("softplus"),
    Tanh: _expression("tanh"),
    Sigmoid: _expression("sigmoid"),
    HardSigmoid: _expression("hard_sigmoid"),
    HardSwish: _expression("hard_swish"),
    Softmax: lambda layer, node: (_call("softmax", dim=position(layer.axis, _rank(node))),),
    Clip: _expression("clip", "min_value", "max_value"),
    Dropout: lambda layer, node: (Step("dropout", {"rate": layer.rate}),),
    Rescaling: lambda layer, node: (_call("rescaling", scale=layer.scale, offset=_unless(layer.offset, 0.0)),),
    Add: _merge("add"),
    Subtract: _merge("subtract"),
    Multiply: _merge("multiply"),
    Average: _merge("average"),
    Maximum: _merge("maximum"),
    Minimum: _merge("minimum"),
    Concatenate: _concatenate,
    ZeroPadding: _pad(None),
    ReflectPadding: _pad("reflect"),
    ReplicatePadding: _pad("replicate"),
    Cropping: lambda layer, node: _cropping(layer.cropping),
    Slice: _slice,
    Split: _split,
}
