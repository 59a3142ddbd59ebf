"""A net beside the description that a file has of its own: which layer is which, and where the two say something else.

Both are walked from their results back, in step. What has several inputs or weights must meet its like; the chains
between are aligned by kind. Inputs whose order does not matter are told apart by all that lies behind them.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from upc.convert.description import Description, Operation
from upc.diagnostics import Diagnostic
from upc.layers import AveragePooling, Conv, ConvTranspose, DepthwiseConv, Reshape
from upc.layers.arguments import shown
from upc.layers.pooling import Pooling
from upc.runtime.stored import printable
from upc.shape import Shape, same_padding, volume
from upc.source import Span

MOST_STEPS = 1_000_000
"""Operations looked at before two descriptions are said to be too tangled to compare."""

_COMMUTATIVE = {"add", "multiply", "maximum", "minimum", "average"}
_NOT_COMPARED = {"filters", "units", "rate", "activation", "count_include_padding"}
"""What shapes have told already, what inference does not ask, and what is compared apart."""


@dataclass(slots=True)
class Comparison:
    """What comparing has found: `pairs` from the net's operations with weights to the file's, both by their place.

    `complete` says that the walk met every layer with weights and that all is connected alike. `differences` would
    change results; `notes` would not, or could not be compared.
    """

    pairs: dict[int, int] = field(default_factory=dict)
    complete: bool = True
    differences: list[Diagnostic] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def compare(
    net: Description, file: Description, name: str, given: Mapping[int, int] | None = None, whole: bool = True
) -> Comparison:
    """Walk both; with `given` pairs, these are what must meet, and each pair is compared.

    Where the net is not the `whole` of the file's network, pairs alone are compared.
    """
    walk = _Walk(net, file, printable(name), dict(given) if given is not None else None)
    if whole and len(net.outputs) == len(file.outputs):
        walk.run(list(zip(net.outputs, file.outputs, strict=True)))
    else:
        walk.found.complete = False
    for mine, its in (given or {}).items():
        if (mine, its) not in walk.met:
            walk.settings(mine, its)
    wanted = [place for place, operation in enumerate(net.operations) if operation.weights is not None]
    walk.found.complete &= set(wanted) == set(walk.found.pairs)
    return walk.found


@dataclass(slots=True)
class _Walk:
    net: Description
    file: Description
    name: str
    given: dict[int, int] | None
    found: Comparison = field(default_factory=Comparison)
    met: set[tuple[int, int]] = field(default_factory=set)
    steps: int = 0

    def run(self, ends: list[tuple[int, int]]) -> None:
        known: dict[Any, int] = {}
        mine, its = _signed(self.net, known), _signed(self.file, known)
        seen: set[tuple[int, int]] = set()
        taken: dict[int, int] = {}
        while ends:
            pair = ends.pop()
            if pair in seen:
                continue
            seen.add(pair)
            a, b = self._chains(*pair)
            if self.steps > MOST_STEPS:
                self.found.complete = False
                self.found.notes.append(f"{self.name} is connected too intricately to be compared as a whole")
                return
            left, right = self.net.operations[a], self.file.operations[b]
            if left.kind == right.kind == "input":
                continue
            if not _alike(left, right):
                self._parted(left, right)
                continue
            if left.weights is not None:
                expected = self.given.get(a) if self.given is not None else self.found.pairs.get(a, b)
                if expected != b or taken.get(b, a) != a:
                    self._parted(left, right)
                    continue
                self.found.pairs[a], taken[b] = b, a
            if (a, b) in self.met:
                continue
            self.settings(a, b)
            theirs = list(right.inputs)
            if left.kind in _COMMUTATIVE:
                theirs, sure = _matched([mine[i] for i in left.inputs], [(its[i], i) for i in theirs])
                self.found.complete &= sure
            ends += zip(left.inputs, theirs, strict=True)

    def _chains(self, a: int, b: int) -> tuple[int, int]:
        """Compare what leads, one by one, to two values; where both chains start."""
        mine, a = self._chain(self.net, a)
        its, b = self._chain(self.file, b)
        left, right = [self.net.operations[i].kind for i in mine], [self.file.operations[i].kind for i in its]
        if left == right:
            for one, other in zip(mine, its, strict=True):
                if (one, other) not in self.met:
                    self.settings(one, other)
            return a, b
        before = len(self.found.differences)
        for what, i, j, k, m in difflib.SequenceMatcher(None, left[:200], right[:200], autojunk=False).get_opcodes():
            if what == "equal":
                for one, other in zip(mine[i:j], its[k:m], strict=True):
                    self.settings(one, other)
            else:
                after = self.net.operations[mine[j] if j < len(mine) else a]
                its_own = [self.file.operations[n] for n in its[k:m]]
                self._other([self.net.operations[n] for n in mine[i:j]], its_own, after)
        chains = [*(self.net.operations[i] for i in mine), *(self.file.operations[i] for i in its)]
        if any(operation.layer is None for operation in chains):
            # Beside what is not known, what seems to differ may have been taken for something else.
            unsure = self.found.differences[before:]
            del self.found.differences[before:]
            self.found.notes += [f"not sure: {difference.message}" for difference in unsure]
        return a, b

    def _chain(self, found: Description, place: int) -> tuple[list[int], int]:
        """The operations of one input each that lead to a value, last first, and what stands before them."""
        chain: list[int] = []
        while True:
            operation = found.operations[place]
            self.steps += 1
            if operation.weights is not None or len(operation.inputs) != 1:
                return chain, place
            chain.append(place)
            place = operation.inputs[0]

    def _other(self, mine: list[Operation], its: list[Operation], after: Operation) -> None:
        """Say that other things are done to a value."""
        words = " then ".join(f"{o.kind} `{printable(o.name)}`" for o in reversed(its[:8])) or "nothing"
        unknown = [o for o in (*mine, *its) if o.layer is None]
        at = mine[0] if mine else after
        does = " then ".join(o.kind for o in reversed(mine[:8])) or "nothing"
        message = f"after {after.name} the net has {does}, {self.name} has {words}"
        if unknown:
            self.found.notes.append(f"not compared: {message}")
        else:
            self.found.differences.append(_difference(message, at))

    def _parted(self, left: Operation, right: Operation) -> None:
        """Say that two values come from other layers."""
        self.found.complete = False
        if self.given is None:
            return
        mine, its = f"{left.name} ({left.kind})", f"`{printable(right.name)}` ({right.kind})"
        message = f"{self.name} is connected otherwise: where the net has {mine}, it has {its}"
        if left.layer is None or right.layer is None:
            self.found.notes.append(f"not compared: {message}")
        else:
            self.found.differences.append(_difference(message, left))

    def settings(self, a: int, b: int) -> None:
        """Compare the arguments of two layers."""
        self.met.add((a, b))
        left, right = self.net.operations[a], self.file.operations[b]
        if left.layer is None or right.layer is None:
            if left.kind not in ("input", right.kind) or right.layer is None:
                self.found.notes.append(
                    f"not compared: {left.name} ({left.kind}) with `{printable(right.name)}` ({right.kind})"
                )
            return
        if left.node is None or (type(left.layer) is not type(right.layer) and left.kind != right.kind):
            return
        for argument, its, value in _unequal(left, right):
            message = f"{left.name} has {argument} {_worded(value)}, "
            message += f"`{printable(right.name)}` in {self.name} has {_worded(its)}"
            if argument == "momentum":
                self.found.notes.append(f"{message}: of no consequence unless it is trained further")
            else:
                self.found.differences.append(_difference(message, left))


def _worded(value: Any) -> str:
    return value if isinstance(value, str) else shown(value)


def _difference(message: str, at: Operation) -> Diagnostic:
    span: Span | None = at.node.span if at.node is not None else None
    return Diagnostic("E0635", message, span)


def _alike(left: Operation, right: Operation) -> bool:
    """Whether two operations that end chains may be the same."""
    if left.weights is not None or right.weights is not None:
        return left.weights is not None and right.weights is not None
    return left.kind == right.kind and len(left.inputs) == len(right.inputs)


def _unequal(left: Operation, right: Operation) -> list[tuple[str, Any, Any]]:
    """(argument, the file's value, the net's) wherever two layers of one kind mean something else."""
    assert left.node is not None and left.layer is not None and right.layer is not None
    shape = left.node.input_shapes[0]
    found: list[tuple[str, Any, Any]] = []
    mine, its = left.layer, right.layer
    if type(mine) is type(its):
        for argument in mine.arguments():
            name = argument.name
            known = right.known is None or name in right.known
            if not known or name in _NOT_COMPARED or name.endswith("_initializer"):
                continue
            if name == "groups" and right.strange.get("groups"):
                if mine.groups != shape[-1]:  # type: ignore[attr-defined]
                    found.append((name, "one for each channel", mine.groups))  # type: ignore[attr-defined]
                continue
            if name in ("padding", "output_padding", "output_size") and isinstance(mine, _WINDOWS):
                continue
            one, other = getattr(mine, name), getattr(its, name)
            if name == "axis":
                one, other = (n % (len(shape) + 1) for n in (one, other))
            if name == "target" and isinstance(mine, Reshape):
                one, other = (_resolved(target, shape) for target in (one, other))
            if one != other:
                found.append((name, getattr(its, name), getattr(mine, name)))
        if isinstance(mine, _WINDOWS) and _edges(left, shape) != _edges(right, shape):
            found.append(("padding", _padding(right), _padding(left)))
        elif isinstance(mine, AveragePooling) and _counts(left) != _counts(right) and _pads(left, shape):
            found.append(("count_include_padding", _counts(right), _counts(left)))
    for name, value in right.strange.items():
        axes = value if isinstance(value, list) else [value]
        if name == "groups" or (name == "axis" and axes and axes in ([-1], [len(shape)])):
            continue
        found.append((name, value if isinstance(value, (int, float, str)) else str(value)[:80], "another meaning"))
    return found


_WINDOWS = (Conv, DepthwiseConv, ConvTranspose, Pooling)


def _edges(operation: Operation, shape: Shape) -> Any:
    """What a window's padding comes to on a picture of a shape, however it is written; the words where it is open."""
    layer, extra = operation.layer, operation.edges
    try:
        if isinstance(layer, ConvTranspose):
            crops = zip(layer.crops(shape), extra, strict=True)
            return tuple((before + first, size - first - last) for (before, size), (first, last) in crops)
        assert isinstance(layer, (Conv, DepthwiseConv, Pooling))
        if layer.padding != "same":
            given = layer.padding if isinstance(layer.padding, tuple) else ((0, 0),) * layer.rank
            return tuple((a + first, b + last) for (a, b), (first, last) in zip(given, extra, strict=True))
        kernel = layer.pool_size if isinstance(layer, Pooling) else layer.kernel_size
        dilation = (1,) * layer.rank if isinstance(layer, Pooling) else layer.dilation_rate
        windows = zip(shape, kernel, layer.strides, dilation, strict=False)
        return tuple(same_padding(n, k, s, d) for n, k, s, d in windows)
    except (ValueError, TypeError):
        return getattr(layer, "padding", None)


def _counts(operation: Operation) -> bool:
    """Whether a mean is over zeros beyond the edges, too."""
    return getattr(operation.layer, "count_include_padding", False) or any(map(any, operation.edges))


def _pads(operation: Operation, shape: Shape) -> bool:
    edges = _edges(operation, shape)
    return isinstance(edges, str) or any(map(any, edges))


def _padding(operation: Operation) -> str:
    """A layer's padding as it is written."""
    layer = operation.layer
    padding = getattr(layer, "padding", None)
    words = padding if isinstance(padding, str) else shown(padding)
    for name in ("output_padding", "output_size"):
        if getattr(layer, name, None) is not None:
            words += f", {name} {shown(getattr(layer, name))}"
    if any(map(any, operation.edges)):
        words += f" and {shown(operation.edges)} {'cut off' if isinstance(layer, ConvTranspose) else 'zeros before it'}"
    return words


def _resolved(target: Sequence[int], shape: Shape) -> tuple[Any, ...]:
    """A target of reshape, its -1 worked out."""
    elements = volume(shape)
    if elements is None or -1 not in target:
        return tuple(target)
    rest = elements // math.prod(n for n in target if n != -1)
    return tuple(rest if n == -1 else n for n in target)


Signature = tuple[int, int]
"""Two numbers: the same first one where the same layers with weights stand behind a value, connected alike; the same
second one where all layers do."""


def _signed(found: Description, known: dict[Any, int]) -> list[Signature]:
    """The signature of each operation's result; `known` is shared by all that are compared."""
    signatures: list[Signature] = []
    for operation in found.operations:
        commutes = operation.kind in _COMMUTATIVE
        kind = "weights" if operation.weights is not None else operation.kind
        numbers = []
        for part in range(2):
            behind = [signatures[i][part] for i in operation.inputs]
            if part == 0 and operation.weights is None and len(behind) == 1:
                numbers.append(behind[0])
                continue
            key = (part, kind, operation.shapes, tuple(sorted(behind) if commutes else behind))
            numbers.append(known.setdefault(key, len(known)))
        signatures.append((numbers[0], numbers[1]))
    return signatures


def _matched(mine: list[Signature], its: list[tuple[Signature, int]]) -> tuple[list[int], bool]:
    """The file's inputs in the net's order, by what lies behind them; and whether that told them all apart."""
    left = list(its)
    chosen: dict[int, int] = {}
    for part in (1, 0):
        for place, signature in enumerate(mine):
            like = [i for i, (other, _) in enumerate(left) if other[part] == signature[part]]
            if place not in chosen and like:
                chosen[place] = left.pop(like[0])[1]
    sure = len(left) <= 1
    return [chosen[place] if place in chosen else left.pop(0)[1] for place in range(len(mine))], sure
