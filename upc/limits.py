"""How much one `.upc` project may ask for. Anything over a limit is a clear error, found before work is done."""

from __future__ import annotations

FILE_BYTES = 1 << 20
"""Size of one file."""

FILE_TOKENS = 200_000
"""Words, numbers and signs in one file."""

FILES = 256
"""Files that one file brings in with `use`, directly or not."""

NESTING = 64
"""Brackets and braces open at once; blocks inside blocks."""

OPERATORS = 100
"""Arithmetic signs in one argument."""

NAME_CHARACTERS = 64
"""Length of a name."""

NODES = 10_000
"""Layers of one net once every block and repeat is written out."""

STATEMENTS = 30_000
"""Statements carried out to get there, so that repeats of nothing end too."""

INTEGER = 2**63 - 1
"""Greatest magnitude of a whole number, written or computed."""

LIST_ITEMS = 1_000
"""Items of a list, arguments of a call, parameters of a block."""

DIAGNOSTICS = 50
"""Errors reported in one go."""
