"""`upc check`: what it compares, what it says, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from upc import weights as canonical
from upc.build import compile_source
from upc.check import check, check_results, engines, pose
from upc.check.bound import longest_sums
from upc.check.compare import difference
from upc.check.inner import first_parting
from upc.check.problem import choose_sizes, several_sizes
from upc.check.report import table
from upc.cli import main
from upc.diagnostics import UpcError
from upc.source import Source

CORPUS = Path(__file__).parent / "corpus" / "ok"

TEXT = """
net small {
  input image: [4, 5, 3]
  conv2d_transpose(2, 3, strides=2, padding=same, activation=relu)
  batch_normalization()
  output large
}
"""

FREE = """
net free {
  input image: [H, W, 3]
  max_pooling2d() as half
  up_sampling2d()
  add(image)
  output result
}
"""


def graph_of(text):
    return compile_source(Source("net.upc", text))


@pytest.fixture
def net(tmp_path):
    path = tmp_path / "net.upc"
    path.write_text(TEXT)
    return path


def test_targets_that_agree_end_with_0(net, capsys):
    assert main(["check", str(net), "--targets", "reference,torch"]) == 0
    said = capsys.readouterr().out
    assert "reference - torch" in said and "all agree" in said and "bound of large" in said


def test_json_holds_every_pair_and_nothing_else(net, capsys):
    assert main(["check", str(net), "--targets", "reference,torch,onnxruntime", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"ok", "pairs"} and found["ok"] is True
    assert all(set(pair) == {"a", "b", "max_abs", "max_rel", "ulp"} for pair in found["pairs"])
    assert [(pair["a"], pair["b"]) for pair in found["pairs"]] == [
        ("reference", "torch"),
        ("reference", "onnxruntime"),
        ("torch", "onnxruntime"),
    ]


def test_a_mismatch_ends_with_1_and_names_its_cause(net, tmp_path, capsys):
    main(["emit", str(net), "--target", "torch", "-o", str(tmp_path / "net.py")])
    edited = tmp_path / "edited.py"
    edited.write_text((tmp_path / "net.py").read_text().replace("eps=0.001", "eps=1e-05"))
    arguments = ["check", str(net), "--targets", "reference,torch", "--source", f"torch={edited}"]
    capsys.readouterr()
    assert main(arguments) == 1
    said = capsys.readouterr().out
    assert "differs" in said and "epsilon 1e-05 in place of 0.001" in said
    assert f"batch_normalization ({net}:5:3)" in said
    assert main([*arguments, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["ok"] is False


def test_a_target_that_is_not_installed_ends_with_4(net, monkeypatch, capsys):
    found = engines.importlib.util.find_spec
    monkeypatch.setattr(engines.importlib.util, "find_spec", lambda name: None if name == "torch" else found(name))
    assert main(["check", str(net), "--targets", "reference,torch"]) == 4
    assert "needs torch, which is not installed" in capsys.readouterr().err


def test_without_targets_what_is_left_out_is_said(monkeypatch):
    found = engines.importlib.util.find_spec
    gone = ("numba", "torch", "keras")
    monkeypatch.setattr(engines.importlib.util, "find_spec", lambda name: None if name in gone else found(name))
    chosen, left_out = engines.choose(None)
    assert chosen == ("reference",)
    assert left_out["numba"] == "numba" and left_out["keras[jax]"] == "keras" and left_out["onnxruntime"] == "torch"


def test_a_check_that_compared_nothing_is_not_ok():
    posed = pose(graph_of(TEXT))
    alone = check_results([posed], ["reference"], [{}])
    assert not alone.ok and alone.exit_code == 1
    failed = check_results([posed], ["reference", "torch"], [{"torch": engines.Failure("it stopped")}])
    assert not failed.ok and failed.exit_code == 1 and "torch gave no result: it stopped" in table(failed)


def test_a_target_without_words_for_a_layer_is_left_out():
    posed = pose(graph_of(TEXT))
    gap = engines.Failure("no words for relu", unsupported=True)
    found = check_results([posed], ["reference", "numba", "torch"], [{"numba": posed.expected, "torch": gap}])
    assert found.ok and found.exit_code == 0
    assert "left out: torch (no words for relu)" in table(found) and "all agree" in table(found)
    alone = check_results([posed], ["reference", "torch"], [{"torch": gap}])
    assert not alone.ok and alone.exit_code == 1 and "nothing was compared" in table(alone)


def test_keras_stands_for_all_its_backends():
    assert engines.choose(["keras"])[0] == ("keras[tensorflow]", "keras[jax]", "keras[torch]")


def test_numba_with_other_algorithms_and_narrower_vectors(tmp_path, monkeypatch):
    monkeypatch.setenv("UPC_CACHE_DIR", str(tmp_path))
    graph = graph_of(
        "net n {\n  input x: [9, 7, 40]\n  conv2d_transpose(36, 4, strides=2, padding=same)\n  output y\n}\n"
    )
    found = check(graph, targets=list(engines.variants()))
    assert found.ok and found.targets == engines.variants()
    gaps = {(pair["a"], pair["b"]): pair["max_abs"] for pair in found.pairs()}
    assert gaps["numba[exact]", "numba[128]"] < gaps["numba[exact]", "numba[fast]"]
    stamps = {path.name.split("-")[1] for path in tmp_path.rglob("*.code")}
    assert len(stamps) == 3, "each width has machine code of its own"
    assert any(path.name.startswith("multiply_panel") for path in tmp_path.rglob("*.code")), "fast is filtered"


@pytest.mark.parametrize(
    "arguments", [["--targets", "pytorch"], ["--targets", ","], ["--size", "H"], ["--size", "Q=3"]]
)
def test_wrong_use_ends_with_2(net, arguments, capsys):
    assert main(["check", str(net), *arguments]) == 2
    assert "error" in capsys.readouterr().err


def test_one_target_alone_is_compared_with_the_reference():
    found = check(graph_of(TEXT), targets=["torch"])
    assert found.ok and found.targets == ("reference", "torch")


def test_weights_from_a_file_are_used(net, tmp_path, capsys):
    graph = graph_of(TEXT)
    path = tmp_path / "w.safetensors"
    canonical.save(path, canonical.initialize(graph, 3))
    assert main(["check", str(net), "--weights", str(path), "--targets", "reference,torch"]) == 0
    path.write_bytes(b"no weights")
    assert main(["check", str(net), "--weights", str(path), "--targets", "reference,torch"]) != 0


def test_several_sizes_are_tried_and_the_smallest_among_them():
    assert several_sizes(graph_of(TEXT), {}) == [{}]
    assert several_sizes(graph_of(FREE), {}) == [
        *({"H": 6, "W": 8}, {"H": 2, "W": 2}, {"H": 2, "W": 8}, {"H": 6, "W": 2})
    ]
    assert several_sizes(graph_of(FREE), {"W": 12}) == [{"H": 6, "W": 12}, {"H": 2, "W": 12}]
    assert several_sizes(graph_of(FREE), {"H": 4, "W": 12}) == [{"H": 4, "W": 12}]
    alike = graph_of(
        "net n {\n  input a: [H, 5, 2]\n  input b: [W, 5, 2]\n  conv2d(2, 3) as c\n"
        "  from a { conv2d(2, 3) } as d\n  from c { add(d) } as y\n  output y\n}\n"
    )
    assert several_sizes(alike, {}) == [{"H": 6, "W": 6}, {"H": 3, "W": 3}]
    unet = compile_source(Source("unet.upc", (CORPUS / "unet.upc").read_text()))
    assert several_sizes(unet, {})[1] == {"H": 4, "W": 4}


def test_a_net_is_run_at_all_these_sizes(tmp_path, capsys):
    path = tmp_path / "free.upc"
    path.write_text(FREE)
    assert main(["check", str(path), "--targets", "reference,torch"]) == 0
    said = capsys.readouterr().out
    assert "also run at H=2, W=2; H=2, W=8; H=6, W=2: none differs" in said and "(2, 6, 8, 3)" in said


def test_a_difference_at_the_smallest_size_alone_is_found():
    """A target that gives the reference's own results, but for one size."""
    graph = graph_of(FREE)
    problems = [pose(graph, sizes=sizes) for sizes in several_sizes(graph, {})]
    results = [{"torch": posed.expected} for posed in problems]
    results[1] = {"torch": tuple(x + 1 for x in problems[1].expected)}
    found = check_results(problems, ["reference", "torch"], results)
    assert not found.ok and [c.sizes for c in found.comparisons if not c.ok] == [{"H": 2, "W": 2}]
    said = table(found)
    assert "(2, 2, 2, 3)" in said and "also run at H=2, W=8; H=6, W=2: none differs" in said


def test_free_sizes_are_chosen_so_that_the_net_can_work():
    sizes = choose_sizes(graph_of(FREE), {})
    assert sizes["H"] % 2 == 0 and sizes["W"] % 2 == 0 and sizes["H"] != sizes["W"]
    assert choose_sizes(graph_of(FREE), {"H": 12})["H"] == 12


def in_parts_of(*counts: int) -> str:
    """A net that takes heights and widths which all of these divide."""
    around = (f"  from start {{ max_pooling2d({n}) up_sampling2d({n}) add(start) }} as y{n}\n" for n in counts)
    outputs = "\n".join(f"  output y{n}" for n in counts)
    return f"net parts {{\n  input x: [H, W, 1]\n  relu() as start\n{''.join(around)}{outputs}\n}}"


def test_sizes_that_few_numbers_are_are_found_and_large_ones_asked_for() -> None:
    """450 stands in no row of usual numbers; 30,030 is more than the reference should be run on unasked."""
    assert choose_sizes(graph_of(in_parts_of(50, 9)), {}) == {"H": 450, "W": 450}
    assert choose_sizes(graph_of(in_parts_of(50, 9)), {"W": 900}) == {"H": 450, "W": 900}
    large = graph_of(in_parts_of(2, 3, 5, 7, 11, 13))
    with pytest.raises(UpcError) as caught:
        choose_sizes(large, {})
    (problem,) = caught.value.diagnostics
    assert problem.hint == "say them, if so large ones are meant: --size H=30030,W=30030"
    assert choose_sizes(large, {"H": 30030, "W": 60060}) == {"H": 30030, "W": 60060}


@pytest.mark.parametrize(("given", "words"), [({"H": 5}, "H = 5 does not fit"), ({"H": 0}, "got (0, ")])
def test_what_is_given_is_named_where_it_does_not_fit_whatever_the_rest_is(given, words) -> None:
    with pytest.raises(UpcError) as caught:
        choose_sizes(graph_of(FREE), given)
    assert words in str(caught.value)


def test_a_size_that_the_net_cannot_work_with_is_refused(tmp_path, capsys):
    path = tmp_path / "free.upc"
    path.write_text(FREE)
    assert main(["check", str(path), "--targets", "reference,torch", "--size", "H=6,W=8"]) == 0
    assert main(["check", str(path), "--targets", "reference,torch", "--size", "H=7,W=8"]) == 2


def test_made_up_weights_are_never_constant():
    posed = pose(graph_of(TEXT))
    assert all(array.std() > 0 for array in posed.weights.values())
    assert (posed.weights["batch_normalization.moving_variance"] > 0).all()


def test_the_longest_sum_is_that_of_the_longest_way():
    graph = graph_of(TEXT)
    # 1 for the input, the 2*2 of 3*3 taps that meet in a pixel times 3 channels and a bias, 1 for the normalization.
    assert longest_sums(graph, {})[graph.outputs[0].value.name] == 1 + 13 + 1


def test_the_layer_in_which_a_target_parts_is_found():
    # The target is right; the reference is made to disagree from the second layer on.
    posed = pose(graph_of(TEXT))
    values = dict(posed.values)
    values["batch_normalization"] = values["batch_normalization"] + 0.1
    wrong = type(posed)(posed.graph, posed.weights, posed.inputs, posed.sizes, values, posed.bounds)
    parting = first_parting(wrong, "torch")
    assert parting is not None and parting.node.path == "batch_normalization"
    assert first_parting(posed, "torch") is None


@pytest.mark.parametrize(
    ("a", "b", "max_abs", "ulp"),
    [
        ([1.0, 2.0], [1.0, 2.0], 0.0, 0),
        ([1.0], [np.nextafter(np.float32(1), np.float32(2))], 2.0**-23, 1),
        ([0.0], [-0.0], 0.0, 0),
        ([np.nan, np.inf], [np.nan, np.inf], 0.0, 0),
        ([np.nan], [1.0], np.inf, 2**32),
        ([np.inf], [-np.inf], np.inf, 2**32),
        ([1e-45], [-1e-45], 2.8e-45, 2),
    ],
)
def test_differences(a, b, max_abs, ulp):
    found = difference(np.array(a, np.float32), np.array(b, np.float32))
    assert found.max_abs == pytest.approx(max_abs, rel=0.01) and found.ulp == ulp


def test_shapes_that_differ_are_a_difference():
    found = difference(np.zeros((1, 2)), np.zeros((2, 1)))
    assert found.max_abs == np.inf and found.shapes == ((1, 2), (2, 1))
