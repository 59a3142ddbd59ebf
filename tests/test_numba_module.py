"""A written Numba module as its user meets it: calls, errors, weights, threads, processes."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from written import FACES, PAIR, Written, in_process, write

from upc import reference

BATCHES = (1, 2, 3, 7, 64, 65, 130)


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write(FACES, tmp_path_factory.mktemp("faces"))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write(PAIR, tmp_path_factory.mktemp("pair"))


# Calls


@pytest.mark.parametrize("batch", BATCHES)
def test_any_batch(faces: Written, batch: int) -> None:
    inputs = faces.inputs(batch)
    result = faces.module.load()(*inputs)
    assert result.dtype == np.float32 and result.shape == (batch, 8, 12, 3) and result.flags.c_contiguous
    faces.check(result, inputs)


@pytest.mark.parametrize("sizes", [(2, 2), (6, 10), (2, 8), (12, 4), (34, 6)])
def test_free_sizes_and_several_inputs_and_outputs(pair: Written, sizes: tuple[int, int]) -> None:
    net = pair.module.load()
    for batch in (3, 1):
        inputs = pair.inputs(batch, H=sizes[0], W=sizes[1])
        results = net(*inputs)
        assert isinstance(results, tuple) and len(results) == 2
        pair.check(results, inputs)


def test_sizes_may_change_from_call_to_call(pair: Written) -> None:
    """The memory of one call is used for the next; nothing of it may be left in a rim."""
    net = pair.module.load(threads=1)
    for height, width in [(10, 6), (2, 2), (6, 14), (10, 6), (4, 4), (2, 20)] * 2:
        for batch in (2, 1, 5):
            inputs = pair.inputs(batch, H=height, W=width)
            pair.check(net(*inputs), inputs)


def test_batch_of_none(faces: Written, pair: Written) -> None:
    assert faces.module.load()(np.zeros((0, 6), np.float32)).shape == (0, 8, 12, 3)
    seen, evened = pair.module.load()(*pair.inputs(0, H=4, W=6))
    assert seen.shape == (0, 4, 6, 4) and evened.shape == (0, 2, 3, 7)


def test_inputs_may_lie_in_memory_as_they_like(pair: Written) -> None:
    net = pair.module.load()
    left, right = pair.inputs(3, H=4, W=6)
    expected = net(left, right)
    wide = np.zeros((6, 4, 12, 3), np.float32)
    wide[::2, :, ::2] = left
    for one, other in (
        (wide[::2, :, ::2], np.asfortranarray(right)),
        (left[::-1][::-1], right.transpose(3, 2, 1, 0).copy().transpose(3, 2, 1, 0)),
    ):
        assert not one.flags.c_contiguous or not other.flags.c_contiguous
        for a, b in zip(net(one, other), expected, strict=True):
            np.testing.assert_array_equal(a, b)


def test_inputs_are_left_alone(pair: Written) -> None:
    inputs = pair.inputs(2, H=4, W=6)
    copies = [x.copy() for x in inputs]
    for x in inputs:
        x.flags.writeable = False
    pair.module.load()(*inputs)
    for x, copy in zip(inputs, copies, strict=True):
        np.testing.assert_array_equal(x, copy)


# Errors


def test_wrong_arrays_are_clear_errors(faces: Written, pair: Written) -> None:
    net = faces.module.load()
    good = np.zeros((1, 6), np.float32)
    for arrays, kind, words in [
        ((), TypeError, r"takes 1 array.*z.*got 0"),
        ((good, good), TypeError, r"takes 1 array.*got 2"),
        ((good.astype(np.float64),), TypeError, "z must be float32, got float64"),
        ((good.astype(np.uint8),), TypeError, "float32.*uint8"),
        (([[0.0] * 6],), TypeError, "NumPy array.*list"),
        ((good[0],), ValueError, r"z must have shape \(batch, 6\), got \(6,\)"),
        ((np.zeros((1, 7), np.float32),), ValueError, r"\(1, 7\)"),
        ((np.zeros((1, 6, 1), np.float32),), ValueError, r"\(1, 6, 1\)"),
    ]:
        with pytest.raises(kind, match=words):
            net(*arrays)
    both = pair.module.load()
    left, right = pair.inputs(2, H=4, W=6)
    for one, other, words in [
        (left, right[:1], "batch of 1"),
        (left, right[:, :2], "right must have shape"),
        (left[:, :3], right[:, :3], "H"),
        (left[:, :0], right[:, :0], "shape"),
    ]:
        with pytest.raises(ValueError, match=words):
            both(one, other)
    pair.check(both(left, right), [left, right])


# Weights


def test_weights_of_a_file_a_dict_and_the_file_beside(faces: Written, tmp_path: Path) -> None:
    inputs = faces.inputs(2)
    expected = faces.module.load()(*inputs)
    np.testing.assert_array_equal(faces.module.load(faces.weights_path)(*inputs), expected)
    np.testing.assert_array_equal(faces.module.load(str(faces.weights_path))(*inputs), expected)
    np.testing.assert_array_equal(faces.module.load(dict(faces.weights))(*inputs), expected)
    others = {name: array * np.float32(0.5) for name, array in faces.weights.items()}
    save_file(others, tmp_path / "other.safetensors")
    different = faces.module.load(tmp_path / "other.safetensors")(*inputs)
    assert np.abs(different - expected).max() > 0.01
    np.testing.assert_array_equal(faces.module.load(others)(*inputs), different)


def test_weights_are_copied(faces: Written) -> None:
    mine = {name: array.copy() for name, array in faces.weights.items()}
    net = faces.module.load(mine)
    inputs = faces.inputs(2)
    expected = net(*inputs)
    for array in mine.values():
        array[...] = 0
    np.testing.assert_array_equal(net(*inputs), expected)


@pytest.mark.carried
def test_large_weights_stay_in_their_file(faces: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faces.module, "KEPT_FLOATS", 100)
    path, inputs = tmp_path / "mine.safetensors", faces.inputs(2)
    shutil.copy(faces.weights_path, path)
    monkeypatch.chdir(tmp_path)
    net = faces.module.load(path.name)
    monkeypatch.chdir(faces.folder)
    faces.check(net(*inputs), inputs)
    assert net.weights.keys() == faces.weights.keys()
    for name, array in faces.weights.items():
        np.testing.assert_array_equal(net.weights[name], array)
    again = pickle.dumps(net)
    save_file({name: 2 * array for name, array in faces.weights.items()}, path)
    faces.check(net(*inputs), inputs)
    with pytest.raises(ValueError, match="has changed since"):
        pickle.dumps(net)
    path.unlink()
    faces.check(pickle.loads(again)(*inputs), inputs)


def test_weights_that_do_not_fit(faces: Written, tmp_path: Path) -> None:
    load, good = faces.module.load, dict(faces.weights)
    with pytest.raises(OSError, match="missing"):
        load(tmp_path / "missing.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match="broken"):
        load(tmp_path / "broken.safetensors")
    for wrong, words in [
        ({**good, "dense.kernel": good["dense.kernel"].T}, r"dense\.kernel has shape \(120, 6\), expected \(6, 120\)"),
        ({k: v for k, v in good.items() if k != "conv2d.bias"}, r"conv2d\.bias is missing"),
        ({**good, "conv2d_1.bias": np.zeros(3, np.float32)}, r"conv2d_1\.bias is not expected"),
        ({}, "missing"),
    ]:
        with pytest.raises(ValueError, match=words):
            load(wrong)
        save_file({k: np.ascontiguousarray(v) for k, v in wrong.items()}, tmp_path / "wrong.safetensors")
        with pytest.raises(ValueError, match=words):
            load(tmp_path / "wrong.safetensors")


def test_weights_that_are_not_finite(faces: Written, tmp_path: Path) -> None:
    weights = {name: array.copy() for name, array in faces.weights.items()}
    weights["conv2d.kernel"].flat[7] = np.nan
    save_file(weights, tmp_path / "nan.safetensors")
    for given in (weights, tmp_path / "nan.safetensors"):
        with pytest.raises(ValueError, match=r"conv2d\.kernel has 1 value that is NaN or infinite"):
            faces.module.load(given)
        net = faces.module.load(given, allow_nonfinite=True)
        for loaded in (net, pickle.loads(pickle.dumps(net))):
            assert np.isnan(loaded(*faces.inputs(1))).any()


def test_any_number_of_strangers_is_counted(faces: Written) -> None:
    strangers = {f"stray{i}\x1b[31m": np.zeros(1, np.float32) for i in range(5000)}
    with pytest.raises(ValueError, match="4980 more are not expected") as raised:
        faces.module.load({**faces.weights, **strangers})
    assert len(str(raised.value)) < 2000 and "\x1b" not in str(raised.value)


REWRITE = """
import sys, time
content = open(sys.argv[1], "rb").read()
print("go", flush=True)
while True:  # in place, as a download or a training run does
    with open(sys.argv[1], "r+b") as file:
        file.truncate(100)
        file.write(content)
    time.sleep(0.003)
"""


def test_a_file_that_is_rewritten_in_place_is_no_end_of_the_process(faces: Written, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file({str(i): np.ones(2000, np.float32) for i in range(2000)}, path)  # so many that changes come midway
    reads = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(faces.folder)!r})
import {faces.graph.name} as module
wrong = 0
for _ in range(30):
    try:
        module.WeightsFile(Path({str(path)!r}), {{str(i): (2000,) for i in range(2000)}})
    except ValueError:
        wrong += 1
assert wrong, "no reading met a change"
print("alive")
"""
    writer = subprocess.Popen([sys.executable, "-c", REWRITE, str(path)], stdout=subprocess.PIPE)
    try:
        assert writer.stdout is not None and writer.stdout.readline() == b"go\n"
        done = subprocess.run([sys.executable, "-c", reads], capture_output=True, text=True, check=False)
    finally:
        writer.kill()
        writer.wait()
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr[-500:]


# Threads and processes


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_bits_depend_on_neither_threads_nor_batch(faces: Written, pair: Written, threads: int) -> None:
    for written, sizes in ((faces, {}), (pair, {"H": 6, "W": 10})):
        (*inputs,) = written.inputs(130, **sizes)
        first = written.module.load(threads=1)(*inputs)
        whole = first if isinstance(first, tuple) else (first,)
        net = written.module.load(threads=threads)
        for batch in BATCHES:
            for start in {0, 1, 130 - batch} if batch < 130 else {0}:
                part = net(*(x[start : start + batch] for x in inputs))
                for a, b in zip(part if isinstance(part, tuple) else (part,), whole, strict=True):
                    np.testing.assert_array_equal(a, b[start : start + batch])


def test_eight_threads_may_call_at_once(faces: Written) -> None:
    net = faces.module.load(threads=2)
    given = [faces.inputs(1 + seed % 5, seed) for seed in range(8)]
    expected = [net(*inputs) for inputs in given]

    def call(number: int) -> bool:
        return all(np.array_equal(net(*given[number]), expected[number]) for _ in range(60))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(call, range(8)))


def test_many_nets_of_one_module(faces: Written) -> None:
    halved = {name: array * np.float32(0.5) for name, array in faces.weights.items()}
    nets = [faces.module.load(w, threads=t) for w in (faces.weights, halved) for t in (1, 2)]
    inputs = faces.inputs(3)
    results = [net(*inputs) for net in nets]
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[2], results[3])
    assert not np.array_equal(results[0], results[2])


def test_after_a_fork(faces: Written) -> None:
    script = f"""
import os, sys
import numpy as np
import {faces.graph.name} as module
net = module.load(threads=2)
x = np.linspace(-1, 1, 18, dtype=np.float32).reshape(3, 6)
expected = net(x)
children = []
for _ in range(3):
    child = os.fork()
    if child == 0:
        same = all(np.array_equal(net(x), expected) for _ in range(20))
        os._exit(0 if same else 1)
    children.append(child)
    assert np.array_equal(net(x), expected)
codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
assert np.array_equal(net(x), expected)
print(codes)
"""
    assert in_process(script, faces.folder).strip() == "[0, 0, 0]"


def test_pickles(faces: Written, tmp_path: Path) -> None:
    script = f"""
import pickle, sys
import numpy as np
import {faces.graph.name} as module
net = module.load(threads=2)
x = np.linspace(-1, 1, 18, dtype=np.float32).reshape(3, 6)
y = net(x)
again = pickle.loads(pickle.dumps(net))
assert np.array_equal(again(x), y) and again.threads == 2
pickle.dump((net, x, y), open("net.pickle", "wb"))
"""
    in_process(script, faces.folder)
    fresh = "import pickle, numpy as np; net, x, y = pickle.load(open('net.pickle', 'rb')); print((net(x) == y).all())"
    assert in_process(fresh, faces.folder).strip() == "True"


def test_nets_show_what_they_take_and_give(faces: Written) -> None:
    assert repr(faces.module.load()) == "<upc_test_faces: z (6) -> face (8, 12, 3)>"


@pytest.mark.parametrize("bits", ["512", "256", "128"])
def test_every_width_of_vectors(faces: Written, bits: str, tmp_path: Path) -> None:
    inputs = faces.inputs(5)
    np.save(tmp_path / "x.npy", inputs[0])
    script = f"import numpy as np, {faces.graph.name} as m; np.save('y.npy', m.load()(np.load('x.npy')))"
    in_process(script, tmp_path, faces.folder, UPC_VECTOR_BITS=bits)
    faces.check(np.load(tmp_path / "y.npy"), inputs)


# Numbers that are none


def test_nan_and_infinity_go_where_they_go_in_the_reference(tmp_path: Path) -> None:
    calls = ["relu()", "relu(max_value=1)", "leaky_relu(0.1)", "elu()", "selu()", "gelu()", "gelu(approximate=true)"]
    calls += ["silu()", "softplus()", "tanh()", "sigmoid()", "hard_sigmoid()", "hard_swish()", "clip(-1, 1)"]
    calls += ["prelu(shared_axes=[1, 2])", "batch_normalization()", "rescaling(2, 1)", "maximum(0.5)", "minimum(0.5)"]
    calls += ["maximum(b)", "minimum(b)", "add(b)", "multiply(b)", "max_pooling2d(2)", "average_pooling2d(2)"]
    calls += [
        "global_max_pooling2d()",
        "global_average_pooling2d()",
        "softmax()",
        "up_sampling2d(2)",
        "permute(3, 1, 2)",
    ]
    lines = [f"  from a {{ {call} }} as y{i}" for i, call in enumerate(calls)]
    outputs = ", ".join(f"y{i}" for i in range(len(calls)))
    text = "\n".join(
        ["net nans {", "  input a: [4, 6, 3]", "  input b: [4, 6, 3]", *lines, f"  output {outputs}", "}", ""]
    )
    written = write(text, tmp_path)
    a, b = written.inputs(6)
    for image, number in enumerate([np.nan, np.inf, -np.inf]):
        a[image, 1, 2, 1] = number
        b[image + 3, 2, 3, 0] = number
    with np.errstate(all="ignore"):
        expected = reference.run(written.graph, written.weights, [a, b])
    for call, got, value in zip(calls, written.module.load()(a, b), expected.values(), strict=True):
        np.testing.assert_array_equal(np.isnan(got), np.isnan(value), call)
        np.testing.assert_array_equal(np.isposinf(got), np.isposinf(value), call)
        np.testing.assert_array_equal(np.isneginf(got), np.isneginf(value), call)


def test_nan_in_one_picture_stays_in_it(faces: Written) -> None:
    net = faces.module.load()
    (x,) = faces.inputs(70)
    clean = net(x)
    x[33, 2] = np.nan
    got = net(x)
    assert np.isnan(got[33]).any()
    np.testing.assert_array_equal(np.delete(got, 33, 0), np.delete(clean, 33, 0))


def test_pickled_net_needs_its_module(faces: Written) -> None:
    assert faces.graph.name.encode() in pickle.dumps(faces.module.load())


def test_nets_say_what_they_take_and_give(faces: Written, pair: Written) -> None:
    net = pair.module.load()
    for ports, values in ((net.inputs, pair.graph.inputs), (net.outputs, [o.value for o in pair.graph.outputs])):
        assert [port.shape for port in ports] == [
            tuple(d if isinstance(d, int) else str(d) for d in value.shape) for value in values
        ]
    assert [port.name for port in net.inputs] == [value.name for value in pair.graph.inputs]
    assert [port.name for port in net.outputs] == [output.name for output in pair.graph.outputs]


def test_inputs_may_be_given_by_name(pair: Written) -> None:
    net, inputs = pair.module.load(), pair.inputs(2, H=6, W=4)
    first, second = (port.name for port in net.inputs)
    expected = net(*inputs)
    for arrays, named in (((), {second: inputs[1], first: inputs[0]}), (inputs[:1], {second: inputs[1]})):
        assert all(map(np.array_equal, net(*arrays, **named), expected))
    out = tuple(np.empty_like(y) for y in expected)
    assert net(inputs[0], out=out, **{second: inputs[1]})[0] is out[0]
    for arrays, named, words in (
        (inputs, {second: inputs[1]}, f"{second} is given in order and by name"),
        (inputs[:1], {}, r"takes 2 array\(s\)"),
        ((), {first: inputs[0]}, f"; {second} is missing"),
        (inputs[:1], {"third": inputs[1]}, f"takes {first}, {second}, not third"),
    ):
        with pytest.raises(TypeError, match=words):
            net(*arrays, **named)


def from_shell(written: Written, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", written.graph.name, *arguments]
    return subprocess.run(command, cwd=written.folder, capture_output=True, text=True, timeout=300)


def test_modules_run_from_the_shell(faces: Written, pair: Written, tmp_path: Path) -> None:
    shown = from_shell(faces, "--help")
    assert shown.returncode == 0 and f"usage: {faces.graph.name}" in shown.stdout
    assert all(port.name in shown.stdout for port in (*faces.module.NETWORK.inputs, *faces.module.NETWORK.outputs))
    (z,) = faces.inputs(3)
    np.save(tmp_path / "z.npy", z.astype(np.float64))
    done = from_shell(faces, str(tmp_path / "z.npy"), "-o", str(tmp_path / "image.npy"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert np.array_equal(np.load(tmp_path / "image.npy"), faces.module.load()(z))


def test_several_inputs_and_outputs_have_names_in_the_shell(pair: Written, tmp_path: Path) -> None:
    inputs, expected = pair.inputs(1, H=6, W=4), pair.module.load()(*pair.inputs(1, H=6, W=4))
    names = [port.name for port in pair.module.NETWORK.inputs]
    files = [tmp_path / f"{name}.npy" for name in names]
    for file, array in zip(files, inputs, strict=True):
        np.save(file, array[0])  # the batch axis is left out
    made = tmp_path / "made.npz"
    done = from_shell(pair, f"{names[1]}={files[1]}", str(files[0]), "-o", str(made))
    assert (done.returncode, done.stderr) == (0, "")
    with np.load(made) as found:
        assert list(found) == [port.name for port in pair.module.NETWORK.outputs]
        assert all(np.array_equal(found[name], y) for name, y in zip(found, expected, strict=True))


def test_what_is_wrong_in_the_shell_is_one_line(faces: Written, tmp_path: Path) -> None:
    good, bad, odd, out, pipe = (str(tmp_path / f"{name}.npy") for name in ("good", "bad", "odd", "out", "pipe"))
    np.save(good, faces.inputs(1)[0])
    os.mkfifo(pipe)
    np.save(odd, np.zeros((1, 7), np.float32))
    Path(bad).write_bytes(b"no array")
    for arguments, words in (
        ((str(tmp_path / "none.npy"), "-o", out), "none.npy"),
        ((bad, "-o", out), f"{bad} is no .npy file of numbers"),
        ((odd, "-o", out), "must have shape"),
        ((good, good, "-o", out), "is one too many"),
        ((good, "-o", out, "--weights", bad), "bad.npy"),
        ((good, "-o", str(tmp_path / "nowhere" / "out.npy")), "nowhere"),
        ((pipe, "-o", out), "it is a pipe, not a regular file"),
        ((good, "-o", pipe), "it is a pipe, not a regular file"),
    ):
        done = from_shell(faces, *arguments)
        assert done.returncode == 2 and done.stdout == ""
        assert len(done.stderr.splitlines()) == 1 and words in done.stderr, done.stderr
    assert not Path(out).exists() and Path(pipe).is_fifo() and len(list(tmp_path.iterdir())) == 4
