"""Setting the weights of a model by their names in the weights file."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np


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
