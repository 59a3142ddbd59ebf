"""The cards' examples as `.upc` text, so that every target can be held to them."""

from __future__ import annotations

from string import ascii_lowercase

from upc.ir import Example


def as_source(example: Example) -> str:
    """A net of that one layer, `example`. Its inputs are called a, b, c as in the call, and come in reverse order.

    The first is declared last, which makes it the current value. The output is `y`, or `y0`, `y1`, ... where
    the layer has several results.
    """
    names = list(zip(ascii_lowercase, example.shapes, strict=False))
    lines = ["net example {"]
    lines += [f"  input {name}: [{', '.join(map(str, shape))}]" for name, shape in reversed(names)]
    if example.results == 1:
        lines += [f"  {example.call}", "  output y"]
    else:
        outputs = ", ".join(f"y{i}" for i in range(example.results))
        lines += [f"  {example.call} as {outputs}", f"  output {outputs}"]
    return "\n".join([*lines, "}", ""])
