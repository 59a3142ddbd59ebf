"""Threads: how many there are, that they end with their networks, and that a fork leaves a child that works."""

from __future__ import annotations

import gc
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from written import PAIR, TINY, Written, in_process, write

import upc
from upc.runtime.cores import MOST_THREADS, available_cores, granted_cores


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write(PAIR, tmp_path_factory.mktemp("pair"))


def group(root: Path, lines: str, **files: str) -> str:
    """A system's root with these control groups: `/` in a path is written `__`, a dot `_DOT_`."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(lines)
    for name, content in files.items():
        place = root / "sys/fs/cgroup" / name.replace("__", "/").replace("_DOT_", ".")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content)
    return str(root)


SYSTEMS = {
    "no groups at all": (None, {}, MOST_THREADS),
    "version 2 without a limit": ("0::/app\n", {"app__cpu_DOT_max": "max 100000\n"}, MOST_THREADS),
    "one core": ("0::/app\n", {"app__cpu_DOT_max": "100000 100000\n"}, 1),
    "half a core": ("0::/app\n", {"app__cpu_DOT_max": "50000 100000\n"}, 1),
    "a core and a half": ("0::/app\n", {"app__cpu_DOT_max": "150000 100000\n"}, 1),
    "three cores, in another period": ("0::/app\n", {"app__cpu_DOT_max": "30000 10000\n"}, 3),
    "the group above has less": (
        "0::/a/b\n",
        {"a__b__cpu_DOT_max": "800000 100000\n", "a__cpu_DOT_max": "200000 100000\n"},
        2,
    ),
    "a container sees its own group as the root": ("0::/docker/x\n", {"cpu_DOT_max": "400000 100000\n"}, 4),
    "a path out of the tree": ("0::/../../x\n", {"cpu_DOT_max": "200000 100000\n"}, 2),
    "version 1": (
        "5:memory:/x\n4:cpu,cpuacct:/x\n",
        {"cpu,cpuacct__x__cpu_DOT_cfs_quota_us": "250000\n", "cpu,cpuacct__x__cpu_DOT_cfs_period_us": "100000\n"},
        2,
    ),
    "version 1 without a limit": (
        "4:cpu:/x\n",
        {"cpu__x__cpu_DOT_cfs_quota_us": "-1\n", "cpu__x__cpu_DOT_cfs_period_us": "100000\n"},
        MOST_THREADS,
    ),
    "nonsense": ("\n::\nx\n0::/a\n", {"a__cpu_DOT_max": "\n", "cpu_DOT_max": "many\n"}, MOST_THREADS),
}


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_quota_of_a_control_group_counts(tmp_path, system):
    lines, files, expected = SYSTEMS[system]
    root = str(tmp_path) if lines is None else group(tmp_path, lines, **files)
    assert granted_cores(root) == expected


@pytest.mark.parametrize(
    ("bound", "quota", "wanted", "expected"),
    [
        (8, "max", "", 8),
        (8, "max", "3", 3),
        (8, "max", "1000", 8),
        (8, "max", "9" * 400, 8),
        (8, "max", " 2 ", 2),
        (1, "max", "8", 1),
        (8, "200000", "8", 2),
        (8, "200000", "1", 1),
        (1, "200000", "", 1),
        (4096, "max", "", MOST_THREADS),
    ],
)
def test_the_least_of_what_is_granted_and_wanted_counts(tmp_path, monkeypatch, bound, quota, wanted, expected):
    root = group(tmp_path, "0::/a\n", a__cpu_DOT_max=f"{quota} 100000\n")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(bound)), raising=False)
    monkeypatch.setenv("UPC_NUM_THREADS", wanted)
    assert available_cores(root) == expected


@pytest.mark.parametrize("wanted", ["abc", "0", "-1", "1.5", "000", "1 2"])
def test_a_number_of_threads_that_is_none_is_a_sentence(monkeypatch, capsys, tmp_path, pair, wanted):
    from upc.cli import main

    monkeypatch.setenv("UPC_NUM_THREADS", wanted)
    words = f"UPC_NUM_THREADS must be a whole number from 1 on, got '{wanted}'"
    with pytest.raises(ValueError, match=words.replace(".", r"\.")):
        pair.module.load(pair.weights)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.upc").write_text("net n {\n  input z: [2]\n  dense(3)\n  output y\n}\n")
    for arguments in (("run", "--input", "latent"), ("warmup",), ("compile",), ("profile",), ("bench",)):
        assert main([arguments[0], "net.upc", *arguments[1:]]) == 2
        err = capsys.readouterr().err
        assert f"error[E0805]: {words}" in err and "Traceback" not in err


def test_vectors_of_a_width_that_is_none_are_a_sentence(monkeypatch, pair):
    monkeypatch.setenv("UPC_VECTOR_BITS", "wide")
    with pytest.raises(ValueError, match="UPC_VECTOR_BITS must be 128, 256 or 512, got 'wide'"):
        pair.module.load(pair.weights)


def test_compiling_that_is_switched_off_is_a_sentence(tmp_path, pair):
    script = """
import upc_test_pair
try:
    upc_test_pair.load()
except RuntimeError as problem:
    print(problem)
"""
    said = in_process(script, pair.folder, NUMBA_DISABLE_JIT="1")
    assert said == "NUMBA_DISABLE_JIT is set, and this network runs as machine code alone: unset it\n"


def test_compiling_that_is_switched_off_is_a_sentence_of_the_commands(tmp_path, monkeypatch, capsys):
    from upc.cli import main

    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.upc").write_text("net n {\n  input z: [2]\n  dense(3)\n  output y\n}\n")
    for arguments in (("run", "--input", "latent"), ("warmup",), ("compile",), ("profile",)):
        assert main([arguments[0], "net.upc", *arguments[1:]]) == 2
        assert "error[E0805]: NUMBA_DISABLE_JIT is set" in capsys.readouterr().err


# Threads end


def ours() -> int:
    return sum(thread.name == "upc" for thread in threading.enumerate())


def settled(count: int, seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while ours() > count and time.monotonic() < end:
        time.sleep(0.01)
    return ours() <= count


def test_threads_end_with_their_networks(pair):
    gc.collect()
    before = ours()
    inputs = pair.inputs(9, H=16, W=14)
    for _ in range(30):
        net = pair.module.load(pair.weights, threads=3)
        net(*inputs)
    assert ours() >= before + 2, "the last one's are there"
    del net
    gc.collect()
    assert settled(before)


def test_a_network_is_used_from_another_thread_after_the_first_has_gone(pair):
    net, results = pair.module.load(pair.weights, threads=3), []
    inputs = pair.inputs(9, H=16, W=14)
    for _ in range(2):
        thread = threading.Thread(target=lambda: results.append(net(*inputs)))
        thread.start()
        thread.join(60)
    for result in results:
        pair.check(result, inputs)
    assert len(results) == 2


@pytest.mark.parametrize("granted", [0, 1])
def test_fewer_threads_do_where_the_system_gives_no_more(pair, monkeypatch, granted):
    really, started = threading.Thread.start, []

    def start(thread: threading.Thread) -> None:
        if thread.name == "upc":
            started.append(thread)
            if len(started) > granted:
                raise RuntimeError("can't start new thread")
        really(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    net = pair.module.load(pair.weights, threads=4)
    inputs = pair.inputs(9, H=16, W=14)
    for _ in range(3):
        pair.check(net(*inputs), inputs)
    assert len(started) == granted + 1, "it is not tried again at every call"


def test_more_threads_than_make_sense_are_not_started(pair):
    assert pair.module.load(pair.weights, threads=10**6).threads == MOST_THREADS


# Forks

FORKS = """
import os, signal, sys, threading, time
import numpy as np
{first}
def work():
    return {work}
loading = threading.Thread(target=work)
loading.start()
children = []
for number in range(8):
    time.sleep(0.02)
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        os._exit(0 if np.isfinite(work()).all() else 1)
    children.append(child)
print([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
loading.join()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_child_forked_while_a_module_is_loaded_works(tmp_path):
    tiny = write(TINY, tmp_path)
    work = "m.load(threads=2)(np.ones((2, 3, 2, 2), np.float32))"
    script = FORKS.format(first="import upc_test_tiny as m", work=work)
    assert in_process(script, tiny.folder, UPC_CACHE_DIR=str(tmp_path / "cache")) == f"{[0] * 8}\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.parametrize("target", ["numba", "reference"])
def test_a_child_forked_while_a_net_is_loaded_works(tmp_path, target):
    """Even the first imports of a process, which take locks of their own."""
    (tmp_path / "tiny.upc").write_text(TINY)
    work = f"upc.load('tiny.upc', target={target!r}, seed=1)(np.ones((2, 3, 2, 2), np.float32))"
    home = Path(upc.__file__).parents[1]
    script = FORKS.format(first="import upc", work=work)
    assert in_process(script, tmp_path, home, UPC_CACHE_DIR=str(tmp_path / "cache")) == f"{[0] * 8}\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_children_forked_in_the_midst_of_calls_work(pair):
    """Other threads call, with sizes that are new, while the process forks: no lock stays held in a child."""
    net = pair.module.load(pair.weights, threads=2)
    stop = threading.Event()

    def call() -> None:
        size = 2
        while not stop.is_set():
            size = size % 60 + 2
            net(*pair.inputs(1, H=size, W=size))

    callers = [threading.Thread(target=call) for _ in range(2)]
    for caller in callers:
        caller.start()
    try:
        for _ in range(10):
            child = os.fork()
            if child == 0:
                os._exit(0 if all(np.isfinite(y).all() for y in net(*pair.inputs(3, H=6, W=4))) else 1)
            end = time.monotonic() + 60
            found, status = os.waitpid(child, os.WNOHANG)
            while not found and time.monotonic() < end:
                time.sleep(0.005)
                found, status = os.waitpid(child, os.WNOHANG)
            if not found:
                os.kill(child, 9)
            assert found and status == 0
    finally:
        stop.set()
        for caller in callers:
            caller.join()
