"""Run a net once and look at what comes out.

--input is an .npy file, a picture, or `latent`: random numbers drawn from --seed. A net of several inputs
takes one `--input name=FILE` for each. Weights are those of --weights or, without --seed, of <net>.safetensors
beside FILE; else they are made up. -o writes .npy, .npz (all outputs by name) or .png: a picture for
each of the batch, side by side. A picture's values go from 0 to 1; of a net that ends in tanh, -1 to 1; others
are scaled so that they show. --range LO,HI says which value is black and which is white.
"""

from __future__ import annotations

import argparse
import io
import math
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from upc import memory, targets
from upc.arrays import read_array
from upc.commands import shared
from upc.ir import Array, Graph, Value
from upc.shape import names_of, show

LATENT = "latent"


def configure(parser: argparse.ArgumentParser) -> None:
    shared.add_source(parser)
    shared.add_algorithm(parser)
    parser.add_argument(
        "--input",
        dest="inputs",
        action="append",
        required=True,
        metavar="[NAME=]FILE",
        help="x.npy, a picture or latent",
    )
    parser.add_argument("-o", dest="output", metavar="FILE", help="write the result: .npy, .npz or .png")
    # "-1,1" is a value, not an option: none begins with a digit.
    parser._negative_number_matcher = re.compile(r"^-\.?\d")
    parser.add_argument("--range", type=_range, metavar="LO,HI", help="the values drawn black and white in a .png")
    shared.add_memory(parser)
    parser.add_argument(
        "-n", dest="count", type=shared.positive, default=16, metavar="N", help="how many for latent (16)"
    )
    parser.add_argument("--target", choices=targets.names(), default="numba", help="what computes it (numba)")
    parser.add_argument("--weights", metavar="FILE", help=shared.WEIGHTS_HELP)
    shared.add_nonfinite(parser)
    parser.add_argument(
        "--seed", type=shared.seed, metavar="N", help="what latents and, without --weights, weights are drawn from"
    )


def run(options: argparse.Namespace) -> int:
    from upc.files import write_atomic
    from upc.load import check_inputs, load_graph

    suffix = Path(options.output).suffix.lower() if options.output else ""
    if options.output and suffix not in (".npy", ".npz", ".png"):
        raise shared.usage(f"cannot write {options.output}", hint="its name ends in .npy, .npz or .png")
    if options.range and suffix != ".png":
        raise shared.usage("--range is for pictures", hint="-o out.png")
    graph = shared.read_graph(options)
    given = _by_input(graph, options.inputs)
    arrays = [_array(value, text, options) for value, text in zip(graph.inputs, given, strict=True)]
    # Asked before weights are made and code is compiled.
    holding = targets.find(options.target).holding
    memory.check_call(graph, check_inputs(graph, arrays), len(arrays[0]), holding, options.memory)
    memory.check_weights(graph, holding, options.memory)
    weights, _ = shared.weights_of(graph, options)
    net = load_graph(
        graph,
        target=options.target,
        weights=weights,
        algorithm=options.algorithm,
        allow_nonfinite=True,
        memory=options.memory,
    )
    result = net(*arrays)
    outputs = result if isinstance(result, tuple) else (result,)
    for output, values in zip(graph.outputs, outputs, strict=True):
        print(f"{output.name}: {show(values.shape)} {_figures(values)}")
    if options.output:
        content = _content(options, suffix, graph, outputs)
        with shared.writing(Path(options.output)):
            write_atomic(options.output, content)
        print(options.output)
    return 0


def _figures(values: Array) -> str:
    finite = values[np.isfinite(values)]
    others = f"{values.size - finite.size:,} of {values.size:,} not finite"
    if not finite.size:
        return others if values.size else "empty"
    mean = finite.mean(dtype=np.float64)
    figures = f"from {finite.min():.6g} to {finite.max():.6g}, mean {mean:.6g}"
    return figures if finite.size == values.size else f"{figures}, {others}"


def _range(text: str) -> tuple[float, float]:
    try:
        low, high = map(float, text.split(","))
    except ValueError:
        low = high = math.nan
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise argparse.ArgumentTypeError(f"expected two numbers like -1,1, the smaller first, got {text}")
    return low, high


def _sayer(options: argparse.Namespace) -> Callable[[str], None]:
    """Tells the user on stderr what was done to a picture; nothing with `-q`."""

    def say(words: str) -> None:
        if not options.quiet:
            sys.stdout.flush()
            print(f"upc: {words}", file=sys.stderr)

    return say


def _by_input(graph: Graph, given: list[str]) -> list[str]:
    """What was given for each input, in their order."""
    names = [value.name for value in graph.inputs]
    named: dict[str, str] = {}
    for text in given:
        name, equals, rest = text.partition("=")
        if not equals:
            name, rest = (names[0], text) if len(names) == 1 else ("", text)
        if not name:
            raise shared.usage(f"the net has inputs {', '.join(names)}", hint=f"say which: --input {names[0]}={text}")
        if name not in names:
            raise shared.usage(f"the net has no input {name}", hint=shared.misspelt(name, names))
        if name in named:
            raise shared.usage(f"input {name} is given twice")
        named[name] = rest
    missing = [name for name in names if name not in named]
    if missing:
        raise shared.usage(f"nothing is given for input {missing[0]}", hint=f"--input {missing[0]}=FILE")
    return [named[name] for name in names]


def _array(value: Value, given: str, options: argparse.Namespace) -> Array:
    """The batch that the user means."""
    from upc.pictures import SUFFIXES, read_picture

    if given == LATENT:
        free = names_of(value.shape)
        if free:
            raise shared.usage(
                f"input {value.name} of shape {show(value.shape)} has no fixed size",
                hint="give a picture or an .npy file",
            )
        shape = (options.count, *value.shape)
        # Drawn in double precision, then rounded.
        memory.check(
            12 * math.prod(shape), options.memory, lambda: f"{options.count:,} latents of shape {show(value.shape)}"
        )
        return np.random.RandomState(options.seed or 0).standard_normal(shape).astype(np.float32)
    path = Path(given)
    if path.suffix.lower() in SUFFIXES:
        channels = value.shape[-1]
        if len(value.shape) != 3 or not isinstance(channels, int):
            raise shared.usage(
                f"input {value.name} of shape {show(value.shape)} is no picture", hint="give an .npy file"
            )
        return read_picture(path, channels, _sayer(options), options.memory)[np.newaxis]
    if path.suffix.lower() != ".npy":
        raise shared.usage(f"cannot tell what {given} is", hint="an .npy file, a picture (.png, .jpg) or latent")
    array = read_array(path, options.memory)
    return array[np.newaxis] if array.ndim == len(value.shape) else array


def _content(options: argparse.Namespace, suffix: str, graph: Graph, outputs: tuple[Array, ...]) -> bytes:
    """The bytes of the file that -o names."""
    from upc.pictures import as_picture, grid, output_range, picture_bytes

    name: str = options.output
    file = io.BytesIO()
    if suffix == ".npz":
        named = {output.name: values for output, values in zip(graph.outputs, outputs, strict=True)}
        np.savez(file, allow_pickle=False, **named)
        return file.getvalue()
    if len(outputs) > 1:
        raise shared.usage(f"the net has {len(outputs)} outputs; {name} holds one", hint="write an .npz file")
    (values,) = outputs
    if suffix == ".npy":
        np.save(file, values)
        return file.getvalue()
    if values.ndim != 4 or values.shape[-1] not in (1, 3, 4) or not values.size:
        raise shared.usage(f"a result of shape {show(values.shape)} is no picture", hint="write an .npy file")
    pictures = as_picture(values, output_range(graph), name, _sayer(options), options.range)
    return picture_bytes(pictures[0] if len(pictures) == 1 else grid(pictures))
