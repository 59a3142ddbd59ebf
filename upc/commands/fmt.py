"""Lay files out in the one canonical way; comments stay.

With --check nothing is written, and files that would change are named.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from upc.commands import shared


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="*", metavar="FILE", help=".upc files, or - for standard input to output")
    parser.add_argument("--check", action="store_true", help="only say what would change")


def run(options: argparse.Namespace) -> int:
    from upc import pipeline
    from upc.diagnostics import EXIT_MISMATCH
    from upc.files import write_atomic
    from upc.format import format_file

    changed = False
    for file in options.files or [pipeline.find(None)]:
        source = pipeline.read(file)
        text = format_file(pipeline.tree(source))
        if options.check:
            if text != source.text:
                changed = True
                shared.say(f"{source.name} is not in canonical layout")
        elif file == pipeline.STDIN:
            sys.stdout.write(text)
        elif text != source.text:
            with shared.writing(Path(file)):
                write_atomic(file, text)
            shared.progress(options, f"formatted {file}")
    return EXIT_MISMATCH if changed else 0
