"""What must hold of every source, whatever stands in it."""

from __future__ import annotations

import ast
import os
import time

import numpy as np

from upc import pipeline, syntax, targets
from upc.build import build_all, nets
from upc.diagnostics import Diagnostic, UpcError, draw
from upc.format import format_file
from upc.ir import Graph
from upc.ir_text import show_graph
from upc.lint import lint
from upc.memory import estimate
from upc.parse import parse
from upc.reference import run as reference
from upc.shape import names_of
from upc.source import Source
from upc.summary import summary, summary_json
from upc.verify import verify
from upc.weights import initialize

SECONDS = float(os.environ.get("UPC_TORTURE_SECONDS", "2"))
"""Processor time that one small source may take in all: no source here is large."""

_STEERING = set("\x1b\x9b\x07\x08\u202e\u2066")
_CALLS = {"exec", "eval", "compile", "__import__", "open", "getattr", "setattr", "globals", "input", "breakpoint"}
_SMALL = 200_000  # bytes that a run of the reference may take here


class Broken(AssertionError):
    """Something that must hold does not."""


def check(text: str, deep: bool) -> None:
    """Parse, lay out, build and look at a source; with `deep`, emit and run it too. Raises Broken or whatever broke."""
    began = time.perf_counter()
    _check(text, deep)
    if time.perf_counter() - began > SECONDS:  # on a machine that has other work, too: again, by the processor's time
        began = time.process_time()
        _check(text, deep)
        if time.process_time() - began > SECONDS:
            raise Broken(f"took {time.process_time() - began:.1f} s of the processor")


def _check(text: str, deep: bool) -> None:
    try:
        file = parse(Source("n.upc", text))
        _layout(file)
        _build(file, deep)
    except UpcError as problem:
        _said(problem.diagnostics)


def _said(diagnostics: tuple[Diagnostic, ...]) -> None:
    """A message stands at its place, and does nothing to a terminal."""
    if not diagnostics:
        raise Broken("an error without a word")
    for diagnostic in diagnostics:
        shown = draw(diagnostic)
        if not diagnostic.message or set(shown) & _STEERING:
            raise Broken(f"said {shown[:200]!a}")
        if diagnostic.span and not 0 <= diagnostic.span.start <= diagnostic.span.end <= len(
            diagnostic.span.source.text
        ):
            raise Broken(f"{diagnostic.code} stands beyond the text")


def _layout(file: syntax.File) -> None:
    """Laying out twice changes nothing, and changes no meaning."""
    once = format_file(file)
    again = parse(Source("n.upc", once))
    if format_file(again) != once:
        raise Broken("fmt is not idempotent")
    if _bare(file) != _bare(again):
        raise Broken("fmt changed the tree")


def _bare(file: syntax.File) -> str:
    """The tree without its places; numbers by their values."""
    lines = syntax.show(file).splitlines()
    return "\n".join(_plain(line) for line in lines)


def _plain(line: str) -> str:
    words = line.rsplit(" ", 1)
    if len(words) == 2 and words[1].replace(":", "").isdigit() and ":" in words[1]:
        return words[0]
    if len(words) == 2 and words[0].endswith("Number"):
        return f"{words[0]} {float(words[1])!r}"
    return line


def _build(file: syntax.File, deep: bool) -> None:
    warnings: list[Diagnostic] = []
    for graph in build_all(file, nets(file), {}, None, warnings.append):
        verify(graph)
        for found in (*warnings, *lint(graph)):
            _said((found,))
        summary(graph)
        summary_json(graph)
        show_graph(graph)
        if deep:
            _emit(graph)
            _run(graph)


def _emit(graph: Graph) -> None:
    """What is emitted parses, is the same each time, and calls nothing that a source could have slipped in."""
    for target in ("keras", "torch", "numba"):
        try:
            text = pipeline.emit(graph, target)
        except UpcError as problem:
            _said(problem.diagnostics)
            continue
        tree = ast.parse(text)
        if target != "numba":  # whose runtime does what it must
            called = {
                node.func.id
                for node in ast.walk(tree)
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            }
            if called & _CALLS:
                raise Broken(f"{target} calls {called & _CALLS}")
            strings = {
                node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
            }
            if any(set(string) & _STEERING for string in strings):
                raise Broken(f"{target} holds a character that steers a terminal")


def _run(graph: Graph) -> None:
    """The reference gives what the shapes say, where that is little work."""
    sizes = dict.fromkeys(names_of(dim for value in graph.inputs for dim in value.shape), 4)
    weights = sum(int(np.prod(weight.shape)) for _, weight, _ in graph.weights())
    taps = max((int(np.prod(getattr(node.layer, "kernel_size", (1,)))) for node in graph.nodes), default=1)
    try:
        small = estimate(graph, sizes, 1, targets.find("reference").holding).peak < _SMALL
    except ZeroDivisionError:
        raise
    if not small or weights > _SMALL // 4 or taps > 64:
        return
    shapes = [tuple(sizes[str(d)] if not isinstance(d, int) else d for d in v.shape) for v in graph.inputs]
    with np.errstate(all="ignore"):
        reference(graph, initialize(graph, 0), [np.full((1, *shape), 0.5, np.float32) for shape in shapes])
