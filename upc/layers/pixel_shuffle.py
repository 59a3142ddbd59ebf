"""Moving channels into space and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from upc.ir import Array, Example, Layer, LayerError, attr
from upc.layers.arguments import positive, word
from upc.layers.shapes import Pair, exact_quotient, spatial
from upc.shape import Dim, Shape, show

_order = word("crd", "dcr")


@dataclass(frozen=True, slots=True)
class PixelShuffle(Layer):
    """Move blocks of channels into space. There is no default order: PyTorch's is crd, TensorFlow's dcr.

    Shape:   (H, W, C*r*r) -> (H*r, W*r, C)
    Math:    crd: y[h*r+i, w*r+j, c] = x[h, w, c*r*r + i*r + j];  dcr: x[h, w, (i*r + j)*C + c]
    Errors:  channels not divisible by r*r.
    Source:  Shi et al. 2016, arXiv:1609.05158
    """

    kind: ClassVar[str] = "pixel_shuffle"
    factor: int = attr(positive)
    order: str = attr(_order, keyword=True)

    def output_shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        (shape,) = inputs
        axes, channels = spatial(self.name, self.rank, shape)
        block = self.factor**self.rank
        if channels % block:
            power = f"{self.factor}**{self.rank}"
            raise LayerError(
                f"pixel_shuffle by {self.factor} needs channels divisible by {power} = {block}, "
                f"got {channels} in {show(shape)}: {channels} = {channels // block}*{block} + {channels % block}",
                argument="factor",
                inputs=(0,),
                hint=f"{max(1, channels // block) * block} or {(channels // block + 1) * block} channels would do",
            )
        return ((*(n * self.factor for n in axes), channels // block),)

    def forward(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        (x,) = inputs
        n, *axes, channels = x.shape
        r, rank = self.factor, self.rank
        c = channels // r**rank
        if self.order == "crd":
            x = np.moveaxis(x.reshape(n, *axes, c, *[r] * rank), rank + 1, -1)
        else:
            x = x.reshape(n, *axes, *[r] * rank, c)
        # (n, H, W, r, r, c) -> (n, H, r, W, r, c)
        interleaved = [axis for a in range(rank) for axis in (1 + a, 1 + rank + a)]
        return (x.transpose(0, *interleaved, 1 + 2 * rank).reshape(n, *(size * r for size in axes), c),)

    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            "pixel_shuffle(2, order=crd)",
            ((1, 1, 8),),
            inputs=([[[0, 1, 2, 3, 4, 5, 6, 7]]],),
            weights={},
            outputs=([[[0, 4], [1, 5]], [[2, 6], [3, 7]]],),
        ),
        Example(
            "pixel_shuffle(2, order=dcr)",
            ((1, 1, 8),),
            inputs=([[[0, 1, 2, 3, 4, 5, 6, 7]]],),
            weights={},
            outputs=([[[0, 1], [2, 3]], [[4, 5], [6, 7]]],),
        ),
        Example("pixel_shuffle(3, order=crd)", ((2, 5, 36),)),
        Example("pixel_shuffle(2, order=dcr)", ((3, 2, 20),)),
        Example("pixel_shuffle(1, order=crd)", ((3, 1, 2),)),
    )


@dataclass(frozen=True, slots=True)
class PixelUnshuffle(Layer):
    """Move blocks of pixels into channels: the inverse of `pixel_shuffle` with the same order.

    Shape:   (H*r, W*r, C) -> (H, W, C*r*r)
    Math:    crd: y[h, w, c*r*r + i*r + j] = x[h*r+i, w*r+j, c];  dcr: y[h, w, (i*r + j)*C + c]
    Errors:  height or width not divisible by r.
    """

    kind: ClassVar[str] = "pixel_unshuffle"
    factor: int = attr(positive)
    order: str = attr(_order, keyword=True)

    def _resolve(self, shape: Shape) -> tuple[Shape, tuple[Pair, ...]]:
        axes, channels = spatial(self.name, self.rank, shape)
        result: list[Dim] = []
        demands: list[Pair] = []
        for dim in axes:
            quotient, pairs = exact_quotient(dim, self.factor)
            if quotient is None:
                raise LayerError(
                    f"pixel_unshuffle by {self.factor} needs sizes divisible by {self.factor}, "
                    f"got {dim} in {show(shape)}",
                    argument="factor",
                    inputs=(0,),
                )
            result.append(quotient)
            demands += pairs
        return (*result, channels * self.factor**self.rank), tuple(demands)

    def output_shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        return (self._resolve(inputs[0])[0],)

    def demands(self, inputs: Sequence[Shape]) -> tuple[tuple[Dim, Dim], ...]:
        return self._resolve(inputs[0])[1]

    def forward(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        (x,) = inputs
        n, *axes, c = x.shape
        r, rank = self.factor, self.rank
        x = x.reshape(n, *(size for axis in axes for size in (axis // r, r)), c)
        outer, inner = range(1, 2 * rank, 2), range(2, 2 * rank + 1, 2)
        last = [2 * rank + 1, *inner] if self.order == "crd" else [*inner, 2 * rank + 1]
        return (x.transpose(0, *outer, *last).reshape(n, *(axis // r for axis in axes), c * r**rank),)

    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            "pixel_unshuffle(2, order=crd)",
            ((2, 2, 2),),
            inputs=([[[0, 4], [1, 5]], [[2, 6], [3, 7]]],),
            weights={},
            outputs=([[[0, 1, 2, 3, 4, 5, 6, 7]]],),
        ),
        Example("pixel_unshuffle(3, order=dcr)", ((6, 3, 2),)),
        Example("pixel_unshuffle(2, order=crd)", ((4, 10, 3),)),
    )
