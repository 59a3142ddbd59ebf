"""Weights that PyTorch keeps in parts: under weight norm a length and a direction, under spectral norm a kernel and
two vectors. At inference they are one kernel, which is worked out here as the module would."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from upc.convert.foreign import Tensor, unreadable
from upc.ir import Array
from upc.runtime.stored import printable

_OLDER = {"g", "v", "orig", "u", "mask"}
"""What the names of parts end in, after the weight's own name and `_`."""

_NEWER = {"original0": "g", "original1": "v", "original": "orig", "0._u": "u", "0._v": "v"}
"""What they are called below `parametrizations.weight`, and what each is."""

_KINDS = {
    frozenset(("g", "v")): "weight norm",
    frozenset(("orig", "u", "v")): "spectral norm",
    frozenset(("orig", "mask")): "pruning",
}


@dataclass(frozen=True, slots=True)
class _Part:
    """What a tensor is a part of, by full name, and which."""

    whole: str
    part: str
    tensor: Tensor


def folded(tensors: list[Tensor], file: str) -> tuple[list[Tensor], tuple[str, ...]]:
    """The tensors with each weight that is in parts made one, in the place of its first; and a note for each.

    Errors: UpcError for parts that do not belong together by their shapes.
    """
    wholes: dict[str, dict[str, Tensor]] = {}
    names = {tensor.name for tensor in tensors}
    parts = {tensor.name: part for tensor in tensors for part in [_part(tensor)] if part and part.whole not in names}
    for part in parts.values():
        wholes.setdefault(part.whole, {})[part.part] = part.tensor
    made: dict[str, Tensor] = {}
    notes = []
    for whole, found in wholes.items():
        kind = _KINDS.get(frozenset(found))
        if kind is None:
            continue
        kernel = found["v"] if kind == "weight norm" else found["orig"]
        read = _FOLDS[kind](found)
        if read is None:
            shapes = ", ".join(f"`{printable(t.name)}` {t.shape}" for t in found.values())
            raise unreadable(file, f"{shapes} are not the parts of a weight under {kind}")
        made[whole] = Tensor(whole, whole.rpartition(".")[2], kernel.shape, read)
        shown = ", ".join(printable(tensor.name.removeprefix(whole.rpartition(".")[0])) for tensor in found.values())
        notes.append(f"{printable(whole)} was under {kind}: made one of {shown}")
    result: list[Tensor] = []
    for tensor in tensors:
        whole = parts[tensor.name].whole if tensor.name in parts else ""
        if whole not in made:
            result.append(tensor)
        elif tensor is next(iter(wholes[whole].values())):
            result.append(made[whole])
    return result, tuple(notes)


def _part(tensor: Tensor) -> _Part | None:
    owner, dot, own = tensor.name.rpartition(".")
    stem, _, end = own.rpartition("_")
    before, parametrized, after = tensor.name.rpartition("parametrizations.")
    if parametrized and (not before or before.endswith(".")):
        weight, _, rest = after.partition(".")
        return _Part(before + weight, _NEWER[rest], tensor) if weight and rest in _NEWER else None
    return _Part(owner + dot + stem, end, tensor) if stem and end in _OLDER else None


def _weight_norm(parts: dict[str, Tensor]) -> Callable[[], Array] | None:
    """g * v / |v|, the length taken over the axes along which g has one element."""
    g, v = parts["g"], parts["v"]
    if g.shape and len(g.shape) != len(v.shape):
        return None
    if any(one not in (1, other) for one, other in zip(g.shape, v.shape, strict=False)):
        return None
    axes = tuple(axis for axis in range(len(v.shape)) if not g.shape or g.shape[axis] == 1)

    def read() -> Array:
        direction = v.read().astype(np.float64)
        length = np.sqrt((direction * direction).sum(axis=axes, keepdims=True))
        with np.errstate(divide="ignore", invalid="ignore"):
            kernel: Array = g.read() * direction / length
            return kernel.astype(np.float32)

    return read


def _spectral_norm(parts: dict[str, Tensor]) -> Callable[[], Array] | None:
    """The kernel over its largest singular value u W v, as the last training step left it."""
    kernel, u, v = parts["orig"], parts["u"], parts["v"]
    size = math.prod(kernel.shape)
    fits = [
        axis
        for axis, n in enumerate(kernel.shape[:2])  # 1 is a transposed convolution's
        if u.shape == (n,) and n and v.shape == (size // n,)
    ]
    if not fits:
        return None

    def read() -> Array:
        values, left, right = (part.read().astype(np.float64) for part in (kernel, u, v))
        turned = [np.moveaxis(values, axis, 0).reshape(len(left), -1) @ right for axis in fits]
        # Where both axes fit by their sizes, u tells: it is the direction of W v.
        largest = max((float(left @ product) for product in turned), key=abs)
        with np.errstate(divide="ignore", invalid="ignore"):
            return (values / largest).astype(np.float32)

    return read


def _pruned(parts: dict[str, Tensor]) -> Callable[[], Array] | None:
    kernel, mask = parts["orig"], parts["mask"]
    return (lambda: kernel.read() * mask.read()) if kernel.shape == mask.shape else None


_FOLDS = {"weight norm": _weight_norm, "spectral norm": _spectral_norm, "pruning": _pruned}
