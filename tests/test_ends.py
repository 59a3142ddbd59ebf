"""However upc ends, its children end with it, and nothing half done is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from upc.processes import Child, Ended, ended_by_signals

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds children in /proc")

NET = """net slow {
  input x: [8, 9, 3]
  conv2d(5, kernel_size=3, padding=same, activation=silu)
  conv2d_transpose(7, kernel_size=4, strides=2, padding=same, activation=tanh)
  max_pooling2d(2)
  depthwise_conv2d(3, padding=same)
  output y
}
"""


def children(pid: int) -> list[int]:
    try:
        return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(condition: object, seconds: float = 60) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return False


def heed_signals() -> None:
    """What ignores a signal hands that on: tests may run in the background, or under nohup."""
    for name in ("SIGTERM", "SIGHUP", "SIGQUIT", "SIGINT"):
        signal.signal(getattr(signal, name), signal.SIG_DFL)


def start(folder: Path, *arguments: str, wanted: int = 1) -> tuple[subprocess.Popen[bytes], list[int]]:
    """upc in a process, and its children once there are as many as wanted and they are at work."""
    (folder / "slow.upc").write_text(NET)
    (folder / "temporary").mkdir()
    environment = {**os.environ, "UPC_CACHE_DIR": str(folder / "cache"), "TMPDIR": str(folder / "temporary")}
    process = subprocess.Popen(
        [sys.executable, "-m", "upc", *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=heed_signals,
    )
    assert wait_for(lambda: len(children(process.pid)) >= wanted), "no child was started"
    found = children(process.pid)
    # The watch on the parent is set up once the child runs upc's own code, which has then opened its files.
    assert wait_for(lambda: all("numba" in Path(f"/proc/{n}/maps").read_text() for n in found if alive(n)))
    return process, found


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGQUIT", "SIGINT", "SIGKILL"])
def test_compilers_end_with_the_command(tmp_path, name):
    process, found = start(tmp_path, "compile", "slow.upc")
    os.kill(process.pid, getattr(signal, name))
    status = process.wait(60)
    assert status == (130 if name == "SIGINT" else -getattr(signal, name))
    assert wait_for(lambda: not any(map(alive, found)), 10), "a compiler goes on"
    left = {path.name for path in tmp_path.iterdir() if not path.name.startswith("core")} - {"cache"}
    assert left == {"slow.py", "slow.safetensors", "slow.upc", "temporary"}, "the pair was written before"
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL"])
def test_workers_end_with_the_command(tmp_path, name):
    process, found = start(tmp_path, "check", "slow.upc", "--targets", "numba,numba[exact]", wanted=2)
    os.kill(process.pid, getattr(signal, name))
    assert process.wait(60) == -getattr(signal, name)
    assert wait_for(lambda: not any(map(alive, found)), 10), "a worker goes on"
    if name != "SIGKILL":  # which nobody can clean up after
        assert list((tmp_path / "temporary").iterdir()) == []


def test_a_child_that_is_stopped_ends_too(tmp_path):
    """The race stops those whose turn it is not: they cannot notice anything by themselves."""
    process, found = start(tmp_path, "check", "slow.upc", "--targets", "numba,numba[exact]", wanted=2)
    for child in found:
        os.kill(child, signal.SIGSTOP)
    process.kill()
    process.wait(60)
    assert wait_for(lambda: not any(map(alive, found)), 10)


def test_a_child_ends_with_its_block_whatever_it_does():
    with Child("upc.compile_worker", "x", "forwards", "", stdin=subprocess.PIPE) as child:
        assert child.process.poll() is None  # it waits for its text
    assert child.process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGQUIT"])
def test_a_signal_unwinds_what_it_ends(name, monkeypatch):
    number, passed, closed = getattr(signal, name), [], []
    before = signal.signal(number, signal.SIG_DFL)
    try:
        monkeypatch.setattr(os, "kill", lambda pid, sent: passed.append((pid, sent)))
        with ended_by_signals():
            try:
                signal.raise_signal(number)
                raise AssertionError("it went on")
            except Ended:
                closed.append(True)
                raise
        assert closed == [True] and passed == [(os.getpid(), number)]
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, before)


def test_a_signal_that_the_user_had_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under nohup
    try:
        with ended_by_signals():
            signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_a_standard_stream_that_is_closed_is_no_traceback(tmp_path, closed):
    (tmp_path / "net.upc").write_text("net n {\n  input x: [2]\n  relu()\n  output y\n}\n")
    script = (
        f"import os, sys; os.close({closed}); os.execv(sys.executable, [sys.executable, '-m', 'upc', *sys.argv[1:]])"
    )
    arguments = {0: ["summary", "-"], 1: ["summary", "net.upc"], 2: ["summary", "none.upc"]}[closed]
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    words = {0: "cannot read standard input: it is closed", 1: "standard output is closed", 2: ""}[closed]
    assert words in done.stderr and "Traceback" not in done.stderr and done.stdout == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
def test_output_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "net.upc").write_text("net n {\n  input x: [2]\n  relu()\n  output y\n}\n")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "upc", "summary", "net.upc"],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert done.returncode == 2 and done.stderr == "upc: error: No space left on device\n"
