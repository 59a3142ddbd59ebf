"""Written Numba modules made runnable in this process."""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
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
    net = load_module(graph, algorithm, batch).load(weights, allow_nonfinite=True)  # looked at already
    single = len(graph.outputs) == 1

    def run(inputs: Sequence[Array]) -> tuple[Array, ...]:
        results = net(*inputs)
        return (results,) if single else tuple(results)

    return run


def load_module(graph: Graph, algorithm: Algorithm, batch: int) -> ModuleType:
    """The network's written module."""
    return import_file(stored_module(graph, algorithm, batch))


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


_IMPORT = """
import importlib.util, sys
import numpy as np
spec = importlib.util.spec_from_file_location("written", sys.argv[1])
module = sys.modules["written"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
network = module.NETWORK
"""
_COMPILE = f"{_IMPORT}module.compile_network(network, module.__file__)"
_COMPILE_BACKWARDS = f"{_IMPORT}module.compile_network(network, module.__file__, backwards=True)"
_RUN_ONCE = f"""{_IMPORT}
shapes = [[d if isinstance(d, int) else network.sample[d] for d in port.shape] for port in network.inputs]
module.load(allow_nonfinite=True)(*(np.zeros((1, *shape), np.float32) for shape in shapes))
"""


def compile_module(path: Path, run: bool) -> None:
    """Have the machine code of a written module in the cache, and `run` it once on zeros to see that it does.

    Two processes of their own compile it from both ends, where there are cores for them.
    """
    from upc.runtime.net import available_cores

    def command(script: str) -> list[str]:
        return [sys.executable, "-c", script, str(path.resolve())]

    with ExitStack() as others:
        if available_cores() > 1:  # what is wrong with the module, the first process says
            beside = subprocess.Popen(command(_COMPILE_BACKWARDS), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            others.enter_context(beside)
        done = subprocess.run(command(_RUN_ONCE if run else _COMPILE), capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise error("E0804", f"{path} was written but does not run: {last}", exit_code=EXIT_USAGE)


def stored_module(graph: Graph, algorithm: Algorithm, batch: int) -> Path:
    """The file of a network's module, in upc's cache."""
    return _stored(pipeline.emit(graph, "numba", algorithm, batch), graph.name)


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
