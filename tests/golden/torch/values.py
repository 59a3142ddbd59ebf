"""PyTorch network Values: x (3, 16, 16) -> y (5, 32, 48).

Emitted by upc 0.0.0 from values.upc, whose lines the comments name.
sha256 8c522c759b46d3b54d9e58a3b3b099a39212ba499b95cd14cde68b2b2f0869d6

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


class Values(nn.Module):
    """x (3, 16, 16) -> y (5, 32, 48)"""

    def __init__(self) -> None:
        super().__init__()
        self.conv2d = nn.Conv2d(3, 5, (3, 5), padding=(1, 2))
        self.conv2d_1 = nn.Conv2d(5, 5, 2)
        self.dropout = nn.Dropout(0.5)
        initialize(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2d(x)  # line 4
        x = F.relu(self.conv2d_1(F.pad(x, (0, 1, 1, 0))))  # line 5
        x = x * 0.00392156862745098 - 0.001  # line 6
        x = x * 0.2 * 150.0  # line 7
        x = F.leaky_relu(x, 0.25)  # line 8
        x = F.interpolate(  # line 9
            x, scale_factor=[2.0, 3.0], mode="bilinear", align_corners=False
        )
        x = self.dropout(x)  # line 10
        x = x.clamp(min=-1.0, max=1.0)  # line 11
        return x


# Name in the weights file: entry of the state dict, shape in the file, order of the file's axes in
# the entry, first values.
WEIGHTS = {
    "conv2d.kernel": ("conv2d.weight", (3, 5, 3, 5), (3, 2, 0, 1), glorot_uniform),
    "conv2d.bias": ("conv2d.bias", (5,), (0,), torch.zeros),
    "conv2d_1.kernel": ("conv2d_1.weight", (2, 2, 5, 5), (3, 2, 0, 1), glorot_uniform),
    "conv2d_1.bias": ("conv2d_1.bias", (5,), (0,), torch.zeros),
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
