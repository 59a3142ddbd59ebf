"""Layers of a person's own, as they would write them: a pointwise one, and one with a kernel of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

import upc
from upc.emit.rows import expression, layer
from upc.ir import Array, Example, Layer, LayerError, Node, attr
from upc.layers.activations import Activation
from upc.layers.arguments import number, positive
from upc.plan.lowered import head
from upc.plan.lowerings import pointwise
from upc.runtime.steps import Apply, Combine, Step
from upc.shape import Shape


@dataclass(frozen=True, slots=True)
class ScaledMish(Activation):
    """Weigh each element by the tanh of its softplus, and scale the result.

    Math:    y = scale * x * tanh(log(1 + exp(x)))
    Source:  Misra 2019, arXiv:1908.08681
    """

    kind: ClassVar[str] = "scaled_mish"
    scale: float = attr(number, 1.0)

    def apply(self, x: Array) -> Array:
        return self.scale * x * np.tanh(np.logaddexp(0, x))

    examples: ClassVar[tuple[Example, ...]] = (
        Example("scaled_mish(2)", ((2,),), inputs=([0, 1],), weights={}, outputs=([0, 1.7301967],)),
        Example("scaled_mish(0.5)", ((2, 3, 5),)),
    )


KERAS_MISH = '''
@keras.saving.register_keras_serializable(package="own")
class ScaledMish(keras.layers.Layer):
    """Each element weighed by the tanh of its softplus, times `scale`."""

    def __init__(self, scale, **kwargs):
        super().__init__(**kwargs)
        self.scale = scale

    def call(self, x):
        return self.scale * x * ops.tanh(ops.softplus(x))

    def get_config(self):
        return {**super().get_config(), "scale": self.scale}
'''

upc.register(
    ScaledMish,
    numba=pointwise(lambda a: (Apply("softplus"), Apply("tanh"), Combine("multiply", 0), Apply("times", (a.scale,)))),
    keras=layer("ScaledMish({scale}, name={name})", KERAS_MISH),
    torch=expression("F.mish({x}) * {scale}"),
)


@dataclass(frozen=True, slots=True)
class Roll(Layer):
    """Move columns to the right, and those that fall out back in at the left.

    Shape:   stays
    Math:    y[h, w, c] = x[h, (w - shift) mod W, c]
    Errors:  a shift that is not less than the columns.
    """

    kind: ClassVar[str] = "roll"
    shift: int = attr(positive)

    def output_shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        (shape,) = inputs
        if len(shape) != 3 or not isinstance(shape[1], int) or self.shift >= shape[1]:
            raise LayerError(f"roll needs a picture of more than {self.shift} columns", argument="shift")
        return (shape,)

    def forward(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        return (np.roll(inputs[0], self.shift, axis=2),)

    examples: ClassVar[tuple[Example, ...]] = (
        Example("roll(1)", ((1, 3, 1),), inputs=([[[1], [2], [3]]],), weights={}, outputs=([[[3], [1], [2]]],)),
        Example("roll(2)", ((2, 5, 3),)),
    )


KERAS_ROLL = '''
@keras.saving.register_keras_serializable(package="own")
class Roll(keras.layers.Layer):
    """Columns moved to the right, and back in at the left."""

    def __init__(self, shift, **kwargs):
        super().__init__(**kwargs)
        self.shift = shift

    def call(self, x):
        return ops.roll(x, self.shift, axis=2)

    def get_config(self):
        return {**super().get_config(), "shift": self.shift}
'''

TORCH_ROLL = '''
class Roll(nn.Module):
    """Columns moved to the right, and back in at the left."""

    def __init__(self, shift: int) -> None:
        super().__init__()
        self.shift = shift

    def forward(self, x: Tensor) -> Tensor:
        return torch.roll(x, self.shift, dims=-1)
'''


def lower_roll(card: Roll, node: Node) -> Step:
    """The step, whose kernel is imported only when there is one to make."""
    from own_kernel import RollColumns  # type: ignore[import-not-found]

    made: Step = RollColumns(*head(node), shift=card.shift)
    return made


upc.register(
    Roll,
    numba=lower_roll,
    keras=layer("Roll({shift}, name={name})", KERAS_ROLL),
    torch=layer("Roll({shift})", TORCH_ROLL),
)
