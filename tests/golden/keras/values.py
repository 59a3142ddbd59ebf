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


def build_values() -> keras.Model:
    """Build the network with fresh weights."""
    x = keras.Input((16, 16, 3), name="x")
    y = layers.Conv2D(  # line 4
        5, (3, 5), padding="same", data_format="channels_last", name="conv2d"
    )(x)
    y = layers.ZeroPadding2D(  # line 5
        ((1, 0), (0, 1)), data_format="channels_last", name="conv2d_1-padding"
    )(y)
    y = layers.Conv2D(  # line 5
        5, 2, data_format="channels_last", activation="relu", name="conv2d_1"
    )(y)
    y = layers.Rescaling(0.00392156862745098, offset=-0.001, name="rescaling")(y)  # line 6
    y = layers.Rescaling(30.0, name="multiply")(y)  # line 7
    y = layers.LeakyReLU(negative_slope=0.25, name="leaky_relu")(y)  # line 8
    y = layers.UpSampling2D(  # line 9
        (2, 3), interpolation="bilinear", data_format="channels_last", name="up_sampling2d"
    )(y)
    y = layers.Dropout(0.5, name="dropout")(y)  # line 10
    y = ops.clip(y, -1.0, 1.0)  # line 11
    return keras.Model(x, y, name="values")


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
