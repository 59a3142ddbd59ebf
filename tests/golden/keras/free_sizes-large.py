"""Keras network `large`: x (H, W, 1) -> y (H/2 - 5, W/2 - 3, 2).

Emitted by upc 0.0.0 from free_sizes.upc, whose lines the comments name.
sha256 0243b381446ab11f053e3c740624abdba06881a7ae5016e18211d9c33a2f205d

Channels last. A layer is named after its place in the source, with `-` for the dots of a path.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from keras import layers


def build_large() -> keras.Sequential:
    """Build the network with fresh weights."""
    return keras.Sequential(
        [
            keras.Input((None, None, 1), name="x"),
            layers.Conv2D(2, 7, data_format="channels_last", name="conv2d"),  # line 19
            layers.MaxPooling2D(2, data_format="channels_last", name="max_pooling2d"),  # line 20
            layers.Conv2D(2, (3, 1), data_format="channels_last", name="conv2d_1"),  # line 21
        ],
        name="large",
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
