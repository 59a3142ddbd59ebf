"""Convolution, and its form that keeps channels apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from upc.ir import Array, Example, Layer, LayerError, Weight, attr
from upc.layers.activations import activate, activation_name
from upc.layers.arguments import Padding, flag, initializer, padding, positive, sizes
from upc.layers.shapes import positions, spatial
from upc.layers.sums import wide
from upc.layers.windows import amounts, output_axes, padded, taps
from upc.shape import Dim, Shape, show


@dataclass(frozen=True, slots=True)
class Conv(Layer):
    """Convolve: each result is a weighted sum of the window before it.

    Shape:   (H, W, C) -> (H', W', filters); same: H' = ceil(H/s);
             otherwise H' = floor((H + before + after - d*(k-1) - 1) / s) + 1
    Weights: kernel (*kernel_size, C/groups, filters), bias (filters,)
    Math:    y[h, w, f] = bias[f]
                 + sum over i, j, c of kernel[i, j, c, f] * x[h*s + i*d - before, w*s + j*d - before, c], x being zero
             beyond the edges; group g of the results sees group g of the channels.
             same: max(0, (H'-1)*s + d*(k-1) + 1 - H) zeros, the odd one after (TensorFlow).
    Errors:  channels or filters not divisible by groups; a window that does not fit.
    Source:  Dumoulin and Visin 2016, arXiv:1603.07285
    """

    kind: ClassVar[str] = "conv{rank}d"
    filters: int = attr(positive)
    kernel_size: tuple[int, ...] = attr(sizes, limit="kernel")
    strides: tuple[int, ...] = attr(sizes, 1, limit="strides")
    padding: Padding = attr(padding, "valid")
    dilation_rate: tuple[int, ...] = attr(sizes, 1, limit="dilation")
    groups: int = attr(positive, 1)
    activation: str | None = attr(activation_name, None)
    use_bias: bool = attr(flag, True)
    kernel_initializer: str = attr(initializer, "glorot_uniform")
    bias_initializer: str = attr(initializer, "zeros")

    def check(self) -> None:
        check_groups(self.filters, self.groups)

    def output_shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        (shape,) = inputs
        check_input_groups(self.name, self.rank, shape, self.groups)
        axes = output_axes(self.name, shape, self.kernel_size, self.strides, self.padding, self.dilation_rate)
        return ((*axes, self.filters),)

    def weights(self, inputs: Sequence[Shape]) -> tuple[Weight, ...]:
        _, channels = spatial(self.name, self.rank, inputs[0])
        kernel = Weight("kernel", (*self.kernel_size, channels // self.groups, self.filters), self.kernel_initializer)
        return (kernel, Weight("bias", (self.filters,), self.bias_initializer)) if self.use_bias else (kernel,)

    def forward(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        (x,) = inputs
        dtype, kernel = x.dtype, wide(weights["kernel"])
        x = padded(wide(x), amounts(x.shape[1:-1], self.kernel_size, self.strides, self.padding, self.dilation_rate))
        ci, co = kernel.shape[-2], self.filters // self.groups
        y: Array | None = None
        for tap, seen in taps(x, self.kernel_size, self.strides, self.dilation_rate):
            if y is None:
                y = np.zeros((*seen.shape[:-1], self.filters))
            for g in range(self.groups):
                results = slice(g * co, (g + 1) * co)
                y[..., results] += seen[..., g * ci : (g + 1) * ci] @ kernel[tap][:, results]
        assert y is not None  # a window has at least one tap
        y = activate(self.activation, y + weights["bias"] if self.use_bias else y)
        return (y.astype(dtype, copy=False),)

    def multiply_adds(self, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> Dim | None:
        _, channels = spatial(self.name, self.rank, inputs[0])
        return positions(outputs[0], prod(self.kernel_size) * channels // self.groups * self.filters)

    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            "conv2d(1, kernel_size=3)",
            ((4, 4, 1),),
            inputs=([[[4], [5], [8], [7]], [[1], [8], [8], [8]], [[3], [6], [6], [4]], [[6], [5], [7], [8]]],),
            weights={
                "kernel": [[[[10]], [[-4]], [[10]]], [[[10]], [[0]], [[30]]], [[[30]], [[30]], [[-1]]]],
                "bias": [0],
            },
            outputs=([[[614], [764]], [[591], [660]]],),
        ),
        Example(
            "conv2d(1, 2, strides=2, padding=same)",
            ((3, 1, 1),),
            inputs=([[[1]], [[2]], [[3]]],),
            weights={"kernel": [[[[1]], [[10]]], [[[100]], [[1000]]]], "bias": [0.5]},
            outputs=([[[201.5]], [[3.5]]],),
        ),
        Example("conv2d(5, 3)", ((7, 4, 3),)),
        Example("conv2d(4, [2, 3], padding=same)", ((5, 6, 3),)),
        Example("conv2d(4, [3, 2], strides=[2, 3], padding=same, activation=relu)", ((7, 8, 3),)),
        Example("conv2d(2, 2, strides=3)", ((8, 9, 3),)),
        Example("conv2d(2, 1, strides=3, padding=same)", ((5, 7, 3),)),
        Example("conv2d(6, 3, padding=same, groups=3)", ((5, 4, 9),)),
        Example("conv2d(4, 3, padding=same, dilation_rate=[2, 1])", ((6, 5, 3),)),
        Example("conv2d(4, [3, 2], strides=2, padding=same, dilation_rate=2)", ((7, 10, 3),)),
        Example("conv2d(4, [3, 2], strides=[2, 1], padding=[[2, 0], [1, 3]], dilation_rate=[1, 2])", ((6, 5, 3),)),
        Example("conv2d(3, 3, padding=1, use_bias=false, activation=tanh)", ((1, 1, 2),)),
        Example("conv2d(3, 5, padding=same, activation=softmax)", ((2, 1, 4),)),
        Example("conv2d(1, 1)", ((1, 1, 1),)),
    )


@dataclass(frozen=True, slots=True)
class DepthwiseConv(Layer):
    """Convolve every channel by itself, giving `depth_multiplier` results for each.

    Shape:   (H, W, C) -> (H', W', C*depth_multiplier), H' as for a convolution
    Weights: kernel (*kernel_size, C, depth_multiplier), bias (C*depth_multiplier,)
    Math:    y[h, w, c*m + q] = bias[c*m + q] + sum over i, j of kernel[i, j, c, q] * x[h*s + i*d - before, ..., c]
    Errors:  a window that does not fit.
    Source:  Chollet 2017, arXiv:1610.02357
    """

    kind: ClassVar[str] = "depthwise_conv{rank}d"
    kernel_size: tuple[int, ...] = attr(sizes, limit="kernel")
    strides: tuple[int, ...] = attr(sizes, 1, limit="strides")
    padding: Padding = attr(padding, "valid")
    depth_multiplier: int = attr(positive, 1)
    dilation_rate: tuple[int, ...] = attr(sizes, 1, limit="dilation")
    activation: str | None = attr(activation_name, None)
    use_bias: bool = attr(flag, True)
    depthwise_initializer: str = attr(initializer, "glorot_uniform")
    bias_initializer: str = attr(initializer, "zeros")

    def output_shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        (shape,) = inputs
        _, channels = spatial(self.name, self.rank, shape)
        axes = output_axes(self.name, shape, self.kernel_size, self.strides, self.padding, self.dilation_rate)
        return ((*axes, channels * self.depth_multiplier),)

    def weights(self, inputs: Sequence[Shape]) -> tuple[Weight, ...]:
        _, channels = spatial(self.name, self.rank, inputs[0])
        kernel = Weight("kernel", (*self.kernel_size, channels, self.depth_multiplier), self.depthwise_initializer)
        bias = Weight("bias", (channels * self.depth_multiplier,), self.bias_initializer)
        return (kernel, bias) if self.use_bias else (kernel,)

    def forward(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        (x,) = inputs
        dtype, kernel = x.dtype, wide(weights["kernel"])
        x = padded(wide(x), amounts(x.shape[1:-1], self.kernel_size, self.strides, self.padding, self.dilation_rate))
        y = sum(
            seen[..., None] * kernel[tap] for tap, seen in taps(x, self.kernel_size, self.strides, self.dilation_rate)
        )
        y = np.asarray(y)
        y = y.reshape(*y.shape[:-2], x.shape[-1] * self.depth_multiplier)
        y = activate(self.activation, y + weights["bias"] if self.use_bias else y)
        return (y.astype(dtype, copy=False),)

    def multiply_adds(self, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> Dim | None:
        _, channels = spatial(self.name, self.rank, inputs[0])
        return positions(outputs[0], prod(self.kernel_size) * channels * self.depth_multiplier)

    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            "depthwise_conv2d([1, 2], depth_multiplier=2)",
            ((1, 2, 2),),
            inputs=([[[1, 2], [3, 4]]],),
            weights={"kernel": [[[[1, 10], [100, 1000]], [[2, 20], [200, 2000]]]], "bias": [0, 0, 0, 7]},
            outputs=([[[7, 70, 1000, 10007]]],),
        ),
        Example("depthwise_conv2d(3, padding=same)", ((5, 4, 3),)),
        Example("depthwise_conv2d([3, 2], strides=2, padding=same, depth_multiplier=3)", ((7, 4, 2),)),
        Example("depthwise_conv2d(3, padding=[[0, 2], [1, 0]], dilation_rate=[1, 2], activation=relu6)", ((4, 7, 3),)),
        Example("depthwise_conv2d(2, strides=[3, 4], use_bias=false)", ((9, 7, 5),)),
        Example("depthwise_conv2d(3, padding=same)", ((1, 1, 1),)),
    )


def check_groups(filters: int, groups: int) -> None:
    """Every group gives the same number of results."""
    if filters % groups:
        raise LayerError(
            f"filters must be a multiple of groups: {filters} = {filters // groups}*{groups} + {filters % groups}",
            argument="groups",
            hint=f"{filters // groups * groups or groups} or {(filters // groups + 1) * groups} filters would do",
        )


def check_input_groups(name: str, rank: int, shape: Shape, groups: int) -> int:
    """The channels of an input, which must fall into equal groups."""
    _, channels = spatial(name, rank, shape)
    if channels % groups:
        raise LayerError(
            f"{name} with groups={groups} needs channels divisible by {groups}, got {channels} in {show(shape)}: "
            f"{channels} = {channels // groups}*{groups} + {channels % groups}",
            argument="groups",
            inputs=(0,),
        )
    return channels
