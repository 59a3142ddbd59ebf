"""State dicts: what `torch.save` wrote, and safetensors files."""

from __future__ import annotations

import io
import pickle
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO

import numpy as np

from upc import limits
from upc import weights as canonical
from upc.convert.foreign import Foreign, ForeignLayer, Order, Tensor, checked, missing, natural, unreadable, within
from upc.convert.reparametrized import folded
from upc.convert.zipped import check_directory
from upc.diagnostics import EXIT_USAGE, error, nearest
from upc.ir import Array

_COUNTERS = "num_batches_tracked"
"""How often a normalisation was trained, which inference does not ask."""


def read_pt(path: str, file: BinaryIO, size: int, key: str | None) -> Foreign:
    """A `.pt`, `.pth` or `.tar` file of some bytes, opened so that nothing in it can run.

    Errors: UpcError for a file that is not a state dict, and where PyTorch is not installed.
    """
    try:
        import torch
    except ImportError:
        raise missing("torch", "torch", f"reading {path}") from None
    within(path, "bytes", size, limits.current().model_bytes, "model_bytes")
    try:
        # Read whole, not mapped: a file that shrinks meanwhile would end the process.
        content = io.BytesIO(file.read(size))
        if zipfile.is_zipfile(content):
            _refuse_inflated(content, size)
        content.seek(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of PyTorch's about formats: what a hostile file is asked for is tensors
            found = torch.load(content, map_location="cpu", weights_only=True)
    except OSError as problem:
        raise unreadable(path, problem.strerror or str(problem)) from None
    except _Inflated:
        raise unreadable(path, "its parts are larger than the file") from None
    except Exception as problem:  # whatever a broken or hostile file makes the unpickler raise
        # PyTorch's own words would advise to load it all the same, and so to run what it holds.
        if isinstance(problem, pickle.UnpicklingError) and "nsupported" in str(problem):
            reason = "it holds Python objects, as a whole pickled model does, and not tensors alone"
            hint = "where you trust it, save the weights alone: torch.save(model.state_dict(), FILE)"
            raise unreadable(path, reason, hint) from None
        hint = "download it again, or save the state_dict() anew"
        raise unreadable(path, "it is damaged, or no file that torch.save wrote", hint) from None
    state, taken = _state(found, key, path, torch.Tensor)
    tensors = []
    for name, value in state.items():
        if not name.endswith(_COUNTERS):
            _check_tensor(path, name, value, torch)
            tensors.append(_named(name, tuple(value.shape), lambda t=value: _from_torch(t)))
    return _foreign(path, tensors, "registered", taken)


def read_safetensors(path: str, key: str | None) -> Foreign:
    """A safetensors file of a state dict. Such files are sorted by name, so the names' numbers give the order."""
    if key is not None:
        raise error("E0632", f"{path} has no parts that --key could name", exit_code=EXIT_USAGE)
    found = canonical.tensors(path)
    names = sorted((name for name in found if not name.endswith(_COUNTERS)), key=_by_parts)
    return _foreign(path, [_named(name, found[name].shape, found[name].read) for name in names], "name", None)


def _by_parts(name: str) -> tuple[Any, ...]:
    """A sort key that compares names part by part: all of conv stands before all of conv1."""
    return tuple(map(natural, name.split(".")))


def _foreign(path: str, tensors: Iterable[Tensor], order: Order, key: str | None) -> Foreign:
    plain, notes = folded(checked(tensors, path), path)
    return Foreign(path, "torch", _layers(plain), order, key, notes=notes)


def _named(name: str, shape: tuple[int, ...], read: Any) -> Tensor:
    return Tensor(name, name.rpartition(".")[2], shape, read)


def _layers(tensors: Iterable[Tensor]) -> tuple[ForeignLayer, ...]:
    """Tensors whose names differ in their last part alone are one layer."""
    groups: dict[str, list[Tensor]] = {}
    for tensor in tensors:
        groups.setdefault(tensor.name.rpartition(".")[0], []).append(tensor)
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
        near = nearest(key, [name[:200] for name in list(states)[:200]])
        hint = f"did you mean {canonical.printable(near)}?" if near else f"there is {listed}" if states else None
        message = f"{path} has no state dict `{canonical.printable(key)}`"
        raise error("E0632", message, hint=hint, exit_code=EXIT_USAGE)
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


class _Inflated(Exception):
    """An archive that unpacks to more than it is."""


def _refuse_inflated(content: BinaryIO, size: int) -> None:
    """PyTorch stores its tensors as they are; a file that says to unpack more than itself is no such file."""
    check_directory(content, size)
    with zipfile.ZipFile(content) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > size:
            raise _Inflated
