"""State dicts: what `torch.save` wrote, and safetensors files."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from upc import weights as canonical
from upc.convert.foreign import MAX_TENSORS, Foreign, ForeignLayer, Tensor, missing, natural, unreadable
from upc.diagnostics import EXIT_USAGE, error, nearest
from upc.ir import Array

_COUNTERS = "num_batches_tracked"
"""How often a normalisation was trained, which inference does not ask."""


def read_pt(path: str, key: str | None) -> Foreign:
    """A `.pt`, `.pth` or `.tar` file, opened so that nothing in it can run.

    Errors: UpcError for a file that is not a state dict, and where PyTorch is not installed.
    """
    try:
        import torch
    except ImportError:
        raise missing("torch", "torch", f"reading {path}") from None
    try:
        mapped = zipfile.is_zipfile(path)
        if mapped:
            _refuse_inflated(path)
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped or None)
    except OSError as problem:
        raise unreadable(path, problem.strerror or str(problem)) from None
    except Exception as problem:  # whatever a broken or hostile file makes the unpickler raise
        words = " ".join(str(problem).split()) or type(problem).__name__
        hint = "only tensors in dicts and lists are read; save the model's state_dict() alone"
        raise unreadable(path, canonical.printable(words), hint) from None
    state, taken = _state(content, key, path, torch.Tensor)
    tensors = []
    for name, value in state.items():
        if not name.endswith(_COUNTERS):
            _check_tensor(path, name, value, torch)
            tensors.append(_named(name, tuple(value.shape), lambda t=value: _from_torch(t)))
    return Foreign(path, "torch", _layers(path, tensors), key=taken)


def read_safetensors(path: str, key: str | None) -> Foreign:
    """A safetensors file of a state dict. Such files are sorted by name, so the names' numbers give the order."""
    if key is not None:
        raise error("E0632", f"{path} has no parts that --key could name", exit_code=EXIT_USAGE)
    found = canonical.tensors(path)
    names = sorted((name for name in found if not name.endswith(_COUNTERS)), key=natural)
    tensors = [_named(name, found[name].shape, found[name].read) for name in names]
    return Foreign(path, "torch", _layers(path, tensors))


def _named(name: str, shape: tuple[int, ...], read: Any) -> Tensor:
    return Tensor(name, name.rpartition(".")[2], shape, read)


def _layers(path: str, tensors: Iterable[Tensor]) -> tuple[ForeignLayer, ...]:
    """Tensors whose names differ in their last part alone are one layer."""
    groups: dict[str, list[Tensor]] = {}
    for tensor in tensors:
        groups.setdefault(tensor.name.rpartition(".")[0], []).append(tensor)
    if sum(map(len, groups.values())) > MAX_TENSORS:
        raise unreadable(path, f"it has more than {MAX_TENSORS} tensors")
    return tuple(ForeignLayer(name or "the top", tuple(group)) for name, group in groups.items())


def _state(content: Any, key: str | None, path: str, tensor: type) -> tuple[Mapping[str, Any], str | None]:
    """The state dict in what a file holds: all of it, or the one part that is one."""

    def is_state(value: Any) -> bool:
        return (
            isinstance(value, Mapping)
            and any(isinstance(v, tensor) for v in value.values())
            and all(isinstance(k, str) for k in value)
        )

    if key is None and is_state(content):
        return content, None
    parts: dict[str, Any] = {}
    if isinstance(content, Mapping):
        for name, value in content.items():
            parts[str(name)] = value
            if isinstance(value, Mapping):
                parts.update({f"{name}.{inner}": v for inner, v in value.items()})
    states = {name: value for name, value in parts.items() if is_state(value)}
    listed = ", ".join(map(canonical.printable, list(states)[:10]))
    if key is not None:
        if key in states:
            return states[key], key
        near = nearest(key, list(states))
        hint = f"did you mean {near}?" if near else f"there is {listed}" if states else None
        raise error("E0632", f"{path} has no state dict `{key}`", hint=hint, exit_code=EXIT_USAGE)
    if len(states) == 1:
        (name,) = states
        return states[name], name
    if not states:
        raise unreadable(path, "it holds no state dict", "save the model's state_dict()")
    raise error("E0632", f"{path} holds several state dicts: {listed}", hint="say which by --key", exit_code=EXIT_USAGE)


def _check_tensor(path: str, name: str, value: Any, torch: Any) -> None:
    shown = canonical.printable(name)
    if not isinstance(value, torch.Tensor):
        raise unreadable(path, f"`{shown}` is {type(value).__name__}, expected a tensor")
    if value.layout != torch.strided or value.device.type != "cpu" or not value.dtype.is_floating_point:
        raise unreadable(path, f"`{shown}` is a tensor of {value.dtype}, expected dense floating-point numbers")


def _from_torch(tensor: Any) -> Array:
    return np.array(tensor.detach().float().numpy())


def _refuse_inflated(path: str) -> None:
    """PyTorch stores its tensors as they are; a file that says to unpack more than itself is no such file."""
    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > os.path.getsize(path):
            raise ValueError("its parts are larger than the file")
