"""How much memory a net will take, worked out before any of it is taken, and held against what there is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod

from upc.diagnostics import EXIT_USAGE, error
from upc.ir import Graph, Node, Value
from upc.runtime.memory import SMALL_BYTES, available_memory
from upc.shape import evaluate, show

_FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True)
class Holding:
    """What memory a way to run nets takes; the usual numbers are a framework's.

    A layer at work holds `of_inputs` and `of_results` sizes of these beside them: padded copies, sums in progress.
    `image_by_image`, it holds inner values of one image at a time. Weights are there `copies` times: as read, as kept.
    """

    of_inputs: float = 1.0
    of_results: float = 1.0
    image_by_image: bool = False
    copies: int = 2


@dataclass(frozen=True, slots=True)
class Estimate:
    """Bytes that a call takes at its worst moment, and the layer that works then; None where that is the inputs."""

    peak: int
    node: Node | None
    result: tuple[int, ...]


def estimate(graph: Graph, sizes: Mapping[str, int], batch: int, holding: Holding) -> Estimate:
    """What a call of `batch` images with these free sizes takes: values while they are needed, inputs and outputs."""
    outside = {value.name for value in (*graph.inputs, *(output.value for output in graph.outputs))}

    def bytes_of(value: Value) -> int:
        images = 1 if holding.image_by_image and value.name not in outside else batch  # all are taken and given
        return images * _FLOAT_BYTES * prod(evaluate(dim, sizes) for dim in value.shape)

    last = {value.name: at for at, node in enumerate(graph.nodes) for value in node.inputs}
    kept = {output.value.name for output in graph.outputs} | {value.name for value in graph.inputs}
    held = sum(map(bytes_of, graph.inputs))
    worst = Estimate(held, None, ())
    for at, node in enumerate(graph.nodes):
        made = sum(map(bytes_of, node.outputs))
        read = {value.name: value for value in node.inputs}
        held += made
        beside = int(holding.of_results * made + holding.of_inputs * sum(map(bytes_of, read.values())))
        if held + beside > worst.peak:
            result = (batch, *(evaluate(dim, sizes) for dim in node.outputs[0].shape))
            worst = Estimate(held + beside, node, result)
        over = {**read, **{value.name: value for value in node.outputs}}
        held -= sum(bytes_of(v) for name, v in over.items() if name not in kept and last.get(name, -1) <= at)
    return worst


def check_call(graph: Graph, sizes: Mapping[str, int], batch: int, holding: Holding, most: int | None = None) -> None:
    """Raise UpcError where a call needs more than `most` bytes, or than there are."""
    worst = estimate(graph, sizes, batch, holding)

    def words() -> str:
        if worst.node is None:
            return f"the inputs of {graph.name}"
        return f"{worst.node.path}, whose result is {show(worst.result)},"

    check(worst.peak, most, words, worst.node)


def check_weights(graph: Graph, holding: Holding, most: int | None = None) -> None:
    """Raise UpcError where the weights of a net, as read and as a target keeps them, need more than there is."""
    counts = [(node, sum(prod(weight.shape) for weight in node.weights)) for node in graph.nodes]
    total = holding.copies * _FLOAT_BYTES * sum(count for _, count in counts)
    largest, count = max(counts, key=lambda pair: pair[1], default=(None, 0))

    def words() -> str:
        assert largest is not None
        return f"the weights, {count:,} numbers of them those of {largest.path},"

    check(total, most, words, largest)


def check(needed: int, most: int | None, words: Callable[[], str], node: Node | None = None) -> None:
    """Raise UpcError where so many bytes are more than `most`, or than the machine and its control groups leave."""
    free = most if most is not None else available_memory() if needed > SMALL_BYTES else None
    if free is None or needed <= free:
        return
    said = "is allowed" if most is not None else "is available"
    message = f"not enough memory: {words()} would take {shown(needed)} at once; {shown(free)} {said}"
    hint = f"smaller inputs or a smaller batch take less; `--memory {shown(needed, up=True).replace(' ', '')}` "
    hint += "tries all the same" if most is None else "allows it"
    raise error("E0621", message, node.span if node else None, hint, exit_code=EXIT_USAGE)


def shown(count: int, up: bool = False) -> str:
    """`1.53 GB`; with `up` a whole number that is no less."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            if up or count >= 100 * size:
                return f"{-(-count // size):,} {unit}".replace(",", "" if up else ",")
            return f"{count / size:.3g} {unit}"
    return f"{count} B"
