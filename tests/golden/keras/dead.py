"""Keras network `dead`: x (8, 8, 1), spare (4,) -> kept (8, 8, 1).

Emitted by upc 0.0.0 from dead.upc, whose lines the comments name.
sha256 de8c70d915470a20d4370c38c3eea1b9163901f3738afa3905f99a2f506daa63

Channels last. A layer is named after its place in the source, with `-` for the dots of a path.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from keras import layers


def from_here(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Block `from_here`."""
    x = layers.Activation("tanh", name=f"{name}-tanh")(x)  # line 12
    return x


def idle(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Block `idle`."""
    x = from_here(x, name=f"{name}-from_here")  # line 3
    return x


def build_dead() -> keras.Model:
    """Build the network with fresh weights."""
    x = keras.Input((8, 8, 1), name="x")
    spare = keras.Input((4,), name="spare")
    y = idle(x, name="idle")  # line 17
    y = idle(y, name="idle_1")  # line 18
    return keras.Model([x, spare], y, name="dead")


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
