"""The command line: `upc <command>`. Each command is one file of `upc/commands`; what they share stands here."""

from __future__ import annotations

import argparse
import contextlib
import errno
import io
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from upc import __version__, commands, limits
from upc.commands.shared import common_options, report
from upc.diagnostics import EXIT_OK, EXIT_USAGE, UpcError, nearest, plain
from upc.processes import ended_by_signals, log_to_stderr

EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141

_EPILOG = """\
With no file named, a command takes the only .upc file of the current directory; `-` is standard input.

exit codes:
  0  ok
  1  a mismatch (check) or a finding (lint, fmt --check)
  2  wrong use: unknown options, files that cannot be read or written, wrong inputs, too little memory
  3  an error in the source, its shapes or its weights
  4  an optional dependency is not installed

limits, each raised or lowered by --limit NAME=VALUE:
"""


class Parser(argparse.ArgumentParser):
    """Options may stand anywhere among the files, and what is misspelt is guessed."""

    _apart = False

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        # argparse alone would take the files before the first option for all there are: `import FILE -D a=1 MODEL`.
        files = self._get_positional_actions()
        if self._apart or len(files) < 2 or any(action.nargs == argparse.PARSER for action in files):
            return super().parse_known_args(args, namespace)
        self._apart = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._apart = False

    def _check_value(self, action: argparse.Action, value: object) -> None:
        if action.choices is not None and value not in action.choices:
            known = [str(choice) for choice in action.choices]
            near = nearest(str(value), known)
            guess = f"did you mean {near}?" if near else f"choose from {', '.join(known)}"
            raise argparse.ArgumentError(action, f"there is no {value} ({guess})")

    def error(self, message: str) -> NoReturn:
        super().error(plain(message))


def parser() -> argparse.ArgumentParser:
    """The whole command line as argparse sees it."""
    common = common_options()
    top = Parser(
        prog="upc",
        description="Compile layer graphs: from .upc files to Keras, PyTorch or fast Numba code.",
        epilog=_EPILOG + _limits(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[common],
        allow_abbrev=False,
    )
    top.add_argument("-V", "--version", action="version", version=f"upc {__version__}")
    choices = top.add_subparsers(dest="command", metavar="command", required=True)
    for name, module in commands.modules().items():
        summary, _, details = (module.__doc__ or "").partition("\n")  # under `python -OO` there is none
        command = choices.add_parser(
            name,
            help=summary[:1].lower() + summary[1:].rstrip("."),
            description=summary,
            epilog=details.strip() or None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            parents=[common],  # type: ignore[list-item]
            allow_abbrev=False,
        )
        module.configure(command)
        command.set_defaults(run=module.run)
    return top


def _limits() -> str:
    """The table of limits for the help."""
    rows = [(name, f"{default:,}", means) for name, (default, means) in limits.table().items()]
    names, numbers = (max(len(row[i]) for row in rows) for i in range(2))
    return "".join(f"  {name:{names}}  {number:>{numbers}}  {means}\n" for name, number, means in rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Never raises for what a user can cause."""
    _open_streams()
    given = list(sys.argv[1:] if arguments is None else arguments)
    top = parser()
    if not given:
        top.print_help()
        return EXIT_OK
    options = top.parse_args(given, argparse.Namespace(verbose=0, quiet=False, color="auto", limits=[]))
    if options.verbose:
        log_to_stderr()
    try:
        with ended_by_signals(), limits.changed(dict(options.limits)):
            code: int = options.run(options)
            sys.stdout.flush()
    except UpcError as problem:
        report(problem.diagnostics, options)
        return problem.exit_code
    except BrokenPipeError:
        _abandon_output()
        return EXIT_BROKEN_PIPE
    except KeyboardInterrupt:
        print("upc: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except OSError as problem:
        place = f"{os.fsdecode(problem.filename)}: " if problem.filename else ""
        print(plain(f"upc: error: {place}{problem.strerror or problem}"), file=sys.stderr)
        _abandon_output()
        return EXIT_USAGE
    except (MemoryError, RecursionError) as problem:
        words = "not enough memory for this net" if isinstance(problem, MemoryError) else "the net nests too deeply"
        print(plain(f"upc: error: {str(problem) or words}"), file=sys.stderr)
        return EXIT_USAGE
    return code or EXIT_OK


class _Closed(io.TextIOBase):
    """Standard output that was closed before upc began: what it is given is an error, not lost in silence."""

    def write(self, text: str) -> int:
        raise OSError(errno.EBADF, "standard output is closed")


def _open_streams() -> None:
    """Let no file that is opened later get the number of a standard stream, and no stream be None."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
    if sys.stdout is None:
        sys.stdout = _Closed()
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 (it stays open as long as the process)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a character that the terminal lacks is no error


def _abandon_output() -> None:
    """Nobody can be told what is still to be written to standard output; it must not raise again at exit."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
