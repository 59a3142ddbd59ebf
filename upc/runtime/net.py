"""The object that a user calls: a network with its weights, its memory and its threads."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from upc.runtime.advice import shape_advice
from upc.runtime.cache import LOADING, Entry, check_compiler, code_address, code_stamp
from upc.runtime.compiled import CompiledStep, Ready
from upc.runtime.cores import MOST_THREADS, available_cores
from upc.runtime.drive import worker
from upc.runtime.layout import Weights, aligned
from upc.runtime.memory import require_memory
from upc.runtime.network import MOST_IMAGES, Geometry, Network, Port
from upc.runtime.records import ARENA, BATCH, CHUNK, COUNTERS, EXTERNALS, JOB, PAIR, ROUNDS, STAMPS, TABLE, WEIGHTS
from upc.runtime.stored import WeightsFile, take_weights
from upc.runtime.team import Team

KEPT_CALLS, KEPT_GEOMETRIES, KEPT_SEATS = 64, 16, 4  # of the sizes used last, or of calls at the same time


FLOAT32 = np.dtype(np.float32)

KEEPING = threading.Lock()
"""Held for the moment in which a network's kept calls and geometries change, and while a process is forked."""
if hasattr(os, "register_at_fork"):  # pragma: no branch - where processes fork
    os.register_at_fork(before=KEEPING.acquire, after_in_parent=KEEPING.release, after_in_child=KEEPING.release)


@dataclass(frozen=True)
class Call:
    """What is known of a call from the shapes of its arrays."""

    batch: int
    shapes: tuple[tuple[int, ...], ...]
    image_floats: tuple[int, ...]
    geometry: Geometry


class Seat:
    """The memory of one call at a time: its job, with counters, and its arena."""

    def __init__(self, job: np.ndarray) -> None:
        self.cells, self.address = memoryview(job), address_of(job)  # type: ignore[arg-type]
        self.cells[JOB] = self.address
        self.arena = np.empty(0, np.float32)
        self.call: Call | None = None
        self.most = 1  # images that there are counters for


class Net:
    """A network with its weights: call it with float32 arrays, channels last, a batch axis in front.

    Returns an array, or a tuple of them where the network has several outputs. Raises TypeError for a wrong
    dtype and ValueError for a wrong shape. It may be called from several threads at once, pickled, and used
    after a fork; its results do not depend on the number of threads or on what else is in a batch.
    """

    def __init__(
        self, network: Network, module: str, file: str, weights: Mapping[str, np.ndarray], threads: int | None = None
    ) -> None:
        self.network, self.weights = network, weights
        self.threads = available_cores() if threads is None else min(max(1, threads), MOST_THREADS)
        self._module, self._wanted_threads, self._stamps = module, threads, 0
        compiled, work = compile_network(network, file)
        self._work = Entry(work)
        packed = Weights()
        self._steps = [Ready(step, code, step.pack(self.weights, packed)) for step, code in compiled]
        self._packed = packed.array()
        self._calls: OrderedDict[Any, Call] = OrderedDict()
        self._latest: Call | None = None
        self._geometries: OrderedDict[Any, Geometry] = OrderedDict()
        self._seats: list[Seat] = []
        self._lock = KEEPING
        self._team = Team(self._work, self.threads - 1) if self.threads > 1 else None

    def __reduce__(self) -> Any:
        return _again, (self._module, dict(self.weights), self._wanted_threads)

    def __repr__(self) -> str:
        ins = ", ".join(f"{p.name} {shape_text(p.shape)}" for p in self.network.inputs)
        outs = ", ".join(f"{p.name} {shape_text(p.shape)}" for p in self.network.outputs)
        return f"<{self.network.name}: {ins} -> {outs}>"

    @property
    def inputs(self) -> tuple[Port, ...]:
        """What it takes, in order: names, and shapes without the batch, in which free sizes stand by name."""
        return self.network.inputs

    @property
    def outputs(self) -> tuple[Port, ...]:
        """What it gives, as `inputs`; sizes that follow from free ones stand as text, `2*H`."""
        return self.network.outputs

    def __call__(
        self, *arrays: np.ndarray, out: np.ndarray | tuple[np.ndarray, ...] | None = None, **named: np.ndarray
    ) -> Any:
        """Run the network on its inputs, given in order or by name. `out` may give the array (or tuple of arrays) to
        write to, which must not share memory with an input or with each other: results are written while inputs are
        still read. An input that is called `out` can only be given in order.
        """
        if named:
            arrays = self._in_order(arrays, named)
        for array in arrays:
            if type(array) is not np.ndarray or array.dtype is not FLOAT32 or not array.flags.carray:
                arrays = self._accept(arrays)
                break
        call = self._calls.get(tuple([array.shape for array in arrays]))
        if call is None or call is not self._latest:
            call = self._latest = self._find_call(arrays)
        made = [np.empty(shape, FLOAT32) for shape in call.shapes] if out is None else self._results(call, out, arrays)
        if call.batch:
            self._run(call, [*arrays, *made])
        return made[0] if len(made) == 1 else tuple(made)

    def stamp(self, stamps: np.ndarray | None) -> None:
        """Have later calls add the processor's ticks for each step to `stamps[1:]`, and leave the last in `stamps[0]`.

        `stamps` are int64, one more than there are steps, and must outlive those calls; None ends it.
        """
        self._stamps = 0 if stamps is None else address_of(stamps)

    def _in_order(self, arrays: tuple[np.ndarray, ...], named: Mapping[str, np.ndarray]) -> tuple[np.ndarray, ...]:
        """All inputs, of which the last are given by name."""
        names = [port.name for port in self.network.inputs]
        listed = f"{self.network.name} takes {', '.join(names)}"
        for name in named:
            if name not in names:
                raise TypeError(f"{listed}, not {name}")
            if name in names[: len(arrays)]:
                raise TypeError(f"{listed}; {name} is given in order and by name")
        if missing := [name for name in names[len(arrays) :] if name not in named]:
            raise TypeError(f"{listed}; {', '.join(missing)} is missing")
        return (*arrays, *(named[name] for name in names[len(arrays) :]))

    def _accept(self, arrays: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
        """The inputs as contiguous arrays, if there are as many as must be and all are float32."""
        ports = self.network.inputs
        if len(arrays) != len(ports):
            names = ", ".join(p.name for p in ports)
            raise TypeError(f"{self.network.name} takes {len(ports)} array(s) ({names}), got {len(arrays)}")
        for port, array in zip(ports, arrays, strict=True):
            if not isinstance(array, np.ndarray):
                raise TypeError(f"{port.name} must be a NumPy array, got {type(array).__name__}")
            if array.dtype != FLOAT32:
                raise TypeError(f"{port.name} must be float32, got {array.dtype}")
        return tuple(np.require(array, requirements=["C_CONTIGUOUS", "ALIGNED"]) for array in arrays)

    def _results(self, call: Call, out: Any, arrays: tuple[np.ndarray, ...]) -> list[np.ndarray]:
        """The arrays that the caller gave to be written to. Raises ValueError where they cannot be."""
        ports = self.network.outputs
        made = list(out) if isinstance(out, tuple) else [out]
        if len(made) != len(ports):
            raise ValueError(f"out must be {len(ports)} array(s), one for each output, got {len(made)}")
        for port, shape, array in zip(ports, call.shapes, made, strict=True):
            if (wrong := _unfit(array, shape)) is not None:
                raise ValueError(f"out for {port.name} must be {wrong}")
        for number, (port, array) in enumerate(zip(ports, made, strict=True)):
            others = [(p.name, other) for p, other in zip(self.network.inputs, arrays, strict=True)]
            others += [(f"out for {p.name}", o) for p, o in zip(ports[:number], made[:number], strict=True)]
            for name, other in others:
                # All of them are contiguous, so that where they begin and end says whether they overlap.
                if np.may_share_memory(array, other):
                    raise ValueError(f"out for {port.name} shares memory with {name}")
        return made

    def _find_call(self, arrays: tuple[np.ndarray, ...]) -> Call:
        """What is known of a call, or worked out now; what has not been asked for longest is forgotten."""
        given = tuple([array.shape for array in arrays])
        with self._lock:
            if given in self._calls:
                self._calls.move_to_end(given)
                return self._calls[given]
        call = self._new_call(self._accept(arrays))
        with self._lock:
            self._calls[given] = call
            while len(self._calls) > KEPT_CALLS:
                self._calls.popitem(last=False)
        return call

    def _new_call(self, arrays: tuple[np.ndarray, ...]) -> Call:
        """Check the inputs' shapes and work out what follows from them."""
        free: dict[str, int] = {}
        given = tuple(array.shape for array in arrays)
        ports = self.network.inputs
        for port, shape in zip(ports, given, strict=True):
            fits = len(shape) == len(port.shape) + 1
            for size, expected in zip(shape[1:], port.shape, strict=False):
                if isinstance(expected, str):
                    fits = fits and size > 0 and free.setdefault(expected, size) == size
                else:
                    fits = fits and size == expected
            if not fits:
                words = f"{port.name} must have shape (batch, {shape_text(port.shape)[1:]}, got {shape}"
                advice = shape_advice(port.name, shape, port.shape)
                raise ValueError(f"{words}: {advice}" if advice else words)
            if shape[0] != given[0][0]:
                raise ValueError(f"{port.name} has a batch of {shape[0]}, {ports[0].name} one of {given[0][0]}")
        for holds, words in self.network.demands(**free):
            if not holds:
                sizes = ", ".join(f"{name} = {size}" for name, size in free.items())
                raise ValueError(f"{words} (got {sizes})")
        batch = given[0][0]
        results = self.network.shapes(**free)
        floats = (*(prod(shape[1:]) for shape in given), *(prod(shape) for shape in results))
        shapes = tuple((batch, *shape) for shape in results)
        geometry = self._geometry(free, max(batch, 1))
        needed = 4 * (geometry.arena + sum(map(prod, shapes)))
        require_memory(needed, f"{self.network.name} called with {', '.join(map(shape_text, given))}")
        return Call(batch, shapes, floats, geometry)

    def _geometry(self, free: dict[str, int], batch: int) -> Geometry:
        images = min(1 << (batch - 1).bit_length(), MOST_IMAGES)
        key = (*sorted(free.items()), images)
        with self._lock:
            if key in self._geometries:
                self._geometries.move_to_end(key)
                return self._geometries[key]
        made = self.network.geometry(self._steps, free, images, self.threads, self._packed.nbytes)
        with self._lock:
            self._geometries[key] = made
            while len(self._geometries) > KEPT_GEOMETRIES:
                self._geometries.popitem(last=False)
        return made

    def _run(self, call: Call, arrays: list[np.ndarray]) -> None:
        try:
            seat = self._seats.pop()
        except IndexError:
            seat = Seat(self.network.new_job())
        if seat.call is not call:
            self._sit_down(seat, call)
        cells = seat.cells
        cells[STAMPS] = self._stamps
        addresses = [address_of(array) for array in arrays]
        for first in range(0, call.batch, seat.most):
            cells[BATCH] = min(seat.most, call.batch - first)
            for number, address in enumerate(addresses):
                cells[EXTERNALS + 2 * number] = address + 4 * first * call.image_floats[number]
            # One task a step is work for one thread; so is what comes while the others are taken.
            if self._team is None or call.geometry.single or not self._team.run(seat.address):
                self._work(seat.address, 1)
        if len(self._seats) < KEPT_SEATS:
            self._seats.append(seat)

    def _sit_down(self, seat: Seat, call: Call) -> None:
        """Prepare a seat for calls of other sizes than its last."""
        geometry, cells = call.geometry, seat.cells
        if seat.arena.size < geometry.arena:
            seat.arena = aligned(geometry.arena)
        cells[ARENA], cells[WEIGHTS] = address_of(seat.arena), address_of(self._packed)
        cells[TABLE], cells[CHUNK], cells[ROUNDS] = address_of(geometry.table), geometry.chunk, geometry.rounds
        cells[COUNTERS] = self.network.counters
        for number, floats in enumerate(call.image_floats):
            cells[EXTERNALS + 2 * number + 1] = floats
        seat.most = geometry.chunk * ((len(cells) - self.network.counters) // (geometry.rounds * PAIR))
        seat.call = call


def compile_network(
    network: Network, file: str, backwards: bool = False
) -> tuple[list[tuple[CompiledStep[Any], tuple[int, ...]]], int]:
    """The steps of a module's network with their machine code, and where that of the worker is.

    Of two processes that share a cache, one `backwards`, each compiles about half.
    """
    check_compiler()
    with LOADING:
        steps, stamp = network.compiled(), code_stamp(file)
        wanted = [*(kernel for step in steps for kernel in step.kernels()), worker()]
        for kernel in reversed(wanted) if backwards else wanted:
            code_address(kernel, stamp)
        code = [tuple(code_address(kernel, stamp) for kernel in step.kernels()) for step in steps]
        return list(zip(steps, code, strict=True)), code_address(worker(), stamp)


def _unfit(array: Any, shape: tuple[int, ...]) -> str | None:
    """What an array that results of such a shape are to be written to must be and is not."""
    if not isinstance(array, np.ndarray):
        return f"a NumPy array, got {type(array).__name__}"
    if array.dtype != FLOAT32:
        return f"float32, got {array.dtype}"
    if array.shape != shape:
        return f"of shape {shape}, got {array.shape}"
    if not array.flags.c_contiguous:
        return "contiguous, got strides of {} bytes".format(", ".join(map(str, array.strides)))
    if not array.flags.aligned:
        return "aligned to 4 bytes"
    return None if array.flags.writeable else "writable, got one that is read-only"


def address_of(array: np.ndarray) -> int:
    """Where an array's first element lies; quicker than its `ctypes`, and than its interface if it is writable."""
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(array))  # type: ignore[arg-type]
    except (TypeError, ValueError):  # it cannot be written to, or is empty
        address: int = array.__array_interface__["data"][0]
        return address


def shape_text(shape: tuple[int | str, ...]) -> str:
    """A shape in parentheses."""
    return f"({', '.join(str(d) for d in shape)})"


def _again(module: str, weights: Mapping[str, np.ndarray], threads: int | None) -> Net:
    """Make an unpickled network: import its module and load it. Its weights were taken before, whatever they are."""
    __import__(module)
    loaded: Net = sys.modules[module].load(weights, threads=threads, allow_nonfinite=True)
    return loaded


def load_network(
    network: Network,
    module: str,
    file: str,
    weights: str | os.PathLike[str] | Mapping[str, np.ndarray] | None,
    threads: int | None,
    allow_nonfinite: bool = False,
) -> Net:
    """What a generated module's `load` does."""
    if weights is None:
        weights = Path(file).with_name(f"{network.name}.safetensors")
    if isinstance(weights, Mapping):
        arrays = take_weights(weights, network.weights, "the dict of weights", allow_nonfinite)
        return Net(network, module, file, arrays, threads)
    return Net(network, module, file, WeightsFile(weights, network.weights, allow_nonfinite), threads)
