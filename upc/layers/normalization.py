"""Normalizations, as they are at inference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from upc.ir import Array, Example, Layer, LayerError, Weight, attr
from upc.layers.arguments import flag, number_in, positive
from upc.layers.shapes import channels
from upc.layers.sums import mean
from upc.shape import Shape, show

_epsilon = number_in(0, low_open=True)


def _gamma_beta(name: str, shape: Shape, center: bool, scale: bool) -> tuple[Weight, ...]:
    """The scale and the offset of each channel, where a layer has them."""
    c = channels(name, shape)
    gamma = (Weight("gamma", (c,), "ones"),) if scale else ()
    return gamma + ((Weight("beta", (c,), "zeros"),) if center else ())


def _affine(y: Array, weights: Mapping[str, Array]) -> Array:
    """Scaled by gamma and moved by beta, where they are given."""
    if "gamma" in weights:
        y = y * weights["gamma"]
    return y + weights["beta"] if "beta" in weights else y


def _standardized(x: Array, axes: tuple[int, ...], epsilon: float) -> Array:
    """Mean 0 and variance 1 over some axes, in float64."""
    centered = x - mean(x, axes)
    return centered / np.sqrt(mean(centered * centered, axes) + epsilon)


@dataclass(frozen=True, slots=True)
class BatchNormalization(Layer):
    """Standardize each channel with the mean and variance that training gathered.

    Shape:   (..., C) -> (..., C)
    Weights: gamma, beta, moving_mean, moving_variance, each (C,); the last two are not trained
    Math:    y = (x - moving_mean) / sqrt(moving_variance + epsilon) * gamma + beta
    Errors:  a last axis of free size.
    Source:  Ioffe and Szegedy 2015, arXiv:1502.03167
    """

    kind: ClassVar[str] = "batch_normalization"
    momentum: float = attr(number_in(0, 1), 0.99)
    epsilon: float = attr(_epsilon, 1e-3)
    center: bool = attr(flag, True)
    scale: bool = attr(flag, True)

    def output_shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        channels(self.name, inputs[0])
        return (inputs[0],)

    def weights(self, inputs: Sequence[Shape]) -> tuple[Weight, ...]:
        c = channels(self.name, inputs[0])
        return (
            *_gamma_beta(self.name, inputs[0], self.center, self.scale),
            Weight("moving_mean", (c,), "zeros", trainable=False),
            Weight("moving_variance", (c,), "ones", trainable=False),
        )

    def forward(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        deviation = np.sqrt(weights["moving_variance"] + self.epsilon)
        return (_affine((inputs[0] - weights["moving_mean"]) / deviation, weights),)

    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            "batch_normalization(epsilon=1)",
            ((1, 2, 2),),
            inputs=([[[1, 2], [3, 4]]],),
            weights={"gamma": [1, 10], "beta": [0, 0.5], "moving_mean": [1, 0], "moving_variance": [3, 0]},
            outputs=([[[0, 20.5], [1, 40.5]]],),
        ),
        Example("batch_normalization()", ((4, 3, 5),)),
        Example("batch_normalization(center=false)", ((7,),)),
        Example("batch_normalization(0.9, 1e-5, scale=false)", ((1, 3, 2),)),
    )


@dataclass(frozen=True, slots=True)
class LayerNormalization(Layer):
    """Standardize the channels of each pixel.

    Shape:   (..., C) -> (..., C)
    Weights: gamma, beta, each (C,)
    Math:    y = (x - mean) / sqrt(variance + epsilon) * gamma + beta, over the last axis
    Errors:  a last axis of free size.
    Source:  Ba, Kiros and Hinton 2016, arXiv:1607.06450
    """

    kind: ClassVar[str] = "layer_normalization"
    epsilon: float = attr(_epsilon, 1e-3)
    center: bool = attr(flag, True)
    scale: bool = attr(flag, True)

    def output_shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        channels(self.name, inputs[0])
        return (inputs[0],)

    def weights(self, inputs: Sequence[Shape]) -> tuple[Weight, ...]:
        return _gamma_beta(self.name, inputs[0], self.center, self.scale)

    def forward(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        (x,) = inputs
        return (_affine(_standardized(x, (-1,), self.epsilon), weights).astype(x.dtype, copy=False),)

    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            "layer_normalization(epsilon=3)",
            ((2, 2),),
            inputs=([[1, 3], [5, 5]],),
            weights={"gamma": [2, 4], "beta": [0, 1]},
            outputs=([[-1, 3], [0, 1]],),
        ),
        Example("layer_normalization()", ((4, 3, 5),)),
        Example("layer_normalization(1e-5, center=false, scale=false)", ((7,),)),
        Example("layer_normalization()", ((2, 3, 1),)),
    )


@dataclass(frozen=True, slots=True)
class InstanceNormalization(Layer):
    """Standardize each channel over the pixels of its own picture.

    Shape:   (H, W, C) -> (H, W, C)
    Weights: gamma, beta, each (C,)
    Math:    y = (x - mean) / sqrt(variance + epsilon) * gamma + beta, over height and width
    Errors:  an input without spatial axes.
    Source:  Ulyanov, Vedaldi and Lempitsky 2016, arXiv:1607.08022
    """

    kind: ClassVar[str] = "instance_normalization"
    epsilon: float = attr(_epsilon, 1e-3)
    center: bool = attr(flag, True)
    scale: bool = attr(flag, True)

    def output_shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        (shape,) = inputs
        channels(self.name, shape)
        if len(shape) < 2:
            raise LayerError(
                f"instance_normalization works over pixels, got shape {show(shape)}",
                inputs=(0,),
                hint="`layer_normalization()` works on vectors",
            )
        return (shape,)

    def weights(self, inputs: Sequence[Shape]) -> tuple[Weight, ...]:
        return _gamma_beta(self.name, inputs[0], self.center, self.scale)

    def forward(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        (x,) = inputs
        axes = tuple(range(1, x.ndim - 1))
        return (_affine(_standardized(x, axes, self.epsilon), weights).astype(x.dtype, copy=False),)

    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            "instance_normalization(epsilon=3)",
            ((1, 2, 2),),
            inputs=([[[1, 5], [3, 5]]],),
            weights={"gamma": [2, 4], "beta": [0, 1]},
            outputs=([[[-1, 1], [1, 1]]],),
        ),
        Example("instance_normalization()", ((4, 3, 5),)),
        Example("instance_normalization(center=false)", ((1, 7, 2),)),
    )


@dataclass(frozen=True, slots=True)
class GroupNormalization(Layer):
    """Standardize groups of channels over the pixels of their own picture.

    Shape:   (..., C) -> (..., C)
    Weights: gamma, beta, each (C,)
    Math:    y = (x - mean) / sqrt(variance + epsilon) * gamma + beta,
             over all pixels and the C/groups neighbouring channels of a group
    Errors:  channels not divisible by groups.
    Source:  Wu and He 2018, arXiv:1803.08494
    """

    kind: ClassVar[str] = "group_normalization"
    groups: int = attr(positive, 32)
    epsilon: float = attr(_epsilon, 1e-3)
    center: bool = attr(flag, True)
    scale: bool = attr(flag, True)

    def output_shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        (shape,) = inputs
        c = channels(self.name, shape)
        if c % self.groups:
            raise LayerError(
                f"group_normalization with groups={self.groups} needs channels divisible by {self.groups}, "
                f"got {c} in {show(shape)}: {c} = {c // self.groups}*{self.groups} + {c % self.groups}",
                argument="groups",
                inputs=(0,),
            )
        return (shape,)

    def weights(self, inputs: Sequence[Shape]) -> tuple[Weight, ...]:
        return _gamma_beta(self.name, inputs[0], self.center, self.scale)

    def forward(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        (x,) = inputs
        grouped = x.reshape(*x.shape[:-1], self.groups, x.shape[-1] // self.groups)
        axes = (*range(1, x.ndim - 1), x.ndim)
        y = _standardized(grouped, axes, self.epsilon).reshape(x.shape)
        return (_affine(y, weights).astype(x.dtype, copy=False),)

    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            "group_normalization(2, epsilon=3)",
            ((1, 1, 4),),
            inputs=([[[1, 3, 7, 7]]],),
            weights={"gamma": [2, 4, 1, 1], "beta": [0, 1, 0, 5]},
            outputs=([[[-1, 3, 0, 5]]],),
        ),
        Example("group_normalization(3)", ((4, 5, 6),)),
        Example("group_normalization()", ((3, 2, 64),)),
        Example("group_normalization(1, scale=false)", ((1, 7, 2),)),
        Example("group_normalization(2)", ((6,),)),
    )
