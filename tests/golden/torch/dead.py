"""PyTorch network Dead: x (1, 8, 8), spare (4,) -> kept (1, 8, 8).

Emitted by upc 0.0.0 from dead.upc, whose lines the comments name.
sha256 de8c70d915470a20d4370c38c3eea1b9163901f3738afa3905f99a2f506daa63

Channels first. `WEIGHTS` says where the arrays of the weights file go.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class FromHere(nn.Module):
    """Block `from_here`."""

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(x)  # line 12
        return x


class Idle(nn.Module):
    """Block `idle`."""

    def __init__(self) -> None:
        super().__init__()
        self.from_here = FromHere()

    def forward(self, x: Tensor) -> Tensor:
        x = self.from_here(x)  # line 3
        return x


class Dead(nn.Module):
    """x (1, 8, 8), spare (4,) -> kept (1, 8, 8)"""

    def __init__(self) -> None:
        super().__init__()
        self.idle = Idle()
        self.idle_1 = Idle()

    def forward(self, x: Tensor, spare: Tensor) -> Tensor:
        x = self.idle(x)  # line 17
        x = self.idle_1(x)  # line 18
        return x


# Name in the weights file: entry of the state dict, shape in the file, order of the file's axes in
# the entry, first values.
WEIGHTS = {}


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
