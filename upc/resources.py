"""Where the grammar and the templates are: beside the package in a checkout, inside it in an installed wheel."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent


def resource(path: str) -> Path:
    """The file or folder of that name below the checkout's top: `grammar/upc.lark`, `templates/keras`."""
    installed = _PACKAGE / "_data" / path
    return installed if installed.exists() else _PACKAGE.parent / path
