"""Sharing one network's work between threads, without a threading layer.

Every step of a network is a number of tasks. A thread takes the next task of a step by counting up a
shared number, and goes on to the next step when the count of finished tasks says that all are done. No
thread waits for another to arrive: one that wakes late finds less to do, and one thread alone is enough.

The threads are Python threads that stay in compiled code, without the interpreter lock, while there is
work; idle ones watch for more for a fraction of a millisecond and then sleep. A `job` is an int64 array:
its first cells are a gate, the rest belongs to the network. The gate that a team watches is one of its
own, and says where the job is.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from upc.runtime.records import ACTIVE, HEADER, JOB, OPEN
from upc.runtime.subroutine import Integers, jit

SPINS = 20_000
OTHERS = 1 << 32  # a counter holds what the leader took in its lower half, what the others took in the upper


@intrinsic
def atomic_add(typing: Any, cells: Any, index: Any, amount: Any) -> Any:
    """(cells, index, amount) -> the value before; a full barrier."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        cells, index, amount = args
        return builder.atomic_rmw("add", builder.gep(cells, [index]), amount, "seq_cst")

    return types.int64(cells, types.int64, types.int64), generate


@intrinsic
def atomic_load(typing: Any, cells: Any, index: Any) -> Any:
    """(cells, index) -> the value, and all that was written before it was."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        cells, index = args
        return builder.load_atomic(builder.gep(cells, [index]), "seq_cst", 8)

    return types.int64(cells, types.int64), generate


@intrinsic
def relax(typing: Any) -> Any:
    """Tell the processor that this is a waiting loop, where it has a word for that."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if str(context.codegen().magic_tuple()[0]).startswith("x86_64"):
            pause = ir.FunctionType(ir.VoidType(), [])
            builder.call(cgutils.get_or_insert_function(builder.module, pause, "llvm.x86.sse2.pause"), [])
        return context.get_dummy_value()

    return types.void(), generate


@jit
def wait_for(job: Integers, counter: int, count: int) -> None:
    """Wait until so many tasks of this step are finished."""
    while atomic_load(job, counter + 8) < count:
        relax()


@jit
def take(job: Integers, leader: int, counter: int, count: int) -> int:
    """The number of a task of this step to do now, or -1 once all `count` tasks are finished.

    The leader takes them from the first on, the others from the last: so from call to call a thread mostly does
    what it did before, and finds the weights for that in its own cache.
    """
    taken: int = atomic_add(job, counter, 1 if leader else OTHERS)
    first, last = taken % OTHERS, taken // OTHERS
    if first + last < count:
        return first if leader else count - 1 - last
    wait_for(job, counter, count)
    return -1


@jit
def finished(job: Integers, counter: int) -> None:
    """A task taken from this step is done."""
    atomic_add(job, counter + 8, 1)


@jit
def lead(gate: Integers) -> None:
    """Open the gate to the other threads."""
    atomic_add(gate, OPEN, 1)


@jit
def close(gate: Integers) -> None:
    """Close the gate and wait until no other thread looks at it."""
    atomic_add(gate, OPEN, 1)
    while atomic_load(gate, ACTIVE) > 0:
        relax()


@jit
def join(gate: Integers, spins: int) -> bool:
    """Wait for the gate to be open and enter it; False if it stays closed for so many looks."""
    for _ in range(spins):
        if atomic_load(gate, OPEN) % 2 == 1:
            atomic_add(gate, ACTIVE, 1)
            if atomic_load(gate, OPEN) % 2 == 1:
                return True
            atomic_add(gate, ACTIVE, -1)
        relax()
    return False


@jit
def leave(gate: Integers, seen: int) -> None:
    """Go out of a gate once its work is done, and wait until that gate is closed, if it was not when seen."""
    atomic_add(gate, ACTIVE, -1)
    while seen % 2 == 1 and atomic_load(gate, OPEN) == seen:
        relax()


class Crew:
    """A team's threads in one process: who leads them holds `busy`; each sleeps on a lock of its own."""

    def __init__(self, work: Callable[[int, int], None]) -> None:
        self.work = work
        self.busy = threading.Lock()
        self.gate = np.zeros(HEADER, np.int64)
        self.address = self.gate.ctypes.data
        self.sleeping: list[threading.Lock] = []
        self.started = self.dismissed = False

    def start(self, helpers: int) -> None:
        """Start so many threads, or as many as the system lets there be: one alone is enough."""
        self.started = True
        for _ in range(helpers):
            asleep = threading.Lock()
            asleep.acquire()
            try:
                threading.Thread(target=self.follow, args=(asleep,), daemon=True, name="upc").start()
            except RuntimeError:
                return
            self.sleeping.append(asleep)

    def follow(self, asleep: threading.Lock) -> None:
        """What each thread does until its team is gone."""
        while True:
            asleep.acquire()
            if self.dismissed:
                return
            self.work(self.address, 0)

    def wake(self) -> None:
        for asleep in self.sleeping:
            if asleep.locked():
                asleep.release()

    def dismiss(self) -> None:
        """Let the threads end."""
        self.dismissed = True
        self.wake()


class Team:
    """The threads that help one network, started when first wanted and again after a fork; they end when it is gone.

    `work(address, leader)` is compiled code for the gate at an address: with `leader` 1 it does the gate's
    job and returns, with 0 it follows until there has been nothing to do for a while.
    """

    def __init__(self, work: Callable[[int, int], None], helpers: int) -> None:
        self._work, self._helpers = work, helpers
        self._crews: dict[int, Crew] = {}

    def run(self, job: int) -> bool:
        """Do the job at an address with all threads; False, and nothing done, if another caller has them."""
        # One for each process: after a fork the parent's threads are gone, and its locks as they were then.
        crew = self._crews.get(os.getpid()) or self._crews.setdefault(os.getpid(), Crew(self._work))
        if not crew.busy.acquire(blocking=False):
            return False
        try:
            if not crew.started:
                # Its threads know the crew and not the team, so that they do not keep the team alive.
                weakref.finalize(self, crew.dismiss).atexit = False
                crew.start(self._helpers)
            crew.gate[JOB] = job
            crew.wake()
            self._work(crew.address, 1)
        finally:
            crew.busy.release()
        return True
