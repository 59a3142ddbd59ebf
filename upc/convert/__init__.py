"""Weights from and to the files of Keras and PyTorch.

`foreign` says what such a file holds, `keras_file` and `torch_file` read one, `match` pairs its tensors with a graph's
weights, `layouts` turns axes round, `export` writes. Sizes are compared with the graph before values are read.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from upc import weights as canonical
from upc.convert.export import export_weights as export_weights
from upc.convert.foreign import Foreign, unreadable
from upc.convert.keras_file import read_h5, read_keras
from upc.convert.layouts import channels_last, flattened, from_torch
from upc.convert.match import Match, match
from upc.convert.torch_file import read_pt, read_safetensors
from upc.diagnostics import EXIT_USAGE, error
from upc.ir import Array, Graph

FlattenOrder = Literal["channels_first", "channels_last"]

READ = (".keras", ".h5", ".pt", ".pth", ".tar", ".safetensors")
"""The endings of what can be imported."""

_TRAINING_ROOM_BYTES = 2**26
"""What an archive may hold beside the weights and an optimiser's copies of them."""


@dataclass(frozen=True, slots=True)
class Imported:
    """Canonical weights, and what they were read from."""

    weights: dict[str, Array]
    source: Foreign
    match: Match
    flatten_order: FlattenOrder


def import_weights(
    graph: Graph,
    path: str | os.PathLike[str],
    *,
    key: str | None = None,
    mapping: Mapping[str, str] | None = None,
    flatten_order: FlattenOrder | None = None,
) -> Imported:
    """Read a graph's weights from a file of Keras or PyTorch.

    `key` names the state dict in a file of several, `mapping` gives tensors or layers by name. `flatten_order` is
    how the file's network lays a picture out in a row; usually that of its framework.

    Errors: UpcError for a file that cannot be read, for the first layer that does not fit, for a missing package.
    """
    path = os.fspath(path)
    if path.endswith(".safetensors") and _is_canonical(graph, path, key, mapping):
        arrays = canonical.load(path, graph)
        return Imported(arrays, Foreign(path, "keras", ()), Match((), "upc's own file"), "channels_last")
    foreign = _read(path, key, graph)
    found = match(graph, foreign, mapping)
    if flatten_order is None:
        # What upc emits lays pictures out channels last, in PyTorch too.
        own = foreign.convention == "keras" or found.how.startswith("by the emitted")
        flatten_order = "channels_last" if own else "channels_first"
    orders = flattened(graph) if flatten_order == "channels_first" else {}
    arrays = {}
    for pair in found.pairs:
        array = pair.tensor.read()
        if foreign.convention == "torch":
            array = from_torch(pair.node, pair.weight, array)
        arrays[pair.key] = channels_last(pair.node, pair.weight, array, orders)
    return Imported(arrays, foreign, found, flatten_order)


def _is_canonical(graph: Graph, path: str, key: str | None, mapping: Mapping[str, str] | None) -> bool:
    return key is None and not mapping and set(canonical.tensors(path)) == {name for name, _, _ in graph.weights()}


def _read(path: str, key: str | None, graph: Graph) -> Foreign:
    if not path.lower().endswith(READ):
        hint = f"its name ends in {', '.join(READ)}"
        raise error("E0630", f"cannot tell what {path} is", hint=hint, exit_code=EXIT_USAGE)
    if not os.path.isfile(path):
        raise unreadable(path, "it is a folder or device" if os.path.exists(path) else "No such file or directory")
    if path.lower().endswith((".keras", ".h5")) and key is not None:
        raise error("E0632", f"{path} has no parts that --key could name", exit_code=EXIT_USAGE)
    if path.lower().endswith(".keras"):
        needed = 4 * sum(_size(weight.shape) for _, weight, _ in graph.weights())
        return read_keras(path, 2 * 4 * needed + _TRAINING_ROOM_BYTES)
    if path.lower().endswith(".h5"):
        return read_h5(path)
    if path.lower().endswith(".safetensors"):
        return read_safetensors(path, key)
    return read_pt(path, key)


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for n in shape:
        size *= n
    return size
