"""PyTorch network UpSamplingBilinear: image (1, 2, 2) -> enlarged (1, 4, 6).

Emitted by upc 0.0.0 from a3_up_sampling_bilinear.upc, whose lines the comments name.
sha256 1a33759012a48d7d04b5631233816e805b233a448901f5b0afcd461c535b6d59

Channels first. `WEIGHTS` says where the arrays of the weights file go.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class UpSamplingBilinear(nn.Module):
    """image (1, 2, 2) -> enlarged (1, 4, 6)"""

    def forward(self, image: Tensor) -> Tensor:
        x = F.interpolate(  # line 5
            image, scale_factor=[2.0, 3.0], mode="bilinear", align_corners=False
        )
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
