"""PyTorch network DcganFaces: z (100,) -> face (3, 64, 64).

Emitted by upc 0.0.0 from dcgan_faces.upc, whose lines the comments name.
sha256 b4a072ce92f4fa52e40b061cd6204384ec26e7ad3bf96ecdd50af40e890d8b65

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
        self.conv2d_transpose = nn.ConvTranspose2d(in_channels, filters, 4, stride=2, padding=1)
        self.batch_normalization = nn.BatchNorm2d(filters, eps=0.001, momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2d_transpose(x)  # line 4
        x = F.leaky_relu(x, 0.2)  # line 5
        x = self.batch_normalization(x)  # line 6
        return x


class DcganFaces(nn.Module):
    """z (100,) -> face (3, 64, 64)"""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(100, 8192)
        self.ups = nn.Sequential(Up(512, 256), Up(256, 128), Up(128, 64))
        self.conv2d_transpose = nn.ConvTranspose2d(64, 3, 4, stride=2, padding=1)
        initialize(self)

    def forward(self, z: Tensor) -> Tensor:
        x = self.dense(z)  # line 11
        x = x.unflatten(1, (4, 4, 512)).permute(0, 3, 1, 2)  # line 12
        x = self.ups(x)  # line 13
        x = torch.sigmoid(self.conv2d_transpose(x))  # line 14
        return x


# Name in the weights file: entry of the state dict, shape in the file, order of the file's axes in
# the entry, first values.
WEIGHTS = {
    "dense.kernel": ("dense.weight", (100, 8192), (1, 0), glorot_uniform),
    "dense.bias": ("dense.bias", (8192,), (0,), torch.zeros),
    "up.conv2d_transpose.kernel": (
        "ups.0.conv2d_transpose.weight",
        (4, 4, 256, 512),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "up.conv2d_transpose.bias": ("ups.0.conv2d_transpose.bias", (256,), (0,), torch.zeros),
    "up.batch_normalization.gamma": ("ups.0.batch_normalization.weight", (256,), (0,), torch.ones),
    "up.batch_normalization.beta": ("ups.0.batch_normalization.bias", (256,), (0,), torch.zeros),
    "up.batch_normalization.moving_mean": (
        "ups.0.batch_normalization.running_mean",
        (256,),
        (0,),
        torch.zeros,
    ),
    "up.batch_normalization.moving_variance": (
        "ups.0.batch_normalization.running_var",
        (256,),
        (0,),
        torch.ones,
    ),
    "up_1.conv2d_transpose.kernel": (
        "ups.1.conv2d_transpose.weight",
        (4, 4, 128, 256),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "up_1.conv2d_transpose.bias": ("ups.1.conv2d_transpose.bias", (128,), (0,), torch.zeros),
    "up_1.batch_normalization.gamma": (
        "ups.1.batch_normalization.weight",
        (128,),
        (0,),
        torch.ones,
    ),
    "up_1.batch_normalization.beta": ("ups.1.batch_normalization.bias", (128,), (0,), torch.zeros),
    "up_1.batch_normalization.moving_mean": (
        "ups.1.batch_normalization.running_mean",
        (128,),
        (0,),
        torch.zeros,
    ),
    "up_1.batch_normalization.moving_variance": (
        "ups.1.batch_normalization.running_var",
        (128,),
        (0,),
        torch.ones,
    ),
    "up_2.conv2d_transpose.kernel": (
        "ups.2.conv2d_transpose.weight",
        (4, 4, 64, 128),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "up_2.conv2d_transpose.bias": ("ups.2.conv2d_transpose.bias", (64,), (0,), torch.zeros),
    "up_2.batch_normalization.gamma": ("ups.2.batch_normalization.weight", (64,), (0,), torch.ones),
    "up_2.batch_normalization.beta": ("ups.2.batch_normalization.bias", (64,), (0,), torch.zeros),
    "up_2.batch_normalization.moving_mean": (
        "ups.2.batch_normalization.running_mean",
        (64,),
        (0,),
        torch.zeros,
    ),
    "up_2.batch_normalization.moving_variance": (
        "ups.2.batch_normalization.running_var",
        (64,),
        (0,),
        torch.ones,
    ),
    "conv2d_transpose.kernel": (
        "conv2d_transpose.weight",
        (4, 4, 3, 64),
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
