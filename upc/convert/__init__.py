"""Weights from and to the files of Keras and PyTorch.

`foreign` says what such a file holds, `keras_file` and `torch_file` read one, `match` pairs its tensors with a graph's
weights, `evidence` says how sure that is, `compare` holds the network that a file describes against the graph,
`layouts` turns axes round, `export` writes. Sizes are compared with the graph before values are read.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from upc import limits
from upc import weights as canonical
from upc.convert.compare import compare
from upc.convert.defaults import unsaid
from upc.convert.description import of_graph
from upc.convert.export import export_weights as export_weights
from upc.convert.foreign import Foreign, unreadable
from upc.convert.keras_file import read_h5, read_keras
from upc.convert.layouts import channels_last, flattened, from_torch
from upc.convert.match import Match, match
from upc.convert.torch_file import read_pt, read_safetensors
from upc.diagnostics import EXIT_USAGE, Diagnostic, UpcError, error
from upc.files import open_regular
from upc.ir import Array, Graph
from upc.runtime.stored import identity

FlattenOrder = Literal["channels_first", "channels_last"]

READ = (".keras", ".h5", ".pt", ".pth", ".tar", ".safetensors")
"""The endings of what can be imported."""

_TRAINING_ROOM_BYTES = 2**26
"""What an archive may hold beside the weights and an optimiser's copies of them."""


@dataclass(frozen=True, slots=True)
class Imported:
    """Canonical weights, and what they were read from.

    `notes` say what could not be compared or was done to the weights, `warnings` what a net says that the file's
    network may not.
    """

    weights: dict[str, Array]
    source: Foreign
    match: Match
    flatten_order: FlattenOrder
    notes: tuple[str, ...] = ()
    warnings: tuple[Diagnostic, ...] = ()


def import_weights(
    graph: Graph,
    path: str | os.PathLike[str],
    *,
    key: str | None = None,
    mapping: Mapping[str, str] | None = None,
    flatten_order: FlattenOrder | None = None,
    in_order: bool = False,
    ignore_config: bool = False,
    allow_nonfinite: bool = False,
) -> Imported:
    """Read a graph's weights from a file of Keras or PyTorch.

    `key` names the state dict in a file of several, `mapping` gives tensors or layers by name. `in_order` says that
    layers of one shape stand in the file as they run, where nothing else tells. `flatten_order` is how the file's
    network lays a picture out in a row; usually that of its framework. A Keras file that says its layers are other
    ones than the graph's is refused without `ignore_config`, values that are NaN or infinite without
    `allow_nonfinite`.

    Errors: UpcError for a file that cannot be read, for the first layer that does not fit, for layers that cannot be
    told apart, for all differences between the networks, for a missing package.
    """
    path = os.fspath(path)
    if path.lower().endswith(".safetensors") and key is None and not mapping and _is_canonical(graph, path):
        arrays = canonical.load(path, graph, allow_nonfinite=allow_nonfinite)
        return Imported(arrays, Foreign(path, "keras", (), "name"), Match((), "upc's own file"), "channels_last")
    foreign = _read(path, key, graph)
    found = match(graph, foreign, mapping, in_order)
    differences, notes = _beside_config(graph, foreign, found)
    if differences and not ignore_config:
        raise UpcError(differences)
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
    arrays = canonical.check(arrays, graph, allow_nonfinite=allow_nonfinite)
    warnings = unsaid(graph, foreign, found)
    return Imported(arrays, foreign, found, flatten_order, (*foreign.notes, *notes), warnings)


def _is_canonical(graph: Graph, path: str) -> bool:
    return set(canonical.tensors(path)) == {name for name, _, _ in graph.weights()}


def _beside_config(graph: Graph, foreign: Foreign, found: Match) -> tuple[list[Diagnostic], list[str]]:
    """What a file's description of its network says otherwise than the graph, and what could not be compared."""
    if foreign.description is None:
        return [], []
    net, its = of_graph(graph), foreign.description
    places = {operation.weights: place for place, operation in enumerate(its.operations) if operation.weights}
    layers = {tensor.name: layer.place for layer in foreign.layers for tensor in layer.tensors}
    partner = {pair.node.path: places.get(layers[pair.tensor.name]) for pair in found.pairs}
    own = {operation.weights: place for place, operation in enumerate(net.operations) if operation.weights}
    given = {own[path]: place for path, place in partner.items() if place is not None}
    said = compare(net, its, foreign.file, given, whole=not found.unused)
    differences = said.differences[: limits.DIAGNOSTICS]
    if len(said.differences) > len(differences):
        count = len(said.differences) - len(differences)
        differences.append(Diagnostic("E0635", f"{foreign.file} differs in {count} more places"))
    if differences:
        hint = "--ignore-config takes the weights all the same; results will differ"
        differences[-1] = replace(differences[-1], hint=hint)
    notes = said.notes[: limits.DIAGNOSTICS]
    return differences, notes + ([f"{len(said.notes) - len(notes)} more not compared"] * (len(said.notes) > len(notes)))


def _read(path: str, key: str | None, graph: Graph) -> Foreign:
    lower = path.lower()
    if not lower.endswith(READ):
        hint = f"its name ends in {', '.join(READ)}"
        raise error("E0630", f"cannot tell what {path} is", hint=hint, exit_code=EXIT_USAGE)
    if lower.endswith((".keras", ".h5")) and key is not None:
        raise error("E0632", f"{path} has no parts that --key could name", exit_code=EXIT_USAGE)
    try:
        file = open_regular(path)
    except OSError as problem:
        raise unreadable(path, problem.strerror or str(problem)) from None
    with file:
        starts, before = file.read(64), identity(file)
        if reason := canonical.not_weights(starts):
            raise unreadable(path, *reason)
        file.seek(0)
        size = os.fstat(file.fileno()).st_size
        needed = 4 * sum(math.prod(weight.shape) for _, weight, _ in graph.weights())
        room = 8 * needed + _TRAINING_ROOM_BYTES
        if lower.endswith(".safetensors"):
            return read_safetensors(path, key)
        if lower.endswith(".keras"):
            found = read_keras(path, file, size, room)
        elif lower.endswith(".h5"):
            found = read_h5(path, file, size, room)
        else:
            found = read_pt(path, file, size, key)
        if identity(file) != before:
            raise unreadable(path, "it changed while it was read")
        return found
