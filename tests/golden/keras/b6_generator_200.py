"""Keras network `generator_200`: z (100,) -> picture (200, 200, 3).

Emitted by upc 0.0.0 from b6_generator_200.upc, whose lines the comments name.
sha256 d8fae7c4fbd1702c87a7c149aa118ec15d9b5cfe6c3f3b086b5fa9224a34cb03

Channels last. A layer is named after its place in the source, with `-` for the dots of a path.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from keras import layers


def up(filters: int, name: str) -> list[keras.Layer]:
    """Block `up`."""
    return [
        layers.Conv2DTranspose(  # line 4
            filters,
            2,
            strides=2,
            data_format="channels_last",
            activation="relu",
            kernel_initializer="glorot_normal",
            name=f"{name}-conv2d_transpose",
        ),
        layers.BatchNormalization(  # line 5
            momentum=0.99, epsilon=0.001, name=f"{name}-batch_normalization"
        ),
    ]


def build_generator_200() -> keras.Sequential:
    """Build the network with fresh weights."""
    return keras.Sequential(
        [
            keras.Input((100,), name="z"),
            layers.Dense(  # line 10
                270000, activation="relu", kernel_initializer="glorot_normal", name="dense"
            ),
            layers.Reshape((25, 25, 432), name="reshape"),  # line 11
            *up(192, name="up"),  # line 12
            *up(96, name="up_1"),  # line 13
            *up(3, name="up_2"),  # line 14
        ],
        name="generator_200",
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
