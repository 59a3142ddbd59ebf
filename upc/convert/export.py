"""Weights into the files of Keras and PyTorch: the emitted network takes them, its framework writes them."""

from __future__ import annotations

import io
import os
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from upc import __version__
from upc.convert.foreign import MARK, missing
from upc.diagnostics import EXIT_USAGE, error
from upc.files import write_atomic
from upc.ir import Array, Graph
from upc.load_frameworks import load_keras, load_torch

WRITTEN = (".keras", ".weights.h5", ".pt", ".pth", ".safetensors")
"""The endings of what can be exported."""


def export_weights(graph: Graph, weights: Mapping[str, Array], path: str | os.PathLike[str]) -> None:
    """Write a graph's weights for the Keras or PyTorch network that upc emits for it; the ending says which file.

    Errors: UpcError for an ending that means nothing, a layer the framework has no words for, a missing package.
    """
    name = os.fspath(path)
    suffix = next((suffix for suffix in WRITTEN if name.lower().endswith(suffix)), None)
    if suffix is None:
        hint = f"its name ends in {', '.join(WRITTEN)}"
        raise error("E0633", f"cannot tell what to write as {name}", hint=hint, exit_code=EXIT_USAGE)
    content = _keras(graph, weights, suffix) if suffix in (".keras", ".weights.h5") else _torch(graph, weights, suffix)
    write_atomic(path, content)


def _keras(graph: Graph, weights: Mapping[str, Array], suffix: str) -> bytes:
    try:
        import h5py
    except ImportError:
        raise missing("h5py", "keras", f"writing {suffix}") from None
    model = load_keras(graph, weights).model
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, f"{graph.name}{suffix}")
        # The mark says that layers are called what upc calls them, not what Keras counted them by.
        if suffix == ".keras":
            model.save(file)
            with zipfile.ZipFile(file, "a") as archive:
                archive.writestr(zipfile.ZipInfo(MARK), __version__)
        else:
            model.save_weights(file)
            with h5py.File(file, "a") as root:
                root.attrs[MARK] = __version__
        return file.read_bytes()


def _torch(graph: Graph, weights: Mapping[str, Array], suffix: str) -> bytes:
    state = load_torch(graph, weights).model.state_dict()
    if suffix == ".safetensors":
        from safetensors.torch import save

        return save(state)
    import torch

    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()
