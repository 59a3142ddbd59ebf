"""Children, signals and logs, seen from inside this process: what each does, here and on other systems."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest

from upc import processes
from upc.processes import Child, Ended, ended_by_signals


@pytest.fixture
def child(monkeypatch):
    """Starts a child that runs a text instead of upc."""

    def start(text: str) -> Child:
        monkeypatch.setattr(processes, "_BOOT", text)
        return Child("unused", stdin=subprocess.PIPE)

    return start


def test_a_child_may_have_time_to_end_by_itself(child):
    made = child("import sys; sys.stdin.read(); sys.exit(7)")
    made.end(patience_s=60)
    assert made.process.returncode == 7


def test_a_child_that_uses_up_that_time_is_killed(child):
    made = child("import time; time.sleep(600)")
    made.end(patience_s=0.01)
    assert made.process.returncode == -signal.SIGKILL


def test_a_child_ends_with_its_block_and_what_it_does_not_read_is_no_error(child):
    with child("") as made:
        made.process.stdin.write(b"unread")
        made.process.wait()
    assert made.process.stdin.closed and made.process.returncode == 0


def test_a_child_runs_a_module_and_says_what_is_logged_if_its_parent_does(monkeypatch):
    said, ran = [], []
    monkeypatch.setattr(processes, "end_with_parent", said.append)
    monkeypatch.setattr(processes, "log_to_stderr", lambda: said.append("log"))
    monkeypatch.setitem(sys.modules, "upc_test_served", SimpleNamespace(main=lambda *given: ran.append(given)))
    for verbose in (False, True):
        processes.serve({"parent": 5, "verbose": verbose, "module": "upc_test_served", "arguments": ["a", "b"]})
    assert said == [5, 5, "log"] and ran == [("a", "b")] * 2


class Exited(BaseException):
    pass


def system(platform: str, name: str, parents: list[int]) -> tuple[SimpleNamespace, SimpleNamespace]:
    """A `sys` and an `os` of another system, in which a process has one parent after the other."""

    def leave(code: int) -> None:
        assert code == 1
        raise Exited

    return SimpleNamespace(platform=platform), SimpleNamespace(
        name=name, getppid=lambda: parents.pop(0) if len(parents) > 1 else parents[0], _exit=leave
    )


@pytest.mark.parametrize("parent", [3, 1])
def test_on_linux_the_system_ends_an_orphan_and_one_that_is_already_ends_itself(monkeypatch, parent):
    asked = []
    library = SimpleNamespace(prctl=lambda *given: asked.append(given))
    monkeypatch.setattr(processes, "ctypes", SimpleNamespace(CDLL=lambda name: library))
    for name, module in zip(("sys", "os"), system("linux", "posix", [parent]), strict=True):
        monkeypatch.setattr(processes, name, module)
    if parent == 3:
        processes.end_with_parent(3)
    else:
        with pytest.raises(Exited):
            processes.end_with_parent(3)
    assert asked == [(1, signal.SIGKILL)]


def test_elsewhere_an_orphan_notices_by_looking(monkeypatch):
    started, slept = [], []
    monkeypatch.setattr(processes, "time", SimpleNamespace(sleep=slept.append))
    thread = SimpleNamespace(Thread=lambda target, **named: SimpleNamespace(start=lambda: started.append(target)))
    monkeypatch.setattr(processes, "threading", thread)
    for name, module in zip(("sys", "os"), system("darwin", "posix", [3, 3, 1]), strict=True):
        monkeypatch.setattr(processes, name, module)
    processes.end_with_parent(3)
    (watch,) = started
    with pytest.raises(Exited):
        watch()
    assert len(slept) == 2


def test_where_parents_cannot_be_watched_nothing_is_started(monkeypatch):
    monkeypatch.setattr(processes, "threading", None)
    for name, module in zip(("sys", "os"), system("win32", "nt", [3]), strict=True):
        monkeypatch.setattr(processes, name, module)
    processes.end_with_parent(3)


def test_what_is_logged_goes_to_whatever_stderr_is_once(monkeypatch, capsys):
    logger = logging.getLogger("upc")
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "level", logger.level)
    monkeypatch.setattr(logger, "_cache", {})
    processes.log_to_stderr()
    processes.log_to_stderr()
    logger.info("two %s", "words")
    assert capsys.readouterr().err == "upc: two words\n"


def test_the_current_folder_is_forgotten_and_no_other(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for first, left in ((str(tmp_path), []), ("", []), ("/elsewhere", ["/elsewhere"])):
        monkeypatch.setattr(sys, "path", [first, "/more"])
        processes.forget_current_folder()
        assert sys.path == [*left, "/more"]


def test_signals_unwind_the_body_and_are_passed_on_once(monkeypatch):
    passed, unwound = [], []
    monkeypatch.setattr(processes.os, "kill", lambda process, number: passed.append((process, number)))
    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with ended_by_signals():
            try:
                signal.raise_signal(signal.SIGTERM)
            finally:
                signal.raise_signal(signal.SIGTERM)  # a second one does not disturb that
                unwound.append(True)
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)
    assert unwound == [True] and passed == [(os.getpid(), signal.SIGTERM)]


def test_no_signal_changes_nothing_and_an_error_stays_what_it_is():
    before = signal.getsignal(signal.SIGTERM)
    with ended_by_signals():
        pass
    with pytest.raises(KeyError), ended_by_signals():
        raise KeyError
    assert signal.getsignal(signal.SIGTERM) == before and not issubclass(Ended, Exception)


def test_threads_leave_signals_alone():
    seen = []

    def body() -> None:
        with ended_by_signals():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]


@pytest.mark.parametrize(
    ("quiet", "utf8", "flags"), [(True, 1, ["-B", "-X", "utf8"]), (False, 1, ["-X", "utf8"]), (True, 0, ["-B"])]
)
def test_a_child_is_started_as_its_parent_was(monkeypatch, quiet, utf8, flags):
    like = SimpleNamespace(dont_write_bytecode=quiet, flags=SimpleNamespace(utf8_mode=utf8))
    monkeypatch.setattr(processes, "sys", like)
    assert processes._flags() == flags


def test_a_childs_environment_names_folders_in_full_and_no_current_one(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    given = {"UPC_CACHE_DIR": "cache", "UPC_SHARED_CACHE": "", "PYTHONPATH": os.pathsep.join((".", "/full"))}
    assert processes._environment(dict(given), tmp_path) == {
        "UPC_CACHE_DIR": str(tmp_path / "cache"),
        "UPC_SHARED_CACHE": "",
        "PYTHONPATH": "/full",
        "PYTHONSAFEPATH": "1",
        **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(tmp_path)),
    }
    assert processes._environment({"PYTHONPATH": "."}, None) == {"PYTHONSAFEPATH": "1"}
