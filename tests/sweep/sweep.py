"""Run every configuration on every target and hold it to the reference.

    python tests/sweep/sweep.py [--share 1.0] [--report tests/sweep/RESULTS.md] [--state FOLDER] [--report-only]

Many independent layers stand in one net with as many inputs and outputs, because building and compiling a net
takes far longer than running a layer. Each output has its own bound, that of `upc.check.bound`. Where a target
cannot run such a net, its layers are run one by one on that target, so that one case's failure is one case's.
The state holds a line for every net that a target is done with; a sweep that was stopped goes on from there.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from random import Random

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from cases import RANDOM_GRAPHS, Case, cases  # noqa: E402
from random_graphs import random_net  # noqa: E402

from upc.build import compile_source  # noqa: E402
from upc.check.compare import difference  # noqa: E402
from upc.check.engines import Failure, Job, Result, Worker, choose, usual, variants  # noqa: E402
from upc.check.problem import Problem, made_up_inputs, made_up_weights, problem  # noqa: E402
from upc.ir import Graph, Node  # noqa: E402
from upc.layers.conv import Conv  # noqa: E402
from upc.layers.padding import ZeroPadding  # noqa: E402
from upc.layers.pooling import MaxPooling  # noqa: E402
from upc.source import Source  # noqa: E402

PACK = 40
"""Layers of one net."""

NETS_PER_PROCESS = 30
"""Workers are replaced after so many nets: frameworks keep what they compiled."""

REFUSALS = {"onnxruntime": ("may be too large for stride",)}
"""What a framework says of a case that it does not run though the layer is right: an output_padding that reaches
the stride, as PyTorch allows below the dilation. Such cases count as unsupported."""


@dataclass(frozen=True)
class FrameworkError:
    """What a framework itself computes wrongly: `words` say it, and `meets` is true of the nets that it can touch.

    `tests/test_framework_errors.py` shows each with the framework alone, and in which versions.
    """

    target: str
    words: str
    meets: Callable[[Graph], bool]


def _one_channel_to_one_column(graph: Graph) -> bool:
    """A strided, undilated convolution of one channel whose result is one column of several rows."""

    def meets(node: Node) -> bool:
        layer = node.layer
        if not isinstance(layer, Conv) or layer.dilation_rate != (1, 1) or node.inputs[0].shape[-1] != 1:
            return False
        rows, columns, _ = node.outputs[0].shape
        return layer.strides[0] == 1 < layer.strides[1] and layer.kernel_size[1] > 1 and columns == 1 != rows

    return any(map(meets, graph.nodes))


def _zeros_into_max_pooling(graph: Graph) -> bool:
    """Padding with zeros that max pooling alone takes in."""
    outputs = {output.value for output in graph.outputs}

    def meets(node: Node) -> bool:
        if not isinstance(node.layer, ZeroPadding) or node.outputs[0] in outputs:
            return False
        takers = [taker for taker in graph.nodes if node.outputs[0] in taker.inputs]
        return len(takers) == 1 and isinstance(takers[0].layer, MaxPooling)

    return any(map(meets, graph.nodes))


FRAMEWORK_ERRORS = (
    FrameworkError(
        "keras[tensorflow]",
        "oneDNN 3.7.3 in TensorFlow 2.21.0, `brg_conv_fwd:avx512_core`, on a processor with AVX-512. A convolution "
        "without dilation of one channel, with stride 1 down and a larger one across, whose result is one column of "
        "several rows, is wrong in rows after the first. The smallest case: `tf.nn.conv2d` of two 2x1 pictures, (1, 2) "
        "and (3, 4), with the kernel (1, 100) of one row, strides (1, 2), SAME, on one thread gives (1, ?) and (3, ?). "
        "What stands at ? is read from memory that holds something else, and changes with what ran before; the cases "
        "below are wrong by the same amount each time. With TF_ENABLE_ONEDNN_OPTS=0, with ONEDNN_MAX_CPU_ISA=AVX2, or "
        "of one picture at a time they are right. Of 149,954 convolutions drawn at random 2,975 had this form; 2,316 "
        "of those were wrong, and no other.",
        _one_channel_to_one_column,
    ),
    FrameworkError(
        "onnxruntime",
        "`Pad_Fusion` of ONNX Runtime before 1.32, one of its basic graph optimisations. It makes `Pad` with zeros and "
        "`MaxPool` into one `MaxPool` with `pads`, which count as minus infinity: where a window reaches the zeros "
        "and all its pixels are negative, the zero is lost. The smallest case: the picture (-1), a row of zeros below "
        "it and a window of 2x1 give -1 in place of 0, each time. With graph optimisations off, or without "
        "`Pad_Fusion`, it is right.",
        _zeros_into_max_pooling,
    ),
)
"""The framework's share in the mismatches: each on one target and in nets of one form only. They are counted apart."""

PACKAGES = ("numpy", "numba", "torch", "keras", "tensorflow-cpu", "jax", "onnx", "onnxruntime")


@dataclass(frozen=True)
class Pack:
    """A net of independent parts: `labels` say which part each output belongs to, and what it is."""

    name: str
    family: str
    text: str
    labels: tuple[str, ...]

    def graph(self) -> Graph:
        return compile_source(Source(f"{self.name}.upc", self.text))


@dataclass(frozen=True)
class Verdict:
    """One case on one target: its error as a share of the bound, or why there is none."""

    family: str
    case: str
    target: str
    ratio: float
    words: str = ""
    unsupported: bool = False


def packs(share: float = 1.0) -> list[Pack]:
    """All cases in nets of `PACK`; a share of them, spread evenly, with `share` below 1."""
    found = []
    for family, every in cases().items():
        chosen = every[:: max(1, round(1 / share))]
        for i in range(0, len(chosen), PACK):
            found.append(pack(f"{family.replace(' ', '_')}_{i // PACK}", chosen[i : i + PACK]))
    graphs = max(1, round(RANDOM_GRAPHS * share))
    found += [random_pack(seed) for seed in range(math.ceil(graphs / PARTS))]
    # Families take turns, so that a sweep that is stopped has seen something of each.
    counts = Counter(one.family for one in found)
    seen: Counter[str] = Counter()
    places = []
    for one in found:
        places.append(seen[one.family] / counts[one.family])
        seen[one.family] += 1
    return [one for _, one in sorted(zip(places, found, strict=True), key=lambda pair: pair[0])]


def pack(name: str, chosen: Sequence[Case]) -> Pack:
    """A net of single layers."""
    lines = []
    for i, case in enumerate(chosen):
        lines += [f"  input x{i}: [{', '.join(map(str, case.shape))}]", f"  {case.statement}", f"  output y{i}"]
    return Pack(name, chosen[0].family, "\n".join([f"net {name} {{", *lines, "}"]), tuple(map(str, chosen)))


PARTS = 12
"""Random graphs of one net."""


def random_pack(seed: int) -> Pack:
    """A net of random graphs that share nothing."""
    drawn = random_net(Random(1000 + seed), parts=PARTS, layers=8, with_free=False)
    labels = [f"random graph {seed}.{i}" for i, outputs in enumerate(drawn.parts) for _ in outputs]
    return Pack(f"random_{seed}", "random graphs", drawn.text, tuple(labels))


@cache
def case_graph(family: str, label: str) -> Graph:
    """The net of one case, as `Verdict` names it."""
    if family == "random graphs":
        whole = random_pack(int(label.removeprefix("random graph ").partition(".")[0]))
        return next(part for part, of in _parts(whole.graph(), whole) if of == label)
    return pack("single", [case for case in cases()[family] if str(case) == label]).graph()


def framework_error(verdict: Verdict) -> FrameworkError | None:
    """The framework's own error that a result beyond its bound comes under, if there is one."""
    if verdict.ratio <= 1 or verdict.words:
        return None
    known = [error for error in FRAMEWORK_ERRORS if error.target == verdict.target]
    return next((error for error in known if error.meets(case_graph(verdict.family, verdict.case))), None)


def is_bad(verdict: Verdict) -> bool:
    """Whether a verdict counts against the target: not agreed, and neither unsupported nor the framework's error."""
    return not verdict.ratio <= 1 and not verdict.unsupported and framework_error(verdict) is None


class Pool:
    """A worker for every target, replaced from time to time."""

    def __init__(self) -> None:
        self._workers: dict[str, Worker] = {}
        self._runs: dict[str, int] = {}

    def run(self, target: str, job: Job) -> Result:
        if self._runs.get(target, NETS_PER_PROCESS) >= NETS_PER_PROCESS:
            self.drop(target)
            self._workers[target], self._runs[target] = Worker(target), 0
        self._runs[target] += 1
        result = self._workers[target].run(job)
        if isinstance(result, Failure) and result.message.startswith("the process stopped"):
            self._runs[target] = NETS_PER_PROCESS
        return result

    def drop(self, target: str) -> None:
        if target in self._workers:
            self._workers.pop(target).close()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *problem: object) -> None:
        for target in list(self._workers):
            self.drop(target)


def run_pack(pool: Pool, chosen: Pack, targets: Sequence[str]) -> list[Verdict]:
    """One net on all targets at once."""
    graph = chosen.graph()
    weights = made_up_weights(graph, 0)
    inputs = made_up_inputs(graph, {}, 2, 0)
    posed = problem(graph, weights, inputs)
    with ThreadPoolExecutor(len(targets)) as threads:
        results = threads.map(lambda target: _run_target(pool, target, posed, chosen), targets)
        return [verdict for verdicts in results for verdict in verdicts]


def _run_target(pool: Pool, target: str, posed: Problem, chosen: Pack) -> list[Verdict]:
    result = pool.run(target, Job(posed.graph, posed.weights, posed.inputs))
    if not isinstance(result, Failure):
        return list(_judge(posed, target, chosen, result))
    parts = list(_parts(posed.graph, chosen))
    if len(parts) == 1:
        refused = any(words in result.message for words in REFUSALS.get(target, ()))
        words = "output_padding that reaches the stride" if refused else result.message
        return [Verdict(chosen.family, chosen.labels[0], target, math.inf, words, result.unsupported or refused)]
    found = []
    for part, label in parts:
        keys = {key for key, _, _ in part.weights()}
        own = {key: array for key, array in posed.weights.items() if key in keys}
        named = dict(zip(posed.graph.input_names, posed.inputs, strict=True))
        single = problem(part, own, [named[name] for name in part.input_names])
        outputs = (label,) * len(part.outputs)
        found += _run_target(pool, target, single, Pack(chosen.name, chosen.family, "", outputs))
    return found


def _parts(graph: Graph, chosen: Pack) -> Iterator[tuple[Graph, str]]:
    """The nets that stand side by side in one."""
    for label in dict.fromkeys(chosen.labels):
        outputs = tuple(o for o, of in zip(graph.outputs, chosen.labels, strict=True) if of == label)
        wanted = {output.value for output in outputs}
        kept = []
        for node in reversed(graph.nodes):
            if wanted.intersection(node.outputs):
                kept.append(node)
                wanted.update(node.inputs)
        inputs = tuple(value for value in graph.inputs if value in wanted)
        names = {value.name for value in wanted}
        named = tuple((name, value) for name, value in graph.values_named if value in names)
        yield replace(graph, inputs=inputs, nodes=tuple(reversed(kept)), outputs=outputs, values_named=named), label


def _judge(posed: Problem, target: str, chosen: Pack, arrays: Sequence[object]) -> Iterator[Verdict]:
    """For every part of the net the worst of its outputs."""
    worst: dict[str, float] = {}
    for output, label, array in zip(posed.graph.outputs, chosen.labels, arrays, strict=True):
        gap = difference(posed.values[output.name], array).max_abs  # type: ignore[arg-type]
        limit = posed.bounds[output.name].limit
        ratio = gap / limit if limit else math.inf if gap else 0.0
        worst[label] = max(worst.get(label, 0.0), ratio)
    for label, ratio in worst.items():
        yield Verdict(chosen.family, label, target, ratio)


def sweep(chosen: Sequence[Pack], targets: Sequence[str], state: Path | None = None) -> list[Verdict]:
    """Run them all; with a folder for the state, only what it does not hold."""
    done = {target: stored(state, target) for target in targets}
    with Pool() as pool:
        for i, one in enumerate(chosen):
            missing = [target for target in targets if one.name not in done[target]]
            if not missing:
                continue
            verdicts = run_pack(pool, one, missing)
            for target in missing:
                done[target][one.name] = [v for v in verdicts if v.target == target]
                if state is not None:
                    with (state / f"{target}.jsonl").open("a") as file:
                        entry = {"pack": one.name, "verdicts": [asdict(v) for v in done[target][one.name]]}
                        file.write(json.dumps(entry) + "\n")
            if state is not None:
                bad = [v for v in verdicts if is_bad(v)]
                print(f"{i + 1}/{len(chosen)} {one.name}: {len(bad)} bad", flush=True)
                for verdict in bad[:5]:
                    print(f"    {verdict.target}: {verdict.case}: {verdict.ratio:.3g} {verdict.words}", flush=True)
    return [verdict for one in chosen for target in targets for verdict in done[target][one.name]]


def stored(state: Path | None, target: str) -> dict[str, list[Verdict]]:
    """What a folder holds of an earlier sweep on a target, by pack."""
    path = state / f"{target}.jsonl" if state is not None else None
    if path is None or not path.exists():
        return {}
    entries = map(json.loads, path.read_text().splitlines())
    return {entry["pack"]: [Verdict(**verdict) for verdict in entry["verdicts"]] for entry in entries}


def report(verdicts: Sequence[Verdict], targets: Sequence[str]) -> str:
    """The table, with the versions it was made on."""
    families = list(dict.fromkeys(verdict.family for verdict in verdicts))
    total = len({(v.family, v.case) for v in verdicts})
    errors = [(v, error) for v in verdicts if (error := framework_error(v)) is not None]
    theirs = {v for v, _ in errors}
    verdicts = [v for v in verdicts if v not in theirs]
    whole = sum(map(len, cases().values())) + math.ceil(RANDOM_GRAPHS / PARTS) * PARTS
    lines = [
        "# Conformance sweep",
        "",
        f"{total} of the sweep's {whole} configurations, compared with the reference in float64; the columns say how",
        "many of them each target has run. The bound is that of `upc/check/bound.py`: what errors of 16u * sqrt(terms)",
        "at every layer come to, u = 2^-24. A cell gives mismatches / cases, and the largest error as a share of the",
        "bound. Cases that a target cannot run, and those where a framework itself is wrong, are counted apart below.",
        "`make sweep` makes this table, and goes on where it was stopped.",
        "",
        "| family | " + " | ".join(targets) + " |",
        "|---" * (len(targets) + 1) + "|",
    ]
    for family in families:
        lines.append(f"| {family} | " + " | ".join(_cell(verdicts, family, target) for target in targets) + " |")
    lines.append("| all | " + " | ".join(_cell(verdicts, None, target) for target in targets) + " |")
    failures = [v for v in verdicts if math.isinf(v.ratio) and v.words]
    lines += ["", "## Not run", ""]
    reasons: dict[tuple[str, str, bool], list[Verdict]] = {}
    for v in failures:
        reasons.setdefault((v.target, v.words, v.unsupported), []).append(v)
    for (target, words, unsupported), those in sorted(reasons.items()):
        kind = "unsupported" if unsupported else "failed"
        lines.append(f"- {target}, {len(those)} {kind}: {words} (first: `{those[0].case}`)")
    if not reasons:
        lines.append("Nothing: every target ran every case.")
    mismatches = [v for v in verdicts if not v.ratio <= 1 and not v.words]
    lines += ["", "## Mismatches", ""]
    lines += [f"- {v.target}: `{v.case}`: {v.ratio:.3g} times the bound" for v in mismatches] or ["None."]
    lines += ["", "## Where a framework itself is wrong", ""]
    for error in FRAMEWORK_ERRORS:
        those = [v for v, of in errors if of is error]
        if those:
            lines.append(f"- {error.target}, {len(those)} of the cases: {error.words}")
            lines += [f"  - `{v.case}`: {v.ratio:.3g} times the bound" for v in those]
    if not errors:
        lines.append("Nowhere.")
    lines += ["", "## Versions", "", f"Python {platform.python_version()} on {platform.machine()}"]
    lines += [f"- {package} {version(package)}" for package in PACKAGES]
    return "\n".join(lines) + "\n"


def _cell(verdicts: Sequence[Verdict], family: str | None, target: str) -> str:
    those = [v for v in verdicts if v.target == target and family in (None, v.family) and not v.words]
    if not those:
        return "-"
    finite = [v.ratio for v in those if math.isfinite(v.ratio)]
    return f"{sum(not v.ratio <= 1 for v in those)} / {len(those)}, {max(finite, default=0.0):.2f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="run only this share of the cases")
    parser.add_argument("--report", type=Path, default=Path(__file__).with_name("RESULTS.md"))
    parser.add_argument("--state", type=Path, default=Path("out/sweep"))
    parser.add_argument("--report-only", action="store_true", help="only write down what the state holds")
    parser.add_argument("--targets", default=",".join(t for t in (*usual(), *variants()) if t != "reference"))
    options = parser.parse_args()
    targets, _ = choose(options.targets.split(","))
    options.state.mkdir(parents=True, exist_ok=True)
    # JAX compiles every net anew; how well does not change what it computes.
    os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true")
    if options.report_only:
        verdicts = [v for target in targets for those in stored(options.state, target).values() for v in those]
    else:
        verdicts = sweep(packs(options.share), targets, options.state)
    options.report.write_text(report(verdicts, targets))
    bad = [v for v in verdicts if is_bad(v)]
    print(f"{len(verdicts)} comparisons, {len(bad)} of them bad: {options.report}")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
