"""Keras network `generator`: z (16,) -> digit (14, 14, 1).

Emitted by upc 0.0.0 from several_nets.upc, whose lines the comments name.
sha256 aaad4c9e69c1e216465f32d1c59cfaf5e63fa4e9f4a84088f03e6a286d4a9254

Channels last. A layer is named after its place in the source, with `-` for the dots of a path.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from keras import layers


def leaky(name: str) -> list[keras.Layer]:
    """Block `leaky`."""
    return [
        layers.BatchNormalization(  # line 3
            momentum=0.99, epsilon=0.001, name=f"{name}-batch_normalization"
        ),
        layers.LeakyReLU(negative_slope=0.2, name=f"{name}-leaky_relu"),  # line 4
    ]


def build_generator() -> keras.Sequential:
    """Build the network with fresh weights."""
    return keras.Sequential(
        [
            keras.Input((16,), name="z"),
            layers.Dense(392, name="dense"),  # line 9
            layers.Reshape((7, 7, 8), name="reshape"),  # line 10
            *leaky(name="leaky"),  # line 11
            layers.Conv2DTranspose(  # line 12
                1,
                4,
                strides=2,
                padding="same",
                data_format="channels_last",
                activation="tanh",
                name="conv2d_transpose",
            ),
        ],
        name="generator",
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
