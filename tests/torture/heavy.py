"""Small to write, huge to work out: sources of a few kilobytes that make a careless compiler busy for minutes.

Every one is given to every command that takes a stranger's file, in a process of its own. Survived is what is answered,
with a result or with an error, in little processor time and memory beside what it takes to start.
"""

from __future__ import annotations

import io
import json
import math
import os
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from run import Amount, Record

from upc.cli import main
from upc.scan import grammar


@dataclass(frozen=True)
class Heavy:
    """A project: its files by name, the first of which is compiled."""

    name: str
    files: dict[str, str]


def _net(body: str, shape: str = "8, 6, 3", name: str = "n", parameters: str = "") -> str:
    return f"net {name}{parameters} {{\n  input x: [{shape}]\n{body}\n  output y\n}}\n"


def _lines(lines: list[str]) -> str:
    return "\n".join(f"  {line}" for line in lines)


def _one(name: str, text: str) -> Heavy:
    return Heavy(name, {"n.upc": text})


def _layer(call: str, shape: str = "8, 6, 3") -> str:
    return _net(f"  {call}", shape)


def _in_order(count: int, line: Callable[[int], str]) -> str:
    return _lines([line(i) for i in range(count)])


def _joined(count: int) -> str:
    """As many free sizes that all must be one."""
    names = [f"S{i}" for i in range(count)]
    inputs = "\n".join(f"  input x{i}: [{name}, 3]" for i, name in enumerate(names))
    joins = "\n".join(f"  add(x{i})" for i in range(count - 1))
    return f"net n {{\n{inputs}\n{joins}\n  output y\n}}\n"


def _coprime(divisors: list[int], channels: int = 2) -> str:
    """A size whose remainders by many numbers are all asked for at once."""
    lines = ["relu() as start"]
    for i, k in enumerate(divisors):
        lines += [f"max_pooling2d({k}) as down{i}", f"up_sampling2d({k})", "add(start) as start_" + str(i)]
        lines += [f"from start {{ max_pooling2d({k}) up_sampling2d({k}) }} as alone{i}"]
    return _net(_lines(lines), f"H, W, {channels}")


def _halved(times: int) -> str:
    lines = []
    for _ in range(times):
        lines += ["conv2d(3, 2, padding=same, strides=3)", "zero_padding2d([[1, 2], [3, 1]])"]
    return _net(_lines(lines), "H, W, 3")


def _used_files(files: int, blocks: int) -> dict[str, str]:
    main = "".join(f'use "b{i}.upc"\n' for i in range(files)) + _net("  b0_0()")
    parts = {f"b{i}.upc": "".join(f"block b{i}_{j}() {{ relu() }}\n" for j in range(blocks)) for i in range(files)}
    return {"n.upc": main, **parts}


def _used_by_all(files: int, blocks: int) -> dict[str, str]:
    """Each file uses all after it."""
    parts = {}
    for i in range(files):
        uses = "".join(f'use "b{j}.upc"\n' for j in range(i + 1, files))
        parts[f"b{i}.upc"] = uses + "".join(f"block b{i}_{j}() {{ relu() }}\n" for j in range(blocks))
    main = "".join(f'use "b{i}.upc"\n' for i in range(files)) + _net("  b0_0()")
    return {"n.upc": main, **parts}


def _nested(depth: int, width: int) -> str:
    blocks = []
    for i in range(depth):
        inner = f"b{i + 1}()" if i + 1 < depth else "relu()"
        blocks.append(f"block b{i}() {{ " + " ".join([inner] * (width if i + 1 == depth else 1)) + " }\n")
    return "".join(blocks) + _net("  b0()")


def cases() -> Iterator[Heavy]:
    """All of them, one at a time: some are large."""
    huge = 2**31 - 1
    params = ", ".join(f"p{i}={i}" for i in range(8000))
    yield _one("kernel_size=2147483647", _layer(f"conv2d(1, {huge}, padding=same)"))
    yield _one("transposed kernel_size=2147483647", _layer(f"conv2d_transpose(1, [{huge}, 1], padding=same)"))
    yield _one("pool_size=2147483647", _layer(f"max_pooling2d({huge}, padding=same)"))
    yield _one("kernel 1000 x 1000", _layer("conv2d(1, 1000, padding=same)"))
    yield _one("kernel 1023 x 1023 of 1024 filters", _layer("conv2d(1024, 1023, padding=same)", "8, 6, 64"))
    yield _one("strides=65535", _layer("conv2d_transpose(1, 3, strides=65535)"))
    yield _one("strides=8191, kernel 8190", _layer("conv2d_transpose(1, 8190, strides=8191, padding=same)", "2, 3, 1"))
    yield _one("transposed kernel = stride = 20000", _layer("conv2d_transpose(1, 20000, strides=20000)", "2, 2, 1"))
    yield _one("transposed kernel = stride = 8192", _layer("conv2d_transpose(1, 8192, strides=8192)", "2, 2, 1"))
    yield _one("dilation_rate=2147483647", _layer(f"conv2d(1, 2, padding=same, dilation_rate={huge})"))
    yield _one("dilation_rate=8191, strides=8192", _layer("conv2d_transpose(1, 64, strides=8192, dilation_rate=8191)"))
    yield _one(
        "1,400 kernels of 8191 by strides of 8192",
        _net("  repeat 1400 { conv2d_transpose(1, 8191, strides=8192, padding=8190) cropping2d(1) }", "3, 3, 1"),
    )
    yield _one("up_sampling2d(40000)", _layer("up_sampling2d(40000)"))
    yield _one("up_sampling2d(256) six times", _layer("repeat 3 { up_sampling2d(256) }", "2, 3, 1"))
    yield _one("resizing to 2^31 - 1", _layer(f"resizing({huge}, {huge}, interpolation=bilinear)"))
    yield _one("resizing to 60000", _layer("resizing(60000, 50000, interpolation=bicubic)"))
    yield _one("zero padding 2^31 - 9", _layer(f"zero_padding2d({huge // 2 - 9})"))
    yield _one("dense of 2^31 - 1", _net(f"  dense({huge})\n  dense({huge})", "8"))
    yield _one("an input of 2^31 - 1", _layer("relu()", f"{huge}, {huge}, 3"))
    yield _one("an input of 8 long axes", _layer("relu()", ", ".join([str(huge)] * 8)))
    yield _one("pixel_shuffle(1024)", _layer("pixel_shuffle(1024, order=crd)", "2, 3, 1048576"))
    yield _one("split in 1000", _net("  split(1000)", "2, 2, 1000"))
    yield _one("groups=100000", _layer("conv2d(100000, 1, groups=100000)", "1, 1, 100000"))
    yield _one("softmax of 2^31 - 1", _layer("softmax()", f"{huge}"))
    yield _one("group_normalization(1048576)", _layer("group_normalization(1048576)", "2, 3, 1048576"))
    yield _one("8,000 parameters", _net("  relu()", parameters=f"({params})"))
    yield _one(
        "8,000 parameters, each of the one before",
        _net("  relu()", parameters="(p0=1, " + ", ".join(f"p{i}=p{i - 1} + 1" for i in range(1, 8000)) + ")"),
    )
    yield _one(
        "900 parameters used 900 times",
        _net(
            _in_order(900, lambda i: f"conv2d(p{i}, 1)"),
            parameters="(" + ", ".join(f"p{i}=3" for i in range(900)) + ")",
        ),
    )
    yield _one("2,000 nets", "".join(_net("  relu()", name=f"n{i}") for i in range(2000)))
    yield _one(
        "2,000 nets of one block",
        "block b() { relu() relu() relu() }\n" + "".join(_net("  b()", name=f"n{i}") for i in range(2000)),
    )
    yield _one("200 nets of 40 layers", "".join(_net("  repeat 40 { conv2d(3, 1) }", name=f"n{i}") for i in range(200)))
    yield _one("4,000 layers", _net(_in_order(4000, lambda i: "relu()")))
    yield _one("4,000 named layers", _net(_in_order(4000, lambda i: f"relu() as v{i}")))
    yield _one("4,000 convolutions", _net(_in_order(4000, lambda i: "conv2d(3, 1)")))
    yield _one("2,999 layers by repeat", _net("  repeat 2999 { conv2d(3, 3, padding=same) }"))
    yield _one("2,999 layers by nested repeats", _net("  repeat 33 { repeat 90 { leaky_relu(0.1) } }"))
    yield _one("2,990 layers of free size", _net("  repeat 2990 { conv2d(3, 3) }", "H, W, 3"))
    yield _one("1,490 joins of one value", _net("  relu() as s\n  repeat 1490 { add(s) relu() }", "H, W, 3"))
    yield _one("2,900 unused layers", _net("  repeat 2900 { relu() }\n  from x { dropout(0.1) }"))
    yield _one("2,900 dead branches", _net(_in_order(2900, lambda i: "from x { relu() }") + "\n  relu()"))
    yield _one("concatenated 1,000 times", _net("  repeat 600 { concatenate(x) }", "8, 6, 3"))
    yield _one("concatenate of 999 values", _net("  relu() as s\n  concatenate(" + ", ".join(["s"] * 999) + ")"))
    yield _one(
        "every layer alive to the end",
        _net(_in_order(1500, lambda i: f"relu() as v{i}") + "\n" + _in_order(1500, lambda i: f"add(v{i})")),
    )
    yield _one(
        "1,000 outputs",
        "net n {\n  input x: [4]\n"
        + _in_order(1000, lambda i: f"relu() as v{i}")
        + "\n  output "
        + ", ".join(f"v{i}" for i in range(1000))
        + "\n}\n",
    )
    yield _one(
        "1,000 inputs",
        "net n {\n"
        + _in_order(1000, lambda i: f"input x{i}: [4]")
        + "\n"
        + _in_order(999, lambda i: f"add(x{i})")
        + "\n  output y\n}\n",
    )
    yield _one("100 free sizes", _joined(100))
    yield _one("1,000 free sizes", _joined(1000))
    yield _one("a size by many primes", _coprime([2, 3, 5, 7, 11, 13, 17, 19, 23]))
    yield _one("a size by 40 numbers", _coprime(list(range(2, 42))))
    yield _one("halved 38 times", _halved(38))
    yield _one(
        "max_pooling2d(4093) of a free size",
        _net("  relu() as s\n  max_pooling2d(1021)\n  up_sampling2d(1021)\n  add(s)", "H, W, 1"),
    )
    yield _one("a block 60 deep", _nested(60, 2900))
    yield _one(
        "blocks that double",
        "".join(f"block b{i}() {{ b{i + 1}() b{i + 1}() }}\n" for i in range(11))
        + "block b11() { relu() }\n"
        + _net("  b0()"),
    )
    yield _one(
        "blocks of nothing that double",
        "".join(f"block b{i}() {{ b{i + 1}() b{i + 1}() }}\n" for i in range(30))
        + "block b30() { repeat 0 { relu() } }\n"
        + _net("  b0()"),
    )
    yield _one(
        "5,000 blocks in one file", "".join(f"block b{i}() {{ relu() }}\n" for i in range(5000)) + _net("  b0()")
    )
    yield _one(
        "3,000 blocks in a chain",
        "".join(f"block b{i}() {{ b{i + 1}() }}\n" for i in range(3000))
        + "block b3000() { relu() }\n"
        + _net("  relu()"),
    )
    yield _one(
        "1,000 blocks of 20 parameters",
        "".join(f"block b{i}({', '.join(f'p{j}=1' for j in range(20))}) {{ relu() }}\n" for i in range(1000))
        + _net("  b0()"),
    )
    yield _one(
        "2,900 different blocks called",
        "".join(f"block b{i}() {{ relu() }}\n" for i in range(3000)) + _net(_in_order(2900, lambda i: f"b{i}()")),
    )
    yield _one(
        "500 blocks of different arguments",
        "block b(k) { conv2d(k, 1) leaky_relu(0.1) }\n" + _net(_in_order(2000, lambda i: f"b({i % 500 + 1})")),
    )
    yield Heavy("15,000 blocks through 250 files", _used_files(250, 60))
    yield Heavy("120 files that each use all after it", _used_by_all(120, 5))
    yield Heavy("250 files that each use all after it", _used_by_all(250, 1))
    yield Heavy(
        "250 files of 1 MiB",
        {"n.upc": _used_files(250, 0)["n.upc"], **{f"b{i}.upc": "# " + "x" * 1_000_000 + "\n" for i in range(250)}},
    )
    yield _one("1 MiB of a comment", "# " + "x" * 1_048_000 + "\n" + _net("  relu()"))
    yield _one("1 MiB of short comments", "#\n" * 500_000 + _net("  relu()"))
    yield _one("1 MiB of comments in a call", _net("  conv2d(8,\n" + "#\n" * 500_000 + "  1)"))
    yield _one("1 MiB of spaces", " " * 1_048_000 + _net("  relu()"))
    yield _one("1 MiB of line ends", "\n" * 1_048_000 + _net("  relu()"))
    yield _one("1 MiB of open brackets", "[" * 1_048_000)
    yield _one("1 MiB of `@`", "@" * 1_048_000)
    yield _one("1 MiB of quotes", '"' * 1_048_000)
    yield _one("1 MiB of control characters", "\x01" * 1_048_000)
    yield _one("1 MiB of digits", _layer("dense(" + "9" * 1_048_000 + ")"))
    yield _one("1 MiB of a name", _layer("relu() as " + "a" * 1_048_000))
    yield _one("1 MiB of broken statements", _net(_lines(["conv2d(8, = 3)"] * 60_000)))
    yield _one("1 MiB of relu()", _net(_lines(["relu()"] * 110_000)))
    yield _one("100,000 misspelt layers", _net(_lines(["rleu()"] * 49_000)))
    yield _one("40,000 unknown names", _net(_lines(["conv2d(widht)"] * 40_000), parameters="(width=3)"))
    yield _one(
        "10,000 misspelt, 1,000 known",
        "".join(f"block bl{i}() {{ relu() }}\n" for i in range(1000)) + _net(_in_order(10_000, lambda i: f"blk{i}x()")),
    )
    yield _one("a list of 100,000", _layer("conv2d(3, [" + "1, " * 99_000 + "1])"))
    yield _one("a list of 999 lists of 90", _layer("reshape([" + ", ".join(["[" + "1, " * 60 + "1]"] * 999) + "])"))
    yield _one("200,000 tokens of sums", _layer("dense(" + "1 + " * 90_000 + "1)"))
    yield _one("1,000 sums of 99", _net(_in_order(900, lambda i: "dense(" + "1 + " * 99 + "1)"), "8"))
    yield _one("2 ** 63 sums", _layer("dense(2 ** 31 - 1 + 2 ** 62 - 2 ** 62)", "8"))
    yield _one("nested 60 deep", _net("  " + "repeat 1 { " * 60 + "relu()" + " }" * 60))
    yield _one("repeat of nothing", _net("  repeat 2147483647 { }\n  relu()"))
    yield _one("reshape of 1,000 axes", _layer("reshape(" + ", ".join(["1"] * 999) + ")", "1"))
    yield _one("permute back and forth", _net("  repeat 4000 { permute(2, 1, 3) }"))
    yield _one("flatten and dense", _net("  flatten()\n  dense(65536)\n  dense(65536)", "1024, 1024, 64"))


COMMANDS = (
    ("lint",),
    ("summary",),
    ("fmt", "--check"),
    ("compile", "--emit", "tree"),
    ("compile", "--emit", "ir"),
    ("compile", "--emit", "plan"),
    ("emit", "--target", "keras"),
    ("emit", "--target", "torch"),
    ("emit", "--target", "numba"),
)
"""Every command that works a stranger's file out without running it."""

USUAL = Amount(inputs=sum(1 for _ in cases()) * len(COMMANDS))

SECONDS, MEGABYTES = 1.0, 300
"""Processor time beside what starting takes, and memory in all, that an answer may cost."""


@dataclass(frozen=True)
class Cost:
    """What a command cost: its exit code, or None where it had to be stopped or raised; seconds and megabytes."""

    code: int | None
    seconds: float
    megabytes: float
    words: str


def answer(arguments: Sequence[str], folder: Path, seconds: float = 30.0, megabytes: int = 4000) -> Cost:
    """Run a command on the `n.upc` of a folder, in a child that is stopped where it takes far too much."""
    for module in ("lint", "summary", "format", "ir_text", "emit.numba", "emit.keras", "emit.torch", "plan", "passes"):
        import_module(f"upc.{module}")
    grammar()
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        words, code = io.StringIO(), None
        try:
            os.close(reader)
            os.chdir(folder)
            resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(seconds),) * 2)
            resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20,) * 2)
            began = time.process_time()
            with redirect_stdout(io.StringIO()), redirect_stderr(words):
                code = main([*arguments, "n.upc"])
            taken = time.process_time() - began
            most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            line = (words.getvalue().splitlines() or [""])[0][:300]
            os.write(writer, json.dumps([code, taken, most, line]).encode())
        except BaseException as problem:
            os.write(writer, json.dumps([None, 0.0, 0.0, f"{type(problem).__name__}: {problem}"[:300]]).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as said:
        found = said.read()
    os.waitpid(child, 0)
    return Cost(*json.loads(found)) if found else Cost(None, seconds, 0.0, "stopped")


def run(amount: Amount, seed: int) -> Record:
    """Give every case to every command, from where the portions before left off."""
    pairs = ((case, command) for case in cases() for command in COMMANDS)
    tried, lost, began = 0, [], time.monotonic()
    for case, command in islice(pairs, seed % USUAL.inputs, None):
        if tried == amount.inputs or (amount.seconds and time.monotonic() - began > amount.seconds):
            break
        with TemporaryDirectory() as folder:
            for name, text in case.files.items():
                (Path(folder) / name).write_text(text)
            cost = answer(command, Path(folder))
        tried += 1
        if cost.code not in (0, 1, 2, 3) or cost.seconds > SECONDS or cost.megabytes > MEGABYTES:
            figures = f"{cost.seconds:.2f} s, {cost.megabytes:.0f} MB"
            lost.append(f"{case.name}: upc {' '.join(command)}: {cost.code}, {figures} {cost.words}")
    return Record(tried, tried - len(lost), tuple(lost))


if __name__ == "__main__":
    import sys

    for heavy in cases():
        if heavy.name.startswith(tuple(sys.argv[1:]) or ""):
            with TemporaryDirectory() as place:
                for name, text in heavy.files.items():
                    (Path(place) / name).write_text(text)
                costs = [answer(command, Path(place)) for command in COMMANDS]
            shown = "  ".join(f"{cost.seconds:.2f}" for cost in costs)
            print(f"{shown}  {max(cost.megabytes for cost in costs):4.0f} MB  {heavy.name}", flush=True)
