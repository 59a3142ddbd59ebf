"""Layers that resample a picture to another size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from upc.ir import Array, Example, Layer, LayerError, attr
from upc.layers.arguments import listed, number_in, positive, sizes, word
from upc.layers.shapes import spatial
from upc.layers.sums import wide
from upc.runtime.resampling import axis_taps
from upc.shape import Shape, show

_interpolation = word("nearest", "bilinear", "bicubic")
_coordinates = word("half_pixel", "align_corners", "asymmetric")
_border = word("renormalize", "replicate")
_coefficient = number_in(-1, 0)  # beyond it what is left of the weights at an edge can sum to nothing


@dataclass(frozen=True, slots=True)
class Resampling(Layer):
    """What resampling layers share: each axis by itself, from source pixels and weights."""

    def _check_options(self, interpolation: str, coordinates: str, cubic_coefficient: float, border: str) -> None:
        if interpolation == "nearest" and coordinates == "align_corners":
            raise LayerError(
                "nearest has no align_corners: frameworks disagree on which pixel that is",
                argument="coordinates",
                hint="half_pixel (Keras, TensorFlow 2) or asymmetric (PyTorch's `nearest`)",
            )
        if interpolation != "bicubic":
            for argument, changed in (
                ("cubic_coefficient", cubic_coefficient != -0.5),
                ("border", border != "renormalize"),
            ):
                if changed:
                    raise LayerError(
                        f"{argument} is for interpolation=bicubic only, not {interpolation}", argument=argument
                    )

    def result_sizes(self, sizes: Sequence[int]) -> tuple[int, ...]:
        """The sizes of the result, once those of the input are known."""
        shape = self.output_shapes([(*sizes, 1)])[0]
        return tuple(n for n in shape[:-1] if isinstance(n, int))

    def taps(self, size: int, result: int) -> tuple[Array, Array]:
        """`axis_taps` with this layer's options."""
        raise NotImplementedError(self.name)

    def forward(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        x = wide(inputs[0])
        for axis, result in enumerate(self.result_sizes(x.shape[1:-1]), start=1):
            pixels, shares = self.taps(x.shape[axis], result)
            along = (-1, *(1,) * (x.ndim - axis - 1))
            x = sum(
                (np.take(x, pixels[:, t], axis=axis) * shares[:, t].reshape(along) for t in range(pixels.shape[1])),
                start=np.zeros(()),
            )
        return (x.astype(inputs[0].dtype, copy=False),)


@dataclass(frozen=True, slots=True)
class UpSampling(Resampling):
    """Enlarge a picture by a whole factor along each axis.

    Shape:   (H, W, C) -> (H*size[0], W*size[1], C)
    Math:    nearest repeats pixels; for bilinear and bicubic see `resizing`, with the same options
    Errors:  align_corners with nearest; bicubic options without bicubic.
    """

    kind: ClassVar[str] = "up_sampling{rank}d"
    size: tuple[int, ...] = attr(sizes, 2)
    interpolation: str = attr(_interpolation, "nearest")
    coordinates: str = attr(_coordinates, "half_pixel")
    cubic_coefficient: float = attr(_coefficient, -0.5)
    border: str = attr(_border, "renormalize")

    def check(self) -> None:
        self._check_options(self.interpolation, self.coordinates, self.cubic_coefficient, self.border)

    def output_shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        axes, channels = spatial(self.name, self.rank, inputs[0])
        return ((*(n * factor for n, factor in zip(axes, self.size, strict=True)), channels),)

    def taps(self, size: int, result: int) -> tuple[Array, Array]:
        return axis_taps(size, result, self.interpolation, self.coordinates, self.cubic_coefficient, self.border)

    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            "up_sampling2d()",
            ((2, 2, 1),),
            inputs=([[[1], [2]], [[3], [4]]],),
            weights={},
            outputs=(
                [
                    [[1], [1], [2], [2]],
                    [[1], [1], [2], [2]],
                    [[3], [3], [4], [4]],
                    [[3], [3], [4], [4]],
                ],
            ),
        ),
        Example(
            "up_sampling2d([1, 2], interpolation=bilinear)",
            ((1, 2, 1),),
            inputs=([[[0], [4]]],),
            weights={},
            outputs=([[[0], [1], [3], [4]]],),
        ),
        Example(
            "up_sampling2d([1, 2], interpolation=bilinear, coordinates=align_corners)",
            ((1, 2, 1),),
            inputs=([[[0], [6]]],),
            weights={},
            outputs=([[[0], [2], [4], [6]]],),
        ),
        Example("up_sampling2d([3, 2])", ((2, 5, 3),)),
        Example("up_sampling2d(2, coordinates=asymmetric)", ((2, 3, 4),)),
        Example("up_sampling2d([2, 3], interpolation=bilinear)", ((3, 4, 5),)),
        Example("up_sampling2d([3, 2], interpolation=bilinear, coordinates=asymmetric)", ((3, 4, 2),)),
        Example("up_sampling2d([2, 3], interpolation=bicubic)", ((5, 4, 3),)),
        Example("up_sampling2d(2, interpolation=bicubic, cubic_coefficient=-0.75, border=replicate)", ((3, 4, 2),)),
        Example("up_sampling2d(4, interpolation=bicubic, coordinates=align_corners, border=replicate)", ((3, 1, 2),)),
        Example("up_sampling2d(5, interpolation=bilinear)", ((1, 1, 1),)),
        Example("up_sampling2d([1, 3], interpolation=bilinear, coordinates=align_corners)", ((1, 2, 3),)),
    )


@dataclass(frozen=True, slots=True)
class Resizing(Resampling):
    """Resample a picture to a given size, larger or smaller, without smoothing first.

    Shape:   (H, W, C) -> (height, width, C)
    Math:    pixel i of n' looks at place p of n: half_pixel (i + 0.5)*n/n' - 0.5; asymmetric i*n/n';
             align_corners i*(n - 1)/(n' - 1), 0 where n' = 1.
             nearest: x[floor((i + 0.5)*n/n')], asymmetric x[floor(i*n/n')].
             bilinear: between x[floor(p)] and x[floor(p) + 1], edge pixels repeated beyond the edges.
             bicubic: the four pixels around p by Keys's kernel with coefficient a; beyond the edges
             weights are dropped and the others scaled to sum to 1 (renormalize), or edge pixels repeated (replicate).
             Keras and TensorFlow 2: half_pixel, a = -0.5, renormalize. PyTorch: half_pixel (nearest: asymmetric),
             a = -0.75, replicate.
    Errors:  align_corners with nearest; bicubic options without bicubic.
    Source:  Keys 1981, "Cubic convolution interpolation for digital image processing"
    """

    kind: ClassVar[str] = "resizing"
    target: tuple[int, ...] = attr(listed(positive, least=1), variadic=True)
    interpolation: str = attr(_interpolation, "bilinear")
    coordinates: str = attr(_coordinates, "half_pixel")
    cubic_coefficient: float = attr(_coefficient, -0.5)
    border: str = attr(_border, "renormalize")

    def check(self) -> None:
        if len(self.target) != self.rank:
            raise LayerError(
                f"{self.name} takes {self.rank} sizes (height, width), got {show(self.target)}", argument="target"
            )
        self._check_options(self.interpolation, self.coordinates, self.cubic_coefficient, self.border)

    def output_shapes(self, inputs: Sequence[Shape]) -> tuple[Shape, ...]:
        _, channels = spatial(self.name, self.rank, inputs[0])
        return ((*self.target, channels),)

    def taps(self, size: int, result: int) -> tuple[Array, Array]:
        return axis_taps(size, result, self.interpolation, self.coordinates, self.cubic_coefficient, self.border)

    examples: ClassVar[tuple[Example, ...]] = (
        Example(
            "resizing(1, 3, interpolation=nearest)",
            ((1, 5, 1),),
            inputs=([[[0], [1], [2], [3], [4]]],),
            weights={},
            outputs=([[[0], [2], [4]]],),
        ),
        Example(
            "resizing(1, 3, interpolation=nearest, coordinates=asymmetric)",
            ((1, 5, 1),),
            inputs=([[[0], [1], [2], [3], [4]]],),
            weights={},
            outputs=([[[0], [1], [3]]],),
        ),
        Example(
            "resizing(1, 2)",
            ((1, 3, 1),),
            inputs=([[[0], [4], [8]]],),
            weights={},
            outputs=([[[1], [7]]],),
        ),
        Example("resizing(7, 5)", ((4, 6, 3),)),
        Example("resizing(3, 11, coordinates=align_corners)", ((5, 4, 2),)),
        Example("resizing(1, 1, coordinates=align_corners)", ((5, 4, 2),)),
        Example("resizing(5, 9, coordinates=asymmetric)", ((3, 4, 2),)),
        Example("resizing(7, 3, interpolation=bicubic)", ((4, 5, 3),)),
        Example("resizing(9, 2, interpolation=bicubic, cubic_coefficient=-0.75, border=replicate)", ((4, 7, 3),)),
        Example("resizing(5, 8, interpolation=bicubic, coordinates=asymmetric)", ((3, 6, 2),)),
        Example("resizing(8, 3, interpolation=nearest)", ((3, 7, 2),)),
        Example("resizing(3, 4, interpolation=nearest, coordinates=asymmetric)", ((7, 3, 2),)),
        Example("resizing(4, 3)", ((1, 1, 2),)),
    )
