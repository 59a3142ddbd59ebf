"""A written module run from the shell: arrays in files in, arrays in files out."""

from __future__ import annotations

import argparse
import io
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from upc.runtime.files import open_regular, write_whole
from upc.runtime.net import Net, shape_text
from upc.runtime.network import Network, Port


def run_from_shell(network: Network, load: Callable[..., Net], arguments: Sequence[str] | None = None) -> int:
    """Do what the command line asks of a network; the exit code. What is wrong with files is said on stderr."""
    options = _parser(network).parse_args(arguments)
    try:
        given = _arrays(network.inputs, options.inputs)
        made = load(options.weights, options.threads)(*given)
        results = made if isinstance(made, tuple) else (made,)
        _save(Path(options.output), {port.name: y for port, y in zip(network.outputs, results, strict=True)})
    except (OSError, TypeError, ValueError, MemoryError) as problem:
        print(f"{network.name}: {problem}", file=sys.stderr)
        return 2
    return 0


def _parser(network: Network) -> argparse.ArgumentParser:
    several = len(network.outputs) > 1
    lines = ["Run the network on arrays of files, float32 and channels last.", ""]
    for words, ports in (("takes", network.inputs), ("gives", network.outputs)):
        lines += [f"  {words} {port.name} {shape_text(('batch', *port.shape))}" for port in ports]
    lines += ["", "A batch axis may be left out of all inputs: it is then 1."]
    parser = argparse.ArgumentParser(
        prog=network.name, description="\n".join(lines), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("inputs", nargs="+", metavar="[NAME=]FILE.npy", help="the inputs, in order or by name")
    kind = "an .npz file of the outputs by name" if several else "the .npy file to write"
    parser.add_argument("-o", dest="output", required=True, metavar="FILE", help=kind)
    beside = f"a safetensors file; if not given, {network.name}.safetensors beside the module"
    parser.add_argument("--weights", metavar="FILE", help=beside)
    parser.add_argument("--threads", type=int, metavar="N", help="how many work on it; if not given, one a core")
    return parser


def _arrays(ports: Sequence[Port], given: Sequence[str]) -> list[np.ndarray]:
    """The inputs in their order. Raises ValueError where files and inputs do not go together."""
    names = [port.name for port in ports]
    files: dict[str, str] = {}
    for text in given:
        name, equals, file = text.partition("=")
        if not equals or name not in names:
            name, file = next((n for n in names if n not in files), ""), text
        if not name or name in files:
            raise ValueError(f"it takes {len(names)} files ({', '.join(names)}); {text} is one too many")
        files[name] = file
    if missing := [name for name in names if name not in files]:
        raise ValueError(f"it takes {len(names)} files ({', '.join(names)}); there is none for {', '.join(missing)}")
    return [_read(files[port.name], port) for port in ports]


def _read(file: str, port: Port) -> np.ndarray:
    try:
        with open_regular(file) as opened:
            found = np.load(opened, allow_pickle=False)
    except (ValueError, EOFError, RecursionError) as problem:
        raise ValueError(f"{file} is no .npy file of numbers: {problem}") from None
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "biuf":
        raise ValueError(f"{file} is no .npy file of numbers")
    array = found.astype(np.float32, copy=False)
    return array[np.newaxis] if array.ndim == len(port.shape) else array


def _save(file: Path, results: dict[str, np.ndarray]) -> None:
    """One array as it is, several by their names."""
    content = io.BytesIO()
    if len(results) == 1:
        (result,) = results.values()
        np.save(content, result)
    else:
        with zipfile.ZipFile(content, "w") as archive:  # NumPy's own function has arguments that outputs may be called
            for name, result in results.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as part:
                    np.lib.format.write_array(part, result, allow_pickle=False)
    write_whole(file, content.getvalue())
