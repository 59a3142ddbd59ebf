"""Keras network `dcgan_faces_torch`: z (100,) -> face (64, 64, 3).

Emitted by upc 0.0.0 from d1_dcgan_faces_torch.upc, whose lines the comments name.
sha256 37c90a31feb80f7291dd4acd4ec53a076fa97ade59ea31061a39f08bc05f8d72

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
        layers.Conv2DTranspose(  # line 5
            filters,
            4,
            strides=2,
            padding="same",
            data_format="channels_last",
            use_bias=False,
            name=f"{name}-conv2d_transpose",
        ),
        layers.BatchNormalization(  # line 6
            momentum=0.9, epsilon=1e-05, name=f"{name}-batch_normalization"
        ),
        layers.ReLU(name=f"{name}-relu"),  # line 7
    ]


def build_dcgan_faces_torch() -> keras.Sequential:
    """Build the network with fresh weights."""
    stack = [
        keras.Input((100,), name="z"),
        layers.Reshape((1, 1, 100), name="reshape"),  # line 12
        layers.Conv2DTranspose(  # line 13
            512, 4, data_format="channels_last", use_bias=False, name="conv2d_transpose"
        ),
        layers.BatchNormalization(  # line 14
            momentum=0.9, epsilon=1e-05, name="batch_normalization"
        ),
        layers.ReLU(name="relu"),  # line 15
    ]
    for name, filters in (("up", 256), ("up_1", 128), ("up_2", 64)):  # line 16
        stack += up(filters, name=name)  # line 16
    stack += [
        layers.Conv2DTranspose(  # line 17
            3,
            4,
            strides=2,
            padding="same",
            data_format="channels_last",
            use_bias=False,
            name="conv2d_transpose_1",
        ),
        layers.Activation("tanh", name="tanh"),  # line 18
    ]
    return keras.Sequential(stack, name="dcgan_faces_torch")


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
