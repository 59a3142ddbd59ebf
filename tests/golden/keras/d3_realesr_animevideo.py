"""Keras network `realesr_animevideo`: image (H, W, 3) -> picture (4*H, 4*W, 3).

Emitted by upc 0.0.0 from d3_realesr_animevideo.upc, whose lines the comments name.
sha256 d5a56ae555e269af38f2930d818211f36b6ed51b125316073db14ce9932ff29e

Channels last. A layer is named after its place in the source, with `-` for the dots of a path.
Import this module before you load a saved model: it has layers that Keras does not have.
"""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
from keras import layers, ops


@keras.saving.register_keras_serializable(package="upc")
class PixelShuffle2D(keras.layers.Layer):
    """Move blocks of channels into space: (H, W, C*r*r) -> (H*r, W*r, C).

    "crd" reads the channels as (C, r, r), as PyTorch does; "dcr" as (r, r, C), as TensorFlow does.
    """

    def __init__(self, factor, order, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor
        self.order = order

    def call(self, x):
        r, (n, h, w, _) = self.factor, ops.shape(x)
        c = x.shape[-1] // (r * r)
        if self.order == "crd":
            x = ops.transpose(ops.reshape(x, (n, h, w, c, r, r)), (0, 1, 4, 2, 5, 3))
        else:
            x = ops.transpose(ops.reshape(x, (n, h, w, r, r, c)), (0, 1, 3, 2, 4, 5))
        return ops.reshape(x, (n, h * r, w * r, c))

    def compute_output_shape(self, input_shape):
        n, h, w, c = input_shape
        r = self.factor
        return (n, None if h is None else h * r, None if w is None else w * r, c // (r * r))

    def get_config(self):
        return super().get_config() | {"factor": self.factor, "order": self.order}


def layer(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Block `layer`."""
    x = layers.Conv2D(  # line 5
        64, 3, padding="same", data_format="channels_last", name=f"{name}-conv2d"
    )(x)
    x = layers.PReLU(shared_axes=[1, 2], name=f"{name}-prelu")(x)  # line 6
    return x


def build_realesr_animevideo() -> keras.Model:
    """Build the network with fresh weights."""
    image = keras.Input((None, None, 3), name="image")
    enlarged = layers.UpSampling2D(  # line 11
        4, interpolation="nearest", data_format="channels_last", name="up_sampling2d"
    )(image)
    x = image
    for name in ("layer", *(f"layer_{i}" for i in range(1, 17))):  # line 12
        x = layer(x, name=name)  # line 12
    x = layers.Conv2D(  # line 13
        48, 3, padding="same", data_format="channels_last", name="conv2d"
    )(x)
    x = PixelShuffle2D(4, order="crd", name="pixel_shuffle")(x)  # line 14
    x = layers.Add(name="add")([x, enlarged])  # line 15
    return keras.Model(image, x, name="realesr_animevideo")


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
