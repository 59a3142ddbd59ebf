"""The function that runs every network: its steps one after the other, each with all threads that are there.

It reads from the table what there is to do. So it is compiled once for a processor, whatever the network.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from upc.runtime.portions import filter_portions
from upc.runtime.records import (
    ARENA,
    BATCH,
    CHUNK,
    CONVOLUTION,
    COUNTERS,
    EXTERNALS,
    FILTERING,
    G_END,
    G_IMAGES,
    G_STEPS,
    JOB,
    OPEN,
    PAIR,
    ROUNDS,
    S_KIND,
    S_SECTIONS,
    S_SOURCE,
    S_TARGET,
    SEGMENT,
    STAMPS,
    STEP,
    TABLE,
    WEIGHTS,
)
from upc.runtime.rows import make_rows
from upc.runtime.subroutine import Floats, Integers, floats, integers, jit, kernel
from upc.runtime.team import SPINS, atomic_load, close, join, lead, leave
from upc.runtime.tiling import convolve


@jit
def begin(job: Integers) -> None:
    """Clear the counters of all steps of a job."""
    chunks = (job[BATCH] + job[CHUNK] - 1) // job[CHUNK]
    for counter in range(job[COUNTERS], job[COUNTERS] + PAIR * chunks * job[ROUNDS], PAIR):
        job[counter] = 0
        job[counter + 8] = 0


@jit
def memory_of(job: Integers, which: int, first: int) -> Floats:
    """The caller's array of that number from its image `first` on, or the arena if there is no such number."""
    if which < 0:
        return floats(job[ARENA])
    return floats(job[EXTERNALS + 2 * which] + 4 * first * job[EXTERNALS + 2 * which + 1])


@intrinsic
def ticks(typing: Any) -> Any:
    """What the processor's own clock says."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        steady = not str(context.codegen().magic_tuple()[0]).startswith(("x86_64", "i"))
        name = "llvm.readsteadycounter" if steady else "llvm.readcyclecounter"
        kind = ir.FunctionType(ir.IntType(64), [])
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [])

    return types.int64(), generate


@jit
def forward(job: Integers, leader: int) -> None:
    """Run a job's images: a chunk at a time, and of that each segment's steps some at a time.

    Where stamps are wanted, the first is the clock's last reading and the others gain the ticks of their steps.
    """
    table, arena, weights = integers(job[TABLE]), floats(job[ARENA]), floats(job[WEIGHTS])
    batch, chunk, counter, stamps = job[BATCH], job[CHUNK], job[COUNTERS], job[STAMPS]
    segments, steps = 1, 1 + SEGMENT * table[0]
    stamped = leader != 0 and stamps != 0
    since = ticks() if stamped else 0
    for first in range(0, batch, chunk):
        images = min(chunk, batch - first)
        for segment in range(segments, steps, SEGMENT):
            each = table[segment + G_IMAGES]
            for turn in range((images + each - 1) // each):
                some = min(each, images - turn * each)
                for number in range(table[segment + G_STEPS], table[segment + G_END]):
                    step = steps + STEP * number
                    kind, g = table[step + S_KIND], table[table[step + S_SECTIONS] + turn]
                    source = memory_of(job, table[step + S_SOURCE], first)
                    target = memory_of(job, table[step + S_TARGET], first)
                    if kind == CONVOLUTION:
                        convolve(job, leader, counter, table, g, some, arena, weights, source, target)
                    elif kind == FILTERING:
                        filter_portions(job, leader, counter, table, g, some, arena, weights, source, target)
                    else:
                        make_rows(job, leader, counter, table, g, some, arena, weights, source, target)
                    counter += PAIR
                    if stamped:
                        now = ticks()
                        integers(stamps)[0] = now
                        integers(stamps)[1 + number] += now - since
                        since = now


@kernel
def worker() -> Any:
    """The function that Python calls."""

    def work(address: int, leader: int) -> None:
        """Do the job of the gate at an address, or follow who does until there has been nothing to do for a while."""
        gate = integers(address)
        while True:
            if leader:
                begin(integers(gate[JOB]))
                lead(gate)
            elif not join(gate, SPINS):
                return
            seen = atomic_load(gate, OPEN)
            forward(integers(gate[JOB]), leader)
            if leader:
                close(gate)
                return
            leave(gate, seen)

    return work
