"""Nets written as Numba modules for tests: their sources, files and weights."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from random_graphs import random_inputs, random_weights
from safetensors.numpy import save_file
from tolerance import expect

from upc.build import compile_source
from upc.emit.numba import emit
from upc.ir import Array, Graph
from upc.load_numba import import_file
from upc.source import Source

FACES = """
net upc_test_faces {
  input z: [6]
  dense(2 * 3 * 20)
  reshape(2, 3, 20)
  batch_normalization()
  leaky_relu(0.2) as small
  conv2d_transpose(9, kernel_size=4, strides=2, padding=same)
  batch_normalization()
  relu() as middle
  depthwise_conv2d(3, padding=same)
  add(middle)
  up_sampling2d(2)
  conv2d(3, kernel_size=5, padding=same, activation=tanh)
  output face
}
"""

PAIR = """
net upc_test_pair {
  input left: [H, W, 3]
  input right: [H, W, 2]
  from left { conv2d(7, kernel_size=3, padding=same, activation=silu) } as e
  max_pooling2d(2)
  from e { max_pooling2d(2) } as half
  up_sampling2d(2, interpolation=bilinear)
  concatenate(right)
  conv2d(4, kernel_size=[3, 1], padding=same) as seen
  from half { group_normalization(1) } as evened
  output seen, evened
}
"""

TINY = "net upc_test_tiny {\n  input x: [3, 2, 2]\n  conv2d(3, kernel_size=2, activation=relu)\n  output y\n}\n"


@dataclass(frozen=True)
class Written:
    """A net, and its module and weights in a folder of their own."""

    graph: Graph
    folder: Path
    weights: Mapping[str, Array]

    @property
    def path(self) -> Path:
        return self.folder / f"{self.graph.name}.py"

    @property
    def weights_path(self) -> Path:
        return self.path.with_suffix(".safetensors")

    def inputs(self, batch: int, seed: int = 0, **sizes: int) -> list[Array]:
        return random_inputs(self.graph, seed, batch, sizes)

    @cached_property
    def module(self) -> ModuleType:
        return import_file(self.path)

    def check(self, results: Any, inputs: list[Array]) -> None:
        results = results if isinstance(results, tuple) else (results,)
        for result, expected in zip(results, expect(self.graph, self.weights, inputs), strict=True):
            assert expected.ratio(result) <= 1


def write(text: str, folder: Path) -> Written:
    graph = compile_source(Source("net.upc", text))
    written = Written(graph, folder, random_weights(graph, 3))
    written.path.write_text(emit(graph))
    save_file(dict(written.weights), written.weights_path)
    return written


def in_process(script: str, *folders: Path, **environment: str) -> str:
    """What a script prints in a process of its own; it must end well."""
    path = os.pathsep.join(map(str, folders))
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        cwd=folders[0],
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
