"""Work shared between threads: every task done once, no step begun before the one in front of it has ended."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numba import njit, types

from upc.ir import Array
from upc.runtime.team import (
    HEADER,
    OPEN,
    SPINS,
    Team,
    atomic_add,
    atomic_load,
    close,
    finished,
    integers,
    join,
    lead,
    leave,
    take,
)

STEPS, TASKS = 24, 40
COUNTERS = HEADER  # 16 cells for each step, as a network has them
DONE = COUNTERS + 16 * STEPS  # how often each task was done
EARLY = DONE + STEPS * TASKS  # tasks that found one of the step before undone
CELLS = EARLY + 8


@njit(types.void(types.int64, types.int64), nogil=True)
def work(address: int, leader: int) -> None:
    job = integers(address)
    while True:
        if leader:
            lead(job)
        elif not join(job, SPINS):
            return
        seen = atomic_load(job, OPEN)
        for step in range(STEPS):
            task = take(job, COUNTERS + 16 * step, TASKS)
            while task >= 0:
                if step > 0:
                    for other in range(TASKS):
                        if atomic_load(job, DONE + (step - 1) * TASKS + other) == 0:
                            atomic_add(job, EARLY, 1)
                for _ in range(task * 20):  # some tasks take longer
                    atomic_load(job, EARLY)
                atomic_add(job, DONE + step * TASKS + task, 1)
                finished(job, COUNTERS + 16 * step)
                task = take(job, COUNTERS + 16 * step, TASKS)
        if leader:
            close(job)
            return
        leave(job, seen)


def clear(job: Array) -> None:
    job[HEADER:] = 0


def check(job: Array) -> None:
    np.testing.assert_array_equal(job[DONE:EARLY], 1)
    assert job[EARLY] == 0


@pytest.mark.parametrize("helpers", [0, 1, 3, 7])
def test_every_task_is_done_once_and_in_its_turn(helpers: int) -> None:
    job = np.zeros(CELLS, np.int64)
    team = Team(work, job, helpers)
    for _ in range(40):
        assert team.run(clear)
        check(job)


def test_a_team_that_slept_wakes() -> None:
    job = np.zeros(CELLS, np.int64)
    team = Team(work, job, 2)
    for _ in range(3):
        assert team.run(clear)
        check(job)
        time.sleep(0.15)


def test_one_caller_at_a_time_has_the_team() -> None:
    job = np.zeros(CELLS, np.int64)
    team = Team(work, job, 2)
    inside = threading.Event()
    go_on = threading.Event()

    def slowly(cells: Array) -> None:
        clear(cells)
        inside.set()
        go_on.wait(30)

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(team.run, slowly)
        assert inside.wait(30)
        assert not team.run(clear), "the team is taken"
        go_on.set()
        assert first.result(60)
    check(job)
    assert team.run(clear)


@pytest.mark.parametrize("turn", range(5))
def test_many_first_callers_start_one_team(turn: int) -> None:
    before = threading.active_count()
    job = np.zeros(CELLS, np.int64)
    team = Team(work, job, 3)
    barrier = threading.Barrier(8)

    def call(_: int) -> int:
        barrier.wait()
        done = 0
        for _ in range(5):
            done += team.run(clear_and_check)
        return done

    def clear_and_check(cells: Array) -> None:
        clear(cells)

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(call, range(8))) >= 1
    check(job)
    assert threading.active_count() <= before + 3


def test_what_prepare_raises_is_the_callers_and_the_team_goes_on() -> None:
    job = np.zeros(CELLS, np.int64)
    team = Team(work, job, 1)

    def fail(cells: Array) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        team.run(fail)
    assert team.run(clear)
    check(job)


def test_idle_threads_sleep() -> None:
    """Long after the last job no thread of the team uses the processor."""
    job = np.zeros(CELLS, np.int64)
    teams = [Team(work, np.zeros(CELLS, np.int64), 2) for _ in range(4)] + [Team(work, job, 2)]
    for team in teams * 10:
        assert team.run(clear)
    time.sleep(0.5)
    before = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - before < 0.25


def test_a_job_seen_closed_is_not_waited_for() -> None:
    """A thread that enters just before the leader closes must not wait for the next job, which may never come."""

    @njit(types.void(types.int64, types.int64), nogil=True)
    def leave_closed(address: int, seen: int) -> None:
        leave(integers(address), seen)

    job = np.zeros(CELLS, np.int64)
    job[OPEN] = 4
    done = threading.Thread(target=leave_closed, args=(job.ctypes.data, 4), daemon=True)
    done.start()
    done.join(20)
    stuck = done.is_alive()
    job[OPEN] = 6
    assert not stuck


def test_a_forked_process_has_threads_of_its_own() -> None:
    job = np.zeros(CELLS, np.int64)
    team = Team(work, job, 2)
    assert team.run(clear)
    child = os.fork()
    if child == 0:
        done: Callable[[int], None] = os._exit
        done(0 if team.run(clear) and (job[DONE:EARLY] == 1).all() and job[EARLY] == 0 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert team.run(clear)
    check(job)
