"""Keras network `dcgan_digits`: z (100,) -> digit (28, 28, 1).

Emitted by upc 0.0.0 from b3_dcgan_digits.upc, whose lines the comments name.
sha256 7501cc9395a5bfb6e8e36bac1e7095e235724b372d826c41203154a1861a2a1e

Channels last. A layer is named after its place in the source, with `-` for the dots of a path.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from keras import layers


def up(name: str) -> list[keras.Layer]:
    """Block `up`."""
    return [
        layers.Conv2DTranspose(  # line 4
            128,
            5,
            padding="same",
            data_format="channels_last",
            use_bias=False,
            name=f"{name}-conv2d_transpose",
        ),
        layers.BatchNormalization(  # line 5
            momentum=0.99, epsilon=0.001, name=f"{name}-batch_normalization"
        ),
        layers.LeakyReLU(negative_slope=0.3, name=f"{name}-leaky_relu"),  # line 6
    ]


def up_2(name: str) -> list[keras.Layer]:
    """Block `up`."""
    return [
        layers.Conv2DTranspose(  # line 4
            64,
            5,
            strides=2,
            padding="same",
            data_format="channels_last",
            use_bias=False,
            name=f"{name}-conv2d_transpose",
        ),
        layers.BatchNormalization(  # line 5
            momentum=0.99, epsilon=0.001, name=f"{name}-batch_normalization"
        ),
        layers.LeakyReLU(negative_slope=0.3, name=f"{name}-leaky_relu"),  # line 6
    ]


def build_dcgan_digits() -> keras.Sequential:
    """Build the network with fresh weights."""
    return keras.Sequential(
        [
            keras.Input((100,), name="z"),
            layers.Dense(12544, use_bias=False, name="dense"),  # line 11
            layers.BatchNormalization(  # line 12
                momentum=0.99, epsilon=0.001, name="batch_normalization"
            ),
            layers.LeakyReLU(negative_slope=0.3, name="leaky_relu"),  # line 13
            layers.Reshape((7, 7, 256), name="reshape"),  # line 14
            *up(name="up"),  # line 15
            *up_2(name="up_1"),  # line 16
            layers.Conv2DTranspose(  # line 17
                1,
                5,
                strides=2,
                padding="same",
                data_format="channels_last",
                activation="tanh",
                use_bias=False,
                name="conv2d_transpose",
            ),
        ],
        name="dcgan_digits",
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
