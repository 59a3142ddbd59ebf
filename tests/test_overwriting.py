"""Nothing of a user's is replaced by something else unless they say so, and which weights were used is always said."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import upc as package
from upc.cli import main

FACES = "net faces(width=3) {\n  input z: [2]\n  dense(width)\n  output y\n}\n"
KERAS = ("--target", "keras")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "faces.upc").write_text(FACES)
    return tmp_path


@pytest.fixture
def trained(folder):
    """Weights as they come from training: all 0.5, in half precision, in the file that `compile` writes by default."""
    path = folder / "faces.safetensors"
    arrays = {"dense.kernel": np.full((2, 3), 0.5, np.float16), "dense.bias": np.full(3, 0.5, np.float16)}
    save_file(arrays, path)
    return path


def upc(capsys, *arguments: object) -> tuple[int, str, str]:
    code = main([str(a) for a in arguments])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


# Weights


def test_compile_takes_the_trained_weights_beside_the_source_and_leaves_them(capsys, folder, trained):
    before = trained.read_bytes()
    code, _, err = upc(capsys, "compile", *KERAS)
    assert code == 0 and "upc: weights: faces.safetensors\n" in err
    assert trained.read_bytes() == before


def test_compile_elsewhere_takes_them_along(capsys, folder, trained):
    assert upc(capsys, "compile", *KERAS, "-o", "built")[0] == 0
    found = load_file(folder / "built" / "faces.safetensors")
    assert {key: (array == 0.5).all() for key, array in found.items()} == {"dense.kernel": True, "dense.bias": True}


def test_a_file_called_like_the_source_counts_too(capsys, folder, trained):
    trained.rename(folder / "model.safetensors")
    (folder / "faces.upc").rename(folder / "model.upc")
    code, _, err = upc(capsys, "run", "--input", "latent", "--target", "reference")
    assert code == 0 and "upc: weights: model.safetensors\n" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ("compile", *KERAS, "--seed", 1),
        ("compile", *KERAS, "--seed", 1, "-o", "."),
        ("weights", "init"),
        ("weights", "init", "--seed", 3),
        ("weights", "init", "-o", "faces.safetensors"),
        ("weights", "import", "faces.upc", "other.safetensors"),
    ],
)
def test_other_weights_are_replaced_only_by_force(capsys, folder, trained, arguments):
    before = trained.read_bytes()
    save_file(
        {"dense.kernel": np.zeros((2, 3), np.float32), "dense.bias": np.zeros(3, np.float32)}, "other.safetensors"
    )
    code, _, err = upc(capsys, *arguments)
    assert code == 2 and "faces.safetensors is there already, with other weights" in err and "--force" in err
    assert trained.read_bytes() == before and not (folder / "faces.py").exists()
    assert upc(capsys, *arguments, "--force")[0] == 0
    assert trained.read_bytes() != before


def test_the_same_weights_again_are_no_trouble(capsys, folder):
    for _ in range(2):
        assert upc(capsys, "weights", "init", "--seed", 4)[0] == 0
        assert upc(capsys, "compile", *KERAS)[0] == 0
        assert upc(capsys, "compile", *KERAS, "--seed", 4)[0] == 0


def test_weights_that_do_not_fit_are_an_error_and_not_passed_over(capsys, folder, trained):
    code, _, err = upc(capsys, "compile", *KERAS, "-D", "width=5")
    assert code == 3 and "expected shape (2, 5)" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "--input", "latent", "--target", "reference"),
        ("check", "--targets", "reference,numba"),
        ("weights", "show"),
    ],
)
def test_every_command_says_which_weights_it_used(capsys, folder, arguments):
    code, _, err = upc(capsys, *arguments)
    assert code == 0 and err.startswith("upc: weights: made up from seed 0")
    assert upc(capsys, "weights", "init", "--seed", 7)[0] == 0
    code, _, err = upc(capsys, *arguments)
    assert code == 0 and err == "upc: weights: faces.safetensors\n"
    code, _, err = upc(capsys, *arguments, "--seed", 5)
    assert code == 0 and err.startswith("upc: weights: made up from seed 5")
    code, _, err = upc(capsys, *arguments, "-q")
    assert (code, err) == (0, "")


@pytest.mark.parametrize(("command", "work"), [("profile", "profile.profile"), ("bench", "race.race")])
def test_what_takes_time_is_given_them_too(capsys, folder, trained, monkeypatch, command, work):
    given = []

    def stop(graph: object, arrays: dict[str, np.ndarray], *_: object, **__: object) -> None:
        given.append(arrays["dense.bias"].tolist())
        raise KeyboardInterrupt

    monkeypatch.setattr(f"upc.bench.{work}", stop)
    code, _, err = upc(capsys, command)
    assert code == 130 and given == [[0.5] * 3] and "upc: weights: faces.safetensors\n" in err


def test_latents_are_drawn_from_the_seed_for_given_weights_too(capsys, folder, trained):
    for name, seed in (("a", 1), ("b", 2)):
        more = ("--target", "reference", "--weights", trained, "--seed", seed, "-o", f"{name}.npy")
        assert upc(capsys, "run", "--input", "latent", "-n", 2, *more)[0] == 0
    a, b = np.load("a.npy"), np.load("b.npy")
    assert (a != b).any() and (a == a[:, :1]).all(), "the trained weights make all outputs alike"


def test_load_takes_the_weights_beside_the_source_unless_told(folder, trained):
    arrays = [
        package.load("faces.upc", target="reference", **how).weights["dense.bias"].tolist()
        for how in ({}, {"seed": 0}, {"weights": {"dense.kernel": np.ones((2, 3)), "dense.bias": np.ones(3)}})
    ]
    assert arrays == [[0.5] * 3, [0.0] * 3, [1.0] * 3]
    trained.unlink()
    assert package.load("faces.upc", target="reference").weights["dense.bias"].tolist() == [0.0] * 3


def test_export_does_not_replace_a_users_file(capsys, folder):
    pytest.importorskip("torch")
    (folder / "mine.pt").write_text("mine")
    code, _, err = upc(capsys, "weights", "export", "faces.upc", "-o", "mine.pt")
    assert code == 2 and "mine.pt is there already" in err and (folder / "mine.pt").read_text() == "mine"
    assert upc(capsys, "weights", "export", "faces.upc", "-o", "mine.pt", "--force")[0] == 0


# Modules


@pytest.mark.parametrize("command", ["compile", "emit"])
@pytest.mark.parametrize("target", ["numba", "keras", "torch"])
def test_only_what_upc_wrote_is_replaced(capsys, folder, command, target):
    name = "tool"
    (folder / "faces.upc").write_text(FACES.replace("faces", name))
    (folder / f"{name}.py").write_text("import this\n")
    arguments = (command, "faces.upc", "--target", target, "-o", ".")
    code, out, err = upc(capsys, *arguments)
    assert (code, out) == (2, "") and "tool.py is there already, and upc did not write it" in err
    assert (folder / f"{name}.py").read_text() == "import this\n" and not (folder / f"{name}.safetensors").exists()
    if target == "numba" and command == "compile":
        return  # its machine code takes time, and is other tests' business
    assert upc(capsys, *arguments, "--force")[0] == 0
    assert upc(capsys, *arguments)[0] == 0, "what upc wrote is replaced without a word"


@pytest.mark.parametrize("name", ["numpy", "json", "this", "torch", "upc", "pytest", "antigravity"])
def test_a_module_does_not_hide_one_that_python_knows(capsys, folder, name):
    (folder / "faces.upc").write_text(FACES.replace("net faces", f"net {name}"))
    code, out, err = upc(capsys, "compile", "faces.upc", *KERAS)
    assert (code, out) == (2, "") and f"{name}.py would hide Python's module {name}" in err and "--name" in err
    assert os.listdir(folder) == ["faces.upc"]
    code, out, err = upc(capsys, "compile", "faces.upc", *KERAS, "--name", "mine")
    assert (code, out) == (0, "mine.safetensors\nmine.py\n")


def test_the_hint_of_a_refused_name_helps(capsys, folder):
    (folder / "setup.py").write_text("from setuptools import setup\n")
    (folder / "faces.upc").write_text(FACES.replace("net faces", "net setup"))
    code, _, err = upc(capsys, "compile", "faces.upc", *KERAS)
    assert code == 2 and "--name calls it something else" in err
    assert (folder / "setup.py").read_text() == "from setuptools import setup\n"


@pytest.mark.parametrize("name", ["a b", "9lives", "class", "../up", "", "é"])
def test_a_name_that_is_no_modules_is_refused(capsys, folder, name):
    with pytest.raises(SystemExit) as refused:
        main(["compile", "faces.upc", *KERAS, "--name", name])
    assert refused.value.code == 2 and not (folder / "faces.py").exists()


def test_a_renamed_numba_module_finds_its_weights(capsys, folder):
    assert upc(capsys, "compile", "--name", "portraits", "-o", "built", "--seed", 1)[0] == 0
    script = "import numpy as np, portraits; print(portraits.load()(np.ones((1, 2), np.float32)).shape)"
    done = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": "built"}, capture_output=True, timeout=120
    )
    assert (done.returncode, done.stdout) == (0, b"(1, 3)\n"), done.stderr


# The pair


def test_a_full_disk_leaves_the_old_pair_and_nothing_else(capsys, folder, monkeypatch):
    """The disk is full once the weights are written: the module that fits the old weights is not left with new ones."""
    assert upc(capsys, "compile", *KERAS, "-o", "built", "--seed", 1)[0] == 0
    before = {path.name: path.read_bytes() for path in (folder / "built").iterdir()}
    (folder / "faces.upc").write_text(FACES.replace("width=3", "width=4"))
    really = os.fsync
    calls: list[int] = []

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        really(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    arguments = ("compile", *KERAS, "--seed", 2, "--force")
    code, out, err = upc(capsys, *arguments, "-o", "built")
    assert (code, out) == (2, "") and err.endswith("cannot write built/faces.py: No space left on device\n")
    assert {path.name: path.read_bytes() for path in (folder / "built").iterdir()} == before
    assert upc(capsys, *arguments, "-o", "new/deep")[0] == 2
    assert not (folder / "new").exists()


def test_compiling_leaves_nothing_in_the_temporary_folder(folder, monkeypatch):
    place = folder / "temporary"
    place.mkdir()
    for more in (("compile", "faces.upc"), ("check", "faces.upc", "--targets", "reference,numba")):
        done = subprocess.run(
            [sys.executable, "-m", "upc", *more],
            env={**os.environ, "TMPDIR": str(place), "UPC_CACHE_DIR": "/proc/nowhere"},
            capture_output=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        assert os.listdir(place) == []
    assert sorted(path.name for path in Path().iterdir()) == ["faces.py", "faces.safetensors", "faces.upc", "temporary"]
