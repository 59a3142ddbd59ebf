"""PyTorch network SeveralInputs: picture (3, 8, 6), style (5,) -> styled (3, 8, 6), code (4,),
features (4, 8, 6).

Emitted by upc 0.0.0 from several_inputs.upc, whose lines the comments name.
sha256 fb91125c2e065e876c0ddedd071d8523ae4b65bb44a88c37e6624a3131375154

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


class SeveralInputs(nn.Module):
    """picture (3, 8, 6), style (5,) -> styled (3, 8, 6), code (4,), features (4, 8, 6)"""

    def __init__(self) -> None:
        super().__init__()
        self.conv2d = nn.Conv2d(3, 4, 3, padding=1)
        self.dense = nn.Linear(5, 192)
        self.conv2d_1 = nn.Conv2d(4, 3, 1)
        initialize(self)

    def forward(self, picture: Tensor, style: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        features = F.relu(self.conv2d(picture))  # line 4
        x = self.dense(style)  # line 6
        x = x.unflatten(1, (8, 6, 4)).permute(0, 3, 1, 2)  # line 7
        mixed = x + features  # line 8
        styled = torch.sigmoid(self.conv2d_1(mixed))  # line 9
        x = mixed.mean(dim=(2, 3))  # line 11
        return styled, x, features


# Name in the weights file: entry of the state dict, shape in the file, order of the file's axes in
# the entry, first values.
WEIGHTS = {
    "conv2d.kernel": ("conv2d.weight", (3, 3, 3, 4), (3, 2, 0, 1), glorot_uniform),
    "conv2d.bias": ("conv2d.bias", (4,), (0,), torch.zeros),
    "dense.kernel": ("dense.weight", (5, 192), (1, 0), glorot_uniform),
    "dense.bias": ("dense.bias", (192,), (0,), torch.zeros),
    "conv2d_1.kernel": ("conv2d_1.weight", (1, 1, 4, 3), (3, 2, 0, 1), glorot_uniform),
    "conv2d_1.bias": ("conv2d_1.bias", (3,), (0,), torch.zeros),
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
