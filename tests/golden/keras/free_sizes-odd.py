"""Keras network `odd`: x (H, W, 3) -> y (H, W, 3), small ((H + 1)/2 - 1, (W + 1)/2 - 1, 4).

Emitted by upc 0.0.0 from free_sizes.upc, whose lines the comments name.
sha256 0243b381446ab11f053e3c740624abdba06881a7ae5016e18211d9c33a2f205d

Channels last. A layer is named after its place in the source, with `-` for the dots of a path.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from keras import layers


def build_odd() -> keras.Model:
    """Build the network with fresh weights."""
    x = keras.Input((None, None, 3), name="x")
    small = layers.Conv2D(4, 3, strides=2, data_format="channels_last", name="conv2d")(x)  # line 4
    y = layers.Conv2DTranspose(  # line 5
        3, 3, strides=2, data_format="channels_last", name="conv2d_transpose"
    )(small)
    y = layers.Add(name="add")([y, x])  # line 6
    return keras.Model(x, [y, small], name="odd")


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
