"""PyTorch network DcganDigits: z (100,) -> digit (1, 28, 28).

Emitted by upc 0.0.0 from b3_dcgan_digits.upc, whose lines the comments name.
sha256 7501cc9395a5bfb6e8e36bac1e7095e235724b372d826c41203154a1861a2a1e

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


class Up(nn.Module):
    """Block `up`."""

    def __init__(self) -> None:
        super().__init__()
        self.conv2d_transpose = nn.ConvTranspose2d(256, 128, 5, padding=2, bias=False)
        self.batch_normalization = nn.BatchNorm2d(128, eps=0.001, momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2d_transpose(x)  # line 4
        x = self.batch_normalization(x)  # line 5
        x = F.leaky_relu(x, 0.3)  # line 6
        return x


class Up2(nn.Module):
    """Block `up`."""

    def __init__(self) -> None:
        super().__init__()
        self.conv2d_transpose = nn.ConvTranspose2d(128, 64, 5, stride=2, bias=False)
        self.batch_normalization = nn.BatchNorm2d(64, eps=0.001, momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2d_transpose(x)[:, :, 1:-2, 1:-2]  # line 4
        x = self.batch_normalization(x)  # line 5
        x = F.leaky_relu(x, 0.3)  # line 6
        return x


class DcganDigits(nn.Module):
    """z (100,) -> digit (1, 28, 28)"""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(100, 12544, bias=False)
        self.batch_normalization = nn.BatchNorm1d(12544, eps=0.001, momentum=0.01)
        self.up = Up()
        self.up_1 = Up2()
        self.conv2d_transpose = nn.ConvTranspose2d(64, 1, 5, stride=2, bias=False)
        initialize(self)

    def forward(self, z: Tensor) -> Tensor:
        x = self.dense(z)  # line 11
        x = self.batch_normalization(x)  # line 12
        x = F.leaky_relu(x, 0.3)  # line 13
        x = x.unflatten(1, (7, 7, 256)).permute(0, 3, 1, 2)  # line 14
        x = self.up(x)  # line 15
        x = self.up_1(x)  # line 16
        x = torch.tanh(self.conv2d_transpose(x)[:, :, 1:-2, 1:-2])  # line 17
        return x


# Name in the weights file: entry of the state dict, shape in the file, order of the file's axes in
# the entry, first values.
WEIGHTS = {
    "dense.kernel": ("dense.weight", (100, 12544), (1, 0), glorot_uniform),
    "batch_normalization.gamma": ("batch_normalization.weight", (12544,), (0,), torch.ones),
    "batch_normalization.beta": ("batch_normalization.bias", (12544,), (0,), torch.zeros),
    "batch_normalization.moving_mean": (
        "batch_normalization.running_mean",
        (12544,),
        (0,),
        torch.zeros,
    ),
    "batch_normalization.moving_variance": (
        "batch_normalization.running_var",
        (12544,),
        (0,),
        torch.ones,
    ),
    "up.conv2d_transpose.kernel": (
        "up.conv2d_transpose.weight",
        (5, 5, 128, 256),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "up.batch_normalization.gamma": ("up.batch_normalization.weight", (128,), (0,), torch.ones),
    "up.batch_normalization.beta": ("up.batch_normalization.bias", (128,), (0,), torch.zeros),
    "up.batch_normalization.moving_mean": (
        "up.batch_normalization.running_mean",
        (128,),
        (0,),
        torch.zeros,
    ),
    "up.batch_normalization.moving_variance": (
        "up.batch_normalization.running_var",
        (128,),
        (0,),
        torch.ones,
    ),
    "up_1.conv2d_transpose.kernel": (
        "up_1.conv2d_transpose.weight",
        (5, 5, 64, 128),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "up_1.batch_normalization.gamma": ("up_1.batch_normalization.weight", (64,), (0,), torch.ones),
    "up_1.batch_normalization.beta": ("up_1.batch_normalization.bias", (64,), (0,), torch.zeros),
    "up_1.batch_normalization.moving_mean": (
        "up_1.batch_normalization.running_mean",
        (64,),
        (0,),
        torch.zeros,
    ),
    "up_1.batch_normalization.moving_variance": (
        "up_1.batch_normalization.running_var",
        (64,),
        (0,),
        torch.ones,
    ),
    "conv2d_transpose.kernel": (
        "conv2d_transpose.weight",
        (5, 5, 1, 64),
        (3, 2, 0, 1),
        glorot_uniform,
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
