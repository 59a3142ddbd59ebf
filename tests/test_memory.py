"""Memory is asked for before it is taken: what a call will need, what the machine has, and what is said of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import upc
from upc import memory, targets
from upc.arrays import read_array
from upc.build import compile_source
from upc.cli import main
from upc.diagnostics import UpcError
from upc.load_numba import load_module
from upc.runtime.memory import available_memory, require_memory
from upc.source import Source

GROWING = (
    "net n {\n input x: [H, W, 3]\n up_sampling2d(8)\n up_sampling2d([4, 2]) as large\n conv2d(2, 1)\n output y\n}\n"
)


@pytest.fixture
def growing(tmp_path: Path) -> Path:
    path = tmp_path / "n.upc"
    path.write_text(GROWING)
    return path


def test_the_worst_moment_is_found() -> None:
    graph = compile_source(Source("n.upc", GROWING))
    found = memory.estimate(graph, {"H": 5, "W": 3}, 2, targets.find("numba").holding)
    # The input and the result of a batch of two, and of one image the largest value.
    floats = 2 * 5 * 3 * 3 + 2 * 160 * 48 * 2 + 160 * 48 * 3
    assert (found.peak, found.node and found.node.path) == (4 * floats, "conv2d")
    whole = memory.estimate(graph, {"H": 5, "W": 3}, 2, targets.find("reference").holding)
    assert whole.peak > 4 * 2 * (160 * 48 * 3 + 160 * 48 * 2)


@pytest.mark.parametrize("target", ["reference", "numba"])
def test_what_was_estimated_covers_what_is_taken(growing: Path, target: str) -> None:
    script = (
        "import json, re, sys, numpy as np, upc\n"
        "from upc import memory, targets\n"
        # A child's ru_maxrss begins with its parent's; this is its own.
        "def most(): return int(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])\n"
        f"net = upc.load({str(growing)!r}, target={target!r}, seed=0)\n"
        "net(np.zeros((1, 2, 3, 3), np.float32))\n"
        "before = most()\n"
        "net(np.zeros((1, 70, 90, 3), np.float32))\n"
        "taken = 1024 * (most() - before)\n"
        f"guess = memory.estimate(net.graph, dict(H=70, W=90), 1, targets.find({target!r}).holding).peak\n"
        "print(json.dumps([taken, guess]))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=True)
    taken, guess = json.loads(done.stdout.splitlines()[-1])
    assert taken / 3 < guess < 6 * taken


def test_a_call_beyond_what_is_allowed_names_the_layer_and_its_size(growing: Path) -> None:
    net = upc.load(growing, target="reference", seed=0, memory="10MB")
    assert net(np.zeros((1, 2, 3, 3), np.float32)).shape == (1, 64, 48, 2)
    with pytest.raises(UpcError) as caught:
        net(np.zeros((1, 70, 90, 3), np.float32))
    said = str(caught.value)
    assert "n.upc:5:2: error[E0621]: not enough memory: conv2d, whose result is (1, 2240, 1440, 2)" in said
    assert "10 MB is allowed" in said and "--memory" in said


def test_a_call_beyond_what_there_is_takes_nothing(growing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = upc.load(growing, target="reference", seed=0)
    monkeypatch.setattr(memory, "available_memory", lambda: 1 << 27)
    with pytest.raises(UpcError, match=r"134 MB is|135 MB is"):
        net(np.zeros((1, 70, 90, 3), np.float32))
    assert net(np.zeros((1, 2, 3, 3), np.float32)).shape == (1, 64, 48, 2)


def test_weights_are_asked_for_before_they_are_made(tmp_path: Path) -> None:
    (tmp_path / "n.upc").write_text("net n {\n input x: [9]\n dense(3)\n dense(300000000)\n output y\n}\n")
    with pytest.raises(UpcError, match=r"900,000,000 numbers of them those of dense_1|1,200,000,000 numbers"):
        upc.load(tmp_path / "n.upc", target="reference", seed=0, memory="1GB", limits={"parameters": 2**31})


@pytest.mark.carried
def test_a_written_module_refuses_before_it_allocates(growing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from upc.runtime import memory as asked

    monkeypatch.setattr(asked, "available_memory", lambda root="/": 3 * 10**8)
    require_memory(2 * 10**8, "this")
    with pytest.raises(MemoryError, match=r"this needs 0.40 GB of memory; 0.30 GB is available"):
        require_memory(4 * 10**8, "this")
    loaded = upc.load(growing, seed=0)
    module = load_module(loaded.graph, "auto", 1)
    net = module.load(loaded.weights)
    monkeypatch.setattr(module, "available_memory", lambda root="/": 10**8)
    with pytest.raises(MemoryError, match=r"n called with \(1, 900, 700, 3\) needs .* GB of memory; 0.10 GB is"):
        net(np.zeros((1, 900, 700, 3), np.float32))
    assert net(np.zeros((1, 2, 3, 3), np.float32)).shape == (1, 64, 48, 2)


class TestAvailable:
    def machine(self, root: Path, **files: str) -> str:
        for name, text in {"proc/meminfo": "MemTotal: 9 kB\nMemAvailable:    4000 kB\n", **files}.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        return str(root)

    def test_of_the_machine(self, tmp_path: Path) -> None:
        assert available_memory(self.machine(tmp_path)) == 4_096_000

    def test_of_a_control_group_and_those_above_it(self, tmp_path: Path) -> None:
        files = {
            "proc/self/cgroup": "0::/a/b\n",
            "sys/fs/cgroup/a/b/memory.max": "max\n",
            "sys/fs/cgroup/a/b/memory.current": "900000\n",
            "sys/fs/cgroup/a/memory.max": "2000000\n",
            "sys/fs/cgroup/a/memory.current": "1500000\n",
            "sys/fs/cgroup/a/memory.stat": "anon 900000\ninactive_file 400000\nactive_file 100000\n",
        }
        assert available_memory(self.machine(tmp_path, **files)) == 1_000_000

    def test_of_a_control_group_of_the_first_version(self, tmp_path: Path) -> None:
        files = {
            "proc/self/cgroup": "4:memory:/x\n2:cpu,cpuacct:/x\n",
            "sys/fs/cgroup/memory/x/memory.limit_in_bytes": "1000000\n",
            "sys/fs/cgroup/memory/x/memory.usage_in_bytes": "1200000\n",
            "sys/fs/cgroup/memory/x/memory.stat": "total_rss 1\n",
        }
        assert available_memory(self.machine(tmp_path, **files)) == 0

    def test_of_this_machine(self) -> None:
        assert (available_memory() or 0) > 1 << 20


class TestArrays:
    @pytest.mark.parametrize("kind", ["<f4", ">f4", "<f8", "<f2"])
    @pytest.mark.parametrize("order", ["C", "F"])
    def test_what_numpy_writes_is_read(self, tmp_path: Path, kind: str, order: str) -> None:
        array = np.asarray(np.arange(24).reshape(2, 3, 4), kind, order=order)
        np.save(tmp_path / "x.npy", array)
        found = read_array(tmp_path / "x.npy")
        assert found.dtype == np.float32 and found.flags.c_contiguous and np.array_equal(found, array)

    @pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 0, 2)])
    def test_small_shapes(self, tmp_path: Path, shape: tuple[int, ...]) -> None:
        np.save(tmp_path / "x.npy", np.zeros(shape, np.float32))
        assert read_array(tmp_path / "x.npy").shape == shape

    @pytest.mark.parametrize("header", [
        b"[" * 3000,
        b"{'descr': '<f4', 'fortran_order': False, 'shape': " + b"(" * 3000 + b")}",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (999999999999999999, 999999999999999999), }",
        b"{'descr': '|O', 'fortran_order': False, 'shape': (3,), }",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (-3,), }",
        b"{'descr': '<f999999999', 'fortran_order': False, 'shape': (3,), }",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (" + b"1, " * 33 + b"), }",
        b"",
    ])  # fmt: skip
    def test_hostile_headers_are_one_line(self, tmp_path, capsys, header) -> None:
        (tmp_path / "n.upc").write_text("net n {\n input x: [3]\n relu()\n output y\n}\n")
        path = tmp_path / "x.npy"
        path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"\0" * 12)
        code = main(["run", str(tmp_path / "n.upc"), "--input", str(path), "--target", "reference"])
        err = capsys.readouterr().err
        assert code == 2 and err.startswith("error[E0800]: ") and err.count("\n") <= 2

    def test_a_pickle_is_not_read(self, tmp_path: Path) -> None:
        np.save(tmp_path / "x.npy", np.array([{}], object), allow_pickle=True)
        with pytest.raises(UpcError, match="holds object; the net takes float32"):
            read_array(tmp_path / "x.npy")

    def test_more_latents_than_memory_holds(self, tmp_path, capsys) -> None:
        (tmp_path / "n.upc").write_text("net n {\n input x: [3]\n relu()\n output y\n}\n")
        code = main(["run", str(tmp_path / "n.upc"), "--input", "latent", "-n", "1000000000000"])
        assert code == 2 and "1,000,000,000,000 latents of shape (3,) would take 36,000 GB" in capsys.readouterr().err
