"""A server's day in an hour: one process that calls, loads, drops and forks without end, and must not grow or change.

A dozen nets of fixed and free sizes stay loaded as Numba modules. What a call returns must have the very bits of the
first call with the same net, inputs and sizes, whatever threads the net has, whether `out=` is given, and in a forked
child as well. After every few seconds the process is looked at while nothing runs: its resident memory, its threads
and its descriptors, which after the first minutes may not grow.
"""

from __future__ import annotations

import gc
import hashlib
import os
import signal
import statistics
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import numpy as np
from random_graphs import random_inputs, random_net, random_weights
from run import Amount, Record
from written import FACES, PAIR, TINY

from upc import targets
from upc.build import compile_source
from upc.demands import check_sizes
from upc.diagnostics import UpcError
from upc.ir import Array, Graph
from upc.load_numba import load_module
from upc.memory import estimate
from upc.shape import evaluate, names_of
from upc.source import Source

USUAL = Amount(seconds=3600)
PORTION_S = 900.0
"""A portion goes on with the process of the one before; each has its line in the table."""

NETS = 12
SEEDS, BATCHES = 3, (0, 1, 1, 1, 2, 3, 7, 33)
LIMIT = 4_000_000  # bytes of a call, by the estimate: small work, so that there are many calls
LOOK_S, WARM_S = 5.0, 120.0
MOST_GROWTH = 24.0
"""Megabytes that the resident memory may have grown by over a portion: what the allocator itself moves by."""

HANG_S = 300


@dataclass(frozen=True)
class Look:
    """The process at a moment when nothing runs: seconds since its start, megabytes, threads, descriptors."""

    at: float
    megabytes: float
    threads: int
    descriptors: int


@dataclass
class Kept:
    """A net of the dozen: its module, the net loaded from it that is in use, and what it may be called with."""

    graph: Graph
    module: ModuleType
    weights: Mapping[str, Array]
    sizes: list[dict[str, int]]
    net: Any = None
    threads: int = 1

    def load(self, threads: int) -> None:
        self.net, self.threads = self.module.load(self.weights, threads=threads), threads


@dataclass
class Soak:
    """The process's state, which lives as long as it."""

    nets: list[Kept]
    first: dict[tuple[object, ...], bytes] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)
    lock: Any = field(default_factory=threading.Lock)

    def count(self, what: str) -> None:
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + 1

    def call(self, r: Random) -> None:
        """One call, compared with the first of its kind."""
        number = r.randrange(len(self.nets))
        kept, seed, batch = self.nets[number], r.randrange(SEEDS), r.choice(BATCHES)
        sizes = r.choice(kept.sizes)
        inputs = random_inputs(kept.graph, seed, batch, sizes)
        before = [x.tobytes() for x in inputs]
        if r.random() < 0.3:
            given = {"out": tuple(np.full(shape, np.nan, np.float32) for shape in _results(kept.graph, batch, sizes))}
            found = kept.net(*inputs, **given)
        else:
            found = kept.net(*inputs)
        arrays = found if isinstance(found, tuple) else (found,)
        digest = hashlib.blake2b(b"".join(y.tobytes() for y in arrays), digest_size=16).digest()
        self.count("calls")
        what = (number, seed, batch, *sorted(sizes.items()))
        with self.lock:
            expected = self.first.setdefault(what, digest)
        if digest != expected:
            self.lose(f"another result: net {number}, seed {seed}, batch {batch}, {sizes}, {kept.threads} threads")
        if [x.tobytes() for x in inputs] != before:
            self.lose(f"an input was changed: net {number}, seed {seed}, batch {batch}, {sizes}")

    def lose(self, words: str) -> None:
        with self.lock:
            if words not in self.lost:
                self.lost.append(words)

    def at_once(self, r: Random) -> None:
        """Several threads call at the same time, now and then while the process forks."""

        def some(seed: int) -> None:
            mine = Random(seed)
            try:
                for _ in range(4):
                    self.call(mine)
            except Exception as problem:
                self.lose(f"{type(problem).__name__} in a thread: {problem}")

        callers = [threading.Thread(target=some, args=(r.getrandbits(60),)) for _ in range(r.choice((2, 3, 5)))]
        for caller in callers:
            caller.start()
        if r.random() < 0.3:
            self.fork(r)
        for caller in callers:
            caller.join(HANG_S)
            if caller.is_alive():
                raise RuntimeError("a thread that calls hangs")
        self.count("several threads at once")

    def fork(self, r: Random) -> None:
        """A child calls and loads, and finds the same results."""
        seed = r.getrandbits(60)
        child = os.fork()
        if not child:
            signal.alarm(HANG_S)
            code = 1
            try:
                mine, self.lock, self.lost = Random(seed), threading.Lock(), []
                self.nets[mine.randrange(len(self.nets))].load(mine.choice((1, 2)))
                for _ in range(4):
                    self.call(mine)
                code = 2 if self.lost else 0
            finally:
                os._exit(code)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status:
            self.lose(f"a forked child ended with {status} (seed {seed})")
        self.count("forks")

    def reload(self, r: Random) -> None:
        """Drop a net and load it again."""
        self.nets[r.randrange(len(self.nets))].load(r.choice((1, 2, 2, 3)))
        self.count("loads")

    def look(self) -> None:
        """Note what the process takes, once the threads of dropped nets have had their time to end."""
        gc.collect()
        helpers = sum(kept.threads - 1 for kept in self.nets)
        end = time.monotonic() + 30
        while sum(t.name == "upc" for t in threading.enumerate()) > helpers:
            if time.monotonic() > end:
                self.lose(f"threads of nets that are gone: {threading.active_count()} for {helpers} wanted")
                break
            time.sleep(0.005)
        # How many threads there should be changes with the nets: what is beyond them is counted.
        others = len(os.listdir("/proc/self/task")) - sum(t.name == "upc" for t in threading.enumerate())
        self.looks.append(Look(time.monotonic() - self.began, resident(), others, len(os.listdir("/proc/self/fd")) - 1))


def resident() -> float:
    """Megabytes of memory that the process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def _results(graph: Graph, batch: int, sizes: Mapping[str, int]) -> list[tuple[int, ...]]:
    return [(batch, *(evaluate(dim, sizes) for dim in output.value.shape)) for output in graph.outputs]


def _fitting(graph: Graph) -> list[dict[str, int]]:
    """Sizes that a net takes: up to 40, more than its module keeps the tables of."""
    names = sorted(names_of(dim for value in graph.inputs for dim in value.shape))
    found = []
    all_sizes = [dict(zip(names, n, strict=True)) for n in product(range(1, 25), repeat=min(len(names), 3))]
    Random(0).shuffle(all_sizes)
    for sizes in all_sizes[:3000] if len(names) <= 3 else []:
        try:
            check_sizes(graph, [[evaluate(dim, sizes) for dim in value.shape] for value in graph.inputs])
        except UpcError:
            continue
        if estimate(graph, sizes, max(BATCHES), targets.find("numba").holding).peak <= LIMIT:
            found.append(sizes)
        if len(found) == 40:
            break
    return found


def nets(count: int) -> Iterator[Kept]:
    """The dozen: three that are known, and random ones, half of free size."""
    texts = [FACES, PAIR, TINY]
    number = 0
    while count:
        text = texts.pop(0) if texts else ""
        if not text:
            number += 1
            text = random_net(Random(f"soak {number}"), layers=7, parts=1 + number % 2, with_free=number % 2 == 0).text
        graph = compile_source(Source("soak.upc", text))
        sizes = _fitting(graph)
        if not sizes:
            continue
        module = load_module(graph, ("auto", "exact", "fast")[count % 3], 1)  # type: ignore[arg-type]
        kept = Kept(graph, module, random_weights(graph, 3), sizes)
        kept.load(2)
        yield kept
        count -= 1


def slope(looks: list[Look], what: str) -> float:
    """By how much it grows in an hour: the line of least squares through those looks."""
    times, values = [look.at / 3600 for look in looks], [float(getattr(look, what)) for look in looks]
    if len(set(times)) < 2:
        return 0.0
    return statistics.linear_regression(times, values).slope


def judged(looks: list[Look]) -> list[str]:
    """What grew over those looks that may not."""
    quarter = max(len(looks) // 4, 1)
    lost = []
    early, late = looks[:quarter], looks[-quarter:]
    for what, most in (("megabytes", MOST_GROWTH), ("threads", 0.0), ("descriptors", 0.0)):
        before, after = (statistics.median(getattr(look, what) for look in some) for some in (early, late))
        if after - before > most:
            lost.append(f"{what} grew from {before:.0f} to {after:.0f} within {looks[-1].at - looks[0].at:.0f} s")
    return lost


_soak: list[Soak] = []


@contextmanager
def _the_soak() -> Iterator[Soak]:
    if not _soak:
        _soak.append(Soak(list(nets(NETS))))
    yield _soak[0]


def work(soak: Soak, amount: Amount, seed: int) -> int:
    """Call, load, drop and fork for so many calls or seconds; how many calls that were."""
    r, began, looked = Random(seed), time.monotonic(), 0.0
    before = soak.counts.get("calls", 0)
    # Seconds of a portion count from when the nets are there.
    while not (
        (amount.inputs and soak.counts.get("calls", 0) - before >= amount.inputs)
        or (amount.seconds and time.monotonic() - began > amount.seconds)
    ):
        kind = r.random()
        try:
            if kind < 0.93:
                soak.call(r)
            elif kind < 0.96:
                soak.at_once(r)
            elif kind < 0.99:
                soak.reload(r)
            else:
                soak.fork(r)
        except Exception as problem:
            soak.lose(f"{type(problem).__name__}: {str(problem)[:200]}")
        if time.monotonic() - looked > LOOK_S:
            soak.look()
            looked = time.monotonic()
    soak.look()
    return soak.counts.get("calls", 0) - before


HEADING = (
    "| minutes | calls | MB at first | MB at last | MB per hour | other threads | descriptors |\n"
    "|---|---:|---:|---:|---:|---:|---:|"
)


def run(amount: Amount, seed: int) -> Record:
    """One portion, in the process of the portions before."""
    with _the_soak() as soak:
        known, first = len(soak.lost), len(soak.looks)
        tried = work(soak, amount, seed)
        looks = [look for look in soak.looks[first:] if look.at > WARM_S] or soak.looks[-1:]
        for words in judged(looks):
            soak.lose(words)
        lost = tuple(soak.lost[known:])
        row = (
            f"| {looks[0].at / 60:.0f} to {looks[-1].at / 60:.0f} | {tried:,} | {looks[0].megabytes:.0f} "
            f"| {looks[-1].megabytes:.0f} | {slope(looks, 'megabytes'):+.1f} "
            f"| {looks[0].threads} to {looks[-1].threads} | {looks[0].descriptors} to {looks[-1].descriptors} |"
        )
        return Record(tried, tried - len(lost), lost, notes=(HEADING, row))
