"""PyTorch network WithoutOverlap: ones (1, 5, 5) -> overlap (1, 10, 10).

Emitted by upc 0.0.0 from a11_overlap.upc, whose lines the comments name.
sha256 a098a91239fadc2e171901fb1e28335ba8b84a23fb68bd061fa7c7f15ba7dad7

Channels first. `WEIGHTS` says where the arrays of the weights file go.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class WithoutOverlap(nn.Module):
    """ones (1, 5, 5) -> overlap (1, 10, 10)"""

    def __init__(self) -> None:
        super().__init__()
        self.conv2d_transpose = nn.ConvTranspose2d(1, 1, 2, stride=2, bias=False)
        initialize(self)

    def forward(self, ones: Tensor) -> Tensor:
        x = self.conv2d_transpose(ones)  # line 18
        return x


# Name in the weights file: entry of the state dict, shape in the file, order of the file's axes in
# the entry, first values.
WEIGHTS = {
    "conv2d_transpose.kernel": ("conv2d_transpose.weight", (2, 2, 1, 1), (3, 2, 0, 1), torch.ones),
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
