"""The nets of `nets.py`: random nets of free size, or of many channels, and what they are run on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from math import prod
from random import Random

from random_graphs import random_net

from upc.build import compile_source
from upc.check.problem import several_sizes
from upc.demands import check_sizes
from upc.diagnostics import UpcError
from upc.ir import Graph
from upc.shape import evaluate, names_of
from upc.source import Source

PRIMES = (3, 5, 7, 11, 13, 17, 31, 61)
PAST = (4099, 4111)  # primes
BATCHES = (65_537, 4_097, 257, 65)
MOST_FLOATS, MOST_OF_A_BATCH = 4_000_000, 16_000_000  # of all values of a run together

Sizes = Mapping[str, int]


@dataclass(frozen=True)
class Drawn:
    """A net, and what it was drawn from."""

    seed: int
    text: str
    graph: Graph

    def floats(self, sizes: Sizes) -> int:
        """Of all values of one image."""
        values = [*self.graph.inputs, *(value for node in self.graph.nodes for value in node.outputs)]
        return sum(prod(evaluate(dim, sizes) for dim in value.shape) for value in values)

    def fits(self, sizes: Sizes) -> bool:
        try:
            check_sizes(self.graph, [[evaluate(dim, sizes) for dim in value.shape] for value in self.graph.inputs])
        except UpcError:
            return False
        return True

    def runs(self) -> Iterator[tuple[Sizes, int]]:
        """Sizes and batches: small ones, primes, past 4096 along each axis; no images, few, and very many."""
        random = Random(f"runs {self.seed}")
        names = sorted(frozenset().union(*(names_of(value.shape) for value in self.graph.inputs)))
        chosen = several_sizes(self.graph, {})
        tiny = [dict(zip(names, numbers, strict=True)) for numbers in product((1, 2, 3), repeat=len(names))]
        chosen += [sizes for sizes in tiny if sizes not in chosen]
        primes = [dict(zip(names, random.sample(PRIMES, len(names)), strict=True)) for _ in range(20)]
        long = [{**sizes, name: past} for name in names for past in PAST for sizes in (*chosen[:4], *primes[:4])]
        # A net may demand even numbers, or equal ones: primes at times something.
        long += [{**sizes, name: 4 * 1031} for name in names for sizes in chosen[:4]]
        random.shuffle(long)
        for group, most in ((chosen, 6), (primes, 2), (long, 2)):
            fitting = [s for s in group if self.fits(s) and self.floats(s) <= MOST_FLOATS]
            for sizes in fitting[:most]:
                yield sizes, random.choice((1, 2, 3)) if self.floats(sizes) * 3 <= MOST_FLOATS else 1
        least = min((s for s in chosen if self.fits(s)), key=self.floats)
        yield least, 0
        yield from [(least, n) for n in BATCHES if n * self.floats(least) <= MOST_OF_A_BATCH][:2]


def draw(seed: int) -> Drawn:
    """The net of a seed: in turn several random ones, a small one for large batches, one with channels enough for
    minimal filtering."""
    random = Random(f"net {seed}")
    if seed % 3 == 2:
        text = wide(random)
    else:
        layers, parts = ((7, 3), (3, 1))[seed % 3]
        text = random_net(random, name="drawn", layers=layers, parts=parts, with_free=True).text
    return Drawn(seed, text, compile_source(Source(f"drawn_{seed}.upc", text)))


def wide(random: Random) -> str:
    """Convolutions of all the kinds that can be filtered, one after another, with a skip around them."""
    kernel, channels = random.choice((3, 5)), random.choice((32, 36, 48))
    up = random.choice(
        (
            f"conv2d_transpose({channels}, 4, strides=2, padding=same)",
            f"conv2d_transpose({channels}, {kernel}, strides=[2, 3], padding=same, output_padding=0)",
            f"conv2d_transpose({channels}, 4, strides=2, padding=[[1, 0], [2, 1]])",
        )
    )
    return f"""
block step(filters, size, slope, mode) {{
  conv2d(filters, size, padding=mode)
  leaky_relu(slope)
}}
net drawn(filters={random.choice((3, 32, 35))}) {{
  input x: [H, W, {random.choice((32, 33, 40, 64))}]
  step({channels}, {kernel}, 0.2, same) as first
  step({channels}, {random.choice((2, 3, 4))}, 0.5, same)
  batch_normalization()
  add(first) as joined
  {up}
  prelu(shared_axes=[1, 2])
  up_sampling2d(2)
  conv2d(filters, 3, padding=same, activation={random.choice(("tanh", "gelu", "sigmoid"))}) as large
  output large, joined
}}
"""
