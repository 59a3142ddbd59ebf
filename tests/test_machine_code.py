"""Machine code of written Numba modules: what it needs, where it is kept, and when it is made anew."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from random_graphs import random_inputs, random_weights
from tolerance import expect
from written import PAIR, TINY, Written, in_process, write

from upc.build import compile_source
from upc.emit.numba import emit
from upc.load_numba import load_numba
from upc.runtime.cache import shared_text
from upc.source import Source


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write(TINY, tmp_path_factory.mktemp("tiny"))


CALL = "import numpy as np, upc_test_tiny as m; print(m.load()(np.ones((2, 3, 2, 2), np.float32)).tolist())"


@pytest.mark.carried
def test_needs_numpy_and_numba_alone(tiny: Written) -> None:
    script = f"""
import sys
unwanted = {{"upc", "lark", "jinja2", "torch", "keras", "tensorflow", "hypothesis", "PIL", "scipy", "jax", "onnx"}}
unwanted.add("safetensors")
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in unwanted:
            raise ImportError(name + " is not needed")
sys.meta_path.insert(0, Refuse())
{CALL}
assert not unwanted & set(sys.modules)
"""
    assert in_process(script, tiny.folder)


def test_module_moves_and_its_machine_code_is_found_again(tiny: Written, tmp_path: Path) -> None:
    cache, here, there = (tmp_path / name for name in ("cache", "here", "there"))
    shutil.copytree(tiny.folder, here, ignore=shutil.ignore_patterns("__pycache__"))
    first = in_process(CALL, here, UPC_CACHE_DIR=str(cache))
    kept = {path: path.stat().st_mtime_ns for path in cache.rglob("*") if path.is_file()}
    assert kept
    shutil.move(here, there)
    # With Numba's compiler out of reach, only kept code can run.
    script = f"import numba.core.compiler as c\ndef no(*a, **k): raise SystemExit(3)\nc.compile_extra = no\n{CALL}"
    assert in_process(script, there, UPC_CACHE_DIR=str(cache)) == first
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*") if path.is_file()} == kept


def test_networks_share_machine_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPC_CACHE_DIR", str(tmp_path))

    def kept_after(name: str, *layers: str) -> set[Path]:
        """Files of machine code once a net of such layers has been run."""
        body = "\n".join(f"  conv2d(4, kernel_size=3, padding=same, activation={layer})" for layer in layers)
        graph = compile_source(Source(f"{name}.upc", f"net {name} {{\n  input x: [6, 5, 4]\n{body}\n  output y\n}}\n"))
        weights, inputs = random_weights(graph, 0), random_inputs(graph, 1, 3, {})
        (expected,) = expect(graph, weights, inputs)
        assert expected.ratio(*load_numba(graph, weights)(inputs)) <= 1
        return set(tmp_path.rglob("*.code"))

    two = kept_after("upc_test_two", "relu", "relu")
    assert two
    assert kept_after("upc_test_three", "relu", "relu", "relu") == two
    new = kept_after("upc_test_other", "relu", "elu") - two
    assert {path.name.partition("-")[0] for path in new} == {"tile_kernel"}


def test_nowhere_to_keep_machine_code(tiny: Written, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    here = tmp_path / "here"
    shutil.copytree(tiny.folder, here, ignore=shutil.ignore_patterns("__pycache__"))
    before = sorted(here.iterdir())
    result = in_process(CALL, here, UPC_CACHE_DIR=str(tmp_path / "file" / "cache"), PYTHONDONTWRITEBYTECODE="1")
    assert json.loads(result)
    assert sorted(here.iterdir()) == before, "nothing is written beside the module"


def test_broken_machine_code_is_made_anew(tiny: Written, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = in_process(CALL, tiny.folder, UPC_CACHE_DIR=str(cache))
    for path in [path for path in cache.rglob("*") if path.is_file()]:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert in_process(CALL, tiny.folder, UPC_CACHE_DIR=str(cache)) == first


@pytest.mark.carried
def test_what_modules_share_is_all_but_their_networks() -> None:
    texts = [emit(compile_source(Source("net.upc", text))) for text in (TINY, PAIR)]
    shared, other = map(shared_text, texts)
    assert shared == other and "def code_stamp" in shared and "NETWORK = Network(" not in shared
    assert texts[0].index(shared) < texts[0].index("NETWORK = Network(")
    changed = texts[0].replace("KEPT_CALLS, ", "KEPT_CALLS,  ")
    assert shared_text(changed) != shared
    assert shared_text("x = 1\n") == "x = 1\n"  # what is no written module shares nothing
