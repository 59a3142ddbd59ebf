"""Keras network `up_sampling_bilinear`: image (2, 2, 1) -> enlarged (4, 6, 1).

Emitted by upc 0.0.0 from a3_up_sampling_bilinear.upc, whose lines the comments name.
sha256 1a33759012a48d7d04b5631233816e805b233a448901f5b0afcd461c535b6d59

Channels last. A layer is named after its place in the source, with `-` for the dots of a path.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from keras import layers


def build_up_sampling_bilinear() -> keras.Sequential:
    """Build the network with fresh weights."""
    return keras.Sequential(
        [
            keras.Input((2, 2, 1), name="image"),
            layers.UpSampling2D(  # line 5
                (2, 3), interpolation="bilinear", data_format="channels_last", name="up_sampling2d"
            ),
        ],
        name="up_sampling_bilinear",
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
