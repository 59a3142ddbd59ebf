"""PyTorch network Agree: left (3, H, W), right (3, H, V) -> both (6, H, V).

Emitted by upc 0.0.0 from free_sizes.upc, whose lines the comments name.
sha256 0243b381446ab11f053e3c740624abdba06881a7ae5016e18211d9c33a2f205d

Channels first. `WEIGHTS` says where the arrays of the weights file go.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class Agree(nn.Module):
    """left (3, H, W), right (3, H, V) -> both (6, H, V)"""

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        x = torch.cat((right, left), dim=1)  # line 13
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
