"""Written Numba modules made runnable in this process."""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType

from upc import pipeline
from upc.diagnostics import EXIT_USAGE, error
from upc.files import write_atomic
from upc.ir import Array, Graph
from upc.plan.minimal import Algorithm


def load_numba(
    graph: Graph, weights: Mapping[str, Array], algorithm: Algorithm = "auto", batch: int = 1
) -> Callable[[Sequence[Array]], tuple[Array, ...]]:
    """The network as compiled code."""
    net = load_module(graph, algorithm, batch).load(weights)
    single = len(graph.outputs) == 1

    def run(inputs: Sequence[Array]) -> tuple[Array, ...]:
        results = net(*inputs)
        return (results,) if single else tuple(results)

    return run


def load_module(graph: Graph, algorithm: Algorithm, batch: int) -> ModuleType:
    """The network's written module, which is kept in upc's cache."""
    return import_file(_stored(pipeline.emit(graph, "numba", algorithm, batch), graph.name))


def import_file(path: Path) -> ModuleType:
    """The module in a file, under a name that no other module has."""
    name = f"upc_numba_{path.stem}_{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None  # it ends in .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


_RUN_ONCE = """
import importlib, sys
import numpy as np
sys.path.insert(0, sys.argv[1])
module = importlib.import_module(sys.argv[2])
network = module.NETWORK
shapes = [[d if isinstance(d, int) else network.sample[d] for d in port.shape] for port in network.inputs]
module.load()(*(np.zeros((1, *shape), np.float32) for shape in shapes))
"""


def compile_module(path: Path) -> None:
    """Run a written module once on zeros, in a process of its own, which leaves its machine code in the cache."""
    command = [sys.executable, "-c", _RUN_ONCE, str(path.parent.resolve()), path.stem]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise error("E0804", f"{path} was written but does not run: {last}", exit_code=EXIT_USAGE)


def _stored(text: str, name: str) -> Path:
    """A file that holds the text: in the cache, or where that cannot be written, for this process only."""
    from upc.runtime.cache import cache_folder

    for base in (cache_folder, lambda: Path(tempfile.mkdtemp(prefix="upc-"))):
        path = base() / "modules" / hashlib.sha256(text.encode()).hexdigest()[:16] / f"{name}.py"
        try:
            if not path.is_file() or path.read_text(encoding="utf-8") != text:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_atomic(path, text)
            return path
        except OSError:
            continue
    raise OSError("neither the cache nor the folder for temporary files can be written")
