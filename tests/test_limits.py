"""Limits: what is over one is said with the number found and how it is raised, and below them work grows linearly."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

import upc
from upc import limits, pipeline
from upc.build import build_all, nets
from upc.cli import main
from upc.diagnostics import UpcError, nearest
from upc.format import format_file
from upc.ir import Graph
from upc.lint import lint
from upc.parse import parse
from upc.plan.sizes import allowed_sizes
from upc.source import Source
from upc.summary import summary


def net(body: str, shape: str = "8, 6, 3", head: str = "net n") -> str:
    return f"{head} {{\n  input x: [{shape}]\n  {body}\n  output y\n}}\n"


def graphs(text: str) -> list[Graph]:
    file = parse(Source("n.upc", text))
    return build_all(file, nets(file))


OVER = [
    ("file_bytes", {"file_bytes": 100}, net("relu()") + "#" * 200, "bytes; the limit is 100"),
    ("tokens", {"tokens": 20}, net("relu() relu() relu()"), "more than 20 words, signs and comments"),
    ("nesting", {"nesting": 4}, net("repeat 1 { repeat 1 { conv2d(3, [1, 1]) } }"), "nest deeper than 4"),
    ("operators", {"operators": 2}, net("dense(1 + 1 + 1 + 1)"), "more than 2 arithmetic signs"),
    ("name_characters", {"name_characters": 5}, net("relu() as longer"), "at most 5 characters, this one 6"),
    ("items", {"items": 3}, net("reshape([1, 1, 1, 144])"), "the list has 4 items; the limit is 3"),
    ("items", {"items": 3}, net("relu()", head="net n(a=1, b=1, c=1, d=1)"), "4 parameters; the limit is 3"),
    ("items", {"items": 3}, net("reshape(1, 1, 1, 144)"), "4 arguments; the limit is 3"),
    ("layers", {"layers": 4}, net("repeat 5 { relu() }"), "the net has more than 4 layers"),
    ("layers", {"layers": 4}, net("repeat 3 { relu() }") + net("repeat 3 { relu() }", head="net m"), "nets together"),
    ("steps", {"steps": 30}, net("repeat 40 { }\n relu()"), "carries out more than 30 statements"),
    ("free_sizes", {"free_sizes": 1}, net("concatenate(x, axis=1)\n max_pooling2d(3)", "H, W, 1"), "the limit is 1"),
    ("kernel", {"kernel": 4}, net("conv2d(1, [3, 5])"), "kernel_size is 5; the limit is 4"),
    ("kernel", {"kernel": 4}, net("max_pooling2d(5)"), "pool_size is 5; the limit is 4"),
    ("strides", {"strides": 4}, net("conv2d_transpose(1, 3, strides=[5, 2])"), "strides is 5; the limit is 4"),
    ("dilation", {"dilation": 1}, net("depthwise_conv2d(2, dilation_rate=2)"), "dilation_rate is 2; the limit is 1"),
    ("parameters", {"parameters": 100}, net("conv2d(4, 3)"), "the net has 112 parameters up to this"),
    ("activations", {"activations": 500}, net("up_sampling2d(2)"), "holds 576 numbers; the limit is 500"),
    ("activations", {"activations": 100}, net("relu()"), "holds 144 numbers; the limit is 100"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "lowered", "text", "words"), OVER, ids=[f"{o[0]}-{i}" for i, o in enumerate(OVER)])
def test_what_is_over_a_limit_says_so_and_how_it_is_raised(name, lowered, text, words) -> None:
    assert graphs(text)
    with limits.changed(lowered), pytest.raises(UpcError) as caught:
        graphs(text)
    said = str(caught.value)
    assert words in said and f"`--limit {name}=" in said


def test_the_hint_raises_the_limit() -> None:
    text = net("conv2d(1, 8193, padding=same)")
    with pytest.raises(UpcError, match=r"kernel_size is 8,193; the limit is 8,192(.|\n)*--limit kernel=8193"):
        graphs(text)
    with limits.changed({"kernel": 8193}):
        assert graphs(text)


def test_files_and_all_their_bytes(tmp_path) -> None:
    main_file = tmp_path / "n.upc"
    main_file.write_text("".join(f'use "b{i}.upc"\n' for i in range(4)) + net("b0()"))
    for i in range(4):
        (tmp_path / f"b{i}.upc").write_text(f"block b{i}() {{ relu() }}\n#{'x' * 100}\n")
    assert upc.load(main_file, target="reference", seed=0)
    for lowered, words in (({"files": 3}, "more than 3 files"), ({"source_bytes": 400}, "the limit is 400")):
        with pytest.raises(UpcError, match=words):
            upc.load(main_file, target="reference", seed=0, limits=lowered)


class TestCommandLine:
    @pytest.fixture
    def file(self, tmp_path) -> str:
        (tmp_path / "n.upc").write_text(net("repeat 12 { relu() }"))
        return str(tmp_path / "n.upc")

    def test_limits_are_lowered_and_raised(self, capsys, file) -> None:
        assert main(["summary", file]) == 0
        assert main(["summary", file, "--limit", "layers=11"]) == 3
        assert "more than 11 layers" in capsys.readouterr().err
        assert main(["summary", "--limit", "layers=1_2", "--limit", "steps=1k", file]) == 0
        assert main(["summary", file]) == 0  # nothing is left of it

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ("layres=3", "did you mean layers?"),
            ("layers", "expected a limit like layers=20000"),
            ("layers=0", "from 1 up"),
            ("layers=many", "expected an amount"),
            ("nesting=1000", "from 1 to 100"),
        ],
    )
    def test_a_wrong_limit_is_wrong_use(self, capsys, file, given, words) -> None:
        with pytest.raises(SystemExit, match="2"):
            main(["summary", file, "--limit", given])
        assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "number"),
    [("1", 1), ("20_000", 20_000), ("500MB", 500_000_000), ("1.5 GiB", 3 << 29), ("2k", 2000), ("0.5kb", 500)],
)
def test_amounts(text: str, number: int) -> None:
    assert limits.amount(text) == number


@pytest.mark.parametrize("text", ["", "0", "-1", "MB", "1 XB", "1e9", "٣", "1.5.2", "9" * 41, "0.0001"])
def test_no_amounts(text: str) -> None:
    with pytest.raises(ValueError, match="expected an amount"):
        limits.amount(text)


def test_wrong_changes_are_refused() -> None:
    for changes in ({"layer": 1}, {"layers": 0}, {"layers": True}, {"nesting": 101}):
        with pytest.raises(ValueError, match="limit"), limits.changed(changes):
            pass


def test_the_nearest_of_very_many_is_found() -> None:
    known = [f"name_{i}" for i in range(3000)] + ["batch_normalization"]
    assert nearest("batch_normalisation", known) == "batch_normalization"
    assert nearest("q" * 100_000, known) is None


def calls(work: Callable[[], object]) -> int:
    """How many functions are called, those of C included: work that no clock and no other process changes."""
    count = 0

    def note(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def lines(n: int, line: Callable[[int], str]) -> str:
    return "\n  ".join(line(i) for i in range(n))


GROWING: dict[str, Callable[[int], str]] = {
    "parameters": lambda n: net("relu()", head="net n(" + ", ".join(f"p{i}=1" for i in range(n)) + ")"),
    "nets": lambda n: "".join(net("relu()", head=f"net n{i}") for i in range(n)),
    "layers": lambda n: net(lines(n, lambda i: "conv2d(3, 1)")),
    "named layers": lambda n: net(lines(n, lambda i: f"relu() as v{i}")),
    "layers of free size": lambda n: net(f"repeat {n} {{ conv2d(3, 2) }}", "H, W, 3"),
    "repeats": lambda n: net(f"repeat {n} {{ conv2d(3, 1) relu() }}"),
    "joins": lambda n: net(f"relu() as s\n repeat {n} {{ add(s) relu() }}", "H, W, 3"),
    "dead branches": lambda n: net(lines(n, lambda i: "from x { relu() }") + "\n  relu()"),
    "values alive to the end": lambda n: net(lines(n, lambda i: f"relu() as v{i}") + lines(n, lambda i: f" add(v{i})")),
    "free sizes": lambda n: f"net n {{\n{lines(n, lambda i: f'input x{i}: [S{i}, 3]')}\n"
    f"{lines(n - 1, lambda i: f'add(x{i})')}\n output y\n}}\n",
    "blocks": lambda n: "".join(f"block b{i}() {{ relu() }}\n" for i in range(n)) + net(lines(n, lambda i: f"b{i}()")),
    "uses of a block": lambda n: "block b(k) { conv2d(k, 1) }\n" + net(lines(n, lambda i: f"b({i + 1})")),
    "outputs": lambda n: net(lines(n, lambda i: f"relu() as v{i}")).replace("output y", "output " + ", ".join(
        f"v{i}" for i in range(n))),
    "misspelt layers": lambda n: net(lines(n, lambda i: f"relu{i}()")),
    "broken statements": lambda n: net(lines(n, lambda i: "conv2d(8, = 3)")),
    "comments": lambda n: net("conv2d(3,\n" + "# c\n" * n + "1)"),
}  # fmt: skip


@pytest.mark.parametrize("name", GROWING)
def test_work_grows_with_the_source_alone(name: str) -> None:
    def work(text: str) -> None:
        try:
            file = parse(Source("n.upc", text))
            format_file(file)
            made = build_all(file, nets(file))
        except UpcError as problem:
            str(problem)
            return
        for graph in made:
            lint(graph)
            summary(graph)
        for target in ("keras", "torch", "numba"):
            pipeline.emit(made[0], target)

    text = GROWING[name]
    work(text(4))  # grammar and templates are read once
    counts = [calls(lambda n=n: work(text(n))) for n in (40, 80, 160)]
    # Twice as much text is at most a little more than twice as much work; twice twice if all is held against all.
    assert counts[2] - counts[1] < 2.5 * (counts[1] - counts[0]) + 2000, counts


def test_sizes_that_many_numbers_divide_are_found_for_a_plan() -> None:
    """A net that asks for a multiple of 2, 3, 5, ... 17 in a row, too many to try, has a plan all the same."""
    lines_ = [f"max_pooling2d({k})\n  up_sampling2d({k})\n  add(start)" for k in (2, 3, 5, 7, 11, 13, 17)]
    (graph,) = graphs(net("relu() as start\n  " + "\n  ".join(lines_), "H, W, 2"))
    found = allowed_sizes(graph)
    assert found["H"] % (2 * 3 * 5 * 7 * 11 * 13 * 17) == 0
    assert pipeline.emit(graph, "numba")
