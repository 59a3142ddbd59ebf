"""`upc bench`, `upc profile` and `upc warmup`, by what they print and leave behind."""

from __future__ import annotations

import ast
import importlib.util
import json
import math
import os
import struct
import subprocess
import sys
import xml.etree.ElementTree as xml
from pathlib import Path

import numpy as np
import pytest

from upc import pipeline, weights
from upc.bench import chart, process, profile, race, report
from upc.cli import main
from upc.emit.numba import carried_runtime
from upc.load_numba import load_module

NET = """net small {
  input x: [H, W, 3]
  conv2d(5, kernel_size=3, padding=same, activation=relu)
  conv2d_transpose(2, kernel_size=4, strides=2, padding=same, activation=tanh)
  output y
}
"""
MACS = 6 * 4 * (9 * 3 * 5 + 16 * 5 * 2)


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    path = tmp_path_factory.mktemp("bench") / "small.upc"
    path.write_text(NET)
    return path


def bench(net: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "upc", "bench", str(net), "--bursts", "2", "--seconds", "0.02", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def raced(net):
    """One race of all that can be read from one: two peers, JSON and a chart."""
    picture = net.with_name("chart.svg")
    done = bench(
        net,
        *("--batch", "1", "--against", "torch,onnxruntime", "--size", "H=6,W=4"),
        "--json",
        "--chart",
        str(picture),
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), picture


def test_every_engine_has_a_row(raced):
    rows = raced[0]["rows"]
    assert [(row["engine"], row["batch"]) for row in rows] == [("upc", 1), ("torch", 1), ("onnxruntime", 1)]


def test_a_row_holds_what_was_measured(raced):
    found, _ = raced
    for row in found["rows"]:
        low, high = row["spread_s"]
        assert 0 < row["fastest_s"] <= low <= row["median_s"] <= high
        assert len(row["bursts_s"]) == 2
        assert row["macs"] == MACS
        assert row["effective_gflops"] == pytest.approx(2e-9 * MACS * row["batch"] / row["median_s"])
        assert row["peak_share"] == pytest.approx(row["effective_gflops"] / found["machine"]["gflops"])
        assert row["error"] < 1e-5
        assert 20e6 < row["rss_bytes"] < 4e9
        assert row["start_s"] > 0.05
        assert row["idle_s"] > 0
        floats = 9 * 3 * 5 + 5 + 16 * 5 * 2 + 2 + row["batch"] * (6 * 4 * 3 + 12 * 8 * 2)
        assert row["traffic_bytes"] == 4 * floats


def test_the_ratio_is_the_fastest_others_median_over_a_rows_own(raced):
    rows = raced[0]["rows"]
    fastest = min(row["median_s"] for row in rows if row["engine"] != "upc")
    for row in rows:
        assert row["ratio"] == pytest.approx(fastest / row["median_s"])


def test_the_machine_is_described_by_its_limits_and_versions_and_not_by_its_name(raced):
    machine = raced[0]["machine"]
    assert machine["gflops"] > 1
    assert machine["bytes_per_s"] > 1e8
    assert {"upc", "numba", "torch", "onnxruntime"} <= machine["versions"].keys()
    assert os.uname().nodename not in json.dumps(machine)


def test_the_chart_has_a_bar_for_every_row(raced):
    found, picture = raced
    root = xml.parse(picture).getroot()
    words = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    for row in found["rows"]:
        assert report.duration(row["median_s"]) in words
    assert {"batch 1", "upc", "torch", "onnxruntime"} <= set(words)


def test_alone_and_without_frameworks_it_prints_a_table(net):
    done = bench(net, "--batch", "2,3", "--against", "none", "--size", "H=5,W=7", "--threads", "1")
    assert done.returncode == 0, done.stderr
    assert "1 thread:" in done.stdout
    lines = done.stdout.splitlines()
    assert [line.split(":")[0] for line in lines if line.startswith("batch")] == ["batch 2", "batch 3"]
    assert len([line for line in lines if line.startswith("upc ")]) == 2


def test_peers_that_are_not_installed_are_named(monkeypatch):
    monkeypatch.setattr(race, "find_spec", lambda name: None if name == "onnx" else object())
    there, missing = race.installed(("torch", "openvino"))
    assert there == ["torch"]
    assert missing == {"openvino": "onnx not installed"}


@pytest.mark.parametrize(
    ("against", "left_out", "disagreeing", "code"),
    [
        (["--against", "nosuch"], {"nosuch": "nosuch not installed"}, [], 4),
        ([], {"nosuch": "nosuch not installed"}, [], 0),
        ([], {"torch": "RuntimeError: no"}, [], 1),
        ([], {}, ["torch at batch 1: 2.0e-01 of the output's scale away"], 1),
    ],
)
def test_the_exit_code_says_who_could_not_race(net, monkeypatch, capsys, against, left_out, disagreeing, code):
    machine = {"cpu": "x", "threads": 1, "gflops": 1.0, "bytes_per_s": 1e9, "load": 0.0}
    result = race.Result(machine, [], left_out, disagreeing)
    monkeypatch.setitem(race.PEERS, "nosuch", ("no_such_module",))
    monkeypatch.setattr(race, "race", lambda *given, **named: result)
    assert main(["bench", str(net), *against]) == code
    said = capsys.readouterr().err
    assert all(words in said for words in (*left_out.values(), *disagreeing))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--against", "onnxruntim", "--size", "H=6,W=4"), "did you mean onnxruntime"),
        ((), "--size H=64,W=64"),
        (("--size", "H=6,W=4,C=3"), "no free size C"),
    ],
)
def test_wrong_use_is_explained(net, capsys, arguments, words):
    assert main(["bench", str(net), *arguments]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [("--batch", "0"), ("--batch", "1,x"), ("--size", "H"), ("--chart", "x.pdf")])
def test_wrong_values_are_refused_by_the_parser(net, arguments):
    with pytest.raises(SystemExit) as refused:
        main(["bench", str(net), *arguments])
    assert refused.value.code == 2


def test_an_engine_that_computes_something_else_is_not_timed(net, monkeypatch):
    graph = pipeline.graph(pipeline.tree(pipeline.read(str(net))))
    arrays = {key: np.ones(weight.shape, np.float32) for key, weight, _ in graph.weights()}
    emit = race.pipeline.emit

    def wrong(given, target, *how):
        text = emit(given, target, *how)
        return text.replace("torch.tanh(", "torch.sigmoid(") if target == "torch" else text

    monkeypatch.setattr(race.pipeline, "emit", wrong)
    sizes = {"H": 5, "W": 7}
    found = race.race(graph, arrays, batches=(2,), against=("torch",), bursts=1, seconds=0.01, sizes=sizes)
    assert [row["engine"] for row in found.rows] == ["upc"]
    assert found.rows[0]["ratio"] is None
    assert found.disagreeing[0].startswith("torch at batch 2")


@pytest.mark.skipif(not Path("/proc").exists(), reason="reads the state of a process")
def test_a_waiting_worker_is_stopped_and_an_ended_one_is_gone(tmp_path):
    job = tmp_path / "job.json"
    job.write_text('{"threads": 1}')
    with process.Worker("silicon", job, 1, tmp_path) as worker:
        pid = worker._process.pid

        def state() -> str:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]

        assert state() == "T"
        assert worker.ask(do="burst")["gflops"] > 0
        assert state() == "T"
    assert not Path(f"/proc/{pid}").exists()


def test_a_worker_that_cannot_start_says_why(tmp_path):
    job = tmp_path / "job.json"
    job.write_text('{"threads": 1, "sources": {"numba": "nowhere.py"}}')
    with pytest.raises(process.WorkerFailed, match=r"nowhere\.py"):
        process.Worker("upc", job, 1, tmp_path)


def test_pictures_have_the_size_they_say(tmp_path):
    groups = [chart.Group("a & b", {"upc": 1e-4, "torch": 3e-4}), chart.Group("c", {"upc": 2.0, "torch": 1.0})]
    drawn = chart.scene("<title>", groups)
    data = chart.png(drawn)
    assert data.startswith(b"\x89PNG")
    assert struct.unpack(">II", data[16:24]) == (2 * drawn.width, 2 * drawn.height)
    root = xml.fromstring(chart.svg(chart.stacked([drawn, drawn])))
    assert (root.get("width"), root.get("height")) == (str(drawn.width), str(2 * drawn.height))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(1.234e-6, "1.23 µs"), (9.999e-5, "100 µs"), (0.0123, "12.3 ms"), (1.0, "1.00 s"), (123.4, "123 s")],
)
def test_durations_have_three_digits(seconds, words):
    assert report.duration(seconds) == words


def test_the_geometric_mean_is_the_root_of_the_product():
    assert report.geometric_mean([1.0, 4.0, 2.0]) == pytest.approx(2.0)
    assert report.geometric_mean([]) is None


def test_a_profile_has_the_time_and_work_of_every_step(net, capsys):
    arguments = ["--size", "H=6,W=4", "--batch", "3", "--threads", "1", "--json"]
    assert main(["profile", str(net), *arguments]) == 0
    found = json.loads(capsys.readouterr().out)
    steps = {step["name"]: step for step in found["steps"]}
    assert {"conv2d", "conv2d_transpose"} <= steps.keys()
    assert steps["conv2d"]["line"] == 3
    assert steps["conv2d_transpose"]["line"] == 4
    assert all(step["seconds"] > 0 for step in found["steps"])
    assert sum(step["seconds"] for step in found["steps"]) < found["call_s"]
    assert found["multiply_adds"] == 3 * MACS
    # Nothing is multiplied with an inserted zero: the steps do not do more than the layers count by far.
    assert 3 * MACS <= sum(step["multiply_adds"] for step in found["steps"]) < 9 * MACS
    weights = 4 * (16 * 5 * 2 + 2)
    assert steps["conv2d_transpose"]["traffic_bytes"] == weights + 3 * 4 * (6 * 4 * 5 + 12 * 8 * 2)


def test_a_profiles_table_says_which_limit_each_step_meets():
    machine = {"cpu": "x", "threads": 1, "gflops": 10.0, "bytes_per_s": 1e9}
    adding = profile.StepTime("wide", 7, "convolution", 2e-3, 5_000_000, 1000)
    moving = profile.StepTime("thin", 8, "resize", 1e-3, 0, 250_000)
    lines = profile.table(profile.Profile("n", 2, machine, 4e-3, 9_000_000, (adding, moving))).splitlines()
    rows = {line.split()[0]: line for line in lines if line}
    assert rows["wide:7"].endswith("50% fma")
    assert "50.0%" in rows["wide:7"]
    assert rows["thin:8"].endswith("25% memory")
    assert rows["outside"].split()[-3:] == ["1.00", "ms", "25.0%"]


@pytest.mark.parametrize("threads", [1, 2])
def test_every_step_is_stamped(net, threads):
    graph = pipeline.graph(pipeline.tree(pipeline.read(str(net))))
    module = load_module(graph, "auto", 1)
    loaded = module.load(weights.initialize(graph, 0), threads)
    (x,) = race.random_inputs(graph, 3, {"H": 9, "W": 5}, 0)
    loaded(x)
    stamps = np.zeros(1 + len(module.NETWORK.steps), np.int64)
    loaded.stamp(stamps)
    stamped = loaded(x)
    assert np.all(stamps > 0)
    loaded.stamp(None)
    before = stamps.copy()
    np.testing.assert_array_equal(loaded(x), stamped)
    np.testing.assert_array_equal(stamps, before)


def test_warmup_leaves_machine_code_that_a_load_finds(net, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("UPC_CACHE_DIR", str(tmp_path / "cache"))
    assert main(["compile", str(net), "-o", str(tmp_path)]) == 0
    for code in (tmp_path / "cache").rglob("*"):
        if code.is_file():
            code.unlink()
    (tmp_path / "small.safetensors").unlink()
    capsys.readouterr()
    assert main(["warmup", str(tmp_path / "small.py")]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "cache")
    left = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*") if path.is_file()}
    assert left
    script = "import numpy as np, small; small.load({k: np.zeros(s, 'f4') for k, s in small.NETWORK.weights.items()})"
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*") if path.is_file()}
    assert after == left


def test_warmup_compiles_the_nets_of_a_source(net, tmp_path, monkeypatch):
    monkeypatch.setenv("UPC_CACHE_DIR", str(tmp_path))
    assert main(["warmup", str(net)]) == 0
    assert any(path.is_file() for path in tmp_path.rglob("*"))


def test_warmup_has_no_say_in_how_a_written_module_computes(tmp_path, capsys):
    for more in (["--batch", "64"], ["--algorithm", "exact"]):
        assert main(["warmup", str(tmp_path / "small.py"), *more]) == 2
        assert "a module is one net" in capsys.readouterr().err


def test_warmup_runs_nothing_that_upc_did_not_write(tmp_path, capsys):
    other = tmp_path / "other.py"
    other.write_text("raise SystemExit('was run')")
    assert main(["warmup", str(other)]) == 2
    assert "no Numba module" in capsys.readouterr().err


def test_speeds_in_a_chart_are_relative_to_the_fastest_other():
    group = chart.Group("x", {"upc": 1.0, "torch": 4.0, "openvino": 3.0})
    assert group.fastest_peer == 3.0
    assert math.isclose(chart.Group("x", {"upc": 2.0}).fastest_peer, 2.0)


def test_every_technique_can_be_switched_off():
    """The benchmark of techniques changes the runtime's text: it must still be there to be changed."""
    spec = importlib.util.spec_from_file_location(
        "techniques", Path(__file__).parents[1] / "benchmarks" / "techniques.py"
    )
    techniques = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = techniques
    spec.loader.exec_module(techniques)
    _, runtime = carried_runtime()
    for technique in techniques.TECHNIQUES:
        if isinstance(technique.off, tuple):
            assert technique.off[0] in runtime, technique.name
            ast.parse(runtime.replace(*technique.off))
            continue
        case, batch = technique.cases[0]
        graph = techniques._graph(case)
        with technique.off():
            without = pipeline.emit(graph, "numba", batch=batch)
        assert without != pipeline.emit(graph, "numba", batch=batch), technique.name
