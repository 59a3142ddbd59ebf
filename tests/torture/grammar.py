"""Draws sources: by the rules of the language and of the layers, and then broken in one place or several."""

from __future__ import annotations

from random import Random

from upc.layers import LAYERS

_NUMBERS = ("0", "1", "2", "3", "4", "5", "7", "8", "16", "63", "64", "1023", "1025", "65535", "2147483647",
            "4294967296", "9223372036854775807", "9223372036854775808", "0.5", "1e-3", "1e308",
            "1e999", "-1", "-0.25", "2 ** 3", "width", "width / 2", "2 * width + 1", "7 % 4", "1 / 0", "H")  # fmt: skip
_WORDS = ("same", "valid", "relu", "tanh", "crd", "dcr", "bilinear", "nearest", "none", "true", "false", "zeros",
          "None", "SAME", '"same"', '"a\\"b"', "skip", "x")  # fmt: skip
_NAMES = ("x", "y", "skip", "skip_2", "width", "b", "up", "H", "W", "class", "relu", "layers", "torch", "self", "a__")
_TOKENS = ("net", "block", "use", "input", "output", "repeat", "from", "in", "as", "{", "}", "(", ")", "[", "]", ",",
           ":", "=", "..", "**", "*", "/", "%", "+", "-", "#", "\n", '"', "'", "@", "//", "\\", "\x1b", "\u202e", "é",
           "\ufeff", "//", "->", "...", ";", "\r", "\t", "\x00", "🎨")  # fmt: skip

_TRUNK = (
    "conv2d({n}, {k}, padding=same)", "conv2d({n}, {k})", "conv2d({n}, [{k}, {k}], strides={k}, padding=same)",
    "conv2d_transpose({n}, {k}, strides={k}, padding=same)", "conv2d_transpose({n}, {k}, strides={k})",
    "depthwise_conv2d({k}, padding=same)", "up_sampling2d({k})", "up_sampling2d([{k}, {k}], interpolation=bilinear)",
    "resizing({n}, {n}, interpolation=bicubic)", "max_pooling2d({k}, padding=same)", "average_pooling2d({k})",
    "batch_normalization()", "layer_normalization()", "instance_normalization()", "relu()", "leaky_relu(0.{k})",
    "prelu()", "softmax()", "dropout(0.{k})", "rescaling(0.{k})", "zero_padding2d({k})", "reflect_padding2d(1)",
    "cropping2d(1)", "add(skip)", "concatenate(skip)", "flatten()", "dense({n})", "reshape({k}, {k}, {n})",
    "global_average_pooling2d()", "pixel_shuffle({k}, order=crd)", "pixel_unshuffle({k}, order=dcr)", "split({k})",
    "permute(2, 1, 3)", "clip(0, 1)", "elu()", "gelu()", "tanh() as skip", "b({n})", "b(width={n}, act=tanh)",
)  # fmt: skip


_SAFE = tuple(
    line
    for line in _TRUNK
    if not line.startswith(
        (
            "flatten",
            "dense",
            "reshape",
            "global",
            "pixel",
            "split",
            "permute",
            "b(",
            "add",
            "conc",
            "crop",
            "refl",
            "tanh",
        )
    )
)  # those that can follow each other


def source(r: Random) -> str:
    """A whole file, mostly right."""
    parts = []
    if r.random() < 0.5:
        parts.append("block b(width=3, act=relu) {\n" + _body(r, 1, r.randint(1, 4)) + "}\n")
    for i in range(1 if r.random() < 0.9 else r.randint(0, 3)):
        axes = r.choice(["4, 5, 3", "H, W, 2", "8, 6, 4", "1, 1, 1", "5, 3, 2", "H, 3, 1", "7, 4, 16", "12", "2, 3"])
        head = f"net {r.choice(['n', 'small', 'n' + str(i)])}" + r.choice(["", "(width=4)", "(width=8, act=relu)"])
        end = r.choice(["  output y\n", "  output y\n", "  output y, skip\n", "", "  output x\n"])
        parts.append(f"{head} {{\n  input x: [{axes}]\n  relu() as skip\n{_body(r, 1, r.randint(1, 4))}{end}}}\n")
    r.shuffle(parts)
    return r.choice(["", "# a comment\n", 'use "b.upc"\n']) + "\n".join(parts) if r.random() < 0.1 else "\n".join(parts)


def _body(r: Random, depth: int, count: int) -> str:
    return "".join("  " * depth + _statement(r, depth) + "\n" for _ in range(count))


def _statement(r: Random, depth: int) -> str:
    kind = r.random()
    if kind < 0.9:
        k, n = r.choice(["1", "2", "3"]), r.choice(["1", "2", "3", "4", "8"])
        return r.choice(_SAFE if r.random() < 0.8 else _TRUNK).format(k=k, n=n)
    if kind < 0.97 and depth < 4:
        head = r.choice(["repeat 2", "repeat i in 1..3", "repeat width", "from skip", "from x", "repeat 0"])
        return f"{head} {{\n{_body(r, depth + 1, r.randint(0, 2))}" + "  " * depth + "}"
    name = r.choice(list(LAYERS))
    card = LAYERS[name][0]
    arguments = [_value(r) for _ in range(r.randint(0, 2))]
    arguments += [f"{f.name}={_value(r)}" for f in card.arguments() if r.random() < 0.25]
    return f"{name}({', '.join(arguments)})" + (f" as {r.choice(_NAMES)}" if r.random() < 0.2 else "")


def _value(r: Random) -> str:
    kind = r.random()
    if kind < 0.5:
        return r.choice(_NUMBERS)
    if kind < 0.8:
        return r.choice(_WORDS)
    return f"[{', '.join(_value(r) for _ in range(r.randint(0, 3)))}]"


def broken(text: str, r: Random) -> str:
    """The text with a few of its characters or words taken away, doubled, moved or put in the place of others."""
    for _ in range(r.choice([1, 1, 1, 2, 3, 8])):
        at = r.randrange(len(text) + 1)
        end = min(len(text), at + r.choice([0, 1, 1, 2, 5, 20]))
        kind = r.random()
        if kind < 0.25:
            new = ""
        elif kind < 0.5:
            new = r.choice(_TOKENS)
        elif kind < 0.65:
            new = r.choice(_NUMBERS + _WORDS + _NAMES)
        elif kind < 0.8:
            new = text[at:end] * r.choice([2, 2, 3, 50])
        else:
            other = r.randrange(len(text) + 1)
            new = text[other : other + r.choice([1, 3, 10, 40])]
        text = text[:at] + new + text[end:]
    return text[:20_000]


_MARKS = "".join(chr(n) for n in range(1, 0x180)) + "\u2028\u2066\ufffd\U0010ffff" + "{}()[]:=,.." * 8


def short(r: Random) -> str:
    """A few words or signs, mostly within a net: thousands of these are looked at while one long source is."""
    kind = r.random()
    if kind < 0.5:
        text = _statement(r, 4)
    elif kind < 0.9:
        words = (_TOKENS, _WORDS, _NAMES, _NUMBERS, tuple(LAYERS))
        text = r.choice((" ", " ", "")).join(r.choice(r.choice(words)) for _ in range(r.randint(1, 9)))
    else:
        text = "".join(r.choice(_MARKS) for _ in range(r.randint(1, 20)))
    if r.random() < 0.85:
        axes = r.choice(("4, 5, 3", "H, W, 2", "1, 1, 1", "H, 3, 1", "12", "2, 3"))
        text = r.choice(("net n {{ input x: [{}] {} output y }}", "net n {{ input x: [{}]\n{}\noutput y\n}}")).format(
            axes, text
        )
    return broken(text, r) if r.random() < 0.4 else text
