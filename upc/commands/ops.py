"""List the layers: their arguments with defaults, or what a target makes of them."""

from __future__ import annotations

import argparse

from upc.commands import shared


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("layer", nargs="?", metavar="LAYER", help="one layer, explained")
    parser.add_argument("--target", choices=shared.TARGETS, help="say which of them the target can spell")


def run(options: argparse.Namespace) -> int:
    return 0
