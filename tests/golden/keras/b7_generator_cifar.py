"""Keras network `generator_cifar`: z (32,) -> picture (32, 32, 3).

Emitted by upc 0.0.0 from b7_generator_cifar.upc, whose lines the comments name.
sha256 34f75879b74fd723e80f9065c1473f3325e17694e49fadb25daa0798ee59024c

Channels last. A layer is named after its place in the source, with `-` for the dots of a path.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from keras import layers


def build_generator_cifar() -> keras.Sequential:
    """Build the network with fresh weights."""
    stack = [
        keras.Input((32,), name="z"),
        layers.Dense(32768, name="dense"),  # line 5
        layers.LeakyReLU(negative_slope=0.3, name="leaky_relu"),  # line 6
        layers.Reshape((16, 16, 128), name="reshape"),  # line 7
        layers.Conv2D(256, 5, padding="same", data_format="channels_last", name="conv2d"),  # line 8
        layers.LeakyReLU(negative_slope=0.3, name="leaky_relu_1"),  # line 9
        layers.Conv2DTranspose(  # line 10
            256, 4, strides=2, padding="same", data_format="channels_last", name="conv2d_transpose"
        ),
        layers.LeakyReLU(negative_slope=0.3, name="leaky_relu_2"),  # line 11
    ]
    for conv2d, leaky_relu in (  # line 12
        ("conv2d_1", "leaky_relu_3"),
        ("conv2d_2", "leaky_relu_4"),
    ):
        stack += [
            layers.Conv2D(  # line 13
                256, 5, padding="same", data_format="channels_last", name=conv2d
            ),
            layers.LeakyReLU(negative_slope=0.3, name=leaky_relu),  # line 14
        ]
    stack += [
        layers.Conv2D(  # line 16
            3, 7, padding="same", data_format="channels_last", activation="tanh", name="conv2d_3"
        ),
    ]
    return keras.Sequential(stack, name="generator_cifar")


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
