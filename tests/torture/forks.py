"""Threads, forks, start methods and signals, all at the same time.

A process has several threads that call nets and load them, while it starts children by fork, spawn and forkserver that
do the same; in some, a signal comes from outside at a random moment. Survived: it ends, soon, with the exit code that
is right; every result was right, in the children too; nothing is left running.
"""

from __future__ import annotations

import json
import signal
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from random import Random

from apart import known_module, start
from run import PORTION_S, Amount, Record

USUAL = Amount(inputs=150)

SCRIPT = '''
import hashlib, json, multiprocessing, os, signal, sys, threading, time
import numpy as np
import upc_test_tiny as m

x = np.linspace(-1, 1, 24, dtype=np.float32).reshape(2, 3, 2, 2)
more = np.concatenate([x] * 100)
given = json.loads(os.environ["GIVEN"])


def right(net):
    y, many = net(x), net(more)
    return hashlib.sha256(y.tobytes()).hexdigest() == given["expected"] and (many.reshape(100, *y.shape) == y).all()


def child(net=None):
    """What every child does, with a net of its own and with its parent's where it was forked."""
    signal.alarm(100)
    good = right(m.load(threads=2)) and (net is None or right(net))
    sys.exit(0 if good else 7)


def main():
    net, stop, wrong = m.load(threads=given["threads"]), threading.Event(), []

    def call():
        while not stop.is_set():
            if not right(net):
                wrong.append("a call")

    def load():
        while not stop.is_set():
            if not right(m.load(threads=2)):
                wrong.append("a load")

    workers = [threading.Thread(target=call, daemon=given["daemon"]) for _ in range(given["callers"])]
    workers += [threading.Thread(target=load, daemon=given["daemon"]) for _ in range(given["loaders"])]
    for worker in workers:
        worker.start()
    print("ready", flush=True)
    try:
        for how in given["children"]:
            if how == "os.fork":
                pid = os.fork()
                if not pid:
                    try:
                        child(net)
                    except SystemExit as done:
                        os._exit(done.code)
                    finally:
                        os._exit(8)
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            else:
                process = multiprocessing.get_context(how).Process(target=child, args=(net,) if how == "fork" else ())
                process.start()
                process.join()
                code = process.exitcode
            if code:
                wrong.append(f"{how} ended with {code}")
        time.sleep(given["after"])
    finally:
        stop.set()
        if not given["daemon"]:
            for worker in workers:
                worker.join()
    print(wrong)


if __name__ == "__main__":
    main()
'''


def one(folder: Path, expected: str, r: Random) -> str:
    """One process; what was wrong, or nothing."""
    (folder / "script.py").write_text(SCRIPT)
    methods = ("os.fork", "os.fork", "fork", "fork", "spawn", "forkserver")
    given = {
        "expected": expected,
        "threads": r.choice((1, 2, 3)),
        "callers": r.choice((0, 1, 2)),
        "loaders": r.choice((0, 1)),
        "daemon": r.random() < 0.5,
        "children": [r.choice(methods) for _ in range(r.randint(1, 4))],
        "after": r.choice((0, 0.1)),
    }
    signalled = r.choice((None, None, signal.SIGTERM, signal.SIGINT, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT))
    process = start(["script.py"], folder, {"GIVEN": json.dumps(given)})
    if signalled is not None:
        assert process.process.stdout is not None
        ready = process.process.stdout.readline()
        time.sleep(r.choice((0.05, 0.5, 2)) * r.random())
        with suppress(ProcessLookupError):
            process.process.send_signal(signalled)
    else:
        ready = ""
    ended = process.end(150)
    words = f"{ {**given, 'expected': '...'} } with {signalled and signalled.name}: "
    if ended.code is None:
        return words + "it hangs"
    if ended.left:
        return words + f"{ended.left} processes are left"
    said = ready + ended.out
    if ended.code == 0 and said == "ready\n[]\n":  # the signal may have come too late
        return ""
    # A signal that comes while Python's own modules handle one of theirs can make them fail; not hang or lie.
    late = said == "ready\n[]\n"  # while the interpreter took itself apart
    if signalled == signal.SIGINT and ended.code in (1, -signal.SIGINT) and ("KeyboardInterrupt" in ended.err or late):
        return ""
    if signalled not in (None, signal.SIGINT) and ended.code == -signalled:
        return ""
    return words + f"it ended with {ended.code} and said {said!a} {ended.err[-300:]!a}"


def run(amount: Amount, seed: int) -> Record:
    """One portion."""
    tried, lost = 0, []
    with tempfile.TemporaryDirectory() as place:
        expected = known_module(Path(place)).strip()
        end = time.monotonic() + min(amount.seconds or PORTION_S, PORTION_S)
        while tried != amount.inputs and time.monotonic() < end:
            words = one(Path(place), expected, Random(f"forks {seed} {tried}"))
            tried += 1
            if words:
                lost.append(f"{words} (process {tried - 1} of seed {seed})")
    return Record(tried, tried - len(lost), tuple(lost))
