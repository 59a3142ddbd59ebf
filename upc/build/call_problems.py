"""What is wrong with a call, and where: the cards' errors with the places of arguments and inputs."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field
from typing import TYPE_CHECKING

from upc import syntax
from upc.build.evaluate import Bound
from upc.diagnostics import Diagnostic, nearest
from upc.ir import Layer, LayerError, Value
from upc.layers import LAYERS
from upc.shape import show as show_shape
from upc.source import Span

if TYPE_CHECKING:
    from upc.build.expand import Expansion, Scope

Notes = tuple[tuple[Span, str], ...]


@dataclass(slots=True)
class Arguments:
    """A call's arguments, worked out: extra input values, literals, and where each was written."""

    values: list[tuple[Value, Span]] = field(default_factory=list)
    positional: list[tuple[Bound, syntax.Argument]] = field(default_factory=list)
    named: dict[str, tuple[Bound, syntax.Argument]] = field(default_factory=dict)
    trainable: bool = True
    broken: bool = False


def argument_problem(
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
        if written.text in ("True", "False", "None"):
            hint = f"write `{written.text.lower()}`"
        elif small := _small(e.argument, written.text, action, card):
            hint = f"did you mean `{small}`?"
        elif written.text[0].isupper() and not e.hint:
            hint = "capital names are free sizes, known when the net runs; arguments need numbers or parameters"
        elif near and not e.hint:
            hint = f"did you mean the parameter `{near}`?"
    return Diagnostic(code, message, span, hint, callers(scope))


def _small(argument: str | None, text: str, action: syntax.Call, card: type[Layer]) -> str | None:
    """A word in small letters, where the argument takes it so: `same` for SAME."""
    place = next((f for f in card.arguments() if f.name == argument), None)
    if place is None or text.islower():
        return None
    try:
        place.metadata["convert"](text.lower(), LAYERS[action.name.text][1])
    except LayerError:
        return None
    return text.lower()


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


def shape_problem(
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
    hint = _batch_hint(expansion, e, values) or _join_hint(card, values) or e.hint
    return Diagnostic("E0401", e.message, span, hint, notes + callers(scope))


def _batch_hint(expansion: Expansion, e: LayerError, values: tuple[Value, ...]) -> str | None:
    """That an input of four axes, given to what works on pictures, has the batch written out."""
    for i in e.inputs:
        given = values[i] if i < len(values) and values[i].name in expansion.input_names else None
        if given and len(given.shape) == 4 and e.message.endswith(f"got shape {show_shape(given.shape)}"):
            return f"the batch is not written: `input {given.name}: [{', '.join(map(str, given.shape[1:]))}]`"
    return None


def _join_hint(card: type[Layer], values: tuple[Value, ...]) -> str | None:
    """How the current value could be made to fit the other: pooled or enlarged, padded or cropped."""
    if card.arity[1] == 1 or len(values) != 2 or not all(len(value.shape) == 3 for value in values):
        return None
    sides = [(a, b) for a, b in zip(values[0].shape[:2], values[1].shape[:2], strict=True)]
    pairs = [(a, b) for a, b in sides if isinstance(a, int) and isinstance(b, int)]
    if len(pairs) < 2 or all(a == b for a, b in pairs):
        return None
    for layer, factors in (
        ("up_sampling2d", [b // a if b % a == 0 else 0 for a, b in pairs]),
        ("max_pooling2d", [a // b if a % b == 0 else 0 for a, b in pairs]),
    ):
        if factors[0] == factors[1] > 1:
            return f"`{layer}({factors[0]})` before it makes the current value fit"
    for layer, missing in (
        ("zero_padding2d", [b - a for a, b in pairs]),
        ("cropping2d", [a - b for a, b in pairs]),
    ):
        if min(missing) >= 0:
            amounts = f"[[0, {missing[0]}], [0, {missing[1]}]]"
            return f"`{layer}({amounts})` before it makes the current value fit"
    return None


def callers(scope: Scope) -> Notes:
    """Where the block that a statement stands in was called from, innermost first."""
    return tuple((span, f"in `{name}`, called here") for name, span in reversed(scope.callers[-3:]))
