"""Keras network `inverse_filter`: image (4, 4, 1) -> restored (4, 4, 1).

Emitted by upc 0.0.0 from c3_inverse_filter.upc, whose lines the comments name.
sha256 47cc24deeb11ef1e18e352b24b6d161e72b8a73a9b2c6f0ee435db0ea935a26b

Channels last. A layer is named after its place in the source, with `-` for the dots of a path.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from keras import layers


def build_inverse_filter() -> keras.Sequential:
    """Build the network with fresh weights."""
    return keras.Sequential(
        [
            keras.Input((4, 4, 1), name="image"),
            layers.Conv2D(  # line 5
                1, 3, padding="same", data_format="channels_last", trainable=False, name="conv2d"
            ),
            layers.Conv2DTranspose(  # line 6
                1, 3, padding="same", data_format="channels_last", name="conv2d_transpose"
            ),
        ],
        name="inverse_filter",
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
