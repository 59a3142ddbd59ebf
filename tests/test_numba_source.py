"""The text of written Numba modules: clean, the same each time, and safe from any name."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from written import FACES, PAIR, TINY, in_process, write

from upc.build import compile_source
from upc.diagnostics import UpcError
from upc.emit.numba import emit
from upc.source import Source


@pytest.mark.parametrize("text", [FACES, PAIR, TINY], ids=["faces", "pair", "tiny"])
def test_source_is_clean(text: str, tmp_path: Path) -> None:
    source = emit(compile_source(Source(str(tmp_path / "net.upc"), text)))
    assert str(tmp_path) not in source and str(Path.home()) not in source and sys.prefix not in source
    assert source == emit(compile_source(Source(str(tmp_path / "net.upc"), text)))
    path = tmp_path / "module.py"
    path.write_text(source)
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "E9,F", str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert all(line == line.rstrip() for line in source.splitlines()) and source.endswith("\n")
    assert not re.search(r"^\s*(import|from) upc\b", source, re.MULTILINE)


def test_source_does_not_depend_on_the_process(tmp_path: Path) -> None:
    script = (
        "from upc.build import compile_source; from upc.source import Source; from upc.emit.numba import emit\n"
        f"print(emit(compile_source(Source('net.upc', {PAIR!r}))))"
    )
    root = Path(__file__).parents[1]
    texts = {in_process(script, tmp_path, root, PYTHONHASHSEED=seed) for seed in ("1", "2")}
    assert len(texts) == 1


HOSTILE = ["Net", "jit", "work", "arena", "load", "np", "forward", "sizes", "take", "int", "range", "len", "Any", "job"]


def test_names_of_the_runtime_and_of_python_are_only_names(tmp_path: Path) -> None:
    """One net with all of them as inputs, values, outputs and free sizes."""
    made = [f"  input {name}: [TABLE, PAIR, 2]" for name in HOSTILE]
    made += [f"  from {name} {{ relu() }} as {name}_work" for name in HOSTILE]
    made += ["  from Net_work { add(jit_work, arena) } as counter", "  from work_work { add(np_work) } as table"]
    text = "\n".join(["net images {", *made, "  output counter, table", "}", ""])
    written = write(text, tmp_path)
    inputs = written.inputs(2, TABLE=2, PAIR=3)
    written.check(written.module.load()(*inputs), inputs)


@pytest.mark.parametrize("name", [*HOSTILE, "class", "None", "lambda", "yield", "self", "print", "Network", "NETWORK"])
def test_nets_of_any_name(name: str) -> None:
    """Either refused, or a module like any other: its names apart, the same code."""

    def shape_of(source: str) -> list[str]:
        return [type(node).__name__ for node in ast.walk(ast.parse(source))]

    text = "net {} {{\n  input x: [3]\n  dense(2)\n  output y\n}}\n"
    try:
        source = emit(compile_source(Source("net.upc", text.format(name))))
    except UpcError:
        return
    assert shape_of(source) == shape_of(emit(compile_source(Source("net.upc", text.format("plain")))))


@pytest.mark.parametrize("name", ['a"""\nimport os\n"""', "a\nimport os", "a\\", 'a"', "a\u2028import os", "#{{ x }}"])
def test_no_file_name_breaks_out(name: str) -> None:
    plain, hostile = (emit(compile_source(Source(source, TINY))) for source in ("net.upc", f"{name}.upc"))
    trees = [ast.dump(ast.parse(text.partition('"""')[2].partition('"""')[2])) for text in (plain, hostile)]
    assert trees[0] == trees[1]
