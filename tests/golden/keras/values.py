"""Keras network `values`: x (16, 16, 3) -> y (32, 48, 5).

Emitted by upc 0.0.0 from values.upc, whose lines the comments name.
sha256 8c522c759b46d3b54d9e58a3b3b099a39212ba499b95cd14cde68b2b2f0869d6

Channels last. A layer is named after its place in the source, with `-` for the dots of a path.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from keras import layers, ops


@keras.saving.register_keras_serializable(package="upc")
class Clip(keras.layers.Layer):
    """Hold every element between two bounds; None for no bound."""

    def __init__(self, min_value, max_value, **kwargs):
        super().__init__(**kwargs)
        self.min_value = min_value
        self.max_value = max_value

    def call(self, x):
        if self.min_value is not None:
            x = ops.maximum(x, self.min_value)
        return x if self.max_value is None else ops.minimum(x, self.max_value)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return super().get_config() | {"min_value": self.min_value, "max_value": self.max_value}


def build_values() -> keras.Sequential:
    """Build the network with fresh weights."""
    return keras.Sequential(
        [
            keras.Input((16, 16, 3), name="x"),
            layers.Conv2D(5, (3, 5), padding="same", name="conv2d"),  # line 4
            layers.ZeroPadding2D(((1, 0), (0, 1)), name="conv2d_1-padding"),  # line 5
            layers.Conv2D(5, 2, activation="relu", name="conv2d_1"),  # line 5
            layers.Rescaling(0.00392156862745098, offset=-0.001, name="rescaling"),  # line 6
            layers.Rescaling(30.0, name="multiply"),  # line 7
            layers.LeakyReLU(negative_slope=0.25, name="leaky_relu"),  # line 8
            layers.UpSampling2D((2, 3), interpolation="bilinear", name="up_sampling2d"),  # line 9
            layers.Dropout(0.5, name="dropout"),  # line 10
            Clip(-1.0, 1.0, name="clip"),  # line 11
        ],
        name="values",
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
