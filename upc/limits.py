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

MODEL_LAYERS = 30_000
"""Layers of a model of another tool, its parts counted as often as they are used."""

MODEL_DEPTH = 16
"""Models inside models, and groups inside groups of an HDF5 file."""

CONFIG_BYTES = 1 << 25
"""The description of a model that a Keras file holds beside its weights."""

TENSORS = 100_000
"""Arrays in one file of weights: ten times what the largest net could use. `runtime.stored` says the same."""

TENSOR_NAME = 4096
"""Characters of one name in a file of weights, groups and all."""

TENSOR_NAMES = 1 << 24
"""Characters of all names in a file of weights together."""

CHUNK_BYTES = 1 << 22
"""One piece of a dataset of less than half that, if it is stored in pieces, which are unpacked as a whole."""

MODEL_BYTES = 1 << 32
"""A file of weights of another tool, which is read whole."""

ARCHIVE_DIRECTORY_BYTES = 1 << 24
"""The list of members of a zip archive; at about a hundred bytes a member this is room for 160,000."""
