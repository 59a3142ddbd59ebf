"""PyTorch network UpThenConvolve: z (100,) -> image (1, 10, 10).

Emitted by upc 0.0.0 from b1_up_then_convolve.upc, whose lines the comments name.
sha256 48f764210612d85ff70d234b36a17057cfe46840ed56ba969c34046e42337a00

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


class UpThenConvolve(nn.Module):
    """z (100,) -> image (1, 10, 10)"""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(100, 3200)
        self.conv2d = nn.Conv2d(128, 1, 3, padding=1)
        initialize(self)

    def forward(self, z: Tensor) -> Tensor:
        x = self.dense(z)  # line 5
        x = x.unflatten(1, (5, 5, 128)).permute(0, 3, 1, 2)  # line 6
        x = F.interpolate(x, scale_factor=2.0, mode="nearest")  # line 7
        x = self.conv2d(x)  # line 8
        return x


# Name in the weights file: entry of the state dict, shape in the file, order of the file's axes in
# the entry, first values.
WEIGHTS = {
    "dense.kernel": ("dense.weight", (100, 3200), (1, 0), glorot_uniform),
    "dense.bias": ("dense.bias", (3200,), (0,), torch.zeros),
    "conv2d.kernel": ("conv2d.weight", (3, 3, 128, 1), (3, 2, 0, 1), glorot_uniform),
    "conv2d.bias": ("conv2d.bias", (1,), (0,), torch.zeros),
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
