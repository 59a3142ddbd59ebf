"""The fully connected layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from upc.ir import Array, Example, Layer, Weight, attr
from upc.layers.activations import activate, activation_name
from upc.layers.arguments import flag, initializer, positive
from upc.layers.shapes import channels, positions
from upc.layers.sums import wide
from upc.shape import Dim, Shape


@dataclass(frozen=True, slots=True)
class Dense(Layer):
    """Multiply the last axis by a matrix.

    Shape:   (..., C) -> (..., units)
    Weights: kernel (C, units), bias (units,)
    Math:    y[..., u] = bias[u] + sum over c of x[..., c] * kernel[c, u]
    Errors:  a last axis of free size.
    """

    kind: ClassVar[str] = "dense"
    units: int = attr(positive)
    activation: str | None = attr(activation_name, None)
    use_bias: bool = attr(flag, True)
    kernel_initializer: str = attr(initializer, "glorot_uniform")
    bias_initializer: str = attr(initializer, "zeros")

    def output_shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        channels(self.name, inputs[0])
        return ((*inputs[0][:-1], self.units),)

    def weights(self, inputs: Sequence[Shape]) -> tuple[Weight, ...]:
        kernel = Weight("kernel", (channels(self.name, inputs[0]), self.units), self.kernel_initializer)
        return (kernel, Weight("bias", (self.units,), self.bias_initializer)) if self.use_bias else (kernel,)

    def forward(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        (x,) = inputs
        y = wide(x) @ wide(weights["kernel"])
        y = activate(self.activation, y + weights["bias"] if self.use_bias else y)
        return (y.astype(x.dtype, copy=False),)

    def multiply_adds(self, inputs: Sequence[Shape], outputs: Sequence[Shape]) -> Dim | None:
        return positions(inputs[0], channels(self.name, inputs[0]) * self.units)

    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            "dense(2, activation=relu)",
            ((3,),),
            inputs=([1, 2, 3],),
            weights={"kernel": [[1, -1], [10, 0], [100, 0]], "bias": [0.5, 0.5]},
            outputs=([321.5, 0],),
        ),
        Example("dense(7, use_bias=false)", ((5,),)),
        Example("dense(4, tanh, kernel_initializer=he_normal)", ((3, 2, 5),)),
        Example("dense(1, activation=softmax)", ((1,),)),
    )
