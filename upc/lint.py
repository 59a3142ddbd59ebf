"""Finds what is right by the rules and still likely to disappoint."""

from __future__ import annotations

from collections.abc import Iterable
from math import gcd

from upc.demands import explain_demands, solve
from upc.diagnostics import Diagnostic
from upc.ir import Graph, Node
from upc.layers import Concatenate, ConvTranspose
from upc.shape import window_span
from upc.source import Span

_PHASES_SHOWN = 16


def lint(graph: Graph, warnings: Iterable[Diagnostic] = ()) -> list[Diagnostic]:
    """All findings in the order of the source, the warnings of the build among them; none twice."""
    findings = [*warnings]
    for node in graph.nodes:
        if isinstance(node.layer, ConvTranspose):
            findings += _uneven_overlap(node, node.layer)
    findings += _odd_sizes(graph)
    return sorted(
        distinct(findings), key=lambda d: (d.span.source.name, d.span.start, d.code) if d.span else ("", 0, d.code)
    )


def _place(finding: Diagnostic) -> tuple[str, int, str]:
    span = finding.span
    return (span.source.name, span.start, finding.code) if span else ("", 0, finding.code)


def distinct(findings: Iterable[Diagnostic]) -> list[Diagnostic]:
    """The findings without repetition: what a place is blamed for is said once, with the first use that shows it."""
    once: dict[tuple[object, ...], Diagnostic] = {}
    for finding in findings:
        once.setdefault((finding.code, finding.span, finding.message), finding)
    return list(once.values())


def overlap_map(kernel: int, stride: int, n: int, dilation: int = 1) -> tuple[int, ...]:
    """How many kernel taps reach each pixel that a transposed convolution makes of `n` pixels, along one axis.

    Shape:   n -> (n - 1) * stride + dilation * (kernel - 1) + 1
    """
    counts = [0] * ((n - 1) * stride + window_span(kernel, dilation))
    for pixel in range(n):
        for tap in range(kernel):
            counts[pixel * stride + tap * dilation] += 1
    return tuple(counts)


def _taps(kernel: int, stride: int, dilation: int, phase: int) -> int:
    """The taps that reach the pixels of one phase far from the edges: those with tap * dilation = phase mod stride."""
    common = gcd(dilation, stride)
    if phase % common:
        return 0
    every = stride // common
    first = phase // common * pow(dilation // common, -1, every) % every
    return max(0, -((first - kernel) // every))


def _is_even(kernel: int, stride: int, dilation: int) -> bool:
    """Whether as many taps reach every phase."""
    return gcd(dilation, stride) == 1 and kernel % stride == 0


def _uneven_overlap(node: Node, layer: ConvTranspose) -> list[Diagnostic]:
    """Uneven overlap draws a checkerboard (Odena et al. 2016, doi:10.23915/distill.00003)."""
    for kernel, stride, dilation in zip(layer.kernel_size, layer.strides, layer.dilation_rate, strict=True):
        if _is_even(kernel, stride, dilation):
            continue
        taps = [_taps(kernel, stride, dilation, phase) for phase in range(min(stride, _PHASES_SHOWN))]
        pattern = ",".join(map(str, taps * 2 if stride < 5 else taps)) + (",..." if stride > len(taps) else "")
        dilated = f" and dilation_rate {dilation}" if dilation > 1 else ""
        message = (
            f"kernel_size {kernel} with strides {stride}{dilated} overlaps unevenly: pixels get {pattern} taps in turn"
        )
        multiples = [n for n in (kernel - kernel % stride, kernel + stride - kernel % stride) if n]
        even = " or ".join(str(n) for n in dict.fromkeys(multiples) if _is_even(n, stride, dilation))
        resized = "`up_sampling2d` and a `conv2d` draw no checkerboard"
        hint = f"kernel_size={even} overlaps evenly; {resized}" if even else resized
        return [Diagnostic("L0801", message, node.span, hint, _uses(node), severity="warning")]
    return []


def _uses(node: Node) -> tuple[tuple[Span, str], ...]:
    """Where the blocks are used that a layer stands in, innermost first."""
    blocks = [frame for frame in reversed(node.frames) if frame.kind == "block"]
    return tuple((frame.site, f"in `{frame.name}`, called here") for frame in blocks[:3])


def _odd_sizes(graph: Graph) -> list[Diagnostic]:
    """Sizes that a net will not take because two of its branches would no longer fit together."""
    solutions = solve(graph.demands)
    findings = []
    joins = [d for d in graph.demands if d.kind == "equal"]
    nodes = {node.path: node for node in graph.nodes}
    for sentence in explain_demands(graph):
        name = sentence.split()[0]
        solution = solutions.get(name)
        if solution is None or solution.period == 1 or "must be at least" in sentence:
            continue
        place = next(d for d in joins if f"line {d.span.line} " in sentence)
        node = nodes[place.path]
        what = "concatenated" if isinstance(node.layer, Concatenate) else "joined"
        hint = (
            f"pad other pictures, `reflect_padding2d([[0, bottom], [0, right]])`, and crop the result; "
            f"or crop the larger value before it is {what}"
        )
        findings.append(Diagnostic("L0802", sentence, place.span, hint, _uses(node), severity="warning"))
    return findings
