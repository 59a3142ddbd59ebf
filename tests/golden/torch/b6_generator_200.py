"""PyTorch network Generator200: z (100,) -> picture (3, 200, 200).

Emitted by upc 0.0.0 from b6_generator_200.upc, whose lines the comments name.
sha256 d8fae7c4fbd1702c87a7c149aa118ec15d9b5cfe6c3f3b086b5fa9224a34cb03

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


def truncated(shape: tuple[int, ...], deviation: float) -> Tensor:
    """A normal distribution cut at two deviations."""
    values = torch.empty(shape)
    return nn.init.trunc_normal_(values, std=deviation, a=-2 * deviation, b=2 * deviation)


def glorot_normal(shape: tuple[int, ...]) -> Tensor:
    """Truncated normal, variance 2 / (inputs + outputs)."""
    # Cutting at two deviations narrows the distribution by this factor.
    return truncated(shape, math.sqrt(2 / max(2.0, sum(fans(shape)))) / 0.87962566103423978)


class Up(nn.Module):
    """Block `up`."""

    def __init__(self, in_channels: int, filters: int) -> None:
        super().__init__()
        self.conv2d_transpose = nn.ConvTranspose2d(in_channels, filters, 2, stride=2)
        self.batch_normalization = nn.BatchNorm2d(filters, eps=0.001, momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv2d_transpose(x))  # line 4
        x = self.batch_normalization(x)  # line 5
        return x


class Generator200(nn.Module):
    """z (100,) -> picture (3, 200, 200)"""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(100, 270000)
        self.up = Up(432, 192)
        self.up_1 = Up(192, 96)
        self.up_2 = Up(96, 3)
        initialize(self)

    def forward(self, z: Tensor) -> Tensor:
        x = F.relu(self.dense(z))  # line 10
        x = x.unflatten(1, (25, 25, 432)).permute(0, 3, 1, 2)  # line 11
        x = self.up(x)  # line 12
        x = self.up_1(x)  # line 13
        x = self.up_2(x)  # line 14
        return x


# Name in the weights file: entry of the state dict, shape in the file, order of the file's axes in
# the entry, first values.
WEIGHTS = {
    "dense.kernel": ("dense.weight", (100, 270000), (1, 0), glorot_normal),
    "dense.bias": ("dense.bias", (270000,), (0,), torch.zeros),
    "up.conv2d_transpose.kernel": (
        "up.conv2d_transpose.weight",
        (2, 2, 192, 432),
        (3, 2, 0, 1),
        glorot_normal,
    ),
    "up.conv2d_transpose.bias": ("up.conv2d_transpose.bias", (192,), (0,), torch.zeros),
    "up.batch_normalization.gamma": ("up.batch_normalization.weight", (192,), (0,), torch.ones),
    "up.batch_normalization.beta": ("up.batch_normalization.bias", (192,), (0,), torch.zeros),
    "up.batch_normalization.moving_mean": (
        "up.batch_normalization.running_mean",
        (192,),
        (0,),
        torch.zeros,
    ),
    "up.batch_normalization.moving_variance": (
        "up.batch_normalization.running_var",
        (192,),
        (0,),
        torch.ones,
    ),
    "up_1.conv2d_transpose.kernel": (
        "up_1.conv2d_transpose.weight",
        (2, 2, 96, 192),
        (3, 2, 0, 1),
        glorot_normal,
    ),
    "up_1.conv2d_transpose.bias": ("up_1.conv2d_transpose.bias", (96,), (0,), torch.zeros),
    "up_1.batch_normalization.gamma": ("up_1.batch_normalization.weight", (96,), (0,), torch.ones),
    "up_1.batch_normalization.beta": ("up_1.batch_normalization.bias", (96,), (0,), torch.zeros),
    "up_1.batch_normalization.moving_mean": (
        "up_1.batch_normalization.running_mean",
        (96,),
        (0,),
        torch.zeros,
    ),
    "up_1.batch_normalization.moving_variance": (
        "up_1.batch_normalization.running_var",
        (96,),
        (0,),
        torch.ones,
    ),
    "up_2.conv2d_transpose.kernel": (
        "up_2.conv2d_transpose.weight",
        (2, 2, 3, 96),
        (3, 2, 0, 1),
        glorot_normal,
    ),
    "up_2.conv2d_transpose.bias": ("up_2.conv2d_transpose.bias", (3,), (0,), torch.zeros),
    "up_2.batch_normalization.gamma": ("up_2.batch_normalization.weight", (3,), (0,), torch.ones),
    "up_2.batch_normalization.beta": ("up_2.batch_normalization.bias", (3,), (0,), torch.zeros),
    "up_2.batch_normalization.moving_mean": (
        "up_2.batch_normalization.running_mean",
        (3,),
        (0,),
        torch.zeros,
    ),
    "up_2.batch_normalization.moving_variance": (
        "up_2.batch_normalization.running_var",
        (3,),
        (0,),
        torch.ones,
    ),
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
