"""Setting the weights of a module by their names in the weights file."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

Initializer = Callable[[tuple[int, ...]], Tensor]

WEIGHTS: dict[str, tuple[str, tuple[int, ...], tuple[int, ...], Initializer]] = {}
"""Stands for the table that every module has of its own."""


@torch.no_grad()
def initialize(model: nn.Module) -> None:
    """Give all weights their first values, as Keras's initializers do."""
    state = model.state_dict()
    for entry, shape, axes, initial in WEIGHTS.values():
        state[entry].copy_(initial(shape).permute(axes).reshape(state[entry].shape))


@torch.no_grad()
def set_weights(model: nn.Module, arrays: Mapping[str, Tensor]) -> None:
    """Set all weights from arrays by their names in the weights file."""
    if missing := sorted(set(WEIGHTS) - set(arrays)):
        raise KeyError(f"the weights lack {', '.join(missing)}")
    if unknown := sorted(set(arrays) - set(WEIGHTS)):
        raise KeyError(f"{type(model).__name__} has no {', '.join(unknown)}")
    state = model.state_dict()
    for key, (entry, shape, axes, _) in WEIGHTS.items():
        if tuple(arrays[key].shape) != shape:
            raise ValueError(f"{key}: expected {shape}, got {tuple(arrays[key].shape)}")
        state[entry].copy_(arrays[key].permute(axes).reshape(state[entry].shape))


def load_weights(model: nn.Module, path: str) -> None:
    """Set all weights from a safetensors file."""
    from safetensors.torch import load_file

    set_weights(model, load_file(path))
