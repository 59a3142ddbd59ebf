"""PyTorch network Discriminator: digit (1, 14, 14) -> score (1,).

Emitted by upc 0.0.0 from several_nets.upc, whose lines the comments name.
sha256 aaad4c9e69c1e216465f32d1c59cfaf5e63fa4e9f4a84088f03e6a286d4a9254

Channels first. `WEIGHTS` says where the arrays of the weights file go.
"""

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def fans(shape: tuple[int, ...]) -> tuple[float, float]:
    """Inputs and outputs of one unit, counted as Keras does."""
    if len(shape) < 2:
        return math.prod(shape), math.prod(shape)
    window = math.prod(shape[:-2])
    return shape[-2] * window, shape[-1] * window


def glorot_uniform(shape: tuple[int, ...]) -> Tensor:
    """Uniform, variance 2 / (inputs + outputs)."""
    limit = math.sqrt(6 / max(2.0, sum(fans(shape))))
    return torch.empty(shape).uniform_(-limit, limit)


class Discriminator(nn.Module):
    """digit (1, 14, 14) -> score (1,)"""

    def __init__(self) -> None:
        super().__init__()
        self.conv2d = nn.Conv2d(1, 8, 5, stride=2)
        self.dropout = nn.Dropout(0.3)
        self.dense = nn.Linear(392, 1)
        initialize(self)

    def forward(self, digit: Tensor) -> Tensor:
        x = self.conv2d(F.pad(digit, (1, 2, 1, 2)))  # line 18
        x = F.leaky_relu(x, 0.2)  # line 19
        x = self.dropout(x)  # line 20
        x = x.permute(0, 2, 3, 1).flatten(1)  # line 21
        x = self.dense(x)  # line 22
        return x


# Name in the weights file: entry of the state dict, shape in the file, order of the file's axes in
# the entry, first values.
WEIGHTS = {
    "conv2d.kernel": ("conv2d.weight", (5, 5, 1, 8), (3, 2, 0, 1), glorot_uniform),
    "conv2d.bias": ("conv2d.bias", (8,), (0,), torch.zeros),
    "dense.kernel": ("dense.weight", (392, 1), (1, 0), glorot_uniform),
    "dense.bias": ("dense.bias", (1,), (0,), torch.zeros),
}


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
