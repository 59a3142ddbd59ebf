"""Activations: one card each, which also defines what `activation=` of other layers means."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from upc.diagnostics import nearest
from upc.ir import Array, Example, Layer, LayerError, Literal, Weight, attr
from upc.layers.arguments import flag, initializer, listed, number, number_in, optional, positive, shown, whole
from upc.layers.shapes import axis_index
from upc.shape import Shape, show


@dataclass(frozen=True, slots=True)
class Activation(Layer):
    """What activations share: they keep the shape and work on every element."""

    def output_shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        return (inputs[0],)

    def apply(self, x: Array) -> Array:
        """The activation of an array, in the array's precision."""
        raise NotImplementedError(self.name)

    def forward(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        return (self.apply(inputs[0]).astype(inputs[0].dtype, copy=False),)


@dataclass(frozen=True, slots=True)
class Relu(Activation):
    """Cut off what is negative, and what is above `max_value`.

    Math:    y = min(max(x, 0), max_value) + negative_slope * min(x, 0)
    """

    kind: ClassVar[str] = "relu"
    max_value: float | None = attr(optional(number_in(0)), None)
    negative_slope: float = attr(number_in(0), 0.0)

    def apply(self, x: Array) -> Array:
        y = np.maximum(x, 0)
        if self.max_value is not None:
            y = np.minimum(y, self.max_value)
        return y + self.negative_slope * np.minimum(x, 0) if self.negative_slope else y

    examples: ClassVar[tuple[Example, ...]] = (
        Example("relu()", ((4,),), inputs=([-2, 0, 1, 7],), weights={}, outputs=([0, 0, 1, 7],)),
        Example("relu(6, negative_slope=0.5)", ((4,),), inputs=([-2, 0, 1, 7],), weights={}, outputs=([-1, 0, 1, 6],)),
        Example("relu(max_value=1)", ((3, 4, 5),)),
    )


@dataclass(frozen=True, slots=True)
class LeakyRelu(Activation):
    """Let a part of what is negative through; as in Keras a layer's default slope is 0.3, an `activation=`'s 0.2.

    Math:    y = x where x >= 0, negative_slope * x elsewhere
    Source:  Maas, Hannun and Ng 2013, "Rectifier nonlinearities improve neural network acoustic models"
    """

    kind: ClassVar[str] = "leaky_relu"
    negative_slope: float = attr(number_in(0), 0.3)

    def apply(self, x: Array) -> Array:
        return np.where(x >= 0, x, self.negative_slope * x)

    examples: ClassVar[tuple[Example, ...]] = (
        Example("leaky_relu(0.25)", ((3,),), inputs=([-2, 0, 3],), weights={}, outputs=([-0.5, 0, 3],)),
        Example("leaky_relu()", ((2, 3, 5),)),
        Example("leaky_relu(2)", ((2, 3, 5),)),
    )


@dataclass(frozen=True, slots=True)
class PRelu(Activation):
    """Leaky ReLU with learned slopes, one for each element; `shared_axes=[1, 2]` leaves one for each channel.

    Weights: alpha, the input's shape with 1 at each shared axis (Keras's axes: the batch is 0)
    Math:    y = x where x >= 0, alpha * x elsewhere
    Errors:  an axis that is not there; a free size that is not shared.
    Source:  He et al. 2015, arXiv:1502.01852
    """

    kind: ClassVar[str] = "prelu"
    shared_axes: tuple[int, ...] = attr(listed(positive), ())
    alpha_initializer: str = attr(initializer, "zeros")

    def output_shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        self.weights(inputs)
        return (inputs[0],)

    def weights(self, inputs: Sequence[Shape]) -> tuple[Weight, ...]:
        (shape,) = inputs
        for axis in self.shared_axes:
            if axis > len(shape):
                raise LayerError(
                    f"axis {axis} is not in {show(shape)}: expected 1 to {len(shape)}", argument="shared_axes"
                )
        alpha: list[int] = []
        for axis, dim in enumerate(shape, start=1):
            size = 1 if axis in self.shared_axes else dim
            if not isinstance(size, int):
                spatial = ", ".join(str(i) for i in range(1, len(shape)))
                raise LayerError(
                    f"prelu has a slope for each element, but {show(shape)} has a free size",
                    argument="shared_axes",
                    inputs=(0,),
                    hint=f"`prelu(shared_axes=[{spatial}])` learns one slope for each channel",
                )
            alpha.append(size)
        return (Weight("alpha", tuple(alpha), self.alpha_initializer),)

    def forward(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        (x,) = inputs
        return (np.where(x >= 0, x, weights["alpha"] * x),)

    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            "prelu(shared_axes=[1, 2])",
            ((1, 2, 2),),
            inputs=([[[-1, -1], [2, -3]]],),
            weights={"alpha": [[[0.5, 2]]]},
            outputs=([[[-0.5, -2], [2, -6]]],),
        ),
        Example("prelu(alpha_initializer=random_uniform)", ((2, 3, 5),)),
        Example("prelu([1, 2, 3])", ((2, 3, 5),)),
        Example("prelu()", ((4,),)),
    )


@dataclass(frozen=True, slots=True)
class Elu(Activation):
    """Bend what is negative towards -alpha.

    Math:    y = x where x >= 0, alpha * (exp(x) - 1) elsewhere
    Source:  Clevert, Unterthiner and Hochreiter 2016, arXiv:1511.07289
    """

    kind: ClassVar[str] = "elu"
    alpha: float = attr(number_in(0), 1.0)

    def apply(self, x: Array) -> Array:
        return np.where(x >= 0, x, self.alpha * np.expm1(np.minimum(x, 0)))

    examples: ClassVar[tuple[Example, ...]] = (
        Example("elu(2)", ((2,),), inputs=([-math.log(2), 3],), weights={}, outputs=([-1, 3],)),
        Example("elu()", ((2, 3, 5),)),
    )


@dataclass(frozen=True, slots=True)
class Selu(Activation):
    """ELU scaled so that activations normalise themselves.

    Math:    y = 1.0507... * elu(x) with alpha = 1.6732...
    Source:  Klambauer et al. 2017, arXiv:1706.02515
    """

    kind: ClassVar[str] = "selu"
    SCALE: ClassVar[float] = 1.0507009873554805
    ALPHA: ClassVar[float] = 1.6732632423543772

    def apply(self, x: Array) -> Array:
        return self.SCALE * np.where(x >= 0, x, self.ALPHA * np.expm1(np.minimum(x, 0)))

    examples: ClassVar[tuple[Example, ...]] = (
        Example("selu()", ((2,),), inputs=([0, 2],), weights={}, outputs=([0, 2.101401974710961],)),
        Example("selu()", ((2, 3, 5),)),
    )


_erf = np.vectorize(math.erf, otypes=[float])


@dataclass(frozen=True, slots=True)
class Gelu(Activation):
    """Weigh each element by how much of a normal distribution lies below it.

    Math:    y = x * (1 + erf(x / sqrt(2))) / 2; approximate: x * (1 + tanh(sqrt(2/pi) * (x + 0.044715 * x**3))) / 2
    Source:  Hendrycks and Gimpel 2016, arXiv:1606.08415
    """

    kind: ClassVar[str] = "gelu"
    approximate: bool = attr(flag, False)

    def apply(self, x: Array) -> Array:
        if self.approximate:
            return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
        return 0.5 * x * (1 + _erf(x / math.sqrt(2)).astype(x.dtype))

    examples: ClassVar[tuple[Example, ...]] = (
        Example("gelu()", ((3,),), inputs=([-1, 0, 1],), weights={}, outputs=([-0.15865525, 0, 0.84134475],)),
        Example("gelu(approximate=true)", ((2,),), inputs=([-1, 1],), weights={}, outputs=([-0.15880801, 0.84119199],)),
        Example("gelu()", ((2, 3, 5),)),
    )


def _sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), without overflow on either side."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


@dataclass(frozen=True, slots=True)
class Silu(Activation):
    """Weigh each element by its sigmoid; also called swish.

    Math:    y = x / (1 + exp(-x))
    """

    kind: ClassVar[str] = "silu"

    def apply(self, x: Array) -> Array:
        return x * _sigmoid(x)

    examples: ClassVar[tuple[Example, ...]] = (
        Example("silu()", ((2,),), inputs=([0, math.log(3)],), weights={}, outputs=([0, 0.75 * math.log(3)],)),
        Example("silu()", ((2, 3, 5),)),
    )


@dataclass(frozen=True, slots=True)
class Softplus(Activation):
    """A smooth ReLU.

    Math:    y = log(1 + exp(x))
    """

    kind: ClassVar[str] = "softplus"

    def apply(self, x: Array) -> Array:
        return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))

    examples: ClassVar[tuple[Example, ...]] = (
        Example("softplus()", ((2,),), inputs=([0, 1000],), weights={}, outputs=([math.log(2), 1000],)),
        Example("softplus()", ((2, 3, 5),)),
    )


@dataclass(frozen=True, slots=True)
class Tanh(Activation):
    """Squash into -1 to 1.

    Math:    y = tanh(x)
    """

    kind: ClassVar[str] = "tanh"

    def apply(self, x: Array) -> Array:
        return np.tanh(x)

    examples: ClassVar[tuple[Example, ...]] = (
        Example("tanh()", ((2,),), inputs=([0, math.log(3)],), weights={}, outputs=([0, 0.8],)),
        Example("tanh()", ((2, 3, 5),)),
    )


@dataclass(frozen=True, slots=True)
class Sigmoid(Activation):
    """Squash into 0 to 1.

    Math:    y = 1 / (1 + exp(-x))
    """

    kind: ClassVar[str] = "sigmoid"

    def apply(self, x: Array) -> Array:
        return _sigmoid(x)

    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            "sigmoid()",
            ((4,),),
            inputs=([-1000, 0, math.log(3), 1000],),
            weights={},
            outputs=([0, 0.5, 0.75, 1],),
        ),
        Example("sigmoid()", ((2, 3, 5),)),
    )


@dataclass(frozen=True, slots=True)
class HardSigmoid(Activation):
    """A sigmoid of straight pieces.

    Math:    y = min(max(x + 3, 0), 6) / 6
    """

    kind: ClassVar[str] = "hard_sigmoid"

    def apply(self, x: Array) -> Array:
        return np.clip(x + 3, 0, 6) / 6

    examples: ClassVar[tuple[Example, ...]] = (
        Example("hard_sigmoid()", ((3,),), inputs=([-4, 1.5, 4],), weights={}, outputs=([0, 0.75, 1],)),
        Example("hard_sigmoid()", ((2, 3, 5),)),
    )


@dataclass(frozen=True, slots=True)
class HardSwish(Activation):
    """Weigh each element by its hard sigmoid.

    Math:    y = x * min(max(x + 3, 0), 6) / 6
    Source:  Howard et al. 2019, arXiv:1905.02244
    """

    kind: ClassVar[str] = "hard_swish"

    def apply(self, x: Array) -> Array:
        return x * (np.clip(x + 3, 0, 6) / 6)

    examples: ClassVar[tuple[Example, ...]] = (
        Example("hard_swish()", ((3,),), inputs=([-4, 1.5, 4],), weights={}, outputs=([0, 1.125, 4],)),
        Example("hard_swish()", ((2, 3, 5),)),
    )


@dataclass(frozen=True, slots=True)
class Softmax(Activation):
    """Shares of a whole along an axis.

    Math:    y = exp(x) / sum of exp(x) along the axis (Keras's axes: the batch is 0, the last -1)
    Errors:  an axis that is not there, or the batch.
    """

    kind: ClassVar[str] = "softmax"
    axis: int = attr(whole, -1)

    def output_shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        axis_index(self.name, self.axis, inputs[0])
        return (inputs[0],)

    def apply(self, x: Array) -> Array:
        e = np.exp(x - x.max(axis=self.axis, keepdims=True))
        return np.asarray(e / e.sum(axis=self.axis, keepdims=True, dtype=np.float64))

    examples: ClassVar[tuple[Example, ...]] = (
        Example("softmax()", ((2,),), inputs=([1000, 1000 + math.log(3)],), weights={}, outputs=([0.25, 0.75],)),
        Example("softmax()", ((2, 3, 5),)),
        Example("softmax(axis=1)", ((4, 3, 2),)),
        Example("softmax(-2)", ((4, 3, 1),)),
    )


@dataclass(frozen=True, slots=True)
class Clip(Activation):
    """Hold every element between two bounds.

    Math:    y = min(max(x, min_value), max_value)
    Errors:  min_value above max_value.
    """

    kind: ClassVar[str] = "clip"
    min_value: float = attr(number)
    max_value: float = attr(number)

    def check(self) -> None:
        if self.min_value > self.max_value:
            raise LayerError(
                f"min_value must not be above max_value: {self.min_value:g} > {self.max_value:g}",
                argument="max_value",
            )

    def apply(self, x: Array) -> Array:
        return np.minimum(np.maximum(x, self.min_value), self.max_value)

    examples: ClassVar[tuple[Example, ...]] = (
        Example("clip(0, 1)", ((3,),), inputs=([-1, 0.5, 2],), weights={}, outputs=([0, 0.5, 1],)),
        Example("clip(min_value=-0.25, max_value=0.5)", ((2, 3, 5),)),
    )


ACTIVATIONS: dict[str, Activation] = {
    "relu": Relu(),
    "relu6": Relu(max_value=6.0),
    "leaky_relu": LeakyRelu(negative_slope=0.2),
    "elu": Elu(),
    "selu": Selu(),
    "gelu": Gelu(),
    "silu": Silu(),
    "softplus": Softplus(),
    "tanh": Tanh(),
    "sigmoid": Sigmoid(),
    "hard_sigmoid": HardSigmoid(),
    "hard_swish": HardSwish(),
    "softmax": Softmax(),
}
"""What `activation=` of a layer means: Keras's names, each with Keras's arguments for it."""

ALIASES: dict[str, str | None] = {"linear": None, "swish": "silu", "hard_silu": "hard_swish"}


def activation_name(value: Literal, rank: int = 0) -> str | None:
    """The canonical name of an activation, or None for none."""
    if value is None:
        return None
    if isinstance(value, str) and (value in ACTIVATIONS or value in ALIASES):
        return ALIASES.get(value, value)
    near = nearest(value.lower(), [*ACTIVATIONS, *ALIASES]) if isinstance(value, str) else None
    known = ", ".join(sorted(ACTIVATIONS))
    raise LayerError(
        f"expected an activation, got {shown(value)}",
        hint=f"did you mean `{near}`?" if near else f"known are {known}",
    )


def activate(name: str | None, x: Array) -> Array:
    """An array through the activation of that name."""
    return x if name is None else ACTIVATIONS[name].forward((x,), {})[0]
