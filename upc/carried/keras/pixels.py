"""Layers that repeat, mix or move pixels as Keras does not."""

from __future__ import annotations

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="upc")
class EdgePadding2D(keras.layers.Layer):
    """Continue the picture by its mirror image ("reflect") or its edge pixels ("replicate")."""

    def __init__(self, padding, mode, **kwargs):
        super().__init__(**kwargs)
        self.padding = tuple(tuple(sides) for sides in padding)
        self.mode = mode

    def call(self, x):
        for axis, (before, after) in enumerate(self.padding, start=1):
            if self.mode == "reflect":
                first = ops.flip(self._part(x, axis, 1, before + 1), axis=axis)
                last = ops.flip(self._part(x, axis, -after - 1, -1), axis=axis)
                parts = [first] * (before > 0) + [x] + [last] * (after > 0)
            else:
                first, last = self._part(x, axis, 0, 1), self._part(x, axis, -1, None)
                parts = [first] * before + [x] + [last] * after
            x = ops.concatenate(parts, axis=axis)
        return x

    @staticmethod
    def _part(x, axis, start, stop):
        return x[:, start:stop] if axis == 1 else x[:, :, start:stop]

    def compute_output_shape(self, input_shape):
        sizes = (None if n is None else n + sum(p) for n, p in zip(input_shape[1:3], self.padding))
        return (input_shape[0], *sizes, input_shape[3])

    def get_config(self):
        return super().get_config() | {"padding": self.padding, "mode": self.mode}


@keras.saving.register_keras_serializable(package="upc")
class Resampling2D(keras.layers.Layer):
    """Resize to `size` or by `factor`, every convention written out, so that all backends agree.

    Each axis is multiplied by a matrix: one row a result, the weights of the pixels it sees.
    """

    def __init__(
        self,
        size=None,
        factor=None,
        interpolation="bilinear",
        coordinates="half_pixel",
        cubic_coefficient=-0.5,
        border="renormalize",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.size = size
        self.factor = factor
        self.interpolation = interpolation
        self.coordinates = coordinates
        self.cubic_coefficient = cubic_coefficient
        self.border = border

    def _result(self, size, axis):
        return self.size[axis] if self.size else size * self.factor[axis]

    def _places(self, size, result):
        """Where in the source each pixel of the result looks."""
        i = ops.arange(result, dtype="float32")
        n, m = ops.cast(size, "float32"), ops.cast(result, "float32")
        if self.coordinates == "align_corners":
            return i * (n - 1) / ops.maximum(m - 1, 1)
        if self.coordinates == "asymmetric":
            return i * n / m
        return (2 * i + 1) * n / (2 * m) - 0.5

    def _kernel(self, t):
        """The weight of a pixel at distance t."""
        t, a = ops.abs(t), self.cubic_coefficient
        if self.interpolation == "bilinear":
            return ops.maximum(1 - t, 0)
        near = ((a + 2) * t - (a + 3)) * t * t + 1
        far = (((t - 5) * t + 8) * t - 4) * a
        return ops.where(t <= 1, near, ops.where(t < 2, far, 0.0))

    def _matrix(self, size, result):
        columns = ops.expand_dims(ops.arange(size, dtype="int32"), 0)
        if self.interpolation == "nearest":
            i = ops.arange(result, dtype="int32")
            half = self.coordinates == "half_pixel"
            pixel = (2 * i + 1) * size // (2 * result) if half else i * size // result
            return ops.cast(ops.equal(ops.expand_dims(pixel, 1), columns), "float32")
        places = self._places(size, result)
        base = ops.floor(places)
        matrix = 0.0
        for step in (0, 1) if self.interpolation == "bilinear" else (-1, 0, 1, 2):
            weight = self._kernel(places - (base + step))
            pixel = ops.cast(base, "int32") + step
            inside = ops.clip(pixel, 0, size - 1)
            if self.interpolation == "bicubic" and self.border == "renormalize":
                weight = ops.where(ops.equal(inside, pixel), weight, 0.0)
            hit = ops.cast(ops.equal(ops.expand_dims(inside, 1), columns), "float32")
            matrix = matrix + ops.expand_dims(weight, 1) * hit
        return matrix / ops.sum(matrix, axis=1, keepdims=True)

    def call(self, x):
        height, width = ops.shape(x)[1:3]
        rows = self._matrix(height, self._result(height, 0))
        columns = self._matrix(width, self._result(width, 1))
        x = ops.einsum("ih,nhwc->niwc", rows, x)
        return ops.einsum("jw,niwc->nijc", columns, x)

    def compute_output_shape(self, input_shape):
        sizes = (
            None if size is None and not self.size else self._result(size, axis)
            for axis, size in enumerate(input_shape[1:3])
        )
        return (input_shape[0], *sizes, input_shape[3])

    def get_config(self):
        return super().get_config() | {
            "size": self.size,
            "factor": self.factor,
            "interpolation": self.interpolation,
            "coordinates": self.coordinates,
            "cubic_coefficient": self.cubic_coefficient,
            "border": self.border,
        }


@keras.saving.register_keras_serializable(package="upc")
class PixelShuffle2D(keras.layers.Layer):
    """Move blocks of channels into space: (H, W, C*r*r) -> (H*r, W*r, C).

    "crd" reads the channels as (C, r, r), as PyTorch does; "dcr" as (r, r, C), as TensorFlow does.
    """

    def __init__(self, factor, order, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor
        self.order = order

    def call(self, x):
        r, (n, h, w, _) = self.factor, ops.shape(x)
        c = x.shape[-1] // (r * r)
        if self.order == "crd":
            x = ops.transpose(ops.reshape(x, (n, h, w, c, r, r)), (0, 1, 4, 2, 5, 3))
        else:
            x = ops.transpose(ops.reshape(x, (n, h, w, r, r, c)), (0, 1, 3, 2, 4, 5))
        return ops.reshape(x, (n, h * r, w * r, c))

    def compute_output_shape(self, input_shape):
        n, h, w, c = input_shape
        r = self.factor
        return (n, None if h is None else h * r, None if w is None else w * r, c // (r * r))

    def get_config(self):
        return super().get_config() | {"factor": self.factor, "order": self.order}


@keras.saving.register_keras_serializable(package="upc")
class PixelUnshuffle2D(keras.layers.Layer):
    """Move blocks of pixels into channels: (H*r, W*r, C) -> (H, W, C*r*r).

    "crd" makes channels (C, r, r), as PyTorch does; "dcr" makes (r, r, C), as TensorFlow does.
    """

    def __init__(self, factor, order, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor
        self.order = order

    def call(self, x):
        r, (n, h, w, _) = self.factor, ops.shape(x)
        c = x.shape[-1]
        x = ops.reshape(x, (n, h // r, r, w // r, r, c))
        x = ops.transpose(x, (0, 1, 3, 5, 2, 4) if self.order == "crd" else (0, 1, 3, 2, 4, 5))
        return ops.reshape(x, (n, h // r, w // r, c * r * r))

    def compute_output_shape(self, input_shape):
        n, h, w, c = input_shape
        r = self.factor
        return (n, None if h is None else h // r, None if w is None else w // r, c * r * r)

    def get_config(self):
        return super().get_config() | {"factor": self.factor, "order": self.order}
