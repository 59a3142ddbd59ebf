"""PyTorch network Split: x (6, 4, 6) -> gated (4, 4, 6), first (1, 4, 6), a (2, 4, 6).

Emitted by upc 0.0.0 from split.upc, whose lines the comments name.
sha256 6cf8241f40d95dc9ab54f12d0fba15694118b2f03b010d608451c6bd7bcccf52

Channels first. `WEIGHTS` says where the arrays of the weights file go.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class Split(nn.Module):
    """x (6, 4, 6) -> gated (4, 4, 6), first (1, 4, 6), a (2, 4, 6)"""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        a, b, c = x.chunk(3, dim=1)  # line 3
        x = torch.tanh(a)  # line 4
        x = x * b  # line 5
        gated = torch.cat((x, c), dim=1)  # line 6
        x = b[:, :1]  # line 7
        return gated, x, a


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
