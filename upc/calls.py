"""One call: a layer applied to the current value, or a block written out."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, replace
from typing import TYPE_CHECKING

from upc import limits, syntax
from upc.demands import depth, holds_always, never_equal
from upc.diagnostics import Diagnostic, nearest
from upc.evaluate import UNKNOWN, Bound, Unknown, ValueProblem, evaluate, show, unknown_name
from upc.ir import Demand, Frame, Layer, LayerError, Literal, Node, Value
from upc.layers import LAYERS, construct
from upc.names import unknown_layer
from upc.shape import Dim, Shape, Size
from upc.shape import show as show_shape
from upc.source import Span

if TYPE_CHECKING:
    from upc.expand import Expansion, Scope

Result = Value | Unknown
Notes = tuple[tuple[Span, str], ...]

LARGEST_SIZE = 2**31 - 1
_DEEPEST_SIZE = 40
"""Divisions inside divisions that a free size may go through."""


@dataclass(slots=True)
class Arguments:
    """A call's arguments, worked out: extra input values, literals, and where each was written."""

    values: list[tuple[Value, Span]] = field(default_factory=list)
    positional: list[tuple[Bound, syntax.Argument]] = field(default_factory=list)
    named: dict[str, tuple[Bound, syntax.Argument]] = field(default_factory=dict)
    trainable: bool = True
    broken: bool = False


def call(expansion: Expansion, action: syntax.Call, scope: Scope, current: Result | None) -> tuple[Result, ...]:
    """The results of a call; the first becomes the current value."""
    name = action.name.text
    if len(action.arguments) > limits.LIST_ITEMS:
        expansion.problem("E0602", f"more than {limits.LIST_ITEMS} arguments", action.name.span)
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
    try:
        layer = construct(
            action.name.text,
            [value for value, _ in given.positional],
            {name: value for name, (value, _) in given.named.items()},
        )
    except LayerError as e:
        expansion.report(_argument_problem(e, action, card, given, scope))
        return (UNKNOWN,)
    count = 1 + len(given.values)
    least, most = card.arity
    if count < least:
        hint = f"name the others: `{layer.name}(skip)`"
        expansion.problem(
            "E0306", f"`{layer.name}` joins at least {least} values, got only the current one", action.name.span, hint
        )
        return (UNKNOWN,)
    if most is not None and count > most:
        message = f"`{layer.name}` works on {'the current value' if most == 1 else f'{most} values'}, got {count}"
        elsewhere = "start a branch at another value with `from name { ... }`" if most == 1 else None
        expansion.problem("E0306", message, given.values[most - 1][1], elsewhere)
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
        expansion.report(_shape_problem(expansion, e, action, card, given, values, scope))
        return (UNKNOWN,)
    results = tuple(Value(path if i == 0 else f"{path}:{i}", shape) for i, shape in enumerate(outputs))
    trainable = given.trainable and scope.trainable
    expansion.add(Node(path, layer, values, results, weights, action.span, trainable, scope.frames), demands)
    return results


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


def _argument_problem(
    e: LayerError, action: syntax.Call, card: type[Layer], given: Arguments, scope: Scope
) -> Diagnostic:
    fields = [f.name for f in card.arguments()]
    span, written = _written(e.argument, action, card, given)
    message, hint, code = e.message, e.hint, "E0303"
    if e.argument is not None and e.argument not in fields and e.argument in given.named:
        name = given.named[e.argument][1].name
        assert name is not None
        if e.argument == "name":
            hint = f"`as` names the result: `{action.name.text}(...) as name`"
        return Diagnostic("E0308", message, name.span, hint, callers(scope))
    if e.argument is None:
        code = "E0309"
        hint = hint or f"{action.name.text} takes {_signature(card)}"
    elif message.startswith("expected"):
        message = f"`{e.argument}` of `{action.name.text}`: {message}"
    if isinstance(written, syntax.Word) and written.text not in scope.names:
        near = nearest(written.text, [n for n, bound in scope.names.items() if not isinstance(bound, Value)])
        if written.text[0].isupper():
            hint = "capital names are free sizes, known when the net runs; arguments need numbers or parameters"
        elif near and not e.hint:
            hint = f"did you mean the parameter `{near}`?"
    return Diagnostic(code, message, span, hint, callers(scope))


def _signature(card: type[Layer]) -> str:
    shown = [f.name if f.default is MISSING else f"[{f.name}]" for f in card.arguments()]
    return f"({', '.join(shown)})"


def _written(
    argument: str | None, action: syntax.Call, card: type[Layer], given: Arguments
) -> tuple[Span, syntax.Expression | None]:
    """Where an argument stands, or the layer's name where it was left to its default."""
    if argument in given.named:
        value = given.named[argument][1].value
        return value.span, value
    places = [f for f in card.arguments() if not f.metadata["keyword"]]
    for place, f in enumerate(places):
        if f.name == argument and place < len(given.positional):
            first, last = given.positional[place][1], given.positional[-1 if f.metadata["variadic"] else place][1]
            return first.span.to(last.span), first.value
    return action.name.span, None


def _shape_problem(
    expansion: Expansion,
    e: LayerError,
    action: syntax.Call,
    card: type[Layer],
    given: Arguments,
    values: tuple[Value, ...],
    scope: Scope,
) -> Diagnostic:
    """A shape error, with the places where the values at fault were made."""
    span, written = _written(e.argument, action, card, given)
    extra = [given.values[i - 1][1] for i in e.inputs if 0 < i <= len(given.values)]
    if written is None and extra:
        span = extra[0]
    at_fault = e.inputs or range(len(values))
    notes: Notes = ()
    for i in dict.fromkeys(i for i in at_fault if i < len(values)):
        made = expansion.made.get(values[i].name)
        if made is not None:
            which = "the current value" if i == 0 else "the other value"
            notes += ((made, f"{which}, {show_shape(values[i].shape)}, is made here"),)
    return Diagnostic("E0401", e.message, span, e.hint, notes + callers(scope))


def callers(scope: Scope) -> Notes:
    """Where the block that a statement stands in was called from, innermost first."""
    return tuple((span, f"in `{name}`, called here") for name, span in reversed(scope.callers[-3:]))


def _demands(
    layer: Layer, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...], path: str, span: Span
) -> tuple[Demand, ...]:
    found: list[Demand] = []
    for shape in outputs:
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


# Blocks


def _block(expansion: Expansion, action: syntax.Call, scope: Scope, current: Result) -> Result:
    block, home = scope.unit.blocks[action.name.text]
    name = action.name.text
    if any(caller == id(block) for caller in scope.inside):
        return UNKNOWN  # a block that contains itself has been reported with its whole chain
    if len(scope.callers) >= limits.NESTING:
        expansion.problem("E0602", f"blocks nest deeper than {limits.NESTING}", action.name.span)
        return UNKNOWN
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
        inside=(*scope.inside, id(block)),
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
