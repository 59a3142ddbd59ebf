"""The command line: `upc <command>`. Each command is one file of `upc/commands`; what they share stands here."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from upc import __version__, commands
from upc.commands.shared import Parser, common_options, report
from upc.diagnostics import EXIT_OK, EXIT_USAGE, UpcError
from upc.processes import ended_by_signals, log_to_stderr, mend_standard_streams

EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141

_EPILOG = """\
With no file named, a command takes the only .upc file of the current directory; `-` is standard input.

exit codes:
  0  ok
  1  a mismatch (check, diff) or a finding (lint, fmt --check)
  2  wrong use: unknown options, files that cannot be read or written, wrong inputs
  3  an error in the source, its shapes or its weights
  4  an optional dependency is not installed
"""


def parser() -> argparse.ArgumentParser:
    """The whole command line as argparse sees it."""
    common = common_options()
    top = Parser(
        prog="upc",
        description="Compile layer graphs: from .upc files to Keras, PyTorch or fast Numba code.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[common],
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"upc {__version__}")
    choices = top.add_subparsers(dest="command", metavar="command", required=True)
    for name, module in commands.modules().items():
        summary, _, details = (module.__doc__ or "").partition("\n")
        command = choices.add_parser(
            name,
            help=summary[0].lower() + summary[1:].rstrip("."),
            description=summary,
            epilog=details.strip() or None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            parents=[common],
            allow_abbrev=False,
        )
        module.configure(command)
        command.set_defaults(run=module.run)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Never raises for what a user can cause."""
    mend_standard_streams()
    options = parser().parse_args(arguments, argparse.Namespace(verbose=0, quiet=False, color="auto"))
    if options.verbose:
        log_to_stderr()
    try:
        with ended_by_signals():
            code: int = options.run(options)
            sys.stdout.flush()
    except UpcError as problem:
        report(problem.diagnostics, options)
        return problem.exit_code
    except BrokenPipeError:
        # Whoever read our output has gone; what is still buffered must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    except KeyboardInterrupt:
        print("upc: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except OSError as problem:
        place = f"{problem.filename}: " if problem.filename else ""
        print(f"upc: error: {place}{problem.strerror or problem}", file=sys.stderr)
        return EXIT_USAGE
    except MemoryError:
        print("upc: error: not enough memory for this net", file=sys.stderr)
        return EXIT_USAGE
    return code or EXIT_OK
