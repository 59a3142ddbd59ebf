"""`upc warmup x.py` runs a file: only one that this upc wrote, to the letter, with a network that is plain data."""

from __future__ import annotations

import pytest
from written import FACES, PAIR, TINY

from upc.build import compile_source
from upc.cli import main
from upc.emit.numba import emit
from upc.pipeline import plan
from upc.source import Source
from upc.written import strange_part

CLIPPED = (
    "net upc_test_clip {\n  input x: [H, W, 4]\n  relu(max_value=6)\n  clip(-1, 1)\n  prelu(shared_axes=[1, 2])\n"
    "  pixel_shuffle(2, order=dcr)\n  resizing(7, 9, interpolation=bicubic)\n  output y\n}\n"
)


@pytest.fixture(scope="module")
def text() -> str:
    return emit(compile_source(Source("net.upc", PAIR)))


@pytest.mark.parametrize("source", [FACES, PAIR, TINY, CLIPPED])
@pytest.mark.parametrize("algorithm", ["auto", "fast"])
def test_every_module_that_upc_writes_is_known(source, algorithm):
    from upc.emit.numba import emit_plan

    assert strange_part(emit_plan(plan(compile_source(Source("net.upc", source)), algorithm))) is None


MARK = "\n# The network\n"
RUN = "__import__('os').system('touch ran')"

CHANGES = {
    "code in front": ("", f"{RUN}\n", 0),
    "code in the runtime": ("\nclass Net:\n", f"\n{RUN}\nclass Net:\n", 1),
    "a changed runtime": ("SPINS = 20_000", "SPINS = 20_001", 1),
    "code behind the docstring": ('\n"""\n\nfrom __future__', f'\n"""; {RUN}\n\nfrom __future__', 1),
    "a docstring that is computed": ('"""upc_test_pair', f'f"""{{{RUN}}}upc_test_pair', 1),
    "code after the runtime": (MARK, f"{MARK}{RUN}\n", 1),
    "an import": (MARK, f"{MARK}import antigravity\n", 1),
    "a call among the network's words": ('name="upc_test_pair"', f"name={RUN}", 1),
    "a call by another name": ('name="upc_test_pair"', 'name=open("ran", "w")', 1),
    "a class of the runtime that does something": ('name="upc_test_pair"', 'name=WeightsFile("x", {})', 1),
    "an attribute": ('name="upc_test_pair"', 'name="".__class__', 1),
    "a lambda": ("sizes=sizes", f"sizes=lambda **free: {RUN}", 1),
    "a comprehension": ('name="upc_test_pair"', f"name=[{RUN} for _ in (1,)]", 1),
    "a very long text": ('name="upc_test_pair"', 'name="x" * 10**9', 1),
    "a very large number": ("    return {\n", "    return 9**9**9**9 and {\n", 1),
    "a very long sum": ("    return {\n", "    return {" + "1 + " * 20_000 + "1: 1,\n", 1),
    "a decorator": ("def sizes(", f"@(lambda f: {RUN})\ndef sizes(", 1),
    "a default": ("def sizes(H: int", f"def sizes(H: int = {RUN}", 1),
    "another load": ("    return load_network(", f"    {RUN}\n    return load_network(", 1),
    "a function twice": (MARK, f"{MARK}def sizes(H: int) -> int:\n    ''''''\n    return 1\n\n\n", 1),
    "more at the end": (None, f"\n{RUN}\n", 1),
    "a carriage return": ("\n# The network\n", f"\n#\r{RUN}\n# The network\n", 1),
    "a form feed": ("\n# The network\n", f"\n#\f\n{RUN}\n# The network\n", 1),
    "a semicolon": (None, f"; {RUN}", 1),
    "no network": (MARK, "\n# A network\n", 1),
}


@pytest.mark.parametrize("change", CHANGES)
def test_any_other_file_is_refused_and_not_run(text, change, tmp_path, monkeypatch, capsys):
    old, new, count = CHANGES[change]
    if old is None:
        changed = text.rstrip("\n") + new if new.startswith(";") else text + new
    else:
        assert old in text
        changed = text.replace(old, new, 1) if count else new + text
    assert changed != text and strange_part(changed) is not None
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.py").write_text(changed, newline="")
    assert main(["warmup", "x.py"]) == 2
    assert "is no Numba module that this upc wrote" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["x.py"]


@pytest.mark.parametrize(
    "other",
    [
        "",
        "x = (",
        "\0",
        "(" * 100_000,
        '"""x"""',
        "NETWORK = Network(\n)\n",
        '"""x"""\n\nNETWORK = Network()\n# The network\n',
    ],
)
def test_what_is_no_module_at_all_is_refused(other):
    assert strange_part(other) is not None


def test_the_help_says_which_modules_are_run(capsys):
    with pytest.raises(SystemExit):
        main(["warmup", "--help"])
    assert "this version of upc wrote" in capsys.readouterr().out
