"""What several commands share: their arguments, reading sources, reporting, writing."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from upc import limits
from upc.diagnostics import EXIT_USAGE, Diagnostic, UpcError, draw, error, nearest, plain

if TYPE_CHECKING:
    from upc.files import Content
    from upc.ir import Array, Graph, Literal
    from upc.source import Source
    from upc.units import Report


WEIGHTS_HELP = "a .safetensors file of trained weights (<net>.safetensors or <file>.safetensors beside FILE, if there)"


def common_options() -> argparse.ArgumentParser:
    """What every command takes, as a parent of its parser."""
    common = argparse.ArgumentParser(add_help=False)
    # SUPPRESS keeps a default given here from undoing what stands before the command's name.
    common.add_argument(
        "-v", "--verbose", action="count", default=argparse.SUPPRESS, help="say on stderr what is being done"
    )
    common.add_argument("-q", "--quiet", action="store_true", default=argparse.SUPPRESS, help="no warnings")
    common.add_argument(
        "--limit",
        dest="limits",
        action="append",
        type=_limit,
        default=argparse.SUPPRESS,
        metavar="NAME=VALUE",
        help="raise or lower a limit; `upc --help` lists them",
    )
    common.add_argument(
        "--color", choices=("auto", "always", "never"), default=argparse.SUPPRESS, help="colour in diagnostics"
    )
    return common


def _limit(text: str) -> tuple[str, int]:
    """`layers=20000` as a pair; argparse reports what is not."""
    name, equals, number = text.partition("=")
    known = limits.table()
    if not equals or name not in known:
        near = nearest(name, known)
        hint = f"did you mean {near}?" if near else f"they are {', '.join(known)}"
        raise argparse.ArgumentTypeError(f"expected a limit like layers=20000, got {text} ({hint})")
    try:
        value = limits.amount(number)
        with limits.changed({name: value}):
            return name, value
    except ValueError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None


def memory(text: str) -> int:
    """`500MB` as bytes; argparse reports what is not."""
    try:
        return limits.amount(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None


def add_memory(parser: argparse.ArgumentParser) -> None:
    """--memory."""
    parser.add_argument(
        "--memory", type=memory, metavar="SIZE", help="what may be used, such as 500MB or 8GB (what the machine has)"
    )


def add_source(parser: argparse.ArgumentParser, *, defines: bool = True) -> None:
    """FILE, and with `defines` also --net and -D."""
    parser.add_argument("file", nargs="?", metavar="FILE", help="a .upc file, or - for standard input")
    if defines:
        parser.add_argument("--net", metavar="NAME", help="which net, where the file holds several")
        parser.add_argument(
            "-D", dest="defines", action="append", default=[], metavar="NAME=VALUE", help="set a parameter of the net"
        )


def positive(text: str) -> int:
    """A whole number from 1 on; argparse reports what is not."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1 on, got {text}")
    return value


def add_batch(parser: argparse.ArgumentParser) -> None:
    """--batch of a module that is written."""
    parser.add_argument(
        "--batch",
        type=positive,
        default=1,
        metavar="N",
        help="for Numba, the images of a usual call, for which it is made quick (1)",
    )


def add_algorithm(parser: argparse.ArgumentParser) -> None:
    """--algorithm."""
    parser.add_argument(
        "--algorithm",
        choices=("exact", "fast", "auto"),
        default="auto",
        help="for Numba, where convolutions may trade a few bits for speed: nowhere, wherever they can, "
        "where it pays (auto)",
    )


def add_weights(parser: argparse.ArgumentParser, *, nonfinite: bool = True) -> None:
    """--weights and --seed, one or the other, and with `nonfinite` also --allow-nonfinite."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--weights", metavar="FILE", help=WEIGHTS_HELP)
    group.add_argument("--seed", type=seed, metavar="N", help="make initial weights up from this")
    if nonfinite:
        add_nonfinite(parser)


def add_nonfinite(parser: argparse.ArgumentParser) -> None:
    """--allow-nonfinite."""
    parser.add_argument("--allow-nonfinite", action="store_true", help="take weights that are NaN or infinite")


def add_force(parser: argparse.ArgumentParser) -> None:
    """--force."""
    parser.add_argument("--force", action="store_true", help="replace what is there, even if it is something else")


def seed(text: str) -> int:
    """A whole number that NumPy takes for a seed; argparse reports what is not."""
    value = int(text)
    if not 0 <= value < 2**32:
        raise argparse.ArgumentTypeError(f"a seed is from 0 to 4294967295, not {text}")
    return value


def read_source(options: argparse.Namespace) -> Source:
    """The source that FILE means."""
    from upc import pipeline

    return pipeline.read(pipeline.find(options.file))


def read_graph(options: argparse.Namespace) -> Graph:
    """The graph that FILE, --net and -D mean; its warnings are reported."""
    from upc import pipeline

    tree = pipeline.tree(read_source(options))
    return pipeline.graph(tree, options.net, defines(options), lambda warning: report((warning,), options))


def read_graphs(options: argparse.Namespace, warn: Report | None = None) -> list[Graph]:
    """The graph that --net names, or those of all nets of FILE."""
    from upc import build, pipeline

    tree = pipeline.tree(read_source(options))
    names = [build.choose(tree, options.net).name.text] if options.net is not None else build.nets(tree)
    warn = warn or (lambda warning: report((warning,), options))
    return pipeline.graphs(tree, names or [build.choose(tree).name.text], defines(options), warn)


def defines(options: argparse.Namespace) -> dict[str, Literal]:
    """What -D sets, by name."""
    from upc.build import read_define

    given: dict[str, Literal] = {}
    for text in options.defines:
        name, value = read_define(text)
        if name in given:
            raise usage(f"-D {name} is given twice")
        given[name] = value
    return given


def weights_of(graph: Graph, options: argparse.Namespace, *names: str) -> tuple[dict[str, Array], Path | None]:
    """The weights that --weights, --seed or a file beside FILE give, and that file; which they are is said on stderr.

    `names` are tried beside FILE before the net's own. Where the command has no --allow-nonfinite, all are taken.
    """
    from upc.load import resolve_weights

    file = weights_file(graph, options, *names)
    arrays = resolve_weights(graph, file, options.seed or 0, getattr(options, "allow_nonfinite", True))
    note(options, f"weights: {file}" if file else f"weights: made up from seed {options.seed or 0}")
    return arrays, file


def weights_file(graph: Graph, options: argparse.Namespace, *names: str) -> Path | None:
    """The file of weights that --weights names, or that lies beside FILE where there is no --seed either."""
    from upc.load import weights_beside

    if options.weights is not None:
        return Path(options.weights)
    return weights_beside(graph, *names) if options.seed is None else None


def report(diagnostics: Iterable[Diagnostic], options: argparse.Namespace) -> None:
    """Print to stderr, in colour where that is wanted; warnings not when `-q`."""
    wanted = [d for d in diagnostics if d.severity == "error" or not options.quiet]
    if not wanted:
        return
    sys.stdout.flush()
    for diagnostic in wanted:
        print(draw(diagnostic, color=use_color(options.color)), file=sys.stderr)


def use_color(choice: str) -> bool:
    """Whether stderr gets colours: as told, else where it is a terminal and NO_COLOR is unset."""
    return choice == "always" or (choice == "auto" and sys.stderr.isatty() and not os.environ.get("NO_COLOR"))


def usage(message: str, hint: str | None = None) -> UpcError:
    """An error in how a command was called."""
    return error("E0800", message, hint=hint, exit_code=EXIT_USAGE)


def source_text(graph: Graph, options: argparse.Namespace) -> str:
    """What a target writes for a net, as text to print."""
    from upc import pipeline

    files = pipeline.write(graph, options.target, options.algorithm, options.batch)
    content, *others = files.values()
    if others or isinstance(content, bytes):
        raise usage(
            f"target {options.target} writes {' and '.join(files)}, which cannot be printed", "-o names a folder"
        )
    return content


def destination(output: str, name: str) -> Path:
    """Where `-o` says a file goes: the file named, or `name` inside the folder named."""
    path = Path(output)
    return path / name if path.is_dir() or output.endswith(("/", os.sep)) else path


@contextmanager
def writing(path: Path | None = None) -> Iterator[None]:
    """Turn what the system says about a file that cannot be written into one clear error."""
    try:
        yield
    except OSError as problem:
        place = path or problem.filename
        raise error("E0803", f"cannot write {place}: {problem.strerror}", exit_code=EXIT_USAGE) from None


def check_module(path: Path, options: argparse.Namespace, hint: str) -> None:
    """Refuse to write a module by the name of another that Python knows, or over a file that upc did not write.

    `hint` says how it is called something else.
    """
    from upc import targets
    from upc.files import is_ours
    from upc.modules import known_elsewhere

    if path.stem in targets.needed_modules() or known_elsewhere(path.stem):
        raise error("E0807", f"{path} would hide Python's module {path.stem}", hint=hint, exit_code=EXIT_USAGE)
    with writing(path):
        foreign = os.path.exists(path) and not is_ours(path)
    if foreign and not options.force:
        message = f"{path} is there already, and upc did not write it"
        raise error("E0806", message, hint=f"{hint}; --force replaces the file", exit_code=EXIT_USAGE)


def check_file(path: Path, content: Content, options: argparse.Namespace, hint: str) -> None:
    """Refuse to write over a file that upc did not write: a module of another's, another kind of file that differs.

    `hint` says how it is called something else. Of a module, its name is looked at too.
    """
    from upc.files import holds

    if path.suffix == ".py":
        check_module(path, options, hint)
        return
    with writing(path):
        other = os.path.exists(path) and not holds(path, content)
    if other and not options.force:
        message = f"{path} is there already, and holds something else"
        raise error("E0806", message, hint=f"{hint}; --force replaces the file", exit_code=EXIT_USAGE)


def stays(path: Path, arrays: dict[str, Array], graph: Graph, options: argparse.Namespace, used: Path | None) -> bool:
    """Whether a file of weights holds these already, so that it is not written. Refuses to replace others.

    `used` is the file that they came from.
    """
    from upc import weights
    from upc.files import open_regular

    if not os.path.exists(path):
        return False
    with writing(path):
        open_regular(path).close()
    if used is not None and os.path.samefile(path, used):
        return True
    try:
        found = weights.load(path, graph, allow_nonfinite=True)
    except UpcError:
        found = {}
    if found and all(found[key].tobytes() == array.tobytes() for key, array in arrays.items()):
        return True
    if options.force:
        return False
    hint = f"--weights {path} takes those; --force replaces them"
    raise error("E0806", f"{path} is there already, with other weights", hint=hint, exit_code=EXIT_USAGE)


def misspelt(name: str, known: Iterable[str]) -> str | None:
    """A hint that names the nearest known name, or lists all where none is near."""
    known = sorted(known)
    close = nearest(name, known)
    return f"did you mean {close}?" if close else f"there is {', '.join(known)}" if known else None


def note(options: argparse.Namespace, words: str) -> None:
    """Say on stderr what was decided; not with `-q`."""
    if not options.quiet:
        sys.stdout.flush()
        print(plain(f"upc: {words}"), file=sys.stderr)


def progress(options: argparse.Namespace, words: str) -> None:
    """Say on stderr what is being done, with `-v`."""
    if options.verbose:
        print(plain(f"upc: {words}"), file=sys.stderr)


def say(words: str) -> None:
    """Print a line of a result. What could steer a terminal is shown, not sent."""
    print(plain(words))
