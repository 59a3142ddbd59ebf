"""Keras network `used`: x (8, 8, 3) -> y (8, 8, 4).

Emitted by upc 0.0.0 from use.upc, whose lines the comments name.
sha256 46ab1f88a8bd8b524d39b20fc0c3e3870ee92c339dc1539ce584cff0366d906e

Channels last. A layer is named after its place in the source, with `-` for the dots of a path.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from keras import layers


def normalized(filters: int, name: str) -> list[keras.Layer]:
    """Block `normalized`."""
    return [
        layers.Conv2D(  # shared.upc line 2
            filters,
            3,
            padding="same",
            data_format="channels_last",
            use_bias=False,
            name=f"{name}-conv2d",
        ),
        layers.BatchNormalization(  # shared.upc line 3
            momentum=0.99, epsilon=0.001, name=f"{name}-batch_normalization"
        ),
        layers.ReLU(name=f"{name}-relu"),  # shared.upc line 4
    ]


def down(name: str) -> list[keras.Layer]:
    """Block `down`."""
    return [
        *normalized(8, name=f"{name}-normalized"),  # down.upc line 4
        layers.MaxPooling2D(  # down.upc line 5
            2, data_format="channels_last", name=f"{name}-max_pooling2d"
        ),
    ]


def up(name: str) -> list[keras.Layer]:
    """Block `up`."""
    return [
        layers.UpSampling2D(  # up.upc line 4
            2, interpolation="nearest", data_format="channels_last", name=f"{name}-up_sampling2d"
        ),
        *normalized(4, name=f"{name}-normalized"),  # up.upc line 5
    ]


def build_used() -> keras.Sequential:
    """Build the network with fresh weights."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 3), name="x"),
            *down(name="down"),  # line 6
            *up(name="up"),  # line 7
        ],
        name="used",
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
