"""The ends of float32's range: finite in and finite out up to its largest numbers, and a NaN only where it belongs."""

from __future__ import annotations

import numpy as np
import pytest

from upc import pipeline, reference
from upc.build import compile_source
from upc.load import load_graph
from upc.runtime.steps import Filtering
from upc.source import Source
from upc.weights import initialize

FORMS = [
    "conv2d(64, 3)",
    "conv2d(35, 5, padding=same, activation=relu)",
    "conv2d_transpose(40, 4, strides=2, padding=same)",
    "conv2d_transpose(33, 3, strides=2, padding=same, use_bias=false)",
    "up_sampling2d(2)\n  conv2d(48, 3, padding=same)\n  batch_normalization()",
]
LARGEST = float(np.finfo(np.float32).max)


def net_of(layer, channels=64, size="13, 18"):
    return compile_source(Source("net.upc", f"net n {{\n  input x: [{size}, {channels}]\n  {layer}\n  output y\n}}\n"))


def exact(graph, weights, x):
    with np.errstate(all="ignore"):
        (y,) = reference.run(graph, weights, [x.astype(np.float64)]).values()
    return y


@pytest.mark.parametrize("bits", [None, "128"])
@pytest.mark.parametrize("layer", FORMS)
def test_finite_in_finite_out(layer, bits, monkeypatch):
    """Near 1e37 a filtered convolution's sums pass the largest float, where its results are far from it."""
    if bits is not None:
        monkeypatch.setenv("UPC_VECTOR_BITS", bits)
    graph, rng = net_of(layer), np.random.default_rng(0)
    assert any(isinstance(step, Filtering) for step in pipeline.plan(graph, "fast").steps)
    weights = {k: w if w.ndim == 1 else (1e-3 * rng.standard_normal(w.shape)).astype(np.float32)
               for k, w in initialize(graph, 0).items()}  # fmt: skip
    net = load_graph(graph, weights=weights, algorithm="fast")
    for scale in (1e37, LARGEST):
        x = (scale * rng.uniform(-1, 1, (2, 13, 18, 64))).astype(np.float32)
        x[1] *= 1e-37
        want = exact(graph, weights, x)
        assert np.isfinite(want.astype(np.float32)).all()
        for image in range(2):
            off = np.abs(net(x)[image] - want[image]).max() / np.abs(want[image]).max()
            assert off < 1e-5, (scale, image)
        # What overflows in one image leaves no trace in another's bits.
        assert np.array_equal(net(x)[1], net(x[1:])[0])


def test_finite_in_finite_out_without_being_asked_for_fast():
    graph = net_of("conv2d(64, 3)", size="24, 31")
    weights = {"conv2d.kernel": np.full((3, 3, 64, 64), 1e-3, np.float32), "conv2d.bias": np.zeros(64, np.float32)}
    x = np.random.default_rng(1).uniform(-2e37, 2e37, (1, 24, 31, 64)).astype(np.float32)
    assert any(isinstance(step, Filtering) for step in pipeline.plan(graph).steps)
    assert np.isfinite(load_graph(graph, weights=weights)(x)).all()


@pytest.mark.parametrize("layer", FORMS[:4])
def test_a_nan_spoils_no_pixel_that_does_not_see_it(layer):
    graph, rng = net_of(layer), np.random.default_rng(2)
    weights = initialize(graph, 1)
    x = rng.standard_normal((3, 13, 18, 64)).astype(np.float32)
    whole = x.copy()
    x[0, 5, 7, 3], x[1, 0, 0, 0], x[2, 12, 17, 63] = np.nan, np.inf, -np.inf
    want, net = exact(graph, weights, x), load_graph(graph, weights=weights, algorithm="fast")
    got, before = net(x), net(whole)
    seen = ~np.isfinite(want)
    assert 0 < seen.sum() < seen.size / 20
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    np.testing.assert_array_equal(np.isposinf(got), np.isposinf(want))
    assert np.abs(got[~seen] - want[~seen]).max() < 1e-5 * np.abs(want[~seen]).max()
    assert np.array_equal(got[0, -3:], before[0, -3:]), "pixels of other patches keep their bits"


def test_a_mean_of_large_values_is_finite():
    graph = net_of("global_average_pooling2d()", channels=19, size="5, 7")
    x = np.linspace(1e37, 3e38, 2 * 5 * 7 * 19, dtype=np.float32).reshape(2, 5, 7, 19)
    np.testing.assert_allclose(load_graph(graph)(x), exact(graph, {}, x), rtol=1e-5)
