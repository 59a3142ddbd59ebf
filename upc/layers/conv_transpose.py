"""Transposed convolution."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from upc.ir import Array, Example, Layer, LayerError, Weight, attr
from upc.layers.activations import activate, activation_name
from upc.layers.arguments import (
    Padding,
    at_least,
    flag,
    initializer,
    optional,
    padding,
    per_axis,
    positive,
    sizes,
)
from upc.layers.conv import check_groups, check_input_groups
from upc.layers.shapes import axis_name, fit_error, positions, spatial, too_small
from upc.layers.sums import wide
from upc.shape import Dim, Shape, conv_transpose_crop, conv_transpose_output, evaluate, show, window_span


@dataclass(frozen=True, slots=True)
class ConvTranspose(Layer):
    """Write each pixel's window of results, adding up where windows overlap: the transpose of a convolution.

    Shape:   (H, W, C) -> (H', W', filters), with span = d*(k-1) + 1;
             same:     H' = H*s, or with output_padding q (H-1)*s + span % 2 + q
             valid:    H' = (H-1)*s + max(span, s), or (H-1)*s + span + q
             explicit: H' = (H-1)*s + span - before - after + q
             output_size gives H' itself; it must be one from which the convolution comes back to H.
    Weights: kernel (*kernel_size, filters/groups, C), bias (filters,)
    Math:    full[h*s + i*d, w*s + j*d, f] += kernel[i, j, f, c] * x[h, w, c]; the result is a window of `full`
             (zero past its end) plus bias. It starts at 0 (valid), at `before` (explicit), or at
             max(0, (H-1)*s + span - H') // 2 (same, TensorFlow's).
    Errors:  channels or filters not divisible by groups; output_padding not below the stride; an output_size
             out of reach; padding that leaves nothing.
    Source:  Dumoulin and Visin 2016, arXiv:1603.07285
    """

    kind: ClassVar[str] = "conv{rank}d_transpose"
    filters: int = attr(positive)
    kernel_size: tuple[int, ...] = attr(sizes, limit="kernel")
    strides: tuple[int, ...] = attr(sizes, 1, limit="strides")
    padding: Padding = attr(padding, "valid")
    output_padding: tuple[int, ...] | None = attr(optional(per_axis(at_least(0))), None)
    output_size: tuple[int, ...] | None = attr(optional(sizes), None)
    dilation_rate: tuple[int, ...] = attr(sizes, 1, limit="dilation")
    groups: int = attr(positive, 1)
    activation: str | None = attr(activation_name, None)
    use_bias: bool = attr(flag, True)
    kernel_initializer: str = attr(initializer, "glorot_uniform")
    bias_initializer: str = attr(initializer, "zeros")

    def check(self) -> None:
        check_groups(self.filters, self.groups)
        if self.output_padding is None:
            return
        if self.output_size is not None:
            raise LayerError(
                "output_padding and output_size both set the size of the result",
                argument="output_size",
                hint="give one of them",
            )
        for axis, q in enumerate(self.output_padding):
            below = self._ambiguity(axis)
            if q >= below:
                limit = "strides" if below == self.strides[axis] else "dilation_rate"
                raise LayerError(
                    f"output_padding must be below {limit} ({axis_name(self.rank, axis)}): {q} >= {below}",
                    argument="output_padding",
                    hint="it chooses among the sizes that one convolution brings to the same size; use "
                    "`zero_padding2d` after the layer to add pixels",
                )

    def _ambiguity(self, axis: int) -> int:
        """How many sizes a convolution may have had, and so how large output_padding may not be.

        PyTorch, whose meaning explicit padding has, also accepts what is below the dilation.
        """
        stride = self.strides[axis]
        return stride if isinstance(self.padding, str) else max(stride, self.dilation_rate[axis])

    def output_paddings(self, shape: Shape) -> tuple[int | None, ...]:
        """The output_padding of each axis for an input: as given, worked out from output_size, or None."""
        if self.output_size is None:
            return self.output_padding or (None,) * self.rank
        return tuple(self._reach(axis, shape) for axis in range(self.rank))

    def _reach(self, axis: int, shape: Shape) -> int:
        """The output_padding that gives the wanted output_size along an axis."""
        assert self.output_size is not None
        dim, wanted = shape[axis], self.output_size[axis]
        start = self._size(axis, dim, 0)
        if not isinstance(dim, int) or not isinstance(start, int):
            raise LayerError(
                f"output_size needs a known input size, got {dim} in {show(shape)}",
                argument="output_size",
                inputs=(0,),
                hint="`output_padding` works with free sizes",
            )
        least, most = start, start + self._ambiguity(axis) - 1
        # TensorFlow's `same` comes back from any size whose ceil(size / stride) is the input's.
        if self.padding == "same":
            least, most = (dim - 1) * self.strides[axis] + 1, dim * self.strides[axis]
        if not least <= wanted <= most:
            stride, span = self.strides[axis], window_span(self.kernel_size[axis], self.dilation_rate[axis])
            if self.padding == "same":
                equation = f"{dim} = ceil(output_size / {stride})"
            else:
                before, after = (0, 0) if isinstance(self.padding, str) else self.padding[axis]
                equation = f"({dim} - 1)*{stride} + {span} - {before} - {after} + output_padding"
            raise LayerError(
                f"output_size {wanted} is out of reach from {show(shape)} ({axis_name(self.rank, axis)}): {equation}",
                argument="output_size",
                inputs=(0,),
                hint=f"only {least} will do" if least == most else f"{least} to {most} will do",
            )
        return wanted - start

    def _size(self, axis: int, dim: Dim, output_padding: int | None) -> Dim:
        amounts = self.padding if isinstance(self.padding, str) else self.padding[axis]
        return conv_transpose_output(
            dim, self.kernel_size[axis], self.strides[axis], self.dilation_rate[axis], amounts, output_padding
        )

    def crops(self, shape: Shape) -> tuple[tuple[int, Dim], ...]:
        """(before, size) of each axis: which window of the full transposed convolution the result is."""
        return tuple(
            conv_transpose_crop(
                shape[axis],
                self.kernel_size[axis],
                self.strides[axis],
                self.dilation_rate[axis],
                self.padding if isinstance(self.padding, str) else self.padding[axis],
                q,
            )
            for axis, q in enumerate(self.output_paddings(shape))
        )

    def output_shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        (shape,) = inputs
        check_input_groups(self.name, self.rank, shape, self.groups)
        result: list[Dim] = []
        for axis, q in enumerate(self.output_paddings(shape)):
            size = self._size(axis, shape[axis], q)
            if too_small(size):
                span = window_span(self.kernel_size[axis], self.dilation_rate[axis])
                around = (
                    f"{span} % 2" if isinstance(self.padding, str) else "{} - {} - {}".format(span, *self.padding[axis])
                )
                equation = f"({shape[axis]} - 1)*{self.strides[axis]} + {around} + {q or 0}"
                hint = "less padding or more output_padding would leave some"
                raise fit_error(self.name, axis, self.rank, shape, equation, size, hint)
            result.append(size)
        return ((*result, self.filters),)

    def weights(self, inputs: Sequence[Shape]) -> tuple[Weight, ...]:
        _, channels = spatial(self.name, self.rank, inputs[0])
        kernel = Weight("kernel", (*self.kernel_size, self.filters // self.groups, channels), self.kernel_initializer)
        return (kernel, Weight("bias", (self.filters,), self.bias_initializer)) if self.use_bias else (kernel,)

    def forward(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        dtype, x, kernel = inputs[0].dtype, wide(inputs[0]), wide(weights["kernel"])
        axes, channels = x.shape[1:-1], x.shape[-1]
        ci, co = channels // self.groups, self.filters // self.groups
        geometry = list(zip(axes, self.kernel_size, self.strides, self.dilation_rate, strict=True))
        full = np.zeros((len(x), *((n - 1) * s + window_span(k, d) for n, k, s, d in geometry), self.filters), x.dtype)
        for tap in itertools.product(*map(range, self.kernel_size)):
            index = tuple(
                slice(i * d, i * d + (n - 1) * s + 1, s) for i, (n, _, s, d) in zip(tap, geometry, strict=True)
            )
            for g in range(self.groups):
                group = slice(g * ci, (g + 1) * ci)
                written = x[..., group] @ kernel[tap][:, group].T
                full[(slice(None), *index, slice(g * co, (g + 1) * co))] += written
        crops = [(before, evaluate(size, {})) for before, size in self.crops((*axes, channels))]
        y = np.zeros((len(x), *(size for _, size in crops), self.filters), x.dtype)
        kept = full[(slice(None), *(slice(before, before + size) for before, size in crops))]
        y[tuple(slice(n) for n in kept.shape)] = kept
        y = activate(self.activation, y + weights["bias"] if self.use_bias else y)
        return (y.astype(dtype, copy=False),)

    def multiply_adds(self, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> Dim | None:
        return positions(inputs[0], prod(self.weights(inputs)[0].shape))

    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            "conv2d_transpose(1, kernel_size=1, strides=2)",
            ((2, 2, 1),),
            inputs=([[[1], [2]], [[3], [4]]],),
            weights={"kernel": [[[[1]]]], "bias": [0]},
            outputs=(
                [
                    [[1], [0], [2], [0]],
                    [[0], [0], [0], [0]],
                    [[3], [0], [4], [0]],
                    [[0], [0], [0], [0]],
                ],
            ),
        ),
        Example(
            "conv2d_transpose(1, [1, 3], strides=[1, 2], padding=same)",
            ((1, 2, 1),),
            inputs=([[[1], [2]]],),
            weights={"kernel": [[[[1]], [[10]], [[100]]]], "bias": [0]},
            outputs=([[[1], [10], [102], [20]]],),
        ),
        Example("conv2d_transpose(5, 4, strides=2, padding=same, activation=sigmoid)", ((3, 4, 2),)),
        Example("conv2d_transpose(4, 3, strides=2)", ((5, 3, 2),)),
        Example("conv2d_transpose(4, [3, 5], strides=[2, 3], padding=same)", ((4, 5, 3),)),
        Example("conv2d_transpose(2, 2, strides=3, padding=same)", ((3, 5, 4),)),
        Example("conv2d_transpose(2, [1, 2], strides=[3, 5])", ((3, 2, 4),)),
        Example("conv2d_transpose(6, 3, strides=2, padding=1, output_padding=1, groups=2)", ((4, 3, 4),)),
        Example("conv2d_transpose(3, 4, strides=2, padding=3)", ((7, 6, 5),)),
        Example("conv2d_transpose(3, [3, 4], strides=[3, 2], padding=same, output_padding=[2, 0])", ((4, 3, 2),)),
        Example("conv2d_transpose(3, 3, strides=[3, 2], output_padding=1)", ((2, 4, 2),)),
        Example("conv2d_transpose(3, 3, strides=2, padding=same, output_size=[7, 8])", ((4, 4, 2),)),
        Example("conv2d_transpose(3, 3, strides=2, padding=[[1, 1], [0, 1]], output_size=[8, 6])", ((4, 3, 2),)),
        Example("conv2d_transpose(3, [2, 3], strides=2, dilation_rate=[3, 2])", ((3, 4, 2),)),
        Example("conv2d_transpose(4, 3, strides=[2, 1], padding=same, dilation_rate=2, groups=4)", ((3, 5, 8),)),
        Example("conv2d_transpose(2, 3, strides=2, padding=[[2, 0], [0, 3]], use_bias=false)", ((4, 5, 3),)),
        Example("conv2d_transpose(2, 5, padding=same)", ((1, 1, 3),)),
    )
