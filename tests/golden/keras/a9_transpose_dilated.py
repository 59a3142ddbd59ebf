"""Keras network `transpose_dilated`: patch (2, 2, 1) -> image (6, 6, 1).

Emitted by upc 0.0.0 from a9_transpose_dilated.upc, whose lines the comments name.
sha256 584d9b9f644f8c8b011bbdb96557c4fd1190d35e148425352677deed029e6ae0

Channels last. A layer is named after its place in the source, with `-` for the dots of a path.
Import this module before you load a saved model: it has layers that Keras does not have.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from keras import ops


def _pair(value):
    """One number for each axis."""
    return (value, value) if isinstance(value, int) else tuple(value)


@keras.saving.register_keras_serializable(package="upc")
class TransposedConvolution2D(keras.layers.Layer):
    """Transposed convolution with groups, dilation beside strides, and any crop.

    `crop` is taken from the full result, (before, after) each axis; less than nothing adds zeros.
    """

    def __init__(
        self,
        filters,
        kernel_size,
        strides=1,
        dilation_rate=1,
        groups=1,
        crop=((0, 0), (0, 0)),
        activation=None,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = _pair(kernel_size)
        self.strides = _pair(strides)
        self.dilation_rate = _pair(dilation_rate)
        self.groups = groups
        self.crop = tuple(tuple(sides) for sides in crop)
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)

    def build(self, input_shape):
        shape = (*self.kernel_size, self.filters // self.groups, input_shape[-1])
        self.kernel = self.add_weight(
            shape=shape, initializer=self.kernel_initializer, name="kernel"
        )
        if self.use_bias:
            self.bias = self.add_weight(
                shape=(self.filters,), initializer=self.bias_initializer, name="bias"
            )

    def _dilated_kernel(self):
        """The kernel with zeros between its taps."""
        (kh, kw), (dh, dw) = self.kernel_size, self.dilation_rate
        outputs, inputs = self.kernel.shape[2:]
        taps = ops.reshape(self.kernel, (kh, 1, kw, 1, outputs, inputs))
        taps = ops.pad(taps, ((0, 0), (0, dh - 1), (0, 0), (0, dw - 1), (0, 0), (0, 0)))
        kernel = ops.reshape(taps, (kh * dh, kw * dw, outputs, inputs))
        return kernel[: dh * (kh - 1) + 1, : dw * (kw - 1) + 1]

    def call(self, x):
        kernel = self._dilated_kernel()
        inputs = kernel.shape[-1] // self.groups
        parts = []
        for start in range(0, kernel.shape[-1], inputs):
            part = slice(start, start + inputs)
            parts.append(
                ops.conv_transpose(
                    x[..., part],
                    kernel[..., part],
                    strides=self.strides,
                    padding="valid",
                    data_format="channels_last",
                )
            )
        y = ops.concatenate(parts, axis=-1)
        # Keras's `valid` ends with zeros where the kernel is smaller than the stride.
        extra = [max(0, s - k) for s, k in zip(self.strides, kernel.shape)]
        ends = [after + more for (_, after), more in zip(self.crop, extra)]
        y = ops.pad(y, ((0, 0), (0, max(0, -ends[0])), (0, max(0, -ends[1])), (0, 0)))
        top, left = self.crop[0][0], self.crop[1][0]
        bottom, right = (-end if end > 0 else None for end in ends)
        y = y[:, top:bottom, left:right]
        return self.activation(y + self.bias if self.use_bias else y)

    def compute_output_shape(self, input_shape):
        sizes = []
        for axis, size in enumerate(input_shape[1:3]):
            span = self.dilation_rate[axis] * (self.kernel_size[axis] - 1) + 1
            cut = sum(self.crop[axis])
            sizes.append(None if size is None else (size - 1) * self.strides[axis] + span - cut)
        return (input_shape[0], *sizes, self.filters)

    def get_config(self):
        return super().get_config() | {
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "dilation_rate": self.dilation_rate,
            "groups": self.groups,
            "crop": self.crop,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
        }


def build_transpose_dilated() -> keras.Sequential:
    """Build the network with fresh weights."""
    return keras.Sequential(
        [
            keras.Input((2, 2, 1), name="patch"),
            TransposedConvolution2D(  # line 5
                1, 3, dilation_rate=2, crop=((0, 0), (0, 0)), name="conv2d_transpose"
            ),
        ],
        name="transpose_dilated",
    )


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
