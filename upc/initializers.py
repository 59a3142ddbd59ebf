"""Keras's initializers by name, and the first weights of a graph."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable

import numpy as np

from upc.diagnostics import EXIT_USAGE, error
from upc.ir import Array, Graph

Draw = Callable[[np.random.Generator, tuple[int, ...]], Array]

MAX_BYTES = 2**34
"""Weights beyond this are refused before anything is allocated: no network of this kind has so many."""


def fans(shape: tuple[int, ...]) -> tuple[float, float]:
    """Inputs and outputs of one unit, counted as Keras does: the last two axes times the window.

    A transposed convolution's kernel ends in (outputs, inputs); Keras reads it the same way, and so do we.
    """
    if len(shape) < 2:
        only = float(math.prod(shape))
        return only, only
    window = math.prod(shape[:-2])
    return float(shape[-2] * window), float(shape[-1] * window)


def _truncated(rng: np.random.Generator, shape: tuple[int, ...], deviation: float) -> Array:
    """Normal values, those beyond two deviations drawn again."""
    values = rng.standard_normal(shape, dtype=np.float32).reshape(-1)
    while (beyond := np.flatnonzero(np.abs(values) > 2)).size:
        values[beyond] = rng.standard_normal(beyond.size, dtype=np.float32)
    return values.reshape(shape) * np.float32(deviation)


def _uniform(rng: np.random.Generator, shape: tuple[int, ...], limit: float) -> Array:
    return (rng.random(shape, dtype=np.float32) * 2 - 1) * np.float32(limit)


# Cutting a normal distribution at two deviations leaves it this much narrower; Keras makes up for it.
_TRUNCATED_DEVIATION = 0.87962566103423978


def _scaled(scale: float, over: Callable[[float, float], float], normal: bool) -> Draw:
    def draw(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        variance = scale / max(1.0, over(*fans(shape)))
        if normal:
            return _truncated(rng, shape, math.sqrt(variance) / _TRUNCATED_DEVIATION)
        return _uniform(rng, shape, math.sqrt(3 * variance))

    return draw


def _orthogonal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """A matrix with orthonormal columns (or rows, where those are fewer) over all axes but the last."""
    rows, columns = math.prod(shape[:-1]), shape[-1] if shape else 1
    q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
    q = q * np.where(np.diag(r) < 0, -1, 1)
    return (q if rows >= columns else q.T).reshape(shape).astype(np.float32)


def _mean(fan_in: float, fan_out: float) -> float:
    return (fan_in + fan_out) / 2


def _in(fan_in: float, fan_out: float) -> float:
    return fan_in


INITIALIZERS: dict[str, Draw] = {
    "zeros": lambda rng, shape: np.zeros(shape, np.float32),
    "ones": lambda rng, shape: np.ones(shape, np.float32),
    "glorot_uniform": _scaled(1.0, _mean, normal=False),
    "glorot_normal": _scaled(1.0, _mean, normal=True),
    "he_uniform": _scaled(2.0, _in, normal=False),
    "he_normal": _scaled(2.0, _in, normal=True),
    "lecun_uniform": _scaled(1.0, _in, normal=False),
    "lecun_normal": _scaled(1.0, _in, normal=True),
    "random_normal": lambda rng, shape: rng.standard_normal(shape, dtype=np.float32) * np.float32(0.05),
    "random_uniform": lambda rng, shape: _uniform(rng, shape, 0.05),
    "truncated_normal": lambda rng, shape: _truncated(rng, shape, 0.05),
    "orthogonal": _orthogonal,
}
"""Keras's names with Keras's default arguments."""


def generator(seed: int, key: str) -> np.random.Generator:
    """The random numbers of one array: they depend on the seed and its key, on no other array."""
    digest = hashlib.sha256(key.encode()).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:16], "little")])


def initialize(graph: Graph, seed: int) -> dict[str, Array]:
    """First weights of a graph, float32, by canonical name.

    Errors: a negative seed; weights too large to be meant.
    """
    if seed < 0:
        raise error("E0613", f"expected a seed from 0 up, got {seed}", exit_code=EXIT_USAGE)
    wanted = graph.weights()
    total = sum(4 * math.prod(weight.shape) for _, weight, _ in wanted)
    if total > MAX_BYTES:
        largest = max(wanted, key=lambda w: math.prod(w[1].shape))
        raise error(
            "E0614",
            f"the weights of {graph.name} would take {total // 2**30} GiB, upc makes at most {MAX_BYTES // 2**30}",
            graph.span,
            f"the largest is {largest[0]} with shape {largest[1].shape}",
        )
    return {key: INITIALIZERS[w.initializer](generator(seed, key), w.shape) for key, w, _ in wanted}
