"""Keras network `dcgan_paper`: z (100,) -> picture (64, 64, 3).

Emitted by upc 0.0.0 from b5_dcgan_paper.upc, whose lines the comments name.
sha256 6d8b6825f66bfdce9d06529cdc6b7953703fa2e84406f0dda0cf06801a9a6fea

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
            5,
            strides=2,
            padding="same",
            data_format="channels_last",
            name=f"{name}-conv2d_transpose",
        ),
        layers.BatchNormalization(  # line 5
            momentum=0.99, epsilon=0.001, name=f"{name}-batch_normalization"
        ),
        layers.ReLU(name=f"{name}-relu"),  # line 6
    ]


def build_dcgan_paper() -> keras.Sequential:
    """Build the network with fresh weights."""
    stack = [
        keras.Input((100,), name="z"),
        layers.Dense(16384, name="dense"),  # line 11
        layers.Reshape((4, 4, 1024), name="reshape"),  # line 12
        layers.BatchNormalization(  # line 13
            momentum=0.99, epsilon=0.001, name="batch_normalization"
        ),
        layers.ReLU(name="relu"),  # line 14
    ]
    for name, filters in (("up", 512), ("up_1", 256), ("up_2", 128)):  # line 15
        stack += up(filters, name=name)  # line 15
    stack += [
        layers.Conv2DTranspose(  # line 16
            3,
            5,
            strides=2,
            padding="same",
            data_format="channels_last",
            activation="tanh",
            name="conv2d_transpose",
        ),
    ]
    return keras.Sequential(stack, name="dcgan_paper")


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
