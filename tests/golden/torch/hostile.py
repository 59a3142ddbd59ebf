"""PyTorch network Stack: self (3, 6, 5), dense (3,) -> math (7, 6, 5), result (4,).

Emitted by upc 0.0.0 from hostile.upc, whose lines the comments name.
sha256 e9584e6c91b3c10e61152aec045d305090dae919b21755f2bb80737ca0b6b834

Channels first. `WEIGHTS` says where the arrays of the weights file go.
"""

import math
from collections.abc import Mapping

import torch
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


class Forward(nn.Module):
    """Block `forward`."""

    def __init__(self) -> None:
        super().__init__()
        self.conv2d = nn.Conv2d(3, 4, 3, padding=1)
        self.batch_normalization = nn.BatchNorm2d(4, eps=0.001, momentum=0.01)
        self.conv2d_1 = nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv2d(x)  # line 3
        batch_normalization = self.batch_normalization(x)  # line 4
        x = self.conv2d_1(batch_normalization)  # line 6
        x = torch.cat((x, batch_normalization), dim=1)  # line 7
        return x


class Double(nn.Module):
    """Block `double`."""

    def __init__(self, in_channels: int, layers: int) -> None:
        super().__init__()
        self.conv2d = nn.Conv2d(in_channels, layers, 1, bias=False)
        self.conv2d_1 = nn.Conv2d(layers, 3, 1)
        self.conv2d_2 = nn.Conv2d(in_channels, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2d(x)  # line 12
        conv2d = self.conv2d_1(y)  # line 13
        y = self.conv2d_2(x)  # line 14
        y = conv2d + y  # line 15
        return y


class F2(nn.Module):
    """Block `f`."""

    def __init__(self, groups: int, torch_: int) -> None:
        super().__init__()
        self.instance_normalization = nn.GroupNorm(groups, groups, eps=0.001)
        self.conv2d = nn.Conv2d(groups, torch_, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.instance_normalization(x)  # line 19
        x = self.conv2d(x)  # line 20
        return x


class Tensor2(nn.Module):
    """Block `tensor`."""

    def __init__(self, in_features: int, state_dict: int) -> None:
        super().__init__()
        self.dropout = nn.Dropout(0.5)
        self.dense = nn.Linear(in_features, state_dict)

    def forward(self, x: Tensor) -> Tensor:
        x = self.dropout(x)  # line 24
        x = self.dense(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)  # line 25
        return x


class Stack(nn.Module):
    """self (3, 6, 5), dense (3,) -> math (7, 6, 5), result (4,)"""

    def __init__(self) -> None:
        super().__init__()
        self.forward_ = Forward()
        self.double_ = Double(6, 4)
        self.double_1 = Double(3, 5)
        self.f = F2(12, 3)
        self.f_1 = F2(3, 4)
        self.tensor = Tensor2(4, 3)
        self.tensor_1 = Tensor2(3, 2)
        self.dense_1 = nn.Linear(3, 4)
        initialize(self)

    def forward(self, self_: Tensor, dense: Tensor) -> tuple[Tensor, Tensor]:
        keras = self.forward_(self_)  # line 30
        list_ = self.double_(keras)  # line 31
        x = self.double_1(list_)  # line 32
        x = torch.cat((x, keras, x), dim=1)  # line 33
        x = self.f(x)  # line 34
        x = self.f_1(x)  # line 35
        x = self.tensor(x)  # line 36
        x_ = self.tensor_1(x)  # line 37
        y_ = x_ + 1.5  # line 38
        z_ = y_ * x_  # line 39
        x = z_ - y_  # line 40
        math_ = torch.cat((x, list_, z_), dim=1)  # line 41
        x = self.dense_1(dense)  # line 45
        return math_, x


# Name in the weights file: entry of the state dict, shape in the file, order of the file's axes in
# the entry, first values.
WEIGHTS = {
    "forward.conv2d.kernel": ("forward_.conv2d.weight", (3, 3, 3, 4), (3, 2, 0, 1), glorot_uniform),
    "forward.conv2d.bias": ("forward_.conv2d.bias", (4,), (0,), torch.zeros),
    "forward.batch_normalization.gamma": (
        "forward_.batch_normalization.weight",
        (4,),
        (0,),
        torch.ones,
    ),
    "forward.batch_normalization.beta": (
        "forward_.batch_normalization.bias",
        (4,),
        (0,),
        torch.zeros,
    ),
    "forward.batch_normalization.moving_mean": (
        "forward_.batch_normalization.running_mean",
        (4,),
        (0,),
        torch.zeros,
    ),
    "forward.batch_normalization.moving_variance": (
        "forward_.batch_normalization.running_var",
        (4,),
        (0,),
        torch.ones,
    ),
    "forward.conv2d_1.kernel": (
        "forward_.conv2d_1.weight",
        (1, 1, 4, 2),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "forward.conv2d_1.bias": ("forward_.conv2d_1.bias", (2,), (0,), torch.zeros),
    "double.conv2d.kernel": ("double_.conv2d.weight", (1, 1, 6, 4), (3, 2, 0, 1), glorot_uniform),
    "double.conv2d_1.kernel": (
        "double_.conv2d_1.weight",
        (1, 1, 4, 3),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "double.conv2d_1.bias": ("double_.conv2d_1.bias", (3,), (0,), torch.zeros),
    "double.conv2d_2.kernel": (
        "double_.conv2d_2.weight",
        (1, 1, 6, 3),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "double.conv2d_2.bias": ("double_.conv2d_2.bias", (3,), (0,), torch.zeros),
    "double_1.conv2d.kernel": (
        "double_1.conv2d.weight",
        (1, 1, 3, 5),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "double_1.conv2d_1.kernel": (
        "double_1.conv2d_1.weight",
        (1, 1, 5, 3),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "double_1.conv2d_1.bias": ("double_1.conv2d_1.bias", (3,), (0,), torch.zeros),
    "double_1.conv2d_2.kernel": (
        "double_1.conv2d_2.weight",
        (1, 1, 3, 3),
        (3, 2, 0, 1),
        glorot_uniform,
    ),
    "double_1.conv2d_2.bias": ("double_1.conv2d_2.bias", (3,), (0,), torch.zeros),
    "f.instance_normalization.gamma": ("f.instance_normalization.weight", (12,), (0,), torch.ones),
    "f.instance_normalization.beta": ("f.instance_normalization.bias", (12,), (0,), torch.zeros),
    "f.conv2d.kernel": ("f.conv2d.weight", (1, 1, 12, 3), (3, 2, 0, 1), glorot_uniform),
    "f.conv2d.bias": ("f.conv2d.bias", (3,), (0,), torch.zeros),
    "f_1.instance_normalization.gamma": (
        "f_1.instance_normalization.weight",
        (3,),
        (0,),
        torch.ones,
    ),
    "f_1.instance_normalization.beta": ("f_1.instance_normalization.bias", (3,), (0,), torch.zeros),
    "f_1.conv2d.kernel": ("f_1.conv2d.weight", (1, 1, 3, 4), (3, 2, 0, 1), glorot_uniform),
    "f_1.conv2d.bias": ("f_1.conv2d.bias", (4,), (0,), torch.zeros),
    "tensor.dense.kernel": ("tensor.dense.weight", (4, 3), (1, 0), glorot_uniform),
    "tensor.dense.bias": ("tensor.dense.bias", (3,), (0,), torch.zeros),
    "tensor_1.dense.kernel": ("tensor_1.dense.weight", (3, 2), (1, 0), glorot_uniform),
    "tensor_1.dense.bias": ("tensor_1.dense.bias", (2,), (0,), torch.zeros),
    "dense_1.kernel": ("dense_1.weight", (3, 4), (1, 0), glorot_uniform),
    "dense_1.bias": ("dense_1.bias", (4,), (0,), torch.zeros),
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
