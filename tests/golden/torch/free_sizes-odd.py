"""PyTorch network Odd: x (3, H, W) -> y (3, H, W), small (4, (H + 1)/2 - 1, (W + 1)/2 - 1).

Emitted by upc 0.0.0 from free_sizes.upc, whose lines the comments name.
sha256 0243b381446ab11f053e3c740624abdba06881a7ae5016e18211d9c33a2f205d

Channels first. `WEIGHTS` says where the arrays of the weights file go.
"""

import math
from collections.abc import Mapping

import torch
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


class Odd(nn.Module):
    """x (3, H, W) -> y (3, H, W), small (4, (H + 1)/2 - 1, (W + 1)/2 - 1)"""

    def __init__(self) -> None:
        super().__init__()
        self.conv2d = nn.Conv2d(3, 4, 3, stride=2)
        self.conv2d_transpose = nn.ConvTranspose2d(4, 3, 3, stride=2)
        initialize(self)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        small = self.conv2d(x)  # line 4
        y = self.conv2d_transpose(small)  # line 5
        y = y + x  # line 6
        return y, small


# Name in the weights file: entry of the state dict, shape in the file, order of the file's axes in
# the entry, first values.
WEIGHTS = {
    "conv2d.kernel": ("conv2d.weight", (3, 3, 3, 4), (3, 2, 0, 1), glorot_uniform),
    "conv2d.bias": ("conv2d.bias", (4,), (0,), torch.zeros),
    "conv2d_transpose.kernel": (
        "conv2d_transpose.weight",
        (3, 3, 3, 4),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "conv2d_transpose.bias": ("conv2d_transpose.bias", (3,), (0,), torch.zeros),
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
