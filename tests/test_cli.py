"""The command line as a user meets it: what it prints, where, and the code it ends with."""

from __future__ import annotations

import importlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from upc import __version__, commands, limits
from upc.cli import main

EXAMPLES = Path(__file__).parents[1] / "examples"

SMALL = """\
net small(width=3) {
  input image: [4, 5, 2]
  up_sampling2d(2)
  conv2d(width, kernel_size=3, padding=same, activation=tanh)
  output picture
}
"""
FREE = "net free {\n  input image: [H, W, 1]\n  up_sampling2d([2, 3])\n  output picture\n}\n"
LATENT = (
    "net latent {\n  input z: [6]\n  dense(4 * 5 * 3, activation=sigmoid)\n  reshape(4, 5, 3)\n  output picture\n}\n"
)
TWO = """\
net two {
  input a: [4]
  input b: [4]
  dense(4)
  add(a) as total
  subtract(a) as rest
  output total, rest
}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text)
    return name


def upc(capsys, *arguments: object) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    try:
        code = main([str(a) for a in arguments])
    except SystemExit as stop:
        code = stop.code or 0
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def process(*arguments: str, **options: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-m", "upc", *arguments], capture_output=True, timeout=120, **options)


def test_it_works_where_python_drops_its_words(tmp_path):
    """`python -OO` leaves out the docstrings that the help is made of."""
    (tmp_path / "net.upc").write_text("net n {\n  input x: [2]\n  relu()\n  output y\n}\n")
    for arguments in (("--help",), ("ops", "conv2d"), ("summary", "net.upc")):
        done = subprocess.run(
            [sys.executable, "-OO", "-m", "upc", *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0 and done.stdout and not done.stderr


class TestWhole:
    def test_version(self, capsys):
        assert upc(capsys, "--version") == upc(capsys, "-V") == (0, f"upc {__version__}\n", "")

    def test_help_names_every_command_and_every_exit_code(self, capsys):
        code, out, _ = upc(capsys, "--help")
        assert code == 0
        assert all(f"    {name} " in out for name in commands.modules())
        assert all(f"\n  {number}  " in out for number in range(5))
        assert "diff" not in out
        assert all(f"  {name} " in out and f"{default:,}" in out for name, (default, _) in limits.table().items())

    @pytest.mark.parametrize(("typed", "meant"), [("sumary", "summary"), ("complie", "compile"), ("emitt", "emit")])
    def test_a_misspelt_command_is_guessed(self, capsys, typed, meant):
        code, out, err = upc(capsys, typed)
        assert (code, out) == (2, "") and f"did you mean {meant}?" in err

    def test_options_may_stand_between_files(self, capsys, folder):
        write(folder, "small.upc", SMALL)
        said = [
            upc(capsys, "weights", "import", *words)
            for words in (
                ("-D", "width=2", "small.upc", "none.keras"),
                ("small.upc", "-D", "width=2", "none.keras"),
                ("small.upc", "none.keras", "-D", "width=2"),
            )
        ]
        assert "none.keras" in said[0][2] and "unrecognized" not in said[0][2]
        assert said[0] == said[1] == said[2]

    @pytest.mark.parametrize(
        ("arguments", "redirections", "code", "words"),
        [
            (["summary", "-"], "<&-", 2, b"standard input: it is closed"),
            (["run", "-", "--input", "latent"], "<&-", 2, b"standard input: it is closed"),
            (["summary", str(EXAMPLES / "a1_up_sampling.upc")], ">&-", 2, b"standard output is closed"),
            (["summary", str(EXAMPLES / "a1_up_sampling.upc")], ">/dev/full", 2, b"No space left"),
            (["summary", str(EXAMPLES / "a1_up_sampling.upc")], "2>&- <&-", 0, b""),
            (["summary", "none.upc"], "2>&-", 2, b""),
        ],
    )
    def test_closed_and_full_streams_are_one_line(self, arguments, redirections, code, words):
        command = f'exec "{sys.executable}" -m upc {" ".join(arguments)} {redirections}'
        done = subprocess.run(["sh", "-c", command], capture_output=True, timeout=120)
        assert done.returncode == code and words in done.stderr
        assert b"Traceback" not in done.stderr and done.stderr.count(b"\n") <= 1

    def test_names_cannot_steer_the_terminal(self, capsys, folder):
        name = "a\x1b[2J\x9b1m\u202eb.upc"
        write(folder, name, "net n {\n input x: [4]\n dense(\x1b[31m)\n output y\n}\n")
        for arguments in (["summary", name], ["summary", f"none{name}"], ["paint\x1b[2J"], ["-v", "fmt", name]):
            _, out, err = upc(capsys, *arguments)
            assert not set(out + err) & set("\x1b\x9b\u202e") and "\\x1b[2J" in err, arguments

    @pytest.mark.parametrize("name", commands.modules())
    def test_each_command_explains_itself(self, capsys, name):
        code, out, _ = upc(capsys, name, "--help")
        assert code == 0 and out.startswith(f"usage: upc {name}")

    def test_alone_it_prints_its_help(self, capsys):
        code, out, err = upc(capsys)
        assert (code, err) == (0, "") and out.startswith("usage: upc") and "exit codes:" in out

    @pytest.mark.parametrize("arguments", [("paint",), ("summary", "--colour"), ("emit", "--target", "caffe")])
    def test_wrong_use_is_2(self, capsys, arguments):
        code, out, err = upc(capsys, *arguments)
        assert code == 2 and out == "" and "usage: upc" in err

    def test_module_runs_as_the_command_does(self):
        done = process("--version")
        assert (done.returncode, done.stdout) == (0, f"upc {__version__}\n".encode())

    def test_a_reader_that_leaves_is_no_error(self):
        file = EXAMPLES / "b5_dcgan_paper.upc"
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(
            [sys.executable, "-m", "upc", "summary", str(file)], stdout=writer, stderr=subprocess.PIPE, timeout=120
        )
        os.close(writer)
        assert (done.returncode, done.stderr) == (141, b"")

    def test_interruption_is_one_line(self, capsys, folder, monkeypatch):
        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("upc.pipeline.read", interrupt)
        assert upc(capsys, "summary", "x.upc") == (130, "", "upc: interrupted\n")


class TestOptionsAnywhere:
    @pytest.mark.parametrize(
        "words",
        [
            ("-D", "width=3", "a.upc", "m.pt"),
            ("a.upc", "-D", "width=3", "m.pt"),
            ("a.upc", "m.pt", "-D", "width=3"),
            ("a.upc", "-q", "-D", "width=3", "m.pt", "-o", "a.safetensors"),
        ],
    )
    def test_options_may_stand_between_files(self, capsys, folder, words):
        import torch

        write(folder, "a.upc", "net a(width=2) { input x: [2] dense(width) output y }")
        torch.save(torch.nn.Linear(2, 3).state_dict(), folder / "m.pt")
        assert upc(capsys, "weights", "import", *words)[0] == 0
        assert (folder / "a.safetensors").exists()

    def test_standard_input_is_still_a_file(self, capsys, folder, monkeypatch):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(SMALL.encode())))
        assert upc(capsys, "summary", "--net", "small", "-")[0] == 0

    def test_what_is_not_known_is_still_named(self, capsys, folder):
        with pytest.raises(SystemExit) as left:
            main(["weights", "import", "a.upc", "--nonsense", "m.pt"])
        assert left.value.code == 2 and "--nonsense" in capsys.readouterr().err


class TestFiles:
    def test_the_only_file_is_taken(self, capsys, folder):
        write(folder, "small.upc", SMALL)
        code, out, _ = upc(capsys, "summary")
        assert code == 0 and "small" in out

    def test_no_file_is_2(self, capsys, folder):
        code, out, err = upc(capsys, "summary")
        assert (code, out) == (2, "") and "there is no .upc file" in err

    def test_several_files_are_2_and_named(self, capsys, folder):
        write(folder, "a.upc", SMALL), write(folder, "b.upc", SMALL)
        code, out, err = upc(capsys, "summary")
        assert (code, out) == (2, "") and "a.upc, b.upc" in err

    def test_standard_input(self, capsys, folder, monkeypatch):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(SMALL.encode())))
        code, out, _ = upc(capsys, "summary", "-")
        assert code == 0 and "small" in out

    def test_missing_file_is_2(self, capsys, folder):
        code, out, err = upc(capsys, "summary", "none.upc")
        assert (code, out) == (2, "")
        assert err == "error[E0802]: cannot read none.upc: No such file or directory\n"

    @pytest.mark.parametrize("command", ["summary", "emit", "compile", "fmt", "lint"])
    def test_a_folder_is_one_clean_line(self, capsys, folder, command):
        code, out, err = upc(capsys, command, str(folder))
        assert (code in (2, 3), out, err.count("\n")) == (True, "", 1) and "error" in err

    def test_bytes_that_are_not_utf8_are_3(self, capsys, folder):
        (folder / "latin.upc").write_bytes(SMALL.encode() + b"# caf\xe9\n")
        code, out, err = upc(capsys, "summary", "latin.upc")
        assert (code, out) == (3, "") and "not UTF-8" in err

    @pytest.mark.parametrize("text", ["net broken {", "net broken { input x: [4] convv2d(3) output y }"])
    def test_wrong_source_is_3_with_its_place(self, capsys, folder, text):
        write(folder, "broken.upc", text)
        code, out, err = upc(capsys, "emit", "--target", "keras")
        assert (code, out) == (3, "") and err.startswith("broken.upc:1:")


class TestChoices:
    def test_defines(self, capsys, folder):
        write(folder, "small.upc", SMALL)
        tables = [json.loads(upc(capsys, "summary", "--json", *more)[1]) for more in ((), ("-D", "width=7"))]
        assert [t["params"] for t in tables] == [2 * 9 * 3 + 3, 2 * 9 * 7 + 7]

    @pytest.mark.parametrize("define", ["width", "wdith=3", "width=three"])
    def test_wrong_defines_are_2(self, capsys, folder, define):
        write(folder, "small.upc", SMALL)
        code, out, err = upc(capsys, "emit", "-D", define)
        assert (code, out) == (2, "") and "error[" in err

    def test_a_define_given_twice_is_2(self, capsys, folder):
        write(folder, "small.upc", SMALL)
        assert upc(capsys, "emit", "-D", "width=1", "-D", "width=2")[0] == 2

    def test_net_must_be_named_where_there_are_several(self, capsys, folder):
        write(folder, "nets.upc", SMALL + FREE)
        code, _, err = upc(capsys, "emit", "--target", "keras")
        assert code == 2 and "small, free" in err
        assert upc(capsys, "emit", "--target", "keras", "--net", "free")[0] == 0
        code, _, err = upc(capsys, "emit", "--target", "keras", "--net", "fre")
        assert code == 2 and "did you mean `free`" in err

    def test_color(self, capsys, folder, monkeypatch):
        monkeypatch.delenv("NO_COLOR", raising=False)
        write(folder, "broken.upc", "net broken {")
        assert "\x1b[" in upc(capsys, "summary", "--color", "always")[2]
        assert "\x1b[" in upc(capsys, "--color", "always", "summary")[2]
        for choice in ("never", "auto"):
            assert "\x1b[" not in upc(capsys, "--color", choice, "summary")[2]

    def test_quiet_hides_warnings_only(self, capsys):
        file = EXAMPLES / "c5_inverse_sigmoid.upc"
        assert "warning[" in upc(capsys, "summary", file)[2]
        assert upc(capsys, "summary", file, "-q")[2] == ""


class TestStages:
    @pytest.mark.parametrize("stage", ["tree", "ir", "plan", "source"])
    def test_each_stage_prints_and_writes_nothing(self, capsys, folder, stage):
        write(folder, "small.upc", SMALL)
        code, out, err = upc(capsys, "compile", "--emit", stage)
        assert (code, err) == (0, "") and "conv2d" in out
        assert os.listdir(folder) == ["small.upc"]

    def test_tree_and_ir_of_what_does_not_build(self, capsys, folder):
        write(folder, "broken.upc", "net broken { input x: [4] convv2d(3) output y }")
        assert upc(capsys, "compile", "--emit", "tree")[0] == 0
        assert upc(capsys, "compile", "--emit", "ir")[0] == 3


class TestWriting:
    @pytest.mark.parametrize("target", ["keras", "torch"])
    def test_emit_to_stdout_file_and_folder(self, capsys, folder, target):
        write(folder, "small.upc", SMALL)
        code, text, _ = upc(capsys, "emit", "--target", target)
        assert code == 0
        (folder / "code").mkdir()
        assert upc(capsys, "emit", "--target", target, "-o", "mine.py")[0] == 0
        assert upc(capsys, "emit", "--target", target, "-o", "code")[0] == 0
        assert (folder / "mine.py").read_text() == (folder / "code" / "small.py").read_text() == text

    def test_emit_into_a_missing_folder_is_2(self, capsys, folder):
        write(folder, "small.upc", SMALL)
        code, out, err = upc(capsys, "emit", "--target", "keras", "-o", "none/mine.py")
        assert (code, out, err.count("\n")) == (2, "", 1) and "cannot write none/mine.py: No such file" in err

    @pytest.mark.parametrize("target", ["keras", "torch"])
    def test_compile_writes_module_and_weights(self, capsys, folder, target):
        write(folder, "small.upc", SMALL)
        code, out, _ = upc(capsys, "compile", "--target", target, "-o", "built")
        assert code == 0 and out.split() == ["built/small.safetensors", "built/small.py"]
        assert sorted(os.listdir(folder / "built")) == ["small.py", "small.safetensors"]

    def test_a_compiled_module_stands_alone(self, capsys, folder):
        write(folder, "small.upc", SMALL)
        assert upc(capsys, "compile", "-o", "built", "--seed", 5)[0] == 0
        image = np.random.RandomState(1).random_sample((2, 4, 5, 2)).astype(np.float32)
        np.save(folder / "in.npy", image)
        code = "import numpy as np, small; np.save('out', small.load()(np.load('in.npy')))"
        code += "; import sys; print('upc' in sys.modules)"
        done = subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": "built"}, capture_output=True, timeout=120
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, b"False\n", b"")
        assert (
            upc(capsys, "run", "--target", "reference", "--input", "in.npy", "--seed", 5, "-o", "expected.npy")[0] == 0
        )
        np.testing.assert_allclose(np.load(folder / "out.npy"), np.load(folder / "expected.npy"), atol=2e-6)

    def test_same_seed_same_weights(self, capsys, folder):
        write(folder, "small.upc", SMALL)
        for name, seed in (("a", 1), ("b", 1), ("c", 2)):
            assert upc(capsys, "compile", "--target", "keras", "-o", name, "--seed", seed)[0] == 0
        a, b, c = ((folder / name / "small.safetensors").read_bytes() for name in "abc")
        assert a == b != c

    def test_compile_onto_a_file_is_2(self, capsys, folder):
        write(folder, "small.upc", SMALL), write(folder, "taken", "")
        code, out, err = upc(capsys, "compile", "--target", "keras", "-o", "taken")
        assert (code, out) == (2, "") and "is a file" in err

    def test_nothing_is_written_when_weights_are_wrong(self, capsys, folder):
        write(folder, "small.upc", SMALL), write(folder, "bad.safetensors", "not weights")
        code, out, err = upc(capsys, "compile", "--target", "keras", "-o", "built", "--weights", "bad.safetensors")
        assert code in (2, 3) and out == "" and "safetensors" in err
        assert not (folder / "built").exists()

    def test_a_folder_that_cannot_be_written_is_one_line(self, capsys, folder, monkeypatch):
        write(folder, "small.upc", SMALL)

        really = os.open

        def refuse(path: object, flags: int, *more: object, **named: object) -> int:
            if flags & os.O_CREAT:
                raise PermissionError(13, "Permission denied", path)
            return really(path, flags, *more, **named)

        monkeypatch.setattr("upc.files.os.open", refuse)
        code, out, err = upc(capsys, "compile", "--target", "keras", "-o", "built")
        assert (code, out) == (2, "")
        assert err.endswith("error[E0803]: cannot write built/small.safetensors: Permission denied\n")
        assert not (folder / "built").exists()


class TestRun:
    """With the reference: what the net computes is other tests' business."""

    def run(self, capsys, *arguments):
        return upc(capsys, "run", "--target", "reference", *arguments)

    def test_latents_become_a_sheet_of_pictures(self, capsys, folder):
        write(folder, "latent.upc", LATENT)
        code, out, _ = self.run(capsys, "--input", "latent", "-n", 6, "-o", "sheet.png")
        assert code == 0 and "picture: (6, 4, 5, 3)" in out
        from PIL import Image

        with Image.open(folder / "sheet.png") as sheet:
            assert (sheet.size, sheet.mode) == ((3 * 5 + 2 * 2, 2 * 4 + 2), "RGB")

    def test_the_seed_draws_the_latents(self, capsys, folder):
        write(folder, "latent.upc", LATENT)
        for name, seed in (("a", 3), ("b", 3), ("c", 4)):
            assert self.run(capsys, "--input", "latent", "--seed", seed, "-o", f"{name}.npy")[0] == 0
        a, b, c = (np.load(folder / f"{name}.npy") for name in "abc")
        assert a.shape == (16, 4, 5, 3) and (a == b).all() and (a != c).any()

    def test_a_picture_is_mapped(self, capsys, folder):
        from PIL import Image

        write(folder, "free.upc", FREE)
        levels = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
        Image.fromarray(levels).save(folder / "in.png")
        assert self.run(capsys, "--input", "in.png", "-o", "out.png")[0] == 0
        with Image.open(folder / "out.png") as picture:
            assert np.array_equal(np.asarray(picture), levels.repeat(2, 0).repeat(3, 1))

    def test_arrays_with_and_without_a_batch(self, capsys, folder):
        write(folder, "small.upc", SMALL)
        image = np.random.RandomState(0).random_sample((4, 5, 2)).astype(np.float32)
        np.save(folder / "one.npy", image)
        np.save(folder / "batch.npy", image[None])
        for name in ("one", "batch"):
            assert self.run(capsys, "--input", f"{name}.npy", "-o", f"{name}_out.npy")[0] == 0
        one = np.load(folder / "one_out.npy")
        assert one.shape == (1, 8, 10, 3) and (one == np.load(folder / "batch_out.npy")).all()

    def test_several_inputs_and_outputs(self, capsys, folder):
        write(folder, "two.upc", TWO)
        a, b = np.ones((2, 4), np.float32), np.zeros((2, 4), np.float32)
        np.save(folder / "a.npy", a), np.save(folder / "b.npy", b)
        assert self.run(capsys, "--input", "b=b.npy", "--input", "a=a.npy", "-o", "out.npz")[0] == 0
        with np.load(folder / "out.npz") as found:
            assert (found["total"] == 1).all() and (found["rest"] == 0).all()
        code, _, err = self.run(capsys, "--input", "b=b.npy", "--input", "a=a.npy", "-o", "out.npy")
        assert code == 2 and ".npz" in err

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (("--input", "none.npy"), "No such file"),
            (("--input", "wrong.npy"), "(4, 5, 2)"),
            (("--input", "bytes.npy"), "uint8"),
            (("--input", "broken.npy"), "not an .npy file"),
            (("--input", "small.upc"), "cannot tell"),
            (("--input", "other=ok.npy"), "no input other"),
            (("--input", "ok.npy", "--input", "ok.npy"), "twice"),
            (("--input", "ok.npy", "-o", "out.jpg"), ".npy, .npz or .png"),
            (("--input", "ok.npy", "--weights", "none.safetensors"), "none.safetensors"),
            (("--input", "ok.npy", "-n", "0"), "argument -n: expected a number from 1 on, got 0"),
            (("--input", "in.png"), "2"),
        ],
    )
    def test_wrong_inputs_are_clear(self, capsys, folder, arguments, words):
        write(folder, "small.upc", SMALL), write(folder, "broken.npy", "x"), write(folder, "in.png", "x")
        np.save(folder / "ok.npy", np.zeros((4, 5, 2), np.float32))
        np.save(folder / "wrong.npy", np.zeros((5, 4, 2), np.float32))
        np.save(folder / "bytes.npy", np.zeros((4, 5, 2), np.uint8))
        code, out, err = self.run(capsys, "small.upc", *arguments)
        assert code in (2, 3) and out == "" and words in err and "Traceback" not in err

    def test_without_pillow_is_4(self, capsys, folder, monkeypatch):
        write(folder, "free.upc", FREE)
        monkeypatch.setitem(sys.modules, "PIL.Image", None)
        code, out, err = self.run(capsys, "--input", "in.png")
        assert (code, out) == (4, "") and "pip install 'upc[pictures]'" in err


class TestFormatAndLint:
    def test_fmt_writes_the_canonical_layout_once(self, capsys, folder):
        untidy = SMALL.replace("  up_sampling2d(2)", "up_sampling2d( 2 )   # twice")
        write(folder, "small.upc", untidy)
        code, out, err = upc(capsys, "fmt", "--check")
        assert code == 1 and "small.upc" in out + err and (folder / "small.upc").read_text() == untidy
        assert upc(capsys, "fmt")[0] == 0
        tidy = (folder / "small.upc").read_text()
        assert "  up_sampling2d(2)" in tidy and "# twice" in tidy
        assert upc(capsys, "fmt", "--check")[0] == 0

    def test_fmt_of_standard_input_prints(self, capsys, folder, monkeypatch):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(SMALL.replace("(2)", "( 2 )").encode())))
        assert upc(capsys, "fmt", "-") == (0, SMALL, "")

    @pytest.mark.parametrize(
        ("sizes", "words"),
        [
            (["H=1", "W=1"], "H = 1 does not fit n"),
            (["Q=3"], "there is no free size Q"),
            (["H=3", "W=0"], "expected a size like H=64, got W=0"),
        ],
    )
    def test_a_summary_with_sizes_that_cannot_be_is_2(self, capsys, tmp_path, sizes, words):
        path = tmp_path / "net.upc"
        path.write_text("net n {\n  input x: [H, W, 1]\n  max_pooling2d(1000)\n  conv2d(2, [3, 1])\n  output y\n}\n")
        code, out, err = upc(capsys, "summary", path, *(word for size in sizes for word in ("--size", size)))
        assert code == 2 and not out and words in err
        assert upc(capsys, "summary", path, "--size", "H=3000", "--size", "W=1000")[0] == 0

    def test_a_file_of_another_kind_is_named(self, capsys, tmp_path):
        for name, words in (("kdec.py", "is a Python module, not a .upc file"), ("m.keras", "upc weights import")):
            (tmp_path / name).write_text("import keras\nmodel = keras.Sequential()\n")
            for command in (["run", tmp_path / name, "--input", "latent"], ["summary", tmp_path / name]):
                code, out, err = upc(capsys, *command)
                assert code == 2 and not out and words in err and err.count("error") == 1
        assert "No such file" in upc(capsys, "summary", tmp_path / "none.py")[2]

    def test_lint_says_all_that_a_place_is_blamed_for(self, capsys, tmp_path):
        """Of two sizes that must be even, and of two uses of a block, neither is lost."""
        path = tmp_path / "net.upc"
        path.write_text(
            "block up(k) {\n  conv2d_transpose(2, k, strides=2, padding=same)\n}\n"
            "net n {\n  input x: [H, W, 2]\n  relu() as before\n  max_pooling2d(2)\n  up(3)\n  concatenate(before)\n"
            "  up(5)\n  output y\n}\n"
        )
        code, out, err = upc(capsys, "lint", path)
        assert code == 1 and not out
        for words in ("H must be even", "W must be even", "kernel_size 3 ", "kernel_size 5 ", "in `up`, called here"):
            assert words in err
        assert err.count("warning[") == 4

    def test_lint_finds_uneven_overlap(self, capsys, folder):
        write(folder, "small.upc", SMALL)
        assert upc(capsys, "lint")[0] == 0
        code, out, err = upc(capsys, "lint", EXAMPLES / "b2_transpose.upc")
        assert code == 1 and "stride" in out + err

    def test_every_example_is_in_canonical_layout(self, capsys):
        for file in EXAMPLES.glob("*.upc"):
            assert upc(capsys, "fmt", "--check", file)[0] == 0, file


class TestOps:
    def test_every_layer_is_listed(self, capsys):
        from upc.layers import LAYERS

        code, out, _ = upc(capsys, "ops")
        assert code == 0 and {line.split("(")[0] for line in out.splitlines()} == set(LAYERS)

    def test_one_layer_is_explained(self, capsys):
        code, out, _ = upc(capsys, "ops", "pixel_shuffle")
        assert code == 0 and "order" in out and "Shape:" in out

    @pytest.mark.parametrize(
        ("target", "table"),
        [
            ("numba", "upc.plan.lowerings.LOWERINGS"),
            ("keras", "upc.emit.keras_spelling.SPELLINGS"),
            ("torch", "upc.emit.torch_spelling.SPELLINGS"),
        ],
    )
    def test_every_target_says_what_it_can_do(self, capsys, monkeypatch, target, table):
        from upc.gaps import Unsupported
        from upc.layers import LAYERS
        from upc.layers.activations import Selu

        module, _, name = table.rpartition(".")
        monkeypatch.setitem(getattr(importlib.import_module(module), name), Selu, Unsupported("for once"))
        code, out, _ = upc(capsys, "ops", "--target", target)
        said = dict.fromkeys(LAYERS, "") | {"selu": ": for once"}
        assert code == 0 and out == "".join(f"{name}{gap}\n" for name, gap in said.items())

    def test_a_misspelt_layer_is_2(self, capsys):
        code, out, err = upc(capsys, "ops", "pixelshuffle")
        assert (code, out) == (2, "") and "pixel_shuffle" in err
