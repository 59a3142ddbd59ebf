"""Keras network `dcgan_faces`: z (100,) -> face (64, 64, 3).

Emitted by upc 0.0.0 from dcgan_faces.upc, whose lines the comments name.
sha256 b4a072ce92f4fa52e40b061cd6204384ec26e7ad3bf96ecdd50af40e890d8b65

Channels last. A layer is named after its place in the source, with `-` for the dots of a path.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from keras import layers


def up(filters: int, name: str) -> list[keras.Layer]:
    """Block `up`."""
    return [
        layers.Conv2DTranspose(  # line 4
            filters,
            4,
            strides=2,
            padding="same",
            data_format="channels_last",
            name=f"{name}-conv2d_transpose",
        ),
        layers.LeakyReLU(negative_slope=0.2, name=f"{name}-leaky_relu"),  # line 5
        layers.BatchNormalization(  # line 6
            momentum=0.99, epsilon=0.001, name=f"{name}-batch_normalization"
        ),
    ]


def build_dcgan_faces() -> keras.Sequential:
    """Build the network with fresh weights."""
    stack = [
        keras.Input((100,), name="z"),
        layers.Dense(8192, name="dense"),  # line 11
        layers.Reshape((4, 4, 512), name="reshape"),  # line 12
    ]
    for name, filters in (("up", 256), ("up_1", 128), ("up_2", 64)):  # line 13
        stack += up(filters, name=name)  # line 13
    stack += [
        layers.Conv2DTranspose(  # line 14
            3,
            4,
            strides=2,
            padding="same",
            data_format="channels_last",
            activation="sigmoid",
            name="conv2d_transpose",
        ),
    ]
    return keras.Sequential(stack, name="dcgan_faces")


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
