"""A written module holds all of the runtime in one namespace: no two of its files may define one name."""

import ast
from pathlib import Path

import upc.runtime
from upc.emit.numba import RUNTIME


def defined(tree: ast.Module) -> set[str]:
    names = set()
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)}
    return names


def test_no_name_is_defined_by_two_of_the_carried_files():
    folder = Path(upc.runtime.__file__).parent
    owner: dict[str, str] = {}
    for name in RUNTIME:
        for defines in defined(ast.parse((folder / f"{name}.py").read_text(encoding="utf-8"))):
            assert defines not in owner, f"{defines} stands in {owner[defines]}.py and in {name}.py"
            owner[defines] = name
    assert {"Net", "SECTION", "convolve", "worker"} <= set(owner)


def test_every_file_of_the_runtime_is_carried():
    files = {path.stem for path in Path(upc.runtime.__file__).parent.glob("*.py")} - {"__init__"}
    assert files == set(RUNTIME)
