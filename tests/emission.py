"""What the tests of emitted source share: the nets, their weights and inputs, and how far results may lie apart."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from upc import build, pipeline
from upc.check.problem import Problem, problem
from upc.diagnostics import UpcError
from upc.ir import Array, Example, Graph
from upc.layers import LAYERS
from upc.layers.examples import as_source
from upc.shape import evaluate
from upc.sizes import fits, free_names
from upc.source import Source
from upc.weights import initialize

ROOT = Path(__file__).parents[1]
FILES = sorted(
    [*ROOT.glob("examples/*.upc"), *ROOT.glob("tests/corpus/ok/*.upc"), *ROOT.glob("tests/corpus/emit/*.upc")]
)


class Net(NamedTuple):
    """A net of a file, and what its golden file is called."""

    file: Path
    name: str
    golden: str

    @property
    def graph(self) -> Graph:
        return graph(self.file, self.name)


@cache
def graph(file: Path, net: str | None = None) -> Graph:
    """A net of a file."""
    return pipeline.graph(pipeline.tree(pipeline.read(str(file))), net)


def compiled(text: str) -> Graph:
    """The only net of a text."""
    return build.compile_source(Source("net.upc", text))


def nets() -> Iterator[Net]:
    """Every net of the gallery and the corpus."""
    for file in FILES:
        names = build.nets(pipeline.tree(pipeline.read(str(file))))
        for name in names:
            yield Net(file, name, f"{file.stem}.py" if len(names) == 1 else f"{file.stem}-{name}.py")


NETS = list(nets())
EXAMPLES = [(name, example) for name, (card, _) in LAYERS.items() for example in card.examples]


def drawn_weights(graph: Graph, seed: int = 0) -> dict[str, Array]:
    """Initial kernels, and vectors that hide nothing: no zeros, variances above 0."""
    rng = np.random.default_rng(seed)
    found = {}
    for key, array in initialize(graph, seed).items():
        vector = key.rpartition(".")[2] not in ("kernel",)
        found[key] = rng.uniform(0.3, 1.1, array.shape).astype(np.float32) if vector else array
    return found


def drawn_inputs(graph: Graph, batch: int = 2, seed: int = 0) -> list[Array]:
    """Inputs of the smallest of some sizes that fit the net."""
    rng = np.random.default_rng(seed)
    free = free_names(graph)
    for first, step in itertools.product((16, 17, 24, 32), (8, 0)):
        sizes = {name: first + step * i for i, name in enumerate(free)}
        shapes = [tuple(evaluate(dim, sizes) for dim in v.shape) for v in graph.inputs]
        if fits(graph, sizes):
            return [rng.standard_normal((batch, *shape)).astype(np.float32) for shape in shapes]
    raise AssertionError(f"none of the sizes tried fits {graph.name}")


def example_graph(example: Example) -> Graph:
    return compiled(as_source(example))


def example_inputs(example: Example) -> list[Array]:
    """Inputs in the order in which `as_source` declares them."""
    rng = np.random.default_rng(7)
    return [rng.standard_normal((2, *shape)).astype(np.float32) for shape in example.shapes][::-1]


def freed() -> Iterator[str]:
    """The cards' examples with height and width free where the layer allows it, each net once."""
    for _, example in EXAMPLES:
        if any(len(shape) != 3 or shape[:2] != example.shapes[0][:2] for shape in example.shapes):
            continue
        shapes: Any = tuple(("H", "W", channels) for *_, channels in example.shapes)
        text = as_source(replace(example, shapes=shapes))
        try:
            compiled(text)
        except UpcError:  # needs known sizes, and says so
            continue
        yield text


FREED = list(dict.fromkeys(freed()))
SMALL_SIZES = ((1, 1), (1, 2), (2, 1), (2, 3))


def small_inputs(graph: Graph, batch: int) -> Iterator[list[Array]]:
    """Inputs for each of some small heights and widths that the net allows."""
    rng = np.random.default_rng(5)
    for height, width in SMALL_SIZES:
        sizes = {"H": height, "W": width}
        shapes = [tuple(evaluate(dim, sizes) for dim in v.shape) for v in graph.inputs]
        made = [dim for node in graph.nodes for v in node.outputs for dim in v.shape]
        if fits(graph, sizes) and all(evaluate(dim, sizes) >= 1 for dim in made):
            yield [rng.standard_normal((batch, *shape)).astype(np.float32) for shape in shapes]


class Reference(list[Array]):
    """What a net's outputs should be, in double precision, and how far from each float32 may lie."""

    def __init__(self, posed: Problem) -> None:
        super().__init__(posed.expected)
        self.limits = [posed.bounds[output.name].limit for output in posed.graph.outputs]


def expected(graph: Graph, weights: Mapping[str, Array], inputs: Sequence[Array]) -> Reference:
    """The reference's results."""
    return Reference(problem(graph, weights, inputs))


def assert_close(graph: Graph, wanted: Reference, got: tuple[Array, ...]) -> None:
    assert [y.shape for y in got] == [y.shape for y in wanted]
    for output, want, have, limit in zip(graph.outputs, wanted, got, wanted.limits, strict=True):
        assert have.dtype == np.float32
        assert np.abs(have - want).max(initial=0.0) <= limit, output.name


def is_small(graph: Graph) -> bool:
    """Whether running it takes next to no time: fewer than 20 million multiply-adds an image, where known."""
    total = 0
    for node in graph.nodes:
        work = node.layer.multiply_adds(node.input_shapes, node.output_shapes)
        total += work if isinstance(work, int) else 0
    return total < 20_000_000


def assert_clean(folder: Path, emit: Callable[..., str]) -> None:
    """Assert that what is emitted for every net and example is as `ruff` would have it, dead imports included."""
    graphs = [*(net.graph for net in NETS), *(example_graph(example) for _, example in EXAMPLES)]
    for number, each in enumerate(graphs):
        text = emit(each, source_name="net.upc", source_sha256="0" * 64, version="0.0.0")
        (folder / f"{number}.py").write_text(text)
    ruff = [sys.executable, "-m", "ruff"]
    options = ["--isolated", "--line-length", "100", str(folder)]
    for command in (["format", "--diff"], ["check", "--quiet", "--select", "E,F,I,W"]):
        done = subprocess.run([*ruff, *command, *options], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout
