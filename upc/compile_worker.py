"""A process that compiles the machine code of a written Numba module: `load_numba.compile_module` starts it."""

from __future__ import annotations

import sys

import numpy as np

from upc.modules import import_text


def main(stem: str, how: str, weights: str) -> None:
    """Compile the module whose text comes on standard input, and where `weights` names a file run it once on zeros."""
    module = import_text(sys.stdin.buffer.read().decode(), stem)
    network = module.NETWORK
    if not weights:
        module.compile_network(network, module.__file__, backwards=how == "backwards")
        return
    shapes = [[d if isinstance(d, int) else network.sample[d] for d in port.shape] for port in network.inputs]
    module.load(weights, allow_nonfinite=True)(*(np.zeros((1, *shape), np.float32) for shape in shapes))
