"""Processes that use a net and end in every way there is, while threads call and load.

Survived is a process that ends with the exit code it should, without hanging, with nothing on its standard error but
what its own script says there, and with no other process left.
"""

from __future__ import annotations

import signal
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random

from apart import known_module, start
from run import PORTION_S, Amount, Record

USUAL = Amount(inputs=250)


@dataclass(frozen=True)
class Way:
    """How a process ends: the last lines of its script, its exit code, and what its last line on standard error is."""

    script: str
    code: int = 0
    said: str = ""


WAYS = {
    "the end": Way("pass"),
    "sys.exit": Way("sys.exit(3)", 3),
    "sys.exit with words": Way("sys.exit('enough')", 1, "enough"),
    "sys.exit in a thread": Way("threading.Thread(target=sys.exit, args=(5,)).start()"),
    "os._exit": Way("os._exit(4)", 4),
    "os._exit in a thread": Way("threading.Thread(target=os._exit, args=(6,)).start(); time.sleep(60)", 6),
    "an exception": Way("raise RuntimeError('mine')", 1, "RuntimeError: mine"),
    "an exception in a thread": Way(
        "threading.Thread(target=lambda: 1 / 0).start()", 0, "ZeroDivisionError: division by zero"
    ),
    "a refused call": Way("net(None)", 1, "..."),
    "while a module is loaded": Way("threading.Thread(target=m.load, daemon=True).start()"),
    "while a net is loaded, and dropped": Way("del net; threading.Thread(target=m.load, daemon=True).start()"),
    "a call at exit": Way("atexit.register(lambda: net(x))"),
    "a load at exit": Way("atexit.register(lambda: m.load(threads=2)(x))"),
    "a failure at exit": Way("atexit.register(lambda: net(None))", 0, "..."),
    "a call from what is thrown away at the end": Way(
        "class Last:\n    def __del__(self, net=net, x=x): net(x)\nlast = Last()"
    ),
    "the module thrown away": Way("import gc; del m, net; sys.modules.pop('upc_test_tiny'); gc.collect()"),
    "SIGTERM": Way("os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)", -signal.SIGTERM),
    "SIGINT": Way("os.kill(os.getpid(), signal.SIGINT); time.sleep(60)", -signal.SIGINT, "KeyboardInterrupt"),
    "SIGALRM": Way("signal.setitimer(signal.ITIMER_REAL, 0.01); time.sleep(60)", -signal.SIGALRM),
    "SIGHUP that becomes sys.exit": Way(
        "signal.signal(signal.SIGHUP, lambda *_: sys.exit(7)); os.kill(os.getpid(), signal.SIGHUP); time.sleep(60)", 7
    ),
    "another program in its place": Way("os.execv(sys.executable, [sys.executable, '-c', 'raise SystemExit(8)'])", 8),
    "a forked child ends first": Way(
        "child = os.fork()\nif not child:\n    net(x)\n    sys.exit(9)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))",
        9,
    ),
    "a forked child ends by itself": Way(
        "child = os.fork()\nif not child:\n    net(x)\n    os._exit(0)\nos.waitpid(child, 0)"
    ),
    "a thread pool at work": Way(
        "from concurrent.futures import ThreadPoolExecutor\npool = ThreadPoolExecutor(3)\n"
        "for _ in range(50): pool.submit(net, x)"
    ),
    "a process pool": Way(
        "import multiprocessing\npool = multiprocessing.get_context('fork').Pool(2)\n"
        "found = pool.map(net, [x] * 5)\npool.close(); pool.join()\nassert all((y == right).all() for y in found)"
    ),
}
"""In each, `m` is a module and `net` a net loaded from it, `x` an input and `right` its result."""

SCRIPT = """
import atexit, os, signal, sys, threading, time
import numpy as np
import upc_test_tiny as m
x = np.linspace(-1, 1, 24 * {batch}, dtype=np.float32).reshape(-1, 3, 2, 2)
net = m.load(threads={threads})
right = net(x)
def forever():
    call = m.load(threads=2) if {apart} else net_of_all
    while True:
        call(x)
def some():
    call = m.load(threads=2) if {apart} else net_of_all
    for _ in range(200):
        if (call(x) != right).any():
            os._exit(111)
net_of_all = net
for _ in range({daemons}):
    threading.Thread(target=forever, daemon=True).start()
for _ in range({others}):
    threading.Thread(target=some).start()
time.sleep({delay})
{last}
"""


def one(folder: Path, r: Random) -> str:
    """One process; what was wrong with how it ended, or nothing."""
    name = r.choice(list(WAYS))
    way = WAYS[name]
    given = {"batch": r.choice((2, 2, 300)), "threads": r.choice((1, 2, 3)), "apart": r.random() < 0.3}
    given |= {"daemons": r.choice((0, 1, 2, 3)), "others": r.choice((0, 0, 1, 2)), "delay": r.choice((0, 0, 0.01, 0.1))}
    ended = start(["-c", SCRIPT.format(**given, last=way.script)], folder).end()
    last = (ended.err.strip().splitlines() or [""])[-1]
    words = f"{name} with {given}: "
    if ended.code is None:
        return words + "it hangs"
    if ended.code != way.code:
        return words + f"exit code {ended.code} instead of {way.code}: {last[:200]}"
    if last != way.said and (way.said != "..." or not last.startswith(("TypeError:", "ValueError:"))):
        return words + f"said {ended.err[-300:]!a}"
    return words + f"{ended.left} processes are left" if ended.left else ""


def run(amount: Amount, seed: int) -> Record:
    """One portion."""
    tried, lost = 0, []
    with tempfile.TemporaryDirectory() as place:
        known_module(Path(place))
        end = time.monotonic() + min(amount.seconds or PORTION_S, PORTION_S)
        while tried != amount.inputs and time.monotonic() < end:
            words = one(Path(place), Random(f"exits {seed} {tried}"))
            tried += 1
            if words:
                lost.append(f"{words} (process {tried} of seed {seed})")
    return Record(tried, tried - len(lost), tuple(lost))
