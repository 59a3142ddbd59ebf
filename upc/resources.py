"""Finds the files that stand outside the package: `grammar/` and `templates/`.

A wheel carries them as `upc/_data/<name>`; in a source tree they stand beside the package.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def directory(name: str) -> Path:
    """The folder of that name: the installed copy where there is one, the source tree's otherwise."""
    for place in (_PACKAGE / "_data" / name, _PACKAGE.parent / name):
        if place.is_dir():
            return place
    raise FileNotFoundError(f"upc is installed without its `{name}` folder: install it again")


def read(relative: str) -> str:
    """The text of one such file: `read("grammar/upc.lark")`."""
    name, _, rest = relative.partition("/")
    return (directory(name) / rest).read_text(encoding="utf-8")
