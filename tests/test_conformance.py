"""What PyTorch and Keras test themselves with, run through upc's targets."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from conformance_samples import OPERATORS, Sample, keras_transpose_samples, keras_up_sampling_samples, torch_samples

from upc.build import compile_source
from upc.check.engines import Failure, Job, Worker
from upc.check.problem import problem
from upc.source import Source

TARGETS = ("numba", "torch", "keras[tensorflow]")

COMPILED = ("conv_transpose2d", "interpolate bilinear", "pixel_shuffle", "prelu")
"""The operators that run on Numba too: each net takes it seconds to compile, and its own tests cover the rest."""

AXES = "another number of axes"
EMPTY = "an empty input"
COUNTS: dict[str, tuple[int, dict[str, int]]] = {
    "conv_transpose2d": (12, {}),
    "conv2d": (30, {}),
    "interpolate": (6, {AXES: 15, "a scale that is not the ratio of the sizes": 2}),
    "interpolate bilinear": (18, {"a scale that is not the ratio of the sizes": 6}),
    "interpolate bicubic": (18, {"a scale that is not the ratio of the sizes": 6}),
    "pixel_shuffle": (2, {EMPTY: 3}),
    "batch_norm": (5, {"statistics of the batch: training": 5, EMPTY: 2}),
    "instance_norm": (9, {}),
    "group_norm": (13, {"an epsilon that is not positive": 4, EMPTY: 4}),
    "pad": (1, {"a constant other than 0": 34, EMPTY: 16}),
    "pad reflect": (4, {AXES: 2, EMPTY: 3, "padding of channels or batch": 2, "negative padding": 1}),
    "pad replicate": (4, {AXES: 2, EMPTY: 3, "padding of channels or batch": 2, "negative padding": 1}),
    "prelu": (3, {AXES: 21, EMPTY: 1}),
    "max_pool2d": (35, {"indices as a result": 103, "a dilated pool": 52, "sizes rounded up": 16}),
}
"""How many samples of each operator run, and why the others cannot be said."""


def packed(samples):
    """(net's text, inputs, weights, samples) for all samples of one batch size."""
    by_batch = {}
    for sample in samples:
        by_batch.setdefault(len(sample.given), []).append(sample)
    for those in by_batch.values():
        lines, weights, seen = [], {}, Counter()
        for i, sample in enumerate(those):
            kind = sample.statement.partition("(")[0]
            path = f"{kind}_{seen[kind]}" if seen[kind] else kind
            seen[kind] += 1
            weights |= {f"{path}.{name}": array for name, array in sample.weights.items()}
            shape = ", ".join(map(str, sample.given.shape[1:]))
            lines += [f"  input x{i}: [{shape}]", f"  {sample.statement}", f"  output y{i}"]
        graph = compile_source(Source("samples.upc", "\n".join(["net samples {", *lines, "}"])))
        yield problem(graph, weights, [sample.given for sample in those]), those


@pytest.fixture(scope="module")
def workers():
    found = {target: Worker(target) for target in TARGETS}
    yield found
    for worker in found.values():
        worker.close()


def hold(samples, workers, compiled=True):
    """Assert that the reference gives what is expected, and each target what the reference gives."""
    workers = {target: worker for target, worker in workers.items() if compiled or target != "numba"}
    for posed, those in packed(samples):
        results = {t: worker.run(Job(posed.graph, posed.weights, posed.inputs)) for t, worker in workers.items()}
        for i, (output, sample) in enumerate(zip(posed.graph.outputs, those, strict=True)):
            # The oracle computes in float32 too: both may be off by the bound.
            limit = 2 * posed.bounds[output.name].limit + 1e-7
            np.testing.assert_allclose(
                posed.values[output.name], sample.expected, rtol=0, atol=limit, err_msg=str(sample)
            )
            for target, result in results.items():
                assert not isinstance(result, Failure), f"{target}: {result}"
                np.testing.assert_allclose(result[i], posed.values[output.name], rtol=0, atol=limit, err_msg=target)


@pytest.mark.parametrize("operator", OPERATORS)
def test_samples_of_pytorch(operator, workers):
    found = list(torch_samples(operator))
    said = [sample for sample in found if isinstance(sample, Sample)]
    reasons = Counter(reason for reason in found if isinstance(reason, str))
    assert (len(said), dict(reasons)) == COUNTS[operator]
    hold(said, workers, operator in COMPILED)


def test_parameters_of_kerass_transposed_convolution(workers):
    found = list(keras_transpose_samples())
    said = [sample for sample in found if isinstance(sample, Sample)]
    assert (len(said), len(found) - len(said)) == (4 + 80, 80)
    hold(said, workers)


def test_parameters_of_kerass_up_sampling(workers):
    said = list(keras_up_sampling_samples())
    assert len(said) == 5
    hold(said, workers)
