"""Keras files: `.keras`, `.weights.h5` and the older whole-model `.h5`. Read as data; no layer is made, no code run.

A `.keras` file is a zip archive of `config.json`, which describes the model, and `model.weights.h5`.
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

from upc import limits
from upc.convert.foreign import MARK, Foreign, ForeignLayer, Tensor, checked, missing, natural, unreadable, within
from upc.convert.heaps import check_heaps
from upc.convert.keras_config import of_config, places
from upc.convert.zipped import check_directory
from upc.diagnostics import UpcError
from upc.ir import Array
from upc.weights import printable

_STATE_OF_TRAINING = {"optimizer", "optimizer_weights", "seed_generator", "metrics", "_metrics", "loss", "vars"}

_FILTERS = {1: "deflate", 2: "shuffle", 3: "fletcher32", 32000: "lzf"}
"""What pieces of a dataset may be packed with: what h5py brings along, no plugin."""


def read_keras(path: str, file: BinaryIO, size: int, room_bytes: int) -> Foreign:
    """A `.keras` file of some bytes, whose archive may unpack to `room_bytes`."""
    h5py = _h5py(path)
    within(path, "bytes", size, room_bytes + limits.current().config_bytes)
    try:
        content = io.BytesIO(file.read(size))
        check_directory(content, size)
        with zipfile.ZipFile(content) as archive:
            config = json.loads(_unpack(archive, "config.json", limits.current().config_bytes, path))
            unpacked = _unpack(archive, "model.weights.h5", room_bytes, path)
            check_heaps(unpacked)
            weights = io.BytesIO(unpacked)
            own = MARK in archive.namelist()
    except KeyError as problem:
        raise unreadable(path, f"it has no {problem.args[0].split(chr(39))[1]}") from None
    except OSError as problem:
        raise unreadable(path, problem.strerror or str(problem)) from None
    except (UpcError, MemoryError):
        raise
    except Exception as problem:  # whatever a broken or hostile file makes the unpackers raise, each its own
        raise unreadable(path, f"it is no .keras file: {printable(str(problem))}") from None
    order = {place: i for i, place in enumerate(places(config))}
    found = _layers(h5py, weights, path)

    def position(layer: ForeignLayer) -> int:
        at = layer.place
        while at and at not in order:
            at = at.rpartition("/")[0]
        return order.get(at, len(order))

    found.sort(key=position)  # stable: what the order does not name stays where it was
    shapes = {layer.place: tuple(tensor.shape for tensor in layer.tensors) for layer in found}
    return Foreign(path, "keras", tuple(found), "run", description=of_config(config, shapes), own=own)


def read_h5(path: str, file: BinaryIO, size: int, room_bytes: int) -> Foreign:
    """A `.weights.h5` file, or a model's `.h5`, which tells its order and may describe it; of at most `room_bytes`."""
    h5py = _h5py(path)
    within(path, "bytes", size, room_bytes)
    config = None
    try:
        read = file.read(size)
        check_heaps(read)
        content = io.BytesIO(read)
        root = h5py.File(content, "r")
        own = MARK in root.attrs
        model = _step(h5py, root, "model_weights", path) if "model_weights" in root else root
        if any(name.startswith("layer_names") for name in model.attrs):
            found = _numbered(_older(h5py, model, path), path)
            if isinstance(text := root.attrs.get("model_config"), (str, bytes)):
                within(path, "bytes of description", len(text), limits.current().config_bytes, "config_bytes")
                config = json.loads(text)
            shapes = {layer.place: tuple(tensor.shape for tensor in layer.tensors) for layer in found}
            # Names tell layers apart only where no two, of two models inside one, have the same.
            known = of_config(config, shapes, by_name=True) if len(shapes) == len(found) else None
            return Foreign(path, "keras", tuple(found), "run", description=known)
    except (UpcError, MemoryError):
        raise
    except Exception as problem:  # whatever h5py raises of a file like that
        raise unreadable(path, f"it is no HDF5 file of weights: {printable(str(problem))}") from None
    found = _layers(h5py, content, path)
    return Foreign(path, "keras", tuple(found), "kind", own=own)


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


def _layers(h5py: Any, file: BinaryIO, path: str) -> list[ForeignLayer]:
    """Every layer that has weights, with its place in the file, which its tensors keep open: to find a dataset again
    by its name takes time for every other name."""
    try:
        return _numbered(_walk(h5py, h5py.File(file, "r"), "", path), path)
    except (UpcError, MemoryError):
        raise
    except Exception as problem:
        raise unreadable(path, f"it is no HDF5 file of weights: {printable(str(problem))}") from None


def _numbered(layers: Iterator[ForeignLayer], path: str) -> list[ForeignLayer]:
    """All layers, their tensors within the limits; these are asked as each comes, so that the walk ends there."""
    found: list[ForeignLayer] = []

    def tensors() -> Iterator[Tensor]:
        for layer in layers:
            found.append(layer)
            yield from layer.tensors

    checked(tensors(), path)
    return found


def _walk(h5py: Any, root: Any, place: str, path: str) -> Iterator[ForeignLayer]:
    """Every group with variables, by name, what is in a group after the group itself."""
    waiting = [(root, place, 0)]
    met = 0
    while waiting:
        group, place, depth = waiting.pop()
        met += len(group)
        within(path, "groups and datasets", met, limits.current().tensors, "tensors")
        within(path, "groups inside groups", depth, limits.current().model_depth, "model_depth")
        within(path, "characters in a name", len(place), limits.current().tensor_name, "tensor_name")
        names = sorted(group, key=natural)
        if "vars" in names:
            variables = _step(h5py, group, "vars", path)
            met += len(variables)
            within(path, "groups and datasets", met, limits.current().tensors, "tensors")
            name = _attribute(variables, "name", path) or place.rpartition("/")[2]
            children = [(own, _step(h5py, variables, own, path)) for own in sorted(variables, key=natural)]
            tensors = tuple(_tensor(h5py, data, f"{place}/vars/{own}", own, path) for own, data in children)
            if tensors:
                kind = re.sub(r"_[0-9]{1,9}$", "", place.rpartition("/")[2])
                yield ForeignLayer(name, tensors, kind, place)
        inner = [(_step(h5py, group, name, path), name) for name in names if name not in _STATE_OF_TRAINING]
        groups = [
            (child, f"{place}/{name}".lstrip("/"), depth + 1) for child, name in inner if isinstance(child, h5py.Group)
        ]
        waiting += reversed(groups)


def _attribute(group: Any, name: str, path: str) -> str:
    """A text beside a group; empty where there is none."""
    if name not in group.attrs:
        return ""
    value = group.attrs[name]
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    within(path, "characters in a name", len(text), limits.current().tensor_name, "tensor_name")
    return text


def _older(h5py: Any, model: Any, path: str) -> Iterator[ForeignLayer]:
    """The layers of a file that lists them: `layer_names`, and `weight_names` of each."""
    for name in _listed(model.attrs, "layer_names", path):
        group = _step(h5py, model, name, path)
        # A model inside a model is one entry here; what its weights are named after are its layers.
        inner: dict[str, list[Tensor]] = {}
        for weight in _listed(group.attrs, "weight_names", path):
            data = group
            for part in weight.split("/"):
                data = _step(h5py, data, part, path)
            owner, _, own = weight.rpartition("/")
            inner.setdefault(owner, []).append(_tensor(h5py, data, f"{name}/{weight}", own, path))
        for owner, tensors in inner.items():
            own = name if len(inner) == 1 else owner.rpartition("/")[2]
            yield ForeignLayer(name if len(inner) == 1 else f"{name}/{owner}", tuple(tensors), place=own)


def _listed(attributes: Any, name: str, path: str) -> list[str]:
    """A list of names, which stands in several attributes where it is long."""
    chunks = [name] if name in attributes else sorted((a for a in attributes if a.startswith(name)), key=natural)
    found: list[str] = []
    for chunk in chunks:
        space = attributes.get_id(chunk).shape
        within(path, "names in a list", len(found) + (space[0] if space else 0), limits.current().tensors, "tensors")
        found += [v.decode(errors="replace") if isinstance(v, bytes) else str(v) for v in attributes[chunk]]
    within(path, "characters in its names", sum(map(len, found)), limits.current().tensor_names, "tensor_names")
    return found


def _step(h5py: Any, group: Any, name: str, path: str) -> Any:
    """A child that lies in this very file."""
    if not isinstance(group, h5py.Group) or not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise unreadable(path, f"`{printable(name)}` is missing or points elsewhere")
    return group[name]


def _tensor(h5py: Any, data: Any, name: str, own: str, path: str) -> Tensor:
    shown = printable(name)
    if not isinstance(data, h5py.Dataset) or data.shape is None or data.is_virtual or data.external:
        raise unreadable(path, f"`{shown}` is not plain data")
    _check_pieces(data, shown, path)
    brain = data.dtype.itemsize == 2 and data.attrs.get("dtype") == "bfloat16"
    if data.dtype.kind != "f" and not brain:
        raise unreadable(path, f"`{shown}` has elements of type {data.dtype}, expected floating-point numbers")

    def read() -> Array:
        try:
            raw = data[()]
        except MemoryError:
            raise
        except Exception as problem:
            raise unreadable(path, f"`{shown}`: {printable(str(problem))}") from None
        if brain:
            return (np.asarray(raw).view("<u2").astype(np.uint32) << 16).view(np.float32)
        with np.errstate(over="ignore"):
            return np.asarray(raw).astype(np.float32)

    return Tensor(name, own, tuple(data.shape), read)


def _check_pieces(data: Any, shown: str, path: str) -> None:
    """Refuse a dataset in pieces that are much larger than itself, or packed with what h5py does not bring along.

    A piece is unpacked as a whole, whatever part of it is asked for.
    """
    if data.chunks is not None:
        piece, whole = data.dtype.itemsize, data.dtype.itemsize
        for part, size in zip(data.chunks, data.shape, strict=True):
            piece, whole = piece * part, whole * size
        if piece > max(limits.current().chunk_bytes, 2 * whole):
            message = (
                f"`{shown}` of {whole} bytes is stored in pieces of {piece}, more than {limits.current().chunk_bytes}"
            )
            raise unreadable(path, message)
    kept = data.id.get_create_plist()
    packed = {kept.get_filter(i)[0] for i in range(kept.get_nfilters())}
    if not packed <= set(_FILTERS):
        raise unreadable(path, f"`{shown}` is packed by a plugin of HDF5")
