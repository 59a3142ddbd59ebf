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

from upc.runtime.records import HEADER, JOB, OPEN
from upc.runtime.subroutine import integers
from upc.runtime.team import SPINS, Team, atomic_add, atomic_load, close, finished, join, lead, leave, relax, take

STEPS, TASKS = 24, 40
COUNTERS = HEADER  # 16 cells for each step, as a network has them
DONE = COUNTERS + 16 * STEPS  # how often each task was done
EARLY = DONE + STEPS * TASKS  # tasks that found one of the step before undone
HELD = EARLY + 8  # while this is set, tasks wait
CELLS = HELD + 8


@njit(types.void(types.int64, types.int64), nogil=True)
def work(address: int, leader: int) -> None:
    gate = integers(address)
    while True:
        if leader:
            lead(gate)
        elif not join(gate, SPINS):
            return
        seen = atomic_load(gate, OPEN)
        job = integers(gate[JOB])
        for step in range(STEPS):
            task = take(job, leader, COUNTERS + 16 * step, TASKS)
            while task >= 0:
                while atomic_load(job, HELD) == 1:
                    relax()
                if step > 0:
                    for other in range(TASKS):
                        if atomic_load(job, DONE + (step - 1) * TASKS + other) == 0:
                            atomic_add(job, EARLY, 1)
                for _ in range(task * 20):  # some tasks take longer
                    atomic_load(job, EARLY)
                atomic_add(job, DONE + step * TASKS + task, 1)
                finished(job, COUNTERS + 16 * step)
                task = take(job, leader, COUNTERS + 16 * step, TASKS)
        if leader:
            close(gate)
            return
        leave(gate, seen)


class Jobs:
    """A team and a job of one caller."""

    def __init__(self, team: Team) -> None:
        self.team, self.job = team, np.zeros(CELLS, np.int64)

    def run(self, held: bool = False) -> bool:
        """Do the job from its beginning, and check that it was done as it must be, if the team was free."""
        self.job[HEADER:] = 0
        self.job[HELD] = held
        done = self.team.run(self.job.ctypes.data)
        if done:
            np.testing.assert_array_equal(self.job[DONE:EARLY], 1)
            assert self.job[EARLY] == 0
        return done


@pytest.mark.parametrize("helpers", [0, 1, 3, 7])
def test_every_task_is_done_once_and_in_its_turn(helpers: int) -> None:
    jobs = Jobs(Team(work, helpers))
    for _ in range(40):
        assert jobs.run()


def test_a_team_that_slept_wakes() -> None:
    jobs = Jobs(Team(work, 2))
    for _ in range(3):
        assert jobs.run()
        time.sleep(0.15)


def test_one_caller_at_a_time_has_the_team() -> None:
    team = Team(work, 2)
    first, second = Jobs(team), Jobs(team)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(first.run, held=True)
        while not first.job[COUNTERS]:  # until a task has been taken
            time.sleep(0.001)
        assert not second.run(), "the team is taken"
        first.job[HELD] = 0
        assert running.result(60)
    assert second.run()


@pytest.mark.parametrize("turn", range(5))
def test_many_first_callers_start_one_team(turn: int) -> None:
    before = threading.active_count()
    team = Team(work, 3)
    barrier = threading.Barrier(8)

    def call(_: int) -> int:
        jobs = Jobs(team)
        barrier.wait()
        return sum(jobs.run() for _ in range(5))

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(call, range(8))) >= 1
    assert threading.active_count() <= before + 3


def test_idle_threads_sleep() -> None:
    """Long after the last job no thread of the team uses the processor."""
    for jobs in [Jobs(Team(work, 2)) for _ in range(5)] * 10:
        assert jobs.run()
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
    jobs = Jobs(Team(work, 2))
    assert jobs.run()
    child = os.fork()
    if child == 0:
        done: Callable[[int], None] = os._exit
        done(0 if jobs.run() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert jobs.run()
