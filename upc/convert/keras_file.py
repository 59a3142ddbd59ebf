"""Keras files: `.keras`, `.weights.h5` and the older whole-model `.h5`. Read as data; no layer is made, no code run.

A `.keras` file is a zip archive of `config.json`, which gives the layers' order, and `model.weights.h5`.
HDF5 files can point at other files and into themselves; only what lies plainly inside is followed.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

from upc.convert.foreign import MAX_TENSORS, Foreign, ForeignLayer, Tensor, missing, natural, unreadable
from upc.ir import Array
from upc.weights import printable

MAX_CONFIG_BYTES = 2**25
MAX_DEPTH = 16
_STATE_OF_TRAINING = {"optimizer", "optimizer_weights", "seed_generator", "metrics", "_metrics", "loss", "vars"}


def read_keras(path: str, room_bytes: int) -> Foreign:
    """A `.keras` file, whose archive may unpack to `room_bytes`."""
    h5py = _h5py(path)
    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(_unpack(archive, "config.json", MAX_CONFIG_BYTES, path))
            weights = io.BytesIO(_unpack(archive, "model.weights.h5", room_bytes, path))
    except KeyError as problem:
        raise unreadable(path, f"it has no {problem.args[0].split(chr(39))[1]}") from None
    except (zipfile.BadZipFile, ValueError, RecursionError, NotImplementedError, RuntimeError, EOFError) as problem:
        raise unreadable(path, f"it is no .keras file: {problem}") from None
    except OSError as problem:
        raise unreadable(path, problem.strerror or str(problem)) from None
    order = list(_paths(config, "", 0))
    found = _layers(h5py, weights, path)
    places = {place: i for i, place in enumerate(order)}

    def position(at: str) -> int:
        while at and at not in places:
            at = at.rpartition("/")[0]
        return places.get(at, len(order))

    found.sort(key=lambda pair: position(pair[0]))  # stable: what the order does not name stays where it was
    return Foreign(path, "keras", tuple(layer for _, layer in found))


def read_h5(path: str) -> Foreign:
    """A `.weights.h5` file, or a model's `.h5`, which tells its order."""
    h5py = _h5py(path)
    try:
        with open(path, "rb") as content:
            file = io.BytesIO(content.read())
    except OSError as problem:
        raise unreadable(path, problem.strerror or str(problem)) from None
    try:
        with h5py.File(file, "r") as root:
            model = _step(h5py, root, "model_weights", path) if "model_weights" in root else root
            if any(name.startswith("layer_names") for name in model.attrs):
                return Foreign(path, "keras", tuple(_older(h5py, model, file, path)))
    except (OSError, ValueError, TypeError, KeyError, RuntimeError) as problem:
        raise unreadable(path, f"it is no HDF5 file of weights: {problem}") from None
    found = _layers(h5py, file, path)
    return Foreign(path, "keras", tuple(layer for _, layer in found), ordered=False)


def _h5py(path: str) -> Any:
    try:
        import h5py
    except ImportError:
        raise missing("h5py", "keras", f"reading {path}") from None
    return h5py


def _unpack(archive: zipfile.ZipFile, name: str, limit: int, path: str) -> bytes:
    """One member, as large as it says and no larger than allowed."""
    size = archive.getinfo(name).file_size
    if size > limit:
        raise unreadable(path, f"its {name} has {size} bytes, more than the {limit} that this net could need")
    with archive.open(name) as member:
        return member.read(limit)


def _paths(config: Any, prefix: str, depth: int) -> Iterator[str]:
    """Where each layer of a model's configuration keeps its weights, in the model's order."""
    inner = config.get("config") if isinstance(config, dict) else None
    layers = inner.get("layers") if isinstance(inner, dict) else None
    counts: dict[str, int] = {}
    for layer in layers if isinstance(layers, list) and depth < MAX_DEPTH else []:
        kind = _snake(str(layer.get("class_name"))) if isinstance(layer, dict) else ""
        number = counts.get(kind, 0)
        counts[kind] = number + 1
        place = f"{prefix}layers/{kind}_{number}" if number else f"{prefix}layers/{kind}"
        yield from _paths(layer, f"{place}/", depth + 1)
        yield place


def _snake(name: str) -> str:
    """A class's name as Keras writes it in a file: `Conv2DTranspose` is conv2d_transpose."""
    words = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", words).lower()


def _layers(h5py: Any, file: BinaryIO, path: str) -> list[tuple[str, ForeignLayer]]:
    """Every layer that has weights, with its place in the file."""
    try:
        with h5py.File(file, "r") as root:
            return list(_walk(h5py, root, "", file, path, 0))
    except (OSError, ValueError, TypeError, KeyError, RuntimeError) as problem:
        raise unreadable(path, f"it is no HDF5 file of weights: {problem}") from None


def _walk(
    h5py: Any, group: Any, place: str, file: BinaryIO, path: str, depth: int
) -> Iterator[tuple[str, ForeignLayer]]:
    if depth > MAX_DEPTH or len(group) > MAX_TENSORS:
        raise unreadable(path, f"its groups go deeper than {MAX_DEPTH} or are larger than {MAX_TENSORS}")
    names = sorted(group, key=natural)
    if "vars" in names:
        variables = _step(h5py, group, "vars", path)
        name = str(variables.attrs.get("name", "") or place.rpartition("/")[2])
        children = [(own, _step(h5py, variables, own, path)) for own in sorted(variables, key=natural)]
        tensors = tuple(_tensor(h5py, data, f"{place}/vars/{own}", own, file, path) for own, data in children)
        if tensors:
            kind = re.sub(r"_\d+$", "", place.rpartition("/")[2])
            yield place, ForeignLayer(name, tensors, kind)
    for name in names:
        if name not in _STATE_OF_TRAINING:
            child = _step(h5py, group, name, path)
            if isinstance(child, h5py.Group):
                yield from _walk(h5py, child, f"{place}/{name}".lstrip("/"), file, path, depth + 1)


def _older(h5py: Any, model: Any, file: BinaryIO, path: str) -> Iterator[ForeignLayer]:
    """The layers of a file that lists them: `layer_names`, and `weight_names` of each."""
    for name in _listed(model.attrs, "layer_names"):
        group = _step(h5py, model, name, path)
        # A model inside a model is one entry here; what its weights are named after are its layers.
        inner: dict[str, list[Tensor]] = {}
        for weight in _listed(group.attrs, "weight_names"):
            data = group
            for part in weight.split("/"):
                data = _step(h5py, data, part, path)
            owner, _, own = weight.rpartition("/")
            inner.setdefault(owner, []).append(_tensor(h5py, data, f"{name}/{weight}", own, file, path))
        for owner, tensors in inner.items():
            yield ForeignLayer(name if len(inner) == 1 else f"{name}/{owner}", tuple(tensors))


def _listed(attributes: Any, name: str) -> list[str]:
    """A list of names, which stands in several attributes where it is long."""
    chunks = [name] if name in attributes else sorted((a for a in attributes if a.startswith(name)), key=natural)
    return [v.decode() if isinstance(v, bytes) else str(v) for chunk in chunks for v in attributes[chunk]]


def _step(h5py: Any, group: Any, name: str, path: str) -> Any:
    """A child that lies in this very file."""
    if not isinstance(group, h5py.Group) or not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise unreadable(path, f"`{printable(name)}` is missing or points elsewhere")
    return group[name]


def _tensor(h5py: Any, data: Any, name: str, own: str, file: BinaryIO, path: str) -> Tensor:
    shown = printable(name)
    if not isinstance(data, h5py.Dataset) or data.shape is None or data.is_virtual or data.external:
        raise unreadable(path, f"`{shown}` is not plain data")
    brain = data.dtype.itemsize == 2 and data.attrs.get("dtype") == "bfloat16"
    if data.dtype.kind != "f" and not brain:
        raise unreadable(path, f"`{shown}` has elements of type {data.dtype}, expected floating-point numbers")
    place = data.name

    def read() -> Array:
        try:
            with h5py.File(file, "r") as root:
                raw = root[place][()]
        except (OSError, ValueError, RuntimeError) as problem:
            raise unreadable(path, f"`{shown}`: {problem}") from None
        if brain:
            return (np.asarray(raw).view("<u2").astype(np.uint32) << 16).view(np.float32)
        with np.errstate(over="ignore"):
            return np.asarray(raw).astype(np.float32)

    return Tensor(name, own, tuple(data.shape), read)
