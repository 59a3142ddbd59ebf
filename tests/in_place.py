"""Written Numba modules that import the runtime where it stands, for its lines to be measured under their own names.

A module that upc writes carries the text of `upc.runtime`, and a line that runs there counts for no line of the
package. With `pytest --runtime-in-place` the text is replaced by imports of the same names; all else of a module is
what it always is. Tests of the text itself fail then, and are not to be run so.
"""

from __future__ import annotations

import ast
import hashlib
from functools import cache

from upc.emit import numba as emitter

_carried = emitter.carried_runtime


@cache
def imported_runtime(own: tuple[str, ...] = ()) -> tuple[tuple[str, ...], str]:
    """As `carried_runtime`: import lines, and in place of the text of the runtime imports of all it defines."""
    lines, text = _carried(own)
    # Machine code is kept for the text of a module: what the runtime says must still be a part of it.
    made = [f"# {hashlib.sha256(text.encode()).hexdigest()}"]
    for name in emitter.RUNTIME:
        defined = emitter._defined(ast.parse(emitter._runtime_text(name)))
        made.append(f"from upc.runtime.{name} import {', '.join(sorted(defined))}")
    return lines, "\n".join((*made, *own))


def use() -> None:
    """Have every module that is written from now on import the runtime."""
    emitter.carried_runtime = imported_runtime
