"""What can be said of names without building anything: whether they exist, may be chosen, or run in circles."""

from __future__ import annotations

import keyword
from collections.abc import Iterable, Iterator

from upc import limits, syntax
from upc.build.evaluate import words
from upc.diagnostics import Diagnostic, nearest
from upc.layers import LAYERS
from upc.units import Report, Unit

# What other tools call a layer, spelled without case and underscores.
_ELSEWHERE = {
    "linear": "dense",
    "fullyconnected": "dense",
    "convolution2d": "conv2d",
    "convtranspose2d": "conv2d_transpose",
    "deconv2d": "conv2d_transpose",
    "deconvolution2d": "conv2d_transpose",
    "upsample": "up_sampling2d",
    "upsampling": "up_sampling2d",
    "upsample2d": "up_sampling2d",
    "resize": "resizing",
    "interpolate": "resizing",
    "depthtospace": "pixel_shuffle",
    "spacetodepth": "pixel_unshuffle",
    "maxpool": "max_pooling2d",
    "maxpool2d": "max_pooling2d",
    "avgpool": "average_pooling2d",
    "avgpool2d": "average_pooling2d",
    "batchnorm": "batch_normalization",
    "batchnorm2d": "batch_normalization",
    "layernorm": "layer_normalization",
    "instancenorm2d": "instance_normalization",
    "groupnorm": "group_normalization",
    "swish": "silu",
    "cat": "concatenate",
    "concat": "concatenate",
    "merge": "concatenate",
    "sum": "add",
    "transpose": "permute",
    "view": "reshape",
    "scale": "rescaling",
    "reflectionpad2d": "reflect_padding2d",
    "replicationpad2d": "replicate_padding2d",
    "crop": "cropping2d",
    "chunk": "split",
    "relu6": "relu(max_value=6)",
    "activation": "relu",
}


_TRAINING = "it is for training: give the layer the kernel that it leaves"
# What upc has no layer for, and what does the same or why none does.
_WITHOUT = {
    **dict.fromkeys(("attention", "multiheadattention", "lstm", "gru", "embedding")),
    **dict.fromkeys(("spectralnormalization", "spectralnorm", "weightnormalization", "weightnorm"), _TRAINING),
    **dict.fromkeys(
        ("matmul", "dot"), "`dense(...)` multiplies by weights, `multiply(other)` two values number by number"
    ),
    "lambda": "upc runs no code of its own; `add`, `multiply`, `rescaling` and `clip` are layers",
    "mish": "name the value with `as x`; then `softplus()`, `tanh()` and `multiply(x)` make it",
    "separableconv2d": "`depthwise_conv2d(...)`, then `conv2d(filters, 1)`",
    "gaussiannoise": "it is for training: leave it away",
}


def check_identifier(name: syntax.Name, what: str, report: Report) -> None:
    """Names that reach generated Python must be free there."""
    if keyword.iskeyword(name.text) or keyword.issoftkeyword(name.text):
        message = f"`{name.text}` is a keyword of Python and cannot name a {what}"
        report(Diagnostic("E0204", message, name.span, f"choose another, such as `{name.text}_`"))
    elif name.text.endswith("__"):
        report(Diagnostic("E0204", f"`{name.text}` ends like Python's own names", name.span, "choose another"))


def unknown_layer(name: syntax.Name, blocks: Iterable[str]) -> Diagnostic:
    """The error for a call of what is neither layer nor block."""
    plain = name.text.lower().replace("_", "")
    same = next((known for known in LAYERS if known.replace("_", "") == plain), None)
    if same is None and plain in _WITHOUT:
        return Diagnostic("E0201", f"upc has no `{name.text}`", name.span, _WITHOUT[plain])
    near = same or _ELSEWHERE.get(plain) or nearest(name.text.lower(), [*LAYERS, *blocks])
    if near and "(" not in near:
        near += "(...)"
    hint = f"did you mean `{near}`?" if near else None
    return Diagnostic("E0201", f"there is no layer or block called `{name.text}`", name.span, hint)


def check_names(unit: Unit, report: Report) -> None:
    """Report misspelt layers, twice-taken names and blocks that contain themselves, in all of a file."""
    taken: dict[str, syntax.Name] = {}
    items: tuple[syntax.Net | syntax.Block, ...] = (*unit.file.nets, *unit.file.blocks)
    for item in items:
        what = "net" if isinstance(item, syntax.Net) else "block"
        check_identifier(item.name, what, report)
        if what == "block" and item.name.text in LAYERS:
            message = f"`{item.name.text}` is a layer and cannot name a block"
            report(Diagnostic("E0203", message, item.name.span, "choose another name"))
        if what == "net":
            if item.name.text in taken:
                notes = ((taken[item.name.text].span, "the other one is here"),)
                report(
                    Diagnostic("E0203", f"there are two nets called `{item.name.text}`", item.name.span, None, notes)
                )
            taken.setdefault(item.name.text, item.name)
        _check_parameters(item, report)
        for called in _calls(item.body):
            if called.name.text not in LAYERS and called.name.text not in unit.blocks:
                report(unknown_layer(called.name, unit.blocks))
    _check_circles(unit, report)


def _check_parameters(item: syntax.Net | syntax.Block, report: Report) -> None:
    seen: dict[str, syntax.Name] = {}
    count, most = len(item.parameters), limits.current().items
    if count > most:
        message = f"{count:,} parameters; the limit is {most:,}"
        report(Diagnostic("E0602", message, item.name.span, limits.hint("items", count)))
    for parameter in item.parameters:
        name = parameter.name
        if name.text[0].isupper():
            hint = f"capital names are free sizes; write `{name.text[0].lower()}{name.text[1:]}`"
            report(Diagnostic("E0204", "a parameter begins with a small letter", name.span, hint))
        if name.text in seen:
            notes = ((seen[name.text].span, "the other one is here"),)
            report(Diagnostic("E0203", f"there are two parameters called `{name.text}`", name.span, None, notes))
        seen.setdefault(name.text, name)
        check_identifier(name, "parameter", report)


def _check_circles(unit: Unit, report: Report) -> None:
    """A block must not contain itself, through whichever others."""
    done: set[int] = set()
    for name, (block, home) in unit.blocks.items():
        if id(block) in done:
            continue
        # An explicit stack: chains of blocks may be longer than Python's.
        path = [(name, block, _called_blocks(block, home))]
        places = {id(block): 0}
        while path:
            step = next(path[-1][2], None)
            if step is None:
                finished = id(path.pop()[1])
                done.add(finished)
                del places[finished]
                continue
            call, callee, callee_home = step
            if id(callee) in places:
                loop = [entry[0] for entry in path[places[id(callee)] :]] + [call.name.text]
                shown = loop if len(loop) < 8 else [*loop[:3], "...", *loop[-3:]]
                message = f"a block cannot contain itself: {' -> '.join(shown)}"
                report(
                    Diagnostic("E0211", message, call.name.span, "repeat it a fixed number of times: `repeat 3 { }`")
                )
            elif id(callee) not in done:
                places[id(callee)] = len(path)
                path.append((call.name.text, callee, _called_blocks(callee, callee_home)))


def _called_blocks(block: syntax.Block, home: Unit) -> Iterator[tuple[syntax.Call, syntax.Block, Unit]]:
    for call in _calls(block.body):
        if call.name.text in home.blocks:
            yield (call, *home.blocks[call.name.text])


def _calls(body: syntax.Body) -> Iterator[syntax.Call]:
    for statement in body.statements:
        match statement.action:
            case syntax.Call() as call:
                yield call
            case syntax.Repeat(body=inner) | syntax.Branch(body=inner):
                yield from _calls(inner)


def words_of(item: syntax.Net | syntax.Block) -> Iterator[str]:
    """Every name that an item's defaults and body mention as a value."""
    for parameter in item.parameters:
        if parameter.default is not None:
            yield from (word.text for word in words(parameter.default))
    yield from _words_in(item.body)


def _words_in(body: syntax.Body) -> Iterator[str]:
    for statement in body.statements:
        values: tuple[syntax.Expression | None, ...] = ()
        match statement.action:
            case syntax.Call(arguments=arguments):
                values = tuple(argument.value for argument in arguments)
            case syntax.Input(shape=shape):
                values = (shape,)
            case syntax.Output(names=names):
                yield from (name.text for name in names)
            case syntax.Repeat(first=first, last=last, body=inner):
                values = (first, last)
                yield from _words_in(inner)
            case syntax.Branch(origin=origin, body=inner):
                yield origin.text
                yield from _words_in(inner)
        for value in values:
            if value is not None:
                yield from (word.text for word in words(value))
