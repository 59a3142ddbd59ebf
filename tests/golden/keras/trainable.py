"""Keras network `trainable`: x (16, 12, 1) -> y (6, 2, 4).

Emitted by upc 0.0.0 from trainable.upc, whose lines the comments name.
sha256 11369b5c2751a4da78d0e71a2993ab12c08229a870f159cc912ecb98a53ffe8f

Channels last. A layer is named after its place in the source, with `-` for the dots of a path.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from keras import layers


def pair(filters: int, name: str) -> list[keras.Layer]:
    """Block `pair`."""
    return [
        layers.Conv2D(  # line 2
            filters, 3, data_format="channels_last", trainable=False, name=f"{name}-conv2d"
        ),
        layers.Conv2D(  # line 3
            filters, 3, data_format="channels_last", trainable=False, name=f"{name}-conv2d_1"
        ),
    ]


def build_trainable() -> keras.Sequential:
    """Build the network with fresh weights."""
    return keras.Sequential(
        [
            keras.Input((16, 12, 1), name="x"),
            layers.Conv2D(  # line 8
                2, 3, data_format="channels_last", trainable=False, name="conv2d"
            ),
            *pair(3, name="pair"),  # line 9
            *pair(4, name="pair_1"),  # line 10
            layers.BatchNormalization(  # line 11
                momentum=0.99, epsilon=0.001, name="batch_normalization"
            ),
        ],
        name="trainable",
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
