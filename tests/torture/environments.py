"""The same source under every environment: what is emitted, said and computed must be the same, byte by byte.

Hash seeds, locales (some that do not exist), time zones, encodings, Python's modes, one core or all, numbers of threads
and quotas of control groups change. A quota is set in a control group of this machine's where one can be made, and the
process must then take no more threads than it is worth.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from random import Random

from apart import known_module, start
from run import PORTION_S, Amount, Record
from written import FACES, PAIR

USUAL = Amount(inputs=200)
LOCALES = ("C", "C.UTF-8", "POSIX", "tr_TR.UTF-8", "de_DE.UTF-8", "ja_JP.eucJP", "xx", "", "en_US.ISO-8859-1")
ODD = "# müde Äpfel, 猫, İı\nnet odd {\n  input x: [H, W, 3]\n  rescaling(0.1)\n  clip(1e-3, 0.5)\n  output y\n}\n"

SCRIPT = """
import hashlib, io, json, sys
from contextlib import redirect_stderr, redirect_stdout
import numpy as np
from upc.cli import main
from upc.runtime.cores import available_cores

found = {}
for name in ("faces", "pair", "odd"):
    for arguments in (
        *(("emit", "--target", target) for target in ("keras", "torch", "numba")),
        ("fmt", "--check"), ("lint",), ("summary",), ("compile", "--emit", "ir"), ("compile", "--emit", "plan"),
    ):
        raw = io.BytesIO()
        words = io.TextIOWrapper(raw, encoding="utf-8", newline="\\n")
        with redirect_stdout(words), redirect_stderr(words):
            main([*arguments, name + ".upc"])
        words.flush()
        found[f"{name} {' '.join(arguments)}"] = hashlib.sha256(raw.getvalue()).hexdigest()
import upc_test_tiny as m
x = np.linspace(-1, 1, 24, dtype=np.float32).reshape(2, 3, 2, 2)
found["a call"] = hashlib.sha256(m.load()(x).tobytes()).hexdigest()
print(json.dumps([found, available_cores()]))
"""


class Quotas:
    """Control groups with a quota of processor time, where this machine lets one be made; else there are none."""

    def __init__(self) -> None:
        self.folder: Path | None = None
        for root in (Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")):
            place = root / f"upc-torture-{os.getpid()}"
            with suppress(OSError):
                place.mkdir()
                if (place / "cpu.cfs_quota_us").exists() or (place / "cpu.max").exists():
                    self.folder = place
                    return
                place.rmdir()

    def enter(self, microseconds: int) -> None:
        """Have this process in a group that gives it so much of each 100,000 microseconds."""
        assert self.folder is not None
        if (self.folder / "cpu.max").exists():
            (self.folder / "cpu.max").write_text(f"{microseconds} 100000")
        else:
            (self.folder / "cpu.cfs_period_us").write_text("100000")
            (self.folder / "cpu.cfs_quota_us").write_text(str(microseconds))
        (self.folder / "cgroup.procs").write_text(str(os.getpid()))

    def leave(self) -> None:
        assert self.folder is not None
        (self.folder.parent / "cgroup.procs").write_text(str(os.getpid()))

    def close(self) -> None:
        if self.folder is not None:
            with suppress(OSError):
                self.folder.rmdir()


def drawn(r: Random) -> tuple[list[str], dict[str, str]]:
    """Python's options and environment variables."""
    options = r.choice(
        ([], [], ["-X", "utf8=0"], ["-X", "utf8"], ["-O"], ["-OO"], ["-E"], ["-B"], ["-b"], ["-X", "dev"])
    )
    hashes = "random" if r.random() < 0.3 else str(r.randrange(2**32))
    environment = {"PYTHONHASHSEED": hashes, "TZ": r.choice(("UTC", "Asia/Kathmandu", "nowhere", ":/etc/passwd", ""))}
    for name in ("LC_ALL", "LANG", "LC_CTYPE", "LC_NUMERIC"):
        if r.random() < 0.5:
            environment[name] = r.choice(LOCALES)
    if r.random() < 0.4:
        environment["PYTHONIOENCODING"] = r.choice(("ascii", "latin-1", "utf-16", "utf-8:surrogateescape"))
    if r.random() < 0.4:
        environment["PYTHONUTF8"] = r.choice(("0", "1"))
    if r.random() < 0.3:
        environment["PYTHONCOERCECLOCALE"] = "0"
    if r.random() < 0.3:
        environment |= {"COLUMNS": r.choice(("1", "20", "9999", "x")), "TERM": r.choice(("dumb", "xterm", ""))}
    if r.random() < 0.3:
        environment["UPC_NUM_THREADS"] = r.choice(("1", "2", "3", "1000"))
    if r.random() < 0.2:
        environment |= {"NO_COLOR": "1", "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    return options, environment


def one(folder: Path, expected: dict[str, str], quotas: Quotas, r: Random) -> str:
    """One process in one environment; what was wrong, or nothing."""
    options, environment = drawn(r)
    before = os.sched_getaffinity(0)
    if "-E" in options:  # which leaves out the very variables that say where upc is
        options = []
    cores, quota = len(before), None
    try:
        if r.random() < 0.4:
            os.sched_setaffinity(0, {r.choice(sorted(before))})
            cores = 1
        if quotas.folder is not None and r.random() < 0.3:
            quota = r.choice((100_000, 150_000, 90_000, 200_000))
            quotas.enter(quota)
            cores = min(cores, max(1, quota // 100_000))
        process = start([*options, "script.py"], folder, environment)
    finally:
        os.sched_setaffinity(0, before)
        if quota is not None:
            quotas.leave()
    ended = process.end(300)
    words = f"{options} {environment}, {cores} cores, quota {quota}: "
    if ended.code or ended.left:
        return words + f"it ended with {ended.code}: {ended.err[-300:]!a}"
    found, threads = json.loads(ended.out.encode().replace(b"\0", b"").lstrip(b"\xff\xfe"))
    if found != expected:
        return words + f"another result: {[name for name in expected if found.get(name) != expected[name]]}"
    wanted = environment.get("UPC_NUM_THREADS")
    if threads != min(cores, int(wanted or cores)):
        return words + f"{threads} threads"
    return ""


def run(amount: Amount, seed: int) -> Record:
    """One portion."""
    tried, lost, quotas = 0, [], Quotas()
    locales = subprocess.run(["locale", "-a"], capture_output=True, text=True, check=False).stdout.split()
    note = f"Locales of this machine: {', '.join(locales)}; others were asked for and are not there. "
    note += "Quotas were set in control groups." if quotas.folder else "No control group could be made: no quotas."
    try:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            known_module(folder)
            for name, text in (("faces", FACES), ("pair", PAIR), ("odd", ODD)):
                (folder / f"{name}.upc").write_text(text, encoding="utf-8")
            (folder / "script.py").write_text(SCRIPT)
            first = start(["script.py"], folder).end(300)
            expected = json.loads(first.out)[0]
            end = time.monotonic() + min(amount.seconds or PORTION_S, PORTION_S)
            while tried != amount.inputs and time.monotonic() < end:
                words = one(folder, expected, quotas, Random(f"environments {seed} {tried}"))
                tried += 1
                if words:
                    lost.append(f"{words} (process {tried - 1} of seed {seed})")
    finally:
        quotas.close()
    return Record(tried, tried - len(lost), tuple(lost), notes=(note,))
