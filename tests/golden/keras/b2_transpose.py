"""Keras network `transpose`: z (100,) -> image (10, 10, 1).

Emitted by upc 0.0.0 from b2_transpose.upc, whose lines the comments name.
sha256 486475b406b8c18023ad3ca8bdb723066f42fd82359dd9d1e536ad040e5ce0f5

Channels last. A layer is named after its place in the source, with `-` for the dots of a path.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from keras import layers


def build_transpose() -> keras.Sequential:
    """Build the network with fresh weights."""
    return keras.Sequential(
        [
            keras.Input((100,), name="z"),
            layers.Dense(3200, name="dense"),  # line 5
            layers.Reshape((5, 5, 128), name="reshape"),  # line 6
            layers.Conv2DTranspose(  # line 7
                1,
                3,
                strides=2,
                padding="same",
                data_format="channels_last",
                name="conv2d_transpose",
            ),
        ],
        name="transpose",
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
