"""What of the runtime is plain Python, where the system says no or another system would say something else."""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
import threading
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import in_place
import numpy as np
import pytest
from random_graphs import random_inputs, random_weights
from tolerance import expect

from upc import files, weights
from upc.build import compile_source
from upc.diagnostics import UpcError
from upc.emit import numba as emitter
from upc.load_numba import load_module
from upc.runtime import cache, layout, net, shell, stored, team, vault
from upc.runtime.advice import shape_advice
from upc.runtime.memory import available_memory, require_memory
from upc.runtime.network import Port
from upc.runtime.stored import DamagedFile, UnfitWeights, WeightsFile, read_entries, take_weights
from upc.runtime.subroutine import Kernel
from upc.runtime.vault import Vault
from upc.source import Source

# The cache


@pytest.mark.parametrize(
    ("platform", "environment", "expected"),
    [
        ("linux", {"UPC_CACHE_DIR": "/given"}, "/given"),
        ("linux", {"XDG_CACHE_HOME": "/xdg"}, "/xdg/upc"),
        ("linux", {}, "/home/me/.cache/upc"),
        ("darwin", {"XDG_CACHE_HOME": "/xdg"}, "/home/me/Library/Caches/upc"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/upc/cache"),
        ("win32", {}, "/home/me/upc/cache"),
    ],
)
def test_the_cache_lies_where_each_system_keeps_such_things(monkeypatch, platform, environment, expected):
    for name in ("UPC_CACHE_DIR", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(cache, "sys", SimpleNamespace(platform=platform))
    monkeypatch.setattr(Path, "home", lambda: Path("/home/me"))
    assert cache.cache_folder() == Path(expected)


def test_code_of_a_module_without_a_text_belongs_to_nothing(tmp_path):
    assert cache.code_stamp(str(tmp_path / "none.py")) is None
    (tmp_path / "odd.py").write_bytes(b"\xff")
    assert cache.code_stamp(str(tmp_path / "odd.py")) is None


def test_a_compiler_that_is_switched_off_is_said(monkeypatch):
    monkeypatch.setattr(cache.numba.config, "DISABLE_JIT", 1)
    with pytest.raises(RuntimeError, match="NUMBA_DISABLE_JIT is set"):
        cache.check_compiler()


def nothing() -> object:
    def work(a: int, b: int) -> None:
        pass

    return work


@pytest.fixture
def machine_code(monkeypatch, tmp_path):
    """An empty cache, and the kernels that were compiled and loaded since."""
    made = SimpleNamespace(compiled=[], loaded=[])

    def compiled(wanted: Kernel) -> tuple[str, bytes]:
        made.compiled.append(wanted.text)
        return f"symbol of {wanted.text}", b"code\0more"

    def loaded(symbol: str, code: bytes) -> int:
        made.loaded.append((symbol, code))
        return len(made.loaded)

    monkeypatch.setattr(cache, "_compile", compiled)
    monkeypatch.setattr(cache, "_load", loaded)
    monkeypatch.setattr(cache, "_ADDRESSES", {})
    monkeypatch.setenv("UPC_CACHE_DIR", str(tmp_path / "own"))
    monkeypatch.delenv("UPC_SHARED_CACHE", raising=False)
    return made


def test_machine_code_is_compiled_once_and_then_read(machine_code, monkeypatch):
    wanted = Kernel(nothing, (1, "a"))
    first = cache.code_address(wanted, "stamp")
    assert cache.code_address(wanted, "stamp") == first and len(machine_code.loaded) == 1
    monkeypatch.setattr(cache, "_ADDRESSES", {})
    assert cache.code_address(wanted, "stamp") == 2  # as in another process
    assert machine_code.compiled == [wanted.text]
    assert machine_code.loaded == [(f"symbol of {wanted.text}", b"code\0more")] * 2


def test_machine_code_without_a_stamp_is_not_kept(machine_code, tmp_path):
    cache.code_address(Kernel(nothing, ()), None)
    assert machine_code.loaded and not (tmp_path / "own").exists()


def test_machine_code_of_a_shared_cache_is_read_and_nothing_written_to_it(machine_code, monkeypatch, tmp_path):
    wanted = Kernel(nothing, (2,))
    cache.code_address(wanted, "stamp")
    monkeypatch.setenv("UPC_CACHE_DIR", str(tmp_path / "empty"))
    monkeypatch.setenv("UPC_SHARED_CACHE", str(tmp_path / "own"))
    monkeypatch.setattr(cache, "_ADDRESSES", {})
    cache.code_address(wanted, "stamp")
    assert machine_code.compiled == [wanted.text]
    shared = tmp_path / "own" / "code"
    before = sorted(os.listdir(shared))
    Vault(shared, shared=True).write("more", b"", b"")
    assert sorted(os.listdir(shared)) == before


def test_a_function_of_two_integers_becomes_code_that_runs():
    entry = cache.Entry(cache._load(*cache._compile(Kernel(fill_cells, (3,)))))
    cells = np.zeros(2, np.int64)
    entry(cells.ctypes.data, 4)
    assert cells.tolist() == [7, 0]


def fill_cells(more: int) -> object:
    from upc.runtime.subroutine import integers

    def work(place: int, number: int) -> None:
        integers(place)[0] = number + more

    work.__annotations__ = {"place": "int", "number": "int", "return": "None"}
    return work


# The vault


def test_where_folders_have_no_descriptors_entries_are_found_by_their_paths(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "supports_dir_fd", set())
    made = Vault(tmp_path / "code")
    made.write("a", b"for a", b"text")
    assert made.read("a", b"for a") == b"text" and made.read("b", b"") is None
    assert sorted(os.listdir(tmp_path / "code")) == ["a", "key"]


@pytest.fixture
def said(monkeypatch):
    monkeypatch.setattr(vault, "_said", set())
    return vault._said


def test_a_key_that_is_broken_again_and_again_keeps_nothing_from_working(monkeypatch, tmp_path, said):
    """Another process puts a key of the wrong length there whenever this one has thrown it away."""
    made = Vault(tmp_path / "code")
    monkeypatch.setattr(vault.secrets, "token_bytes", lambda count: b"short")
    made.write("a", b"", b"text")
    assert made.read("a", b"") is None
    assert [words for words in said if "is broken" in words]


def test_an_entry_whose_folder_belongs_to_another_is_ignored(monkeypatch, tmp_path, said):
    made = Vault(tmp_path / "code", shared=True)
    Vault(tmp_path / "code").write("a", b"", b"text")
    assert made.read("a", b"") == b"text"
    really = os.fstat

    def fstat(descriptor: int) -> object:
        found = really(descriptor)
        if stat.S_ISDIR(found.st_mode):
            return SimpleNamespace(st_mode=found.st_mode, st_uid=found.st_uid + 1)
        return found

    monkeypatch.setattr(os, "fstat", fstat)
    assert made.read("a", b"") is None
    assert [words for words in said if "belongs to someone else than its folder" in words]


def test_a_folder_of_someone_elses_is_none_unless_it_is_named_as_shared(monkeypatch, tmp_path, said):
    made = Vault(tmp_path / "code")
    made.write("a", b"", b"text")
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert made.read("a", b"") is None and Vault(tmp_path / "code", shared=True).read("a", b"") == b"text"
    assert [words for words in said if "only UPC_SHARED_CACHE can name such a folder" in words]


def test_an_entry_that_cannot_be_written_leaves_nothing(monkeypatch, tmp_path, said):
    made = Vault(tmp_path / "code")
    made.write("a", b"", b"text")
    for name in ("replace", "open"):
        with monkeypatch.context() as now:

            def fail(*given: object, **named: object) -> object:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

            now.setattr(vault.os, name, fail)
            now.setattr(os, "supports_dir_fd", {vault.os.open})
            made.write("b", b"", b"text")
            assert [words for words in said if "No space left" in words]
        assert sorted(os.listdir(tmp_path / "code")) == ["a", "key"]
        said.clear()


def test_what_was_left_half_written_long_ago_is_thrown_away_and_nothing_else(tmp_path):
    folder = tmp_path / "code"
    folder.mkdir(mode=0o700)
    for name, old in ((".a.1.partial", True), (".b.2.partial", False), ("c", True)):
        (folder / name).write_bytes(b"")
        if old:
            os.utime(folder / name, (0, 0))
    made = Vault(folder)
    made.write("a", b"", b"")
    assert sorted(os.listdir(folder)) == [".b.2.partial", "a", "c", "key"]
    (folder / ".a.1.partial").write_bytes(b"")
    os.utime(folder / ".a.1.partial", (0, 0))
    made.write("a", b"", b"")  # a process looks once
    assert (folder / ".a.1.partial").exists()


# Memory, vectors, threads


def test_where_nobody_says_how_much_memory_is_free_the_machines_counts(monkeypatch, tmp_path):
    sizes = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 1000}
    monkeypatch.setattr(os, "sysconf", sizes.__getitem__)
    assert available_memory(str(tmp_path)) == 4_096_000
    (tmp_path / "proc").mkdir()
    for text in ("MemTotal: 5 kB\n", "MemAvailable:\n", "MemAvailable: many kB\n"):
        (tmp_path / "proc" / "meminfo").write_text(text)
        assert available_memory(str(tmp_path)) == 4_096_000

    def unknown(name: str) -> int:
        raise ValueError(name)

    monkeypatch.setattr(os, "sysconf", unknown)
    assert available_memory(str(tmp_path)) is None


def test_what_is_not_there_is_not_taken(monkeypatch):
    asked = sys.modules[require_memory.__module__]
    for free, refused in ((10**8, True), (3 * 10**8, False), (None, False)):
        monkeypatch.setattr(asked, "available_memory", lambda free=free: free)
        with pytest.raises(MemoryError, match=r"it needs 0.20 GB.*0.10 GB") if refused else nullcontext():
            require_memory(2 * 10**8, "it")
        require_memory(1 << 20, "what is small")


def test_groups_outside_of_what_is_seen_do_not_count(tmp_path):
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "meminfo").write_text("MemAvailable: 10 kB\n")
    (tmp_path / "proc" / "self" / "cgroup").write_text("0::/../other\n1:cpu:/x\n")
    group = tmp_path / "sys" / "fs" / "cgroup"
    group.mkdir(parents=True)
    for name, text in (("memory.max", "9000"), ("memory.current", "5000"), ("memory.stat", "inactive_file 1000\n")):
        (group / name).write_text(text)
    assert available_memory(str(tmp_path)) == 5000
    (group / "memory.max").write_text("max")
    assert available_memory(str(tmp_path)) == 10240


@pytest.mark.parametrize("bits", ["64", "1024", "wide"])
def test_vectors_of_no_known_width_are_a_sentence(monkeypatch, bits):
    monkeypatch.setenv("UPC_VECTOR_BITS", bits)
    with pytest.raises(ValueError, match="must be 128, 256 or 512"):
        layout.machine()


def test_a_system_without_another_thread_is_served_by_the_caller(monkeypatch):
    ran = []

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    made = team.Team(lambda address, leader: ran.append(leader), 3)
    assert made.run(0) and made.run(0)
    assert ran == [1, 1]


def test_a_team_that_is_taken_says_so(monkeypatch):
    made = team.Team(lambda address, leader: None, 0)
    inner = []
    made._work = lambda address, leader: inner.append(made.run(0))
    assert made.run(0) and inner == [False]


# From the shell

ONE = SimpleNamespace(name="one", inputs=(Port("x", (2,)),), outputs=(Port("y", (2,)),))
TWO = SimpleNamespace(name="two", inputs=(Port("a", (2,)), Port("b", ())), outputs=(Port("y", (2,)), Port("file", ())))


def from_shell(network: object, *arguments: object, result: object = None) -> tuple[int, list[object]]:
    """The exit code, and what the network was loaded with and called with."""
    seen: list[object] = []

    def load(*given: object) -> object:
        seen.append(given)

        def call(*arrays: np.ndarray) -> object:
            seen.extend(arrays)
            return arrays[0] if result is None else result

        return call

    return shell.run_from_shell(network, load, list(map(str, arguments))), seen


def test_the_shell_reads_an_array_adds_the_batch_and_writes_the_result(tmp_path, capsys):
    np.save(tmp_path / "x.npy", np.array([1, 2]))
    out = tmp_path / "y.npy"
    code, seen = from_shell(ONE, tmp_path / "x.npy", "-o", out, "--weights", "w", "--threads", 3)
    assert (code, seen[0], capsys.readouterr().err) == (0, ("w", 3), "")
    assert np.load(out).tolist() == [[1, 2]] and np.load(out).dtype == np.float32


def test_the_shell_writes_several_results_by_their_names(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((1, 2)))
    np.save(tmp_path / "b=.npy", np.ones(1))
    results = np.ones((1, 2), np.float32), np.zeros(1, np.float32)
    code, seen = from_shell(TWO, tmp_path / "b=.npy", f"b={tmp_path}/b=.npy", "-o", tmp_path / "y", result=results)
    assert code == 0 and len(seen) == 3  # what stands before `=` is no input: the whole is a file
    with np.load(tmp_path / "y") as found:
        assert {name: found[name].shape for name in found} == {"y": (1, 2), "file": (1,)}


def test_the_shell_says_what_is_wrong_with_files_in_one_line(tmp_path, capsys):
    good, bad, text, several = (tmp_path / name for name in ("good.npy", "bad.npy", "text.npy", "several.npz"))
    np.save(good, np.ones((1, 2)))
    bad.write_bytes(b"")
    np.save(text, np.array(["a"]))
    np.savez(several, a=np.ones(2))
    for network, given, words in (
        (TWO, [good], "it takes 2 files (a, b); there is none for b"),
        (TWO, [f"a={good}", f"a={good}"], f"a={good} is one too many"),
        (ONE, [good, good], f"{good} is one too many"),
        (ONE, [bad], f"{bad} is no .npy file of numbers: "),
        (ONE, [text], f"{text} is no .npy file of numbers"),
        (ONE, [several], f"{several} is no .npy file of numbers"),
        (ONE, [tmp_path / "none.npy"], "No such file"),
    ):
        assert from_shell(network, *given, "-o", tmp_path / "out")[0] == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"{network.name}: ") and words in line
    assert not (tmp_path / "out").exists()


# Weights

NET = "net n {\n  input x: [3]\n  dense(2)\n  output y\n}\n"
GRAPH = compile_source(Source("n.upc", NET))
SHAPES = {key: weight.shape for key, weight, _ in GRAPH.weights()}
ARRAYS = {key: np.full(shape, 0.5, np.float32) for key, shape in SHAPES.items()}


@pytest.fixture
def weights_file(tmp_path):
    path = tmp_path / "n.safetensors"
    weights.save(path, ARRAYS)
    return path


@pytest.fixture
def nothing_kept(monkeypatch):
    """Every array is a large one, which is left in its file."""
    monkeypatch.setattr(stored, "KEPT_FLOATS", 0)


def test_weights_left_in_their_file_are_looked_at_when_they_are_read(weights_file, nothing_kept):
    file = WeightsFile(weights_file, SHAPES)
    assert sorted(file) == sorted(SHAPES) and len(file) == 2
    assert all(np.array_equal(file[name], ARRAYS[name]) for name in SHAPES)
    weights.save(weights_file, {**ARRAYS, "dense.bias": np.array([1, np.nan])})
    with pytest.raises(DamagedFile, match="has changed since the network was loaded"):
        file["dense.bias"]
    again = WeightsFile(weights_file, SHAPES)
    with pytest.raises(UnfitWeights, match=r"dense.bias has 1 value that is NaN or infinite"):
        again["dense.bias"]
    assert np.isnan(WeightsFile(weights_file, SHAPES, allow_nonfinite=True)["dense.bias"]).any()
    with pytest.raises(UpcError, match=r"dense.bias has 1 value that is NaN or infinite"):
        weights.load(weights_file, GRAPH)
    assert np.isnan(weights.load(weights_file, GRAPH, allow_nonfinite=True)["dense.bias"]).any()


@pytest.mark.parametrize("part", ["header", "values"])
def test_a_file_that_becomes_shorter_while_it_is_read_is_damaged(weights_file, monkeypatch, part):
    really = stored.read_into

    def shorter(file: object, start: int, room: memoryview) -> int:
        short = start == 8 if part == "header" else start > 8
        return really(file, start, room) - short

    monkeypatch.setattr(stored, "read_into", shorter)
    with pytest.raises(DamagedFile, match="became shorter while it was read"):
        WeightsFile(weights_file, SHAPES)
    with pytest.raises(UpcError) as caught:
        weights.load(weights_file, GRAPH)
    assert str(caught.value) == f"error[E0611]: {weights_file} became shorter while it was read"


def test_a_header_of_too_many_tensors_is_refused_before_and_after_it_is_parsed(weights_file, monkeypatch):
    monkeypatch.setattr(stored, "STORED_TENSORS", 1)
    for more in ({}, {str(number): np.zeros(1, np.float32) for number in range(20)}):
        weights.save(weights_file, {**ARRAYS, **more})
        with open(weights_file, "rb") as file, pytest.raises(DamagedFile, match="describes more than 1 tensors"):
            read_entries(file, "n")


def test_any_tensors_of_a_file_are_read_and_those_of_whole_numbers_refused(weights_file, tmp_path):
    found = weights.tensors(weights_file)
    assert {name: tensor.shape for name, tensor in found.items()} == SHAPES
    assert all(np.array_equal(tensor.read(), ARRAYS[name]) for name, tensor in found.items())
    os.utime(weights_file, (1, 1))
    with pytest.raises(UpcError, match="has changed since it was opened"):
        found["dense.bias"].read()
    from safetensors.numpy import save_file

    save_file({"counts": np.zeros(3, np.int64)}, tmp_path / "whole.safetensors")
    with pytest.raises(UpcError, match="counts has elements of type I64, expected one of F32"):
        weights.tensors(tmp_path / "whole.safetensors")


class NoArray:
    def __array__(self, *given: object, **named: object) -> np.ndarray:
        raise RuntimeError("it lies on another device")


def test_what_cannot_become_an_array_is_named():
    given = {**ARRAYS, "dense.bias": NoArray()}
    with pytest.raises(UnfitWeights, match=r"dense.bias has elements of type object, expected numbers"):
        take_weights(given, SHAPES, "the dict", False)


def test_arrays_are_written_as_npy(tmp_path):
    files.write_array(tmp_path / "a.npy", np.arange(6).reshape(1, 3, 2))
    assert np.load(tmp_path / "a.npy").tolist() == [[[0, 1], [2, 3], [4, 5]]]


def test_where_folders_cannot_be_opened_files_are_written_all_the_same(monkeypatch, tmp_path):
    monkeypatch.delattr(os, "O_DIRECTORY")
    files.write_atomic(tmp_path / "a", "text")
    assert files.read_text(tmp_path / "a") == "text"


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (b"[]", "is not a JSON object"),
        (b'{"__metadata__": {"a": 1}}', "has a __metadata__ that is no text"),
        (b'{"__metadata__": []}', "has a __metadata__ that is no text"),
        (b'{"a": NaN}', "is not JSON with every name once"),
        (b'{"a": 1, "a": 2}', "is not JSON with every name once"),
        (b'{"a": {}}', "describes `a` wrongly"),
    ],
)
def test_headers_that_do_not_hold_are_refused(tmp_path, header, words):
    (tmp_path / "n").write_bytes(len(header).to_bytes(8, "little") + header)
    with open(tmp_path / "n", "rb") as file, pytest.raises(DamagedFile, match=re.escape(words)):
        read_entries(file, "n")


def test_names_are_counted_whatever_they_stand_for(tmp_path, monkeypatch):
    monkeypatch.setattr(stored, "STORED_TENSORS", 1)
    test_headers_that_do_not_hold_are_refused(tmp_path, b'{"a": 1, "b": 1}', "describes more than 1 tensors")


def test_folders_that_were_made_for_a_file_go_if_it_is_not_written(tmp_path):
    (tmp_path / "there").mkdir()
    inner = tmp_path / "there" / "a" / "b"
    with pytest.raises(KeyError), files.make_folder(inner):
        assert inner.is_dir()
        raise KeyError
    assert list(tmp_path.iterdir()) == [tmp_path / "there"] and not list((tmp_path / "there").iterdir())
    with files.make_folder(inner):
        pass
    assert inner.is_dir()


# Calls


@pytest.fixture
def called(monkeypatch):
    """A network whose module imports the runtime, with its weights: called, it adds its values up in pairs."""
    monkeypatch.setattr(emitter, "carried_runtime", in_place.imported_runtime)
    return load_module(GRAPH, "auto", 1).load(ARRAYS, 1)


def test_only_the_sizes_used_last_are_kept_and_results_stay_right(called, monkeypatch):
    for name in ("KEPT_CALLS", "KEPT_GEOMETRIES", "KEPT_SEATS"):
        monkeypatch.setattr(net, name, 2 if name != "KEPT_SEATS" else 0)
    for batch in (1, 2, 5, 1, 9, 2, 2, 0):
        assert np.array_equal(called(np.ones((batch, 3), np.float32)), np.full((batch, 2), 2, np.float32))
    assert len(called._calls) == 2 and len(called._geometries) == 2 and not called._seats


def test_ticks_are_added_up_for_each_step_as_long_as_they_are_wanted(called):
    stamps = np.zeros(1 + len(called.network.steps), np.int64)
    x = np.ones((2, 3), np.float32)
    called.stamp(stamps)
    called(x)
    assert (stamps > 0).all()
    called.stamp(None)
    before = stamps.copy()
    called(x)
    assert np.array_equal(stamps, before)


def test_scratch_of_a_step_is_a_part_of_the_memory_of_a_call(monkeypatch):
    monkeypatch.setattr(emitter, "carried_runtime", in_place.imported_runtime)
    text = "net n {\n  input x: [12, 10, 32]\n  conv2d(32, 3, padding=same)\n  output y\n}\n"
    graph = compile_source(Source("n.upc", text))
    made = load_module(graph, "fast", 1)
    assert any(type(step).__name__ == "Filtering" for step in made.NETWORK.steps)
    given, (x,) = random_weights(graph, 0), random_inputs(graph, 1, 3, {})
    (expected,) = expect(graph, given, [x])
    assert expected.ratio(made.load(given, 1)(x)) <= 1


@pytest.mark.parametrize(
    ("given", "wanted", "hint"),
    [
        ((3,), (3,), "x[None]"),
        ((2, 4, 5), ("H", "W", 1), "x[..., None]"),
        ((4, 5), ("H", "W", 1), "x[None, :, :, None]"),
        ((4, 5, 6, 7), (4, 5, 1), None),
        ((2, 3, 4, 5), ("H", "W", 3), "x.transpose(0, 2, 3, 1)"),
        ((3, 4, 5), (4, 5, 3), "x[None].transpose(0, 2, 3, 1)"),
        ((), (4, 5, 3), None),
        ((7,), (3,), None),
    ],
)
def test_what_would_make_an_array_fit(given, wanted, hint):
    found = shape_advice("x", given, wanted)
    assert (found is None) == (hint is None) and (hint or "") in (found or "")


def test_addresses_of_arrays_that_cannot_be_written_to_and_of_empty_ones():
    array = np.arange(3, dtype=np.float32)
    assert net.address_of(array) == array.ctypes.data
    array.flags.writeable = False
    assert net.address_of(array) == array.ctypes.data
    empty = np.zeros(0, np.float32)
    assert net.address_of(empty) == empty.ctypes.data
