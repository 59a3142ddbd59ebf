"""PyTorch network Autoencoder: digit (1, 28, 28) -> reconstruction (1, 28, 28).

Emitted by upc 0.0.0 from c1_autoencoder.upc, whose lines the comments name.
sha256 4bacdb67a8e8ca7bbfdc1b11b99276b3b3fbd581a976bea18ee654400aaa5799

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


def he_uniform(shape: tuple[int, ...]) -> Tensor:
    """Uniform, variance 2 / inputs."""
    limit = math.sqrt(6 / max(1.0, fans(shape)[0]))
    return torch.empty(shape).uniform_(-limit, limit)


class Autoencoder(nn.Module):
    """digit (1, 28, 28) -> reconstruction (1, 28, 28)"""

    def __init__(self) -> None:
        super().__init__()
        self.conv2d = nn.Conv2d(1, 8, 2)
        self.conv2d_1 = nn.Conv2d(8, 8, 2)
        self.conv2d_2 = nn.Conv2d(8, 8, 2, stride=2)
        self.conv2d_3 = nn.Conv2d(8, 8, 2)
        self.conv2d_4 = nn.Conv2d(8, 8, 2)
        self.conv2d_5 = nn.Conv2d(8, 8, 2)
        self.conv2d_6 = nn.Conv2d(8, 1, 2)
        initialize(self)

    def forward(self, digit: Tensor) -> Tensor:
        x = F.relu(self.conv2d(F.pad(digit, (0, 1, 0, 1))))  # line 5
        x = F.max_pool2d(x, 2)  # line 6
        x = F.relu(self.conv2d_1(F.pad(x, (0, 1, 0, 1))))  # line 7
        x = F.max_pool2d(x, 2)  # line 8
        x = F.relu(self.conv2d_2(F.pad(x, (0, 1, 0, 1))))  # line 9
        x = F.relu(self.conv2d_3(F.pad(x, (0, 1, 0, 1))))  # line 10
        x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)  # line 11
        x = F.relu(self.conv2d_4(x))  # line 12
        x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)  # line 13
        x = F.relu(self.conv2d_5(F.pad(x, (0, 1, 0, 1))))  # line 14
        x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)  # line 15
        x = torch.sigmoid(self.conv2d_6(F.pad(x, (0, 1, 0, 1))))  # line 16
        return x


# Name in the weights file: entry of the state dict, shape in the file, order of the file's axes in
# the entry, first values.
WEIGHTS = {
    "conv2d.kernel": ("conv2d.weight", (2, 2, 1, 8), (3, 2, 0, 1), he_uniform),
    "conv2d.bias": ("conv2d.bias", (8,), (0,), torch.zeros),
    "conv2d_1.kernel": ("conv2d_1.weight", (2, 2, 8, 8), (3, 2, 0, 1), glorot_uniform),
    "conv2d_1.bias": ("conv2d_1.bias", (8,), (0,), torch.zeros),
    "conv2d_2.kernel": ("conv2d_2.weight", (2, 2, 8, 8), (3, 2, 0, 1), glorot_uniform),
    "conv2d_2.bias": ("conv2d_2.bias", (8,), (0,), torch.zeros),
    "conv2d_3.kernel": ("conv2d_3.weight", (2, 2, 8, 8), (3, 2, 0, 1), glorot_uniform),
    "conv2d_3.bias": ("conv2d_3.bias", (8,), (0,), torch.zeros),
    "conv2d_4.kernel": ("conv2d_4.weight", (2, 2, 8, 8), (3, 2, 0, 1), glorot_uniform),
    "conv2d_4.bias": ("conv2d_4.bias", (8,), (0,), torch.zeros),
    "conv2d_5.kernel": ("conv2d_5.weight", (2, 2, 8, 8), (3, 2, 0, 1), glorot_uniform),
    "conv2d_5.bias": ("conv2d_5.bias", (8,), (0,), torch.zeros),
    "conv2d_6.kernel": ("conv2d_6.weight", (2, 2, 8, 1), (3, 2, 0, 1), glorot_uniform),
    "conv2d_6.bias": ("conv2d_6.bias", (1,), (0,), torch.zeros),
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
