"""Pictures of ever other sizes: what a size costs before the first pixel is worked on, and how many sizes are kept."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from written import PAIR, Written, write

from upc.build import compile_source
from upc.load_numba import load_module
from upc.runtime.compiled import Ready
from upc.runtime.layout import Weights
from upc.shape import names_of
from upc.source import Source
from upc.weights import initialize

ROOT = Path(__file__).parents[1]
FREE = [*sorted((ROOT / "examples").glob("d[2-4]_*.upc")), ROOT / "tests/corpus/ok/unet.upc"]

LARGE, SMALL = 2048, 64
MOST_SECONDS = 0.1  # of a processor; 0.003 to 0.006 where nothing else runs
MOST_BYTES = 400 << 10


def planned(path: Path):
    """The network of a file, and its steps as they are once there is machine code for them."""
    graph = compile_source(Source(str(path), path.read_text()))
    network = load_module(graph, "auto", 1).NETWORK
    weights, into = initialize(graph, 0), Weights()
    steps = [Ready(step, (0,) * len(step.kernels()), step.pack(weights, into)) for step in network.compiled()]
    names = frozenset().union(*(names_of(value.shape) for value in graph.inputs))
    return network, steps, names


@pytest.mark.parametrize("path", FREE, ids=lambda path: path.stem)
def test_a_large_picture_is_planned_as_quickly_as_a_small_one(path: Path) -> None:
    network, steps, names = planned(path)
    for batch in (1, 8):
        network.geometry(steps, dict.fromkeys(names, SMALL), batch, 2, 0)
        since = time.process_time()
        plan = network.geometry(steps, dict.fromkeys(names, LARGE), batch, 2, 0)
        assert time.process_time() - since < MOST_SECONDS
        assert plan.table.nbytes < MOST_BYTES


def test_every_free_file_of_the_gallery_is_looked_at() -> None:
    texts = {path: path.read_text() for path in (ROOT / "examples").glob("*.upc")}
    assert sorted(path for path, text in texts.items() if re.search(r"input \w+: \[[A-Z]", text)) == FREE[:-1]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write(PAIR, tmp_path_factory.mktemp("pair"))


def test_the_sizes_used_last_are_kept(pair: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    net, made = pair.module.load(threads=1), []
    geometry = pair.module.Network.geometry
    monkeypatch.setattr(pair.module.Network, "geometry", lambda *args: made.append(args[2]) or geometry(*args))
    often, once = pair.inputs(1, H=2, W=2), [pair.inputs(1, H=2, W=2 * n) for n in range(2, 100)]
    for inputs in once:
        net(*often)
        net(*inputs)
    assert len(made) == 1 + len(once), "a size that is asked for again and again is worked out once"
    net(*once[-1])
    net(*once[40])
    assert len(made) == 1 + len(once), "and so are those of the last calls"
    net(*once[0])
    assert len(made) == 2 + len(once), "what was not asked for longest is forgotten"


def test_threads_may_ask_for_other_sizes_at_once(pair: Written) -> None:
    net = pair.module.load(threads=2)
    asked = [pair.inputs(1, H=2 * (1 + n % 9), W=2 * (1 + n % 11)) for n in range(99)]
    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(lambda inputs: net(*inputs), asked * 3))
    for inputs, result in zip(asked * 3, results, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(result, net(*inputs), strict=True))
