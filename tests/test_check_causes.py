"""Faults put into emitted source on purpose: `upc check` must name each, and the layer it is in."""

from __future__ import annotations

import re

import pytest

from upc import pipeline
from upc.build import compile_source
from upc.check import check, check_results, pose, problem
from upc.check.engines import Failure, Job, Worker
from upc.source import Source

NETS = {
    "picture": """
net picture {
  input image: [3, 2, 4]
  conv2d(6, 3, padding=same, activation=relu)
  batch_normalization()
  conv2d_transpose(8, 4, strides=2, padding=same)
  batch_normalization(epsilon=0.00001)
  leaky_relu(negative_slope=0.2)
  pixel_shuffle(2, order=crd)
  up_sampling2d(2, interpolation=bilinear)
  conv2d_transpose(3, [3, 5], strides=2, padding=1, output_padding=1)
  conv2d(3, 3, activation=tanh)
  output result
}
""",
    "vector": """
net vector {
  input z: [10]
  dense(60)
  reshape(3, 4, 5)
  conv2d_transpose(4, 3, strides=2, padding=same, activation=relu)
  flatten()
  dense(7)
  output result
}
""",
    "skips": """
net skips {
  input image: [12, 9, 3]
  conv2d(4, 3, padding=same) as early
  resizing(6, 3, interpolation=nearest)
  up_sampling2d([2, 3], interpolation=bicubic, cubic_coefficient=-0.75, border=replicate)
  concatenate(early)
  group_normalization(2)
  prelu()
  average_pooling2d(3, strides=2, padding=1)
  output result
}
""",
}

BATCH_NORM = "F.batch_norm(x, {mean}, {variance}, b.weight, b.bias, {training}, 0.0, b.eps)"


def batch_norm(mean="b.running_mean", variance="b.running_var", training="False"):
    """The first batch normalization of `picture`, computed by hand."""
    call = BATCH_NORM.format(mean=mean, variance=variance, training=training)
    return ("x = self.batch_normalization(x)", f"b = self.batch_normalization; x = {call}")


# (net, target, words of the emitted source and what stands in their place, kind of mistake, the layer's path)
FAULTS = {
    "epsilon": ("picture", "torch", [("eps=0.001", "eps=1e-05")], "epsilon", "batch_normalization"),
    "the other epsilon": ("picture", "torch", [("eps=1e-05", "eps=0.001")], "epsilon", "batch_normalization_1"),
    "momentum": (
        "picture",
        "torch",
        [batch_norm("0.01 * b.running_mean + 0.99 * x.mean((0, 2, 3))",
                    "0.01 * b.running_var + 0.99 * x.var((0, 2, 3), correction=0)")],
        "momentum",
        "batch_normalization",
    ),
    "training mode": (
        "picture", "torch", [batch_norm("None", "None", "True")], "training mode", "batch_normalization"
    ),
    "variance folded in without its root": (
        "picture",
        "torch",
        [batch_norm(variance="(b.running_var + b.eps) ** 2 - b.eps")],
        "batch normalization folded wrongly",
        "batch_normalization",
    ),
    "slope": ("picture", "torch", [("F.leaky_relu(x, 0.2)", "F.leaky_relu(x, 0.01)")], "slope", "leaky_relu"),
    "one-pixel shift": (
        "vector",
        "torch",
        [("[:, :, :-1, :-1]", "[:, :, 1:, 1:]")],
        "one-pixel shift",
        "conv2d_transpose",
    ),
    "one-pixel shift of a convolution": (
        "picture",
        "torch",
        [("self.conv2d(image)", "F.conv2d(F.pad(image, (0, 2, 0, 2)), self.conv2d.weight, self.conv2d.bias)")],
        "one-pixel shift",
        "conv2d",
    ),
    "output_padding side": (
        "picture",
        "torch",
        [
            (r"padding=1,\s*output_padding=1", "padding=0"),
            ("self.conv2d_transpose_1(x)", "self.conv2d_transpose_1(x)[:, :, :-1, :-1]"),
        ],
        "output_padding side",
        "conv2d_transpose_1",
    ),
    "align_corners": (
        "picture",
        "torch",
        [("align_corners=False", "align_corners=True")],
        "align_corners",
        "up_sampling2d",
    ),
    "half-pixel": ("skips", "torch", [('"nearest-exact"', '"nearest"')], "half_pixel", "resizing"),
    "cubic coefficient": (
        "skips",
        "keras[torch]",
        [("cubic_coefficient=-0.75", "cubic_coefficient=-0.5")],
        "cubic coefficient",
        "up_sampling2d",
    ),
    "crd/dcr": (
        "picture",
        "torch",
        [(r"F\.pixel_shuffle\(x, 2\)", "F.pixel_shuffle(x.unflatten(1, (4, 2)).transpose(1, 2).flatten(1, 2), 2)")],
        "crd/dcr",
        "pixel_shuffle",
    ),
    "flatten order": (
        "vector",
        "torch",
        [(r"x\.permute\(0, 2, 3, 1\)\.flatten\(1\)", "x.flatten(1)")],
        "flatten order",
        "flatten",
    ),
    "reshape order": (
        "vector",
        "torch",
        [(r"x\.unflatten\(1, \(3, 4, 5\)\)\.permute\(0, 3, 1, 2\)", "x.unflatten(1, (5, 3, 4))")],
        "flatten order",
        "reshape",
    ),
    "kernel flip": (
        "picture",
        "torch",
        [("self.conv2d(image)", "F.conv2d(image, self.conv2d.weight.flip(2, 3), self.conv2d.bias, padding=1)")],
        "kernel flip",
        "conv2d",
    ),
    "transposed kernel axes": (
        "picture",
        "torch",
        [(r'(\("conv2d\.weight", \(3, 3, 4, 6\), )\(3, 2, 0, 1\)', r"\1(3, 2, 1, 0)")],
        "transposed kernel axes",
        "conv2d",
    ),
    "channel order of the input": (
        "picture",
        "torch",
        [("self.conv2d(image)", "self.conv2d(image.flip(1))")],
        "channel order",
        "conv2d",
    ),
    "channel order of the result": (
        "picture",
        "torch",
        [("return x", "return x.flip(1)")],
        "channel order",
        "conv2d_1",
    ),
    "channel order of a join": (
        "skips",
        "torch",
        [(r"torch\.cat\(\((\w+), (\w+)\)", r"torch.cat((\2, \1)")],
        "channel order",
        "concatenate",
    ),
    "activation": ("vector", "torch", [(r"F\.relu\(", "F.silu(")], "activation", "conv2d_transpose"),
    "crd/dcr in Keras": ("picture", "keras[torch]", [('order="crd"', 'order="dcr"')], "crd/dcr", "pixel_shuffle"),
    "slope in Keras": ("picture", "keras[torch]", [("negative_slope=0.2", "negative_slope=0.3")], "slope",
                       "leaky_relu"),
    "epsilon in Keras": ("picture", "keras[torch]", [("epsilon=1e-05", "epsilon=0.001")], "epsilon",
                         "batch_normalization_1"),
    "output_padding side in Keras": (
        "picture",
        "keras[torch]",
        [(r"\(\(1, 0\), \(1, 0\)\)", "((0, 1), (0, 1))")],
        "output_padding side",
        "conv2d_transpose_1",
    ),
}  # fmt: skip

GRAPHS = {name: compile_source(Source(f"{name}.upc", text)) for name, text in NETS.items()}
PROBLEMS = {name: pose(graph) for name, graph in GRAPHS.items()}


@pytest.fixture(scope="module")
def workers():
    found = {target: Worker(target) for target in ("torch", "keras[torch]")}
    yield found
    for worker in found.values():
        worker.close()


def judged(workers, net, target, text):
    posed = PROBLEMS[net]
    result = workers[target].run(Job(posed.graph, posed.weights, posed.inputs, text))
    assert not isinstance(result, Failure), result
    return check_results([posed], ("reference", target), [{target: result}])


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("target", ["torch", "keras[torch]"])
def test_nothing_is_wrong_with_what_is_emitted(workers, net, target):
    found = judged(workers, net, target, pipeline.emit(GRAPHS[net], target.partition("[")[0]))
    assert found.ok and not found.causes


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_and_so_is_its_layer(workers, fault):
    net, target, edits, kind, path = FAULTS[fault]
    text = pipeline.emit(GRAPHS[net], target.partition("[")[0])
    for words, instead in edits:
        if "\\" not in words:
            words, instead = re.escape(words), instead.replace("\\", "\\\\")
        text, count = re.subn(words, instead, text, count=1)
        assert count, f"{words} is not in the emitted source"
    found = judged(workers, net, target, text)
    assert not found.ok
    cause = found.causes[target]
    assert (cause.name, [node.path for node in cause.nodes]) == (kind, [path]), str(cause)
    assert f"{net}.upc:{cause.nodes[0].span.line}:" in str(cause)


def test_there_are_as_many_kinds_of_fault_as_are_promised():
    promised = {
        *("epsilon", "momentum", "slope", "one-pixel shift", "output_padding side", "align_corners"),
        *("half_pixel", "crd/dcr", "flatten order", "kernel flip", "transposed kernel axes", "channel order"),
    }
    assert promised <= {kind for *_, kind, _ in FAULTS.values()}


# A transposed convolution whose phases are taken for each other where the picture is one column wide.
NARROW = """
net narrow {
  input x: [H, W, 1]
  conv2d_transpose(1, 3, strides=2, padding=same, output_padding=0)
  output y
}
"""


def with_turned_kernel(posed):
    """What the net makes with rows and columns of its kernel exchanged."""
    turned = {key: w.swapaxes(0, 1) if w.ndim == 4 else w for key, w in posed.weights.items()}
    return problem(posed.graph, turned, posed.inputs).expected


def test_a_mistake_that_explains_one_size_alone_is_not_named():
    graph = compile_source(Source("narrow.upc", NARROW))
    narrow, wide = pose(graph, sizes={"H": 2, "W": 1}), pose(graph, sizes={"H": 6, "W": 7})
    wrong = {"numba": with_turned_kernel(narrow)}
    right, turned = {"numba": wide.expected}, {"numba": with_turned_kernel(wide)}
    targets = ("reference", "numba")
    assert not check_results([narrow, wide], targets, [wrong, right]).causes
    # Nor where the other size was not asked for, but looked at for the sake of the cause.
    assert not check_results([narrow], targets, [wrong], witnesses=[(wide, right)]).causes
    found = check_results([narrow, wide], targets, [wrong, turned])
    assert found.causes["numba"].detail == "rows and columns of the kernel exchanged"


def test_a_mistake_that_only_lessens_a_difference_is_not_named():
    posed = PROBLEMS["picture"]
    (y,) = posed.expected
    shifted = {"torch": (y * 1.001 + 1e-3 * posed.bounds["result"].limit,)}
    assert not check_results([posed], ("reference", "torch"), [shifted]).causes


def test_one_size_that_is_asked_for_is_held_against_others(monkeypatch):
    """`--size` compares at that size alone; what is named is also true at those that a check chooses by itself."""
    graph, asked = compile_source(Source("narrow.upc", NARROW)), []

    def run_all(jobs):
        asked.append({target: [job.inputs[0].shape[1:3] for job in those] for target, those in jobs.items()})
        posed = [problem(graph, job.weights, job.inputs) for job in jobs["numba"]]
        return [{"numba": with_turned_kernel(p) if p.sizes["W"] == 1 else p.expected} for p in posed]

    monkeypatch.setattr("upc.check.run_all", run_all)
    found = check(graph, targets=["reference", "numba"], sizes={"H": 2, "W": 1})
    assert not found.ok and not found.causes and len(found.problems) == 1
    assert asked == [{"numba": [(2, 1)]}, {"numba": [(6, 7), (1, 1), (1, 7), (6, 1)]}]
