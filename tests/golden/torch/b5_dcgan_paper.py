"""PyTorch network DcganPaper: z (100,) -> picture (3, 64, 64).

Emitted by upc 0.0.0 from b5_dcgan_paper.upc, whose lines the comments name.
sha256 6d8b6825f66bfdce9d06529cdc6b7953703fa2e84406f0dda0cf06801a9a6fea

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

    def __init__(self, in_channels: int, filters: int) -> None:
        super().__init__()
        self.conv2d_transpose = nn.ConvTranspose2d(in_channels, filters, 5, stride=2)
        self.batch_normalization = nn.BatchNorm2d(filters, eps=0.001, momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2d_transpose(x)[:, :, 1:-2, 1:-2]  # line 4
        x = self.batch_normalization(x)  # line 5
        x = F.relu(x)  # line 6
        return x


class DcganPaper(nn.Module):
    """z (100,) -> picture (3, 64, 64)"""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(100, 16384)
        self.batch_normalization = nn.BatchNorm2d(1024, eps=0.001, momentum=0.01)
        self.ups = nn.Sequential(Up(1024, 512), Up(512, 256), Up(256, 128))
        self.conv2d_transpose = nn.ConvTranspose2d(128, 3, 5, stride=2)
        initialize(self)

    def forward(self, z: Tensor) -> Tensor:
        x = self.dense(z)  # line 11
        x = x.unflatten(1, (4, 4, 1024)).permute(0, 3, 1, 2)  # line 12
        x = self.batch_normalization(x)  # line 13
        x = F.relu(x)  # line 14
        x = self.ups(x)  # line 15
        x = torch.tanh(self.conv2d_transpose(x)[:, :, 1:-2, 1:-2])  # line 16
        return x


# Name in the weights file: entry of the state dict, shape in the file, order of the file's axes in
# the entry, first values.
WEIGHTS = {
    "dense.kernel": ("dense.weight", (100, 16384), (1, 0), glorot_uniform),
    "dense.bias": ("dense.bias", (16384,), (0,), torch.zeros),
    "batch_normalization.gamma": ("batch_normalization.weight", (1024,), (0,), torch.ones),
    "batch_normalization.beta": ("batch_normalization.bias", (1024,), (0,), torch.zeros),
    "batch_normalization.moving_mean": (
        "batch_normalization.running_mean",
        (1024,),
        (0,),
        torch.zeros,
    ),
    "batch_normalization.moving_variance": (
        "batch_normalization.running_var",
        (1024,),
        (0,),
        torch.ones,
    ),
    "up.conv2d_transpose.kernel": (
        "ups.0.conv2d_transpose.weight",
        (5, 5, 512, 1024),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "up.conv2d_transpose.bias": ("ups.0.conv2d_transpose.bias", (512,), (0,), torch.zeros),
    "up.batch_normalization.gamma": ("ups.0.batch_normalization.weight", (512,), (0,), torch.ones),
    "up.batch_normalization.beta": ("ups.0.batch_normalization.bias", (512,), (0,), torch.zeros),
    "up.batch_normalization.moving_mean": (
        "ups.0.batch_normalization.running_mean",
        (512,),
        (0,),
        torch.zeros,
    ),
    "up.batch_normalization.moving_variance": (
        "ups.0.batch_normalization.running_var",
        (512,),
        (0,),
        torch.ones,
    ),
    "up_1.conv2d_transpose.kernel": (
        "ups.1.conv2d_transpose.weight",
        (5, 5, 256, 512),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "up_1.conv2d_transpose.bias": ("ups.1.conv2d_transpose.bias", (256,), (0,), torch.zeros),
    "up_1.batch_normalization.gamma": (
        "ups.1.batch_normalization.weight",
        (256,),
        (0,),
        torch.ones,
    ),
    "up_1.batch_normalization.beta": ("ups.1.batch_normalization.bias", (256,), (0,), torch.zeros),
    "up_1.batch_normalization.moving_mean": (
        "ups.1.batch_normalization.running_mean",
        (256,),
        (0,),
        torch.zeros,
    ),
    "up_1.batch_normalization.moving_variance": (
        "ups.1.batch_normalization.running_var",
        (256,),
        (0,),
        torch.ones,
    ),
    "up_2.conv2d_transpose.kernel": (
        "ups.2.conv2d_transpose.weight",
        (5, 5, 128, 256),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "up_2.conv2d_transpose.bias": ("ups.2.conv2d_transpose.bias", (128,), (0,), torch.zeros),
    "up_2.batch_normalization.gamma": (
        "ups.2.batch_normalization.weight",
        (128,),
        (0,),
        torch.ones,
    ),
    "up_2.batch_normalization.beta": ("ups.2.batch_normalization.bias", (128,), (0,), torch.zeros),
    "up_2.batch_normalization.moving_mean": (
        "ups.2.batch_normalization.running_mean",
        (128,),
        (0,),
        torch.zeros,
    ),
    "up_2.batch_normalization.moving_variance": (
        "ups.2.batch_normalization.running_var",
        (128,),
        (0,),
        torch.ones,
    ),
    "conv2d_transpose.kernel": (
        "conv2d_transpose.weight",
        (5, 5, 3, 128),
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
