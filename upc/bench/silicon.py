"""What this machine can do at most: fused multiply-adds and bytes read, in a second."""

from __future__ import annotations

import os
import platform
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from upc.runtime.cores import available_cores as available_cores

DEPTH = 64  # steps of a register tile over data that stays in the first-level cache
READ_BYTES = 256 << 20  # well beyond the last-level cache's share of a few cores


def describe(threads: int) -> dict[str, Any]:
    """The machine in words, without its name."""
    return {
        "cpu": _model(),
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "threads": threads,
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
    }


def _model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() in ("model name", "Model"):
                return " ".join(value.split())
    except OSError:
        pass
    return platform.processor() or platform.machine()


class Silicon:
    """Kernels that do nothing but multiply and add, or nothing but read, on so many threads."""

    def __init__(self, threads: int) -> None:
        from upc.runtime.layout import aligned, machine

        here = machine()
        self.threads = threads
        self.vector_bits = 32 * here.lanes
        rows = 14 if here.registers >= 32 else 6
        self._flops_each = 2 * rows * 2 * here.lanes * DEPTH
        self._multiply = _multiply_kernel(rows, 2, here.lanes)
        self._read = _read_kernel()
        sizes = rows * DEPTH, DEPTH * 2 * here.lanes, rows * 2 * here.lanes
        self._arrays = [[aligned(size) for size in sizes] for _ in range(threads)]
        self._tiles = [[array.ctypes.data for array in arrays] for arrays in self._arrays]
        self._data = [np.ones(READ_BYTES // 4 // threads, np.float32) for _ in range(threads)]
        self._multiply(1, *self._tiles[0])
        self._read(self._data[0][:16])
        self._rounds = self._calibrate()

    def gflops(self, repeats: int = 10) -> float:
        """10^9 float32 operations a second, a fused multiply-add being two; the best of some tries."""
        work = [lambda tile=tile: self._multiply(self._rounds, *tile) for tile in self._tiles]
        seconds = min(_together(work) for _ in range(repeats))
        return self._rounds * self._flops_each * self.threads / seconds / 1e9

    def bytes_per_s(self, repeats: int = 10) -> float:
        """Bytes read from memory in a second; the best of some tries."""
        work = [lambda part=part: self._read(part) for part in self._data]
        return sum(part.nbytes for part in self._data) / min(_together(work) for _ in range(repeats))

    def _calibrate(self) -> int:
        """Rounds that take some 10 ms."""
        begin = time.perf_counter()
        self._multiply(20_000, *self._tiles[0])
        return max(1, int(20_000 * 0.01 / (time.perf_counter() - begin)))


def _together(work: Sequence[Callable[[], Any]]) -> float:
    """Seconds from a common start until the last is done, each on a thread of its own."""
    if len(work) == 1:
        begin = time.perf_counter()
        work[0]()
        return time.perf_counter() - begin
    gate = threading.Barrier(len(work))
    spans: list[tuple[float, float]] = []

    def run(part: Callable[[], Any]) -> None:
        gate.wait()
        begin = time.perf_counter()
        part()
        spans.append((begin, time.perf_counter()))

    threads = [threading.Thread(target=run, args=(part,)) for part in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return max(end for _, end in spans) - min(begin for begin, _ in spans)


def _multiply_kernel(rows: int, vectors: int, lanes: int) -> Any:
    """(rounds, pixels, weights, target): rounds of DEPTH steps of one register tile; the arrays by address."""
    from numba import njit

    from upc.runtime.finishing import finish
    from upc.runtime.registers import TileType
    from upc.runtime.subroutine import floats
    from upc.runtime.tile import multiply_add, start

    tile = TileType(rows, vectors, lanes)
    offsets = tuple(row * DEPTH for row in range(rows))
    begin, step = start(tile), multiply_add(tile, offsets, ahead=0)
    end = finish(tile, (), tuple(row * tile.width for row in range(rows)))
    width = tile.width

    @njit(nogil=True, boundscheck=False, error_model="numpy")  # type: ignore[untyped-decorator]
    def multiply(rounds: int, pixels_at: int, weights_at: int, target_at: int) -> None:
        pixels, weights, target = floats(pixels_at), floats(weights_at), floats(target_at)
        acc = begin(weights, 0)
        for _ in range(rounds):
            for k in range(DEPTH):
                acc = step(acc, pixels, k, weights, k * width, 0)
        end(acc, weights, 0, target, 0, 0, target, 0, rows, width)

    return multiply


def _read_kernel() -> Any:
    """(array) -> its sum, by as many vectors at once as the compiler likes."""
    from numba import njit

    @njit(nogil=True, fastmath=True, boundscheck=False)  # type: ignore[untyped-decorator]
    def read(array: Any) -> Any:
        total = np.float32(0.0)
        for i in range(array.size):
            total += array[i]
        return total

    return read
