"""Keras network `branches`: x (9, 7, 3) -> joined (9, 7, 12).

Emitted by upc 0.0.0 from branches.upc, whose lines the comments name.
sha256 5b7da66ba224ab40fcd6800c3a4f673c0f8ade9a485dfc342710b129809dbc69

Channels last. A layer is named after its place in the source, with `-` for the dots of a path.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from keras import layers


def build_branches() -> keras.Model:
    """Build the network with fresh weights."""
    x = keras.Input((9, 7, 3), name="x")
    trunk = layers.Conv2D(  # line 4
        4, 3, padding="same", data_format="channels_last", name="conv2d"
    )(x)
    thin = layers.Conv2D(4, 1, data_format="channels_last", name="conv2d_1")(x)  # line 6
    y = layers.MaxPooling2D(  # line 7
        3, strides=1, padding="same", data_format="channels_last", name="max_pooling2d"
    )(trunk)
    side = layers.Add(name="add")([thin, y])  # line 8
    y = layers.ReLU(name="relu")(trunk)  # line 10
    y = layers.Concatenate(axis=-1, name="concatenate")([y, side, thin])  # line 11
    return keras.Model(x, y, name="branches")


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
