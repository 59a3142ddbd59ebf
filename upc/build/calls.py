"""One call: a layer applied to the current value, or a block written out."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING

from upc import limits, syntax
from upc.build.call_problems import Arguments, argument_problem, callers, shape_problem
from upc.build.evaluate import UNKNOWN, Bound, Unknown, ValueProblem, evaluate, show, unknown_name
from upc.build.names import unknown_layer
from upc.demands import depth, holds_always, never_equal, parts
from upc.diagnostics import nearest
from upc.ir import Demand, Frame, Layer, LayerError, Literal, Node, Value
from upc.layers import LAYERS, construct
from upc.shape import Dim, Shape, Size
from upc.shape import show as show_shape
from upc.source import Span

if TYPE_CHECKING:
    from upc.build.expand import Expansion, Scope

Result = Value | Unknown

LARGEST_SIZE = 2**31 - 1
_DEEPEST_SIZE = 40
"""Divisions inside divisions that a free size may go through."""


def call(expansion: Expansion, action: syntax.Call, scope: Scope, current: Result | None) -> tuple[Result, ...]:
    """The results of a call; the first becomes the current value."""
    name = action.name.text
    count, most = len(action.arguments), limits.current().items
    if count > most:
        message = f"{count:,} arguments; the limit is {most:,}"
        expansion.problem("E0602", message, action.name.span, limits.hint("items", count))
        return (UNKNOWN,)
    if name not in LAYERS and name not in scope.unit.blocks:
        expansion.report(unknown_layer(action.name, scope.unit.blocks))
        return (UNKNOWN,)
    if current is None:
        expansion.problem("E0208", f"`{name}` has no value to work on", action.name.span, "begin with `input x: [...]`")
        current = UNKNOWN
    if name in LAYERS:
        return _layer(expansion, action, scope, current)
    return (_block(expansion, action, scope, current),)


# Layers


def _layer(expansion: Expansion, action: syntax.Call, scope: Scope, current: Result) -> tuple[Result, ...]:
    card, _ = LAYERS[action.name.text]
    several = card.arity[1] != 1
    given = _arguments(expansion, action, scope, takes_trainable=True, values_only=several)
    if given.broken:
        return (UNKNOWN,)
    path = _path(action.name.text, scope)
    count = 1 + len(given.values)
    least, most = card.arity
    if most is not None and count > most:
        works_on = "the current value alone" if most == 1 else f"{most} values, got {count}"
        message = f"`{action.name.text}` works on {works_on}"
        elsewhere = "start a branch at another value with `from name { ... }`" if most == 1 else None
        expansion.problem("E0306", message, given.values[most - 1][1], elsewhere)
        return (UNKNOWN,)
    layer = _construct(expansion, action, card, given, scope)
    if layer is None:
        return (UNKNOWN,)
    if count < least:
        hint = f"name the others: `{layer.name}(skip)`"
        expansion.problem(
            "E0306", f"`{layer.name}` joins at least {least} values, got only the current one", action.name.span, hint
        )
        return (UNKNOWN,)
    if isinstance(current, Unknown):
        return (UNKNOWN,)
    values = (current, *(value for value, _ in given.values))
    shapes = tuple(value.shape for value in values)
    try:
        outputs = layer.output_shapes(shapes)
        weights = layer.weights(shapes)
        demands = _demands(layer, shapes, outputs, path, action.span)
    except LayerError as e:
        expansion.report(shape_problem(expansion, e, action, card, given, values, scope))
        return (UNKNOWN,)
    results = tuple(Value(path if i == 0 else f"{path}:{i}", shape) for i, shape in enumerate(outputs))
    trainable = given.trainable and scope.trainable
    expansion.add(Node(path, layer, values, results, weights, action.span, trainable, scope.frames), demands)
    return results


def _construct(
    expansion: Expansion, action: syntax.Call, card: type[Layer], given: Arguments, scope: Scope
) -> Layer | None:
    """The layer's card, or None with every argument at fault reported."""
    named = {name: value for name, (value, _) in given.named.items()}
    failed = False
    while True:
        try:
            layer = construct(action.name.text, [value for value, _ in given.positional], named)
            return None if failed else layer
        except LayerError as e:
            if failed and e.argument is None:
                return None  # it may only miss what has been taken away
            expansion.report(argument_problem(e, action, card, given, scope))
            failed = True
            if e.argument not in named:
                return None
            del named[e.argument]


def _path(kind: str, scope: Scope) -> str:
    """The next free name of a kind in one net or block instance: `conv2d`, then `conv2d_1`."""
    name, number = kind, scope.counts.get(kind, 0)
    while name in scope.taken:
        number += 1
        name = f"{kind}_{number}"
    scope.taken.add(name)
    scope.counts[kind] = number
    return scope.prefix + name


def _arguments(
    expansion: Expansion, action: syntax.Call, scope: Scope, *, takes_trainable: bool, values_only: bool
) -> Arguments:
    """Work the arguments out. With `values_only`, a bare name must stand for something: it is no word."""
    given = Arguments()

    def refuse(code: str, message: str, span: Span, hint: str | None = None) -> None:
        expansion.problem(code, message, span, hint)
        given.broken = True

    for argument in action.arguments:
        written = argument.value
        if argument.name is None and given.named:
            refuse(
                "E0307", "an argument without a name cannot follow one with a name", argument.span, "put it in front"
            )
            continue
        if (
            isinstance(written, syntax.Word)
            and written.text not in scope.names
            and argument.name is None
            and values_only
        ):
            expansion.report(unknown_name(written, scope.names).diagnostic)
            given.broken = True
            continue
        try:
            value = evaluate(written, scope.names)
        except ValueProblem as e:
            expansion.report(replace(e.diagnostic, notes=e.diagnostic.notes + callers(scope)))
            value = UNKNOWN
        if value is UNKNOWN:
            given.broken = True
        elif argument.name is None:
            if isinstance(value, Value) and action.name.text in LAYERS:
                given.values.append((value, argument.span))
            else:
                given.positional.append((value, argument))
        elif argument.name.text in given.named:
            refuse("E0307", f"`{argument.name.text}` is given twice", argument.name.span)
        elif isinstance(value, Value) and action.name.text in LAYERS:
            if isinstance(written, syntax.Word):
                value = written.text  # `activation=relu` means the word, whatever value is called so
            given.named[argument.name.text] = (value, argument)
        elif argument.name.text == "trainable" and takes_trainable:
            if isinstance(value, bool):
                given.trainable = value
            else:
                refuse("E0303", f"`trainable` is true or false, got {show(value)}", written.span)
        else:
            given.named[argument.name.text] = (value, argument)
    return given


def _demands(
    layer: Layer, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...], path: str, span: Span
) -> tuple[Demand, ...]:
    found: list[Demand] = []
    for shape in outputs:
        check_volume(shape)
        for dim in shape:
            check_size(dim)
            if isinstance(dim, Size):
                found.append(Demand("at_least", dim, 1, span, path))
            elif dim < 1:
                raise LayerError(f"{layer.name} would leave a size of {dim}: {show_shape(shape)}")
    for left, right in layer.demands(inputs):
        if never_equal(left, right):
            raise LayerError(f"{layer.name} needs {left} = {right}, which no size makes true")
        found.append(Demand("equal", left, right, span, path))
    found += [Demand("at_least", left, right, span, path) for left, right in layer.at_least(inputs)]
    return tuple(d for d in found if not holds_always(d))


def check_size(dim: Dim) -> None:
    """Refuse sizes that no machine holds, and expressions that no one reads."""
    factors = [dim] if isinstance(dim, int) else [dim.constant, *(factor for _, factor in dim.terms)]
    if any(abs(factor) > LARGEST_SIZE for factor in factors):
        raise LayerError("a size grows beyond 2**31 - 1")
    if isinstance(dim, Size) and depth(dim) > _DEEPEST_SIZE:
        raise LayerError(f"a free size goes through more than {_DEEPEST_SIZE} divisions that do not come out even")
    if isinstance(dim, Size) and (count := parts(dim)) > (most := limits.current().free_sizes):
        hint = limits.hint("free_sizes", count)
        raise LayerError(f"a free size is made of {count} names and divisions; the limit is {most}", hint=hint)


def check_volume(shape: Shape) -> None:
    """Refuse a value of more numbers than may be; one of free size is not known yet."""
    count, most = prod(dim for dim in shape if isinstance(dim, int)), limits.current().activations
    if count > most:
        hint = limits.hint("activations", count)
        raise LayerError(f"{show_shape(shape)} holds {count:,} numbers; the limit is {most:,}", hint=hint)


# Blocks


def _block(expansion: Expansion, action: syntax.Call, scope: Scope, current: Result) -> Result:
    block, home = scope.unit.blocks[action.name.text]
    name = action.name.text
    if id(block) in scope.inside:
        return UNKNOWN  # a block that contains itself has been reported with its whole chain
    most = limits.current().nesting
    if len(scope.callers) >= most:
        message = f"blocks nest deeper than {most}"
        expansion.problem("E0602", message, action.name.span, limits.hint("nesting"))
        return UNKNOWN
    expansion.spend(len(block.parameters), action.span)
    own = {parameter.name.text for parameter in block.parameters}
    given = _arguments(expansion, action, scope, takes_trainable="trainable" not in own, values_only=False)
    bound = _bind(expansion, action, block, given, scope)
    path = _path(name, scope)
    literals: tuple[tuple[str, Literal], ...] = tuple(
        (key, value) for key, value in bound.items() if not isinstance(value, (Value, Unknown))
    )
    inner = replace(
        scope,
        unit=home,
        names=bound,
        origins={p.name.text: p.name.span for p in block.parameters},
        taken=set(),
        counts={},
        place="block",
        prefix=f"{path}.",
        frames=(*scope.frames, Frame("block", name, path, literals, action.span)),
        callers=(*scope.callers, (name, action.span)),
        inside=scope.inside | {id(block)},
        trainable=scope.trainable and given.trainable,
    )
    result = expansion.body(block.body, inner, current)
    return UNKNOWN if result is None or given.broken else result


def _bind(
    expansion: Expansion, action: syntax.Call, block: syntax.Block, given: Arguments, scope: Scope
) -> dict[str, Bound]:
    """The block's parameters with what the call gives them."""
    names = [parameter.name.text for parameter in block.parameters]
    place = (block.name.span, f"`{block.name.text}` takes ({', '.join(names)})")
    bound: dict[str, Bound] = {}

    def refuse(code: str, message: str, span: Span, hint: str | None = None) -> None:
        expansion.problem(code, message, span, hint, (place, *callers(scope)))
        given.broken = True

    if len(given.positional) > len(names):
        message = f"block `{block.name.text}` takes {_count(len(names))}, got {len(given.positional)}"
        refuse("E0309", message, given.positional[len(names)][1].span)
    for name, (value, written) in zip(names, given.positional, strict=False):
        bound[name] = _checked(expansion, value, written, scope, given)
    for name, (value, written) in given.named.items():
        assert written.name is not None
        if name not in names:
            near = nearest(name, names)
            hint = f"did you mean `{near}`?" if near else None
            refuse("E0308", f"block `{block.name.text}` has no parameter `{name}`", written.name.span, hint)
        elif name in bound:
            refuse("E0307", f"`{name}` is given twice", written.name.span, "once by its place, once by its name")
        else:
            bound[name] = value
    complete: dict[str, Bound] = {}
    missing = []
    for parameter in block.parameters:
        name = parameter.name.text
        if name in bound:
            complete[name] = bound[name]
        elif parameter.default is not None:
            complete[name] = expansion.value(parameter.default, complete)
        else:
            complete[name] = UNKNOWN
            missing.append(f"`{name}`")
    if missing and not given.broken:
        plural = "s" if len(missing) > 1 else ""
        refuse(
            "E0309", f"block `{block.name.text}` is missing its argument{plural} {', '.join(missing)}", action.name.span
        )
    return complete


def _checked(expansion: Expansion, value: Bound, written: syntax.Argument, scope: Scope, given: Arguments) -> Bound:
    """A block's argument; a bare name nearly like a known one is taken for a slip of the pen."""
    word = written.value
    if isinstance(word, syntax.Word) and word.text not in scope.names and nearest(word.text, scope.names):
        expansion.report(unknown_name(word, scope.names).diagnostic)
        given.broken = True
        return UNKNOWN
    return value


def _count(number: int) -> str:
    return "no arguments" if not number else f"{number} argument{'s' if number > 1 else ''}"
