"""Keras network `split`: x (4, 6, 6) -> gated (4, 6, 4), first (4, 6, 1), a (4, 6, 2).

Emitted by upc 0.0.0 from split.upc, whose lines the comments name.
sha256 6cf8241f40d95dc9ab54f12d0fba15694118b2f03b010d608451c6bd7bcccf52

Channels last. A layer is named after its place in the source, with `-` for the dots of a path.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from keras import layers, ops


def build_split() -> keras.Model:
    """Build the network with fresh weights."""
    x = keras.Input((4, 6, 6), name="x")
    a, b, c = ops.split(x, 3, axis=-1)  # line 3
    y = layers.Activation("tanh", name="tanh")(a)  # line 4
    y = layers.Multiply(name="multiply")([y, b])  # line 5
    gated = layers.Concatenate(axis=-1, name="concatenate")([y, c])  # line 6
    y = b[:, :, :, :1]  # line 7
    return keras.Model(x, [gated, y, a], name="split")


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
