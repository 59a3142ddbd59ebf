"""A network: its description, its memory and its compiled code; and the object that a user calls."""

from __future__ import annotations

import os
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from upc.runtime.convolution import CompiledConvolution, Convolution
from upc.runtime.layout import SLACK, Picture, Table, View, Weights, aligned, machine, place
from upc.runtime.moving import CompiledGather, CompiledReshape, Gather, Reshape
from upc.runtime.normalizing import CompiledNormalize, CompiledSoftmax, Normalize, Softmax
from upc.runtime.rows import CompiledPointwise, Pointwise, by_rows
from upc.runtime.subroutine import jit
from upc.runtime.team import Team
from upc.runtime.tiling import convolve
from upc.runtime.windows import (
    CompiledDepthwise,
    CompiledGlobalPool,
    CompiledPool,
    CompiledResize,
    Depthwise,
    GlobalPool,
    Pool,
    Resize,
)

# Cells of a job, after those of the team.
ARENA, WEIGHTS, TABLE, BATCH, CHUNK, EXTERNALS = 24, 25, 26, 27, 28, 32
PAIR = 16  # cells from one step's counters to the next's
MOST_CHUNKS = 64
MOST_IMAGES = 64  # in a chunk
ARENA_BYTES = 8 << 20  # memory a chunk should fit in, unless weights are larger still

COMPILED = {
    Convolution: CompiledConvolution,
    Depthwise: CompiledDepthwise,
    Gather: CompiledGather,
    GlobalPool: CompiledGlobalPool,
    Normalize: CompiledNormalize,
    Pointwise: CompiledPointwise,
    Pool: CompiledPool,
    Reshape: CompiledReshape,
    Resize: CompiledResize,
    Softmax: CompiledSoftmax,
}


@jit
def external(job: Any, which: int, first: int) -> int:
    """Where the caller's array number `which` starts, from its image `first` on."""
    return job[EXTERNALS + 2 * which] + 4 * first * job[EXTERNALS + 2 * which + 1]  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Geometry:
    """Everything that follows from the free sizes and the number of images in a chunk."""

    table: np.ndarray
    arena: int
    chunk: int


@dataclass(frozen=True)
class Port:
    """An input or output: its name and its shape without the batch, free sizes by name or as text."""

    name: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True)
class Network:
    """A network as its module describes it.

    `sizes(**free)` gives (rows, columns, channels) of every value; `slices(**free)` the values that are
    part of another's buffer, as (buffer, first row, column, channel); `lives` the steps between which a
    buffer is needed; `demands(**free)` pairs of (holds, what is demanded); `sample` free sizes that are allowed.
    """

    name: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    weights: Mapping[str, tuple[int, ...]]
    steps: tuple[Any, ...]
    sizes: Callable[..., Mapping[str, tuple[int, int, int]]]
    shapes: Callable[..., tuple[tuple[int, ...], ...]]
    lives: Mapping[str, tuple[int, int]]
    slices: Callable[..., Mapping[str, tuple[str, int, int, int]]] = lambda **free: {}
    sample: Mapping[str, int] = field(default_factory=dict)
    demands: Callable[..., tuple[tuple[bool, str], ...]] = lambda **free: ()

    def compiled(self) -> tuple[Any, ...]:
        """The steps made ready for this machine."""
        here = machine()
        views, _ = self._views(self.sample, 1)
        steps: tuple[Any, ...] = tuple(COMPILED[type(step)](step, here, views, not self.sample) for step in self.steps)
        tiles, rows = _kernels(steps)
        for step in steps:
            mine = tiles if isinstance(step, CompiledConvolution) else rows
            step.numbers = tuple(mine.index(kernel) for kernel in step.kernels())
        return steps

    def functions(self) -> tuple[Any, Any]:
        """The functions that do a convolution step, and one of any other kind."""
        tiles, rows = _kernels(self.compiled())
        return convolve(tiles) if tiles else None, by_rows(rows)

    @property
    def counters(self) -> int:
        """Where the steps' counters start in a job."""
        return -(-(EXTERNALS + 2 * (len(self.inputs) + len(self.outputs))) // 8) * 8

    def new_job(self) -> np.ndarray:
        return np.zeros(self.counters + PAIR * len(self.steps) * MOST_CHUNKS, np.int64)

    def _pictures(self, free: Mapping[str, int]) -> dict[str, Picture]:
        """Every buffer, with the rim that its readers need."""
        sizes, slices = self.sizes(**free), self.slices(**free)
        rims: dict[str, tuple[int, int, int, int]] = {}
        for step in self.steps:
            if isinstance(step, Convolution):
                source, target = (Picture(*sizes[name]) for name in (step.source, step.target))
                buffer = slices.get(step.source, (step.source,))[0]
                reach = step.reach(source, target, not self.sample)
                before = rims.get(buffer, (0, 0, 0, 0))
                rims[buffer] = tuple(max(a, b) for a, b in zip(before, reach, strict=True))  # type: ignore[assignment]
        spread = self.sizes(**self.sample)
        return {
            name: Picture(*size, rims.get(name, (0, 0, 0, 0)), spread[name][0] * spread[name][1] > 1)
            for name, size in sizes.items()
            if name not in slices and not _is_external(name)
        }

    def _views(self, free: Mapping[str, int], images: int) -> tuple[dict[str, View], int]:
        """Where every value lies, and the floats of the arena."""
        sizes, slices, pictures = self.sizes(**free), self.slices(**free), self._pictures(free)
        offsets, total = place({name: p.image * images for name, p in pictures.items()}, self.lives)
        views = {}
        for name, (height, width, channels) in sizes.items():
            if _is_external(name):
                row = width * channels
                views[name] = View(0, height * row, row, channels, height, width, channels, (0, 0, 0, 0))
                continue
            buffer, y, x, c = slices.get(name, (name, 0, 0, 0))
            p = pictures[buffer]
            base = offsets[buffer] + p.origin + y * p.row + x * p.pitch + c
            views[name] = View(base, p.image, p.row, p.pitch, height, width, channels, p.rim)
        return views, total + SLACK

    def geometry(
        self, compiled: tuple[Any, ...], free: Mapping[str, int], batch: int, threads: int, weight_bytes: int
    ) -> Geometry:
        """Lay out memory and work for such sizes."""
        _, one = self._views(free, 1)
        slices = self.slices(**free)
        budget = max(ARENA_BYTES, 2 * weight_bytes)
        chunk = max(1, min(MOST_IMAGES, batch, budget // (4 * (one - SLACK) or 1)))
        views, arena = self._views(free, chunk)
        arena += max((step.overrun for step in compiled if isinstance(step, CompiledConvolution)), default=0)
        table = Table()
        table.add([0] * len(compiled))
        cleared: set[str] = set()
        sections = []
        for step in compiled:
            buffer = slices.get(step.step.target, (step.step.target,))[0]
            rim = None
            if buffer not in cleared and not _is_external(buffer):
                cleared.add(buffer)
                rim = views[buffer]
            sections.append(step.section(table, views, rim, chunk, threads))
        table.put(0, sections)
        return Geometry(table.array(), arena, chunk)


def _kernels(steps: tuple[Any, ...]) -> tuple[list[Any], list[Any]]:
    """What convolution steps and the others call, each function once."""
    tiles: list[Any] = []
    rows: list[Any] = []
    for step in steps:
        mine = tiles if isinstance(step, CompiledConvolution) else rows
        mine += [kernel for kernel in step.kernels() if kernel not in mine]
    return tiles, rows


def _is_external(name: str) -> bool:
    return name.startswith(("input ", "output "))


def available_cores() -> int:
    """Cores this process may use, or `UPC_NUM_THREADS` if that is set."""
    wanted = os.environ.get("UPC_NUM_THREADS")
    if wanted:
        return max(1, int(wanted))
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Net:
    """A network with its weights: call it with float32 arrays, channels last, a batch axis in front.

    Returns an array, or a tuple of them where the network has several outputs. Raises TypeError for a wrong
    dtype and ValueError for a wrong shape. It may be called from several threads at once, pickled, and used
    after a fork; its results do not depend on the number of threads or on what else is in a batch.
    """

    def __init__(
        self, network: Network, module: str, work: Any, weights: Mapping[str, np.ndarray], threads: int | None = None
    ) -> None:
        work.ready()
        self.network, self.weights = network, dict(weights)
        self.threads = available_cores() if threads is None else max(1, threads)
        self._module, self._work, self._wanted_threads = module, work, threads
        self._compiled = network.compiled()
        packed = Weights()
        for step in self._compiled:
            step.pack(self.weights, packed)
        self._packed = packed.array()
        self._geometries: OrderedDict[Any, Geometry] = OrderedDict()
        self._arenas: list[np.ndarray] = []
        self._lock = threading.Lock()
        self._team = Team(work, network.new_job(), self.threads - 1) if self.threads > 1 else None

    def __reduce__(self) -> Any:
        return _again, (self._module, self.weights, self._wanted_threads)

    def __repr__(self) -> str:
        ins = ", ".join(f"{p.name} {_shape_text(p.shape)}" for p in self.network.inputs)
        outs = ", ".join(f"{p.name} {_shape_text(p.shape)}" for p in self.network.outputs)
        return f"<{self.network.name}: {ins} -> {outs}>"

    def __call__(self, *arrays: np.ndarray, out: np.ndarray | tuple[np.ndarray, ...] | None = None) -> Any:
        """Run the network. `out` may give the array (or tuple of arrays) to write to."""
        given, free, batch = self._accept(arrays)
        shapes = [(batch, *shape) for shape in self.network.shapes(**free)]
        made = self._results(shapes, out)
        if batch:
            self._run(given, made, free, batch)
        return made[0] if len(made) == 1 else tuple(made)

    def _accept(self, arrays: tuple[np.ndarray, ...]) -> tuple[list[np.ndarray], dict[str, int], int]:
        """Check the inputs; contiguous arrays, the values of free sizes, the batch."""
        ports = self.network.inputs
        if len(arrays) != len(ports):
            names = ", ".join(p.name for p in ports)
            raise TypeError(f"{self.network.name} takes {len(ports)} array(s) ({names}), got {len(arrays)}")
        free: dict[str, int] = {}
        batch: int | None = None
        for port, array in zip(ports, arrays, strict=True):
            if not isinstance(array, np.ndarray):
                raise TypeError(f"{port.name} must be a NumPy array, got {type(array).__name__}")
            if array.dtype != np.float32:
                raise TypeError(f"{port.name} must be float32, got {array.dtype}")
            wrong = ValueError(f"{port.name} must have shape (batch, {_shape_text(port.shape)[1:]}, got {array.shape}")
            if array.ndim != len(port.shape) + 1:
                raise wrong
            for size, expected in zip(array.shape[1:], port.shape, strict=True):
                if isinstance(expected, str):
                    if free.setdefault(expected, size) != size or size < 1:
                        raise wrong
                elif size != expected:
                    raise wrong
            if batch is not None and array.shape[0] != batch:
                raise ValueError(f"{port.name} has a batch of {array.shape[0]}, {ports[0].name} one of {batch}")
            batch = array.shape[0]
        for holds, words in self.network.demands(**free):
            if not holds:
                sizes = ", ".join(f"{name} = {size}" for name, size in free.items())
                raise ValueError(f"{words} (got {sizes})")
        return [np.ascontiguousarray(a) for a in arrays], free, batch or 0

    def _results(self, shapes: list[tuple[int, ...]], out: Any) -> list[np.ndarray]:
        if out is None:
            return [np.empty(shape, np.float32) for shape in shapes]
        made = list(out) if isinstance(out, tuple) else [out]
        if len(made) != len(shapes):
            raise ValueError(f"out must be {len(shapes)} array(s), one for each output, got {len(made)}")
        for shape, array in zip(shapes, made, strict=True):
            right = isinstance(array, np.ndarray) and array.dtype == np.float32 and array.shape == shape
            if not right or not array.flags.c_contiguous or not array.flags.writeable:
                raise ValueError(f"out must be a contiguous, writable float32 array of shape {shape}")
        return made

    def _geometry(self, free: dict[str, int], batch: int) -> Geometry:
        images = min(1 << (batch - 1).bit_length(), MOST_IMAGES)
        key = (*sorted(free.items()), images)
        with self._lock:
            if key in self._geometries:
                self._geometries.move_to_end(key)
                return self._geometries[key]
        made = self.network.geometry(self._compiled, free, images, self.threads, self._packed.nbytes)
        with self._lock:
            self._geometries[key] = made
            while len(self._geometries) > 16:
                self._geometries.popitem(last=False)
        return made

    def _run(self, given: list[np.ndarray], made: list[np.ndarray], free: dict[str, int], batch: int) -> None:
        geometry = self._geometry(free, batch)
        try:
            arena = self._arenas.pop()
        except IndexError:
            arena = np.empty(0, np.float32)
        if arena.size < geometry.arena:
            arena = aligned(geometry.arena)
        most = geometry.chunk * MOST_CHUNKS
        for first in range(0, batch, most):
            last = min(first + most, batch)

            def prepare(job: np.ndarray, first: int = first, last: int = last) -> None:
                job[ARENA], job[WEIGHTS], job[TABLE] = (
                    arena.ctypes.data,
                    self._packed.ctypes.data,
                    geometry.table.ctypes.data,
                )
                job[BATCH], job[CHUNK] = last - first, geometry.chunk
                for i, array in enumerate([*given, *made]):
                    each = prod(array.shape[1:])
                    job[EXTERNALS + 2 * i] = array.ctypes.data + 4 * first * each
                    job[EXTERNALS + 2 * i + 1] = each
                job[self.network.counters :] = 0

            if self._team is None or not self._team.run(prepare):
                job = self.network.new_job()
                prepare(job)
                self._work(job.ctypes.data, 1)
        if len(self._arenas) < 4:
            self._arenas.append(arena)


def _shape_text(shape: tuple[int | str, ...]) -> str:
    return f"({', '.join(str(d) for d in shape)})"


def _again(module: str, weights: Mapping[str, np.ndarray], threads: int | None) -> Net:
    """Make an unpickled network: import its module and load it."""
    __import__(module)
    loaded: Net = sys.modules[module].load(weights, threads=threads)
    return loaded


def read_weights(path: str | os.PathLike[str], expected: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file. Names and shapes are checked before any array is read; ValueError."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(os.fspath(path), framework="numpy") as file:
            found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 (it is no dict)
            check_weights(found, expected, str(Path(path)))
            return {name: np.ascontiguousarray(file.get_tensor(name), dtype=np.float32) for name in expected}
    except SafetensorError as problem:
        raise ValueError(f"{Path(path)} is no safetensors file: {problem}") from None


def check_weights(found: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]], where: str) -> None:
    """Compare names and shapes; a ValueError lists all that is missing, of another shape or not expected."""
    wrong = [f"{name} is missing" for name in expected if name not in found]
    wrong += [
        f"{name} has shape {found[name]}, expected {shape}"
        for name, shape in expected.items()
        if name in found and found[name] != tuple(shape)
    ]
    wrong += [f"{name} is not expected" for name in found if name not in expected]
    if wrong:
        raise ValueError(f"{where} does not fit this network:\n  " + "\n  ".join(wrong))


def load_network(
    network: Network,
    module: str,
    file: str,
    work: Any,
    weights: str | os.PathLike[str] | Mapping[str, np.ndarray] | None,
    threads: int | None,
) -> Net:
    """What a generated module's `load` does."""
    if weights is None:
        weights = Path(file).with_name(f"{network.name}.safetensors")
    if isinstance(weights, Mapping):
        found = {name: tuple(np.shape(array)) for name, array in weights.items()}
        check_weights(found, network.weights, "the dict of weights")
        arrays = {name: np.ascontiguousarray(weights[name], dtype=np.float32) for name in network.weights}
    else:
        arrays = read_weights(weights, network.weights)
    return Net(network, module, work, arrays, threads)
