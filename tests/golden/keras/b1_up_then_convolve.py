"""Keras network `up_then_convolve`: z (100,) -> image (10, 10, 1).

Emitted by upc 0.0.0 from b1_up_then_convolve.upc, whose lines the comments name.
sha256 48f764210612d85ff70d234b36a17057cfe46840ed56ba969c34046e42337a00

Channels last. A layer is named after its place in the source, with `-` for the dots of a path.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from keras import layers


def build_up_then_convolve() -> keras.Sequential:
    """Build the network with fresh weights."""
    return keras.Sequential(
        [
            keras.Input((100,), name="z"),
            layers.Dense(3200, name="dense"),  # line 5
            layers.Reshape((5, 5, 128), name="reshape"),  # line 6
            layers.UpSampling2D(  # line 7
                2, interpolation="nearest", data_format="channels_last", name="up_sampling2d"
            ),
            layers.Conv2D(  # line 8
                1, 3, padding="same", data_format="channels_last", name="conv2d"
            ),
        ],
        name="up_then_convolve",
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
