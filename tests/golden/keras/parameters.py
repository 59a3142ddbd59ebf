"""Keras network `parameters`: x (6, 9, 4) -> result (16,), fine (108, 144, 2).

Emitted by upc 0.0.0 from parameters.upc, whose lines the comments name.
sha256 080c363e57cb86eec57223a8231c436bf08d3d57a69de75968b8ae6b7a610728

Channels last. A layer is named after its place in the source, with `-` for the dots of a path.
Import this module before you load a saved model: it has layers that Keras does not have.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from keras import layers, ops


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


def act(x: keras.KerasTensor, slope: float, name: str) -> keras.KerasTensor:
    """Block `act`."""
    x = layers.LeakyReLU(negative_slope=slope, name=f"{name}-leaky_relu")(x)  # line 3
    return x


def shrink(
    x: keras.KerasTensor, padding: int, size: int, step: int, top: float, name: str
) -> keras.KerasTensor:
    """Block `shrink`."""
    x = layers.ZeroPadding2D(  # line 7
        ((0, padding), (1, 0)), data_format="channels_last", name=f"{name}-zero_padding2d"
    )(x)
    x = layers.MaxPooling2D(  # line 8
        size, strides=step, data_format="channels_last", name=f"{name}-max_pooling2d"
    )(x)
    x = layers.ReLU(max_value=top, name=f"{name}-relu")(x)  # line 9
    return x


def grow(
    x: keras.KerasTensor, factor: int, filters: int, factor_: float, offset: float, name: str
) -> keras.KerasTensor:
    """Block `grow`."""
    x = layers.UpSampling2D(  # line 14
        factor, interpolation="nearest", data_format="channels_last", name=f"{name}-up_sampling2d"
    )(x)
    x = layers.Conv2D(  # line 15
        filters, 3, padding="same", data_format="channels_last", name=f"{name}-conv2d"
    )(x)
    x = layers.Rescaling(factor_, offset=offset, name=f"{name}-rescaling")(x)  # line 16
    x = PixelShuffle2D(factor, order="dcr", name=f"{name}-pixel_shuffle")(x)  # line 17
    return x


def both(x: keras.KerasTensor, slope: float, name: str) -> keras.KerasTensor:
    """Block `both`."""
    x = act(x, slope, name=f"{name}-act")  # line 22
    x = shrink(x, 1, 2, 1, slope, name=f"{name}-shrink")  # line 23
    x = layers.ELU(alpha=slope, name=f"{name}-elu")(x)  # line 24
    x = Resampling2D(  # line 25
        size=(10, 8), interpolation="nearest", coordinates="half_pixel", name=f"{name}-resizing"
    )(x)
    return x


def both_2(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Block `both`."""
    x = act(x, 0.25, name=f"{name}-act")  # line 22
    x = shrink(x, 2, 3, 1, 0.25, name=f"{name}-shrink")  # line 23
    x = layers.ELU(alpha=0.25, name=f"{name}-elu")(x)  # line 24
    x = layers.Resizing(  # line 25
        11, 9, interpolation="bilinear", data_format="channels_last", name=f"{name}-resizing"
    )(x)
    return x


def mixed(
    x: keras.KerasTensor,
    other: keras.KerasTensor,
    share: float,
    min_value: float,
    bound: float,
    bound_: int,
    name: str,
) -> keras.KerasTensor:
    """Block `mixed`."""
    y = layers.Add(name=f"{name}-add")([x, other])  # line 30
    y = layers.Rescaling(1.0, offset=share, name=f"{name}-add-constants")(y)  # line 30
    y = layers.Multiply(name=f"{name}-multiply")([y, x])  # line 31
    y = layers.Rescaling(share, name=f"{name}-multiply-constants")(y)  # line 31
    y = ops.clip(y, min_value, bound)  # line 32
    y = layers.Softmax(axis=bound_, name=f"{name}-softmax")(y)  # line 33
    return y


def build_parameters() -> keras.Model:
    """Build the network with fresh weights."""
    x = keras.Input((6, 9, 4), name="x")
    skip = layers.Conv2D(4, 1, data_format="channels_last", name="conv2d")(x)  # line 38
    y = act(skip, 0.1, name="act")  # line 39
    y = act(y, 0.2, name="act_1")  # line 40
    y = shrink(y, 1, 2, 1, 6.0, name="shrink")  # line 41
    y = shrink(y, 2, 3, 2, 0.75, name="shrink_1")  # line 42
    y = grow(y, 2, 8, 2.0, 1.0, name="grow")  # line 43
    fine = grow(y, 3, 18, 3.0, 2.25, name="grow_1")  # line 44
    y = both(fine, 0.5, name="both")  # line 45
    y = both_2(y, name="both_1")  # line 46
    y = both(y, 0.125, name="both_2")  # line 47
    for leaky_relu, negative_slope, zero_padding2d, padding, i in (  # line 48
        ("leaky_relu", 0.1, "zero_padding2d", 0, 1),
        ("leaky_relu_1", 0.2, "zero_padding2d_1", 1, 2),
        ("leaky_relu_2", 0.3, "zero_padding2d_2", 2, 3),
    ):
        y = layers.LeakyReLU(negative_slope=negative_slope, name=leaky_relu)(y)  # line 48
        y = layers.ZeroPadding2D(  # line 48
            ((1, 0), (padding, i)), data_format="channels_last", name=zero_padding2d
        )(y)
    for name, slope in (("act_2", 0.25), ("act_3", 0.5)):  # line 49
        y = act(y, slope, name=name)  # line 49
    y = layers.Resizing(  # line 50
        6, 9, interpolation="bilinear", data_format="channels_last", name="resizing"
    )(y)
    y = layers.Conv2D(4, 1, data_format="channels_last", name="conv2d_1")(y)  # line 51
    y = mixed(y, skip, 0.5, -1.0, 1.0, 1, name="mixed")  # line 52
    y = mixed(y, skip, 1.5, -2.0, 2.0, 2, name="mixed_1")  # line 53
    y = layers.GlobalAveragePooling2D(  # line 54
        data_format="channels_last", name="global_average_pooling2d"
    )(y)
    y = layers.Dense(16, name="dense")(y)  # line 55
    for reshape, target, target_, softmax, i, flatten in (  # line 56
        ("reshape", 4, 4, "softmax", 1, "flatten"),
        ("reshape_1", 16, 1, "softmax_1", 2, "flatten_1"),
    ):
        y = layers.Reshape((target, target_), name=reshape)(y)  # line 56
        y = layers.Softmax(axis=i, name=softmax)(y)  # line 56
        y = layers.Flatten(data_format="channels_last", name=flatten)(y)  # line 56
    return keras.Model(x, [y, fine], name="parameters")


def set_weights(model: keras.Model, arrays: Mapping[str, np.ndarray]) -> None:
    """Set all weights from arrays by name: the layer's path, a dot, the variable's name."""
    variables = {
        f"{layer.name.replace('-', '.')}.{variable.name}": variable
        for layer in model.layers
        for variable in layer.weights
    }
    if missing := sorted(set(variables) - set(arrays)):
        raise KeyError(f"the weights lack {', '.join(missing)}")
    if unknown := sorted(set(arrays) - set(variables)):
        raise KeyError(f"{model.name} has no {', '.join(unknown)}")
    for key, variable in variables.items():
        if tuple(variable.shape) != arrays[key].shape:
            raise ValueError(f"{key}: expected {tuple(variable.shape)}, got {arrays[key].shape}")
        variable.assign(arrays[key])


def load_weights(model: keras.Model, path: str) -> None:
    """Set all weights from a safetensors file."""
    from safetensors.numpy import load_file

    set_weights(model, load_file(path))
