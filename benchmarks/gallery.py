"""The whole gallery's race: every network and batch, kept in results.json as it goes; run again to go on.

    python benchmarks/gallery.py [--only B4,B5] [--again] [--bursts 5] [--seconds 0.5] [--threads N]

--again races what is already there once more. results.md and chart.svg are written from results.json.
Nothing else should run on the machine.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from upc import pipeline
from upc.bench import chart, race, report
from upc.files import write_atomic
from upc.load import resolve_weights

HERE = Path(__file__).parent
EXAMPLES = HERE.parent / "examples"
GALLERY: dict[str, tuple[str, str, tuple[int, ...]]] = {
    "B1": ("upsampling", "b1_up_then_convolve.upc", (1, 64)),
    "B2": ("transposed", "b2_transpose.upc", (1, 64)),
    "B3": ("DCGAN digits", "b3_dcgan_digits.upc", (1, 64)),
    "B4": ("DCGAN faces", "b4_dcgan_faces.upc", (1, 64)),
    "B5": ("DCGAN paper", "b5_dcgan_paper.upc", (1, 64)),
    "B6": ("200x200", "b6_generator_200.upc", (1, 64)),
    "B7": ("CIFAR generator", "b7_generator_cifar.upc", (1, 16)),
    "B8": ("upsampling decoder", "b8_upsample_decoder.upc", (1, 64)),
    "C1": ("autoencoder", "c1_autoencoder.upc", (1, 64)),
}

Race = dict[str, Any]


def main() -> None:
    options = _options()
    results = HERE / "results.json"
    races: list[Race] = json.loads(results.read_text(encoding="utf-8"))["races"] if results.exists() else []
    for network, (_, file, batches) in GALLERY.items():
        for batch in batches:
            there = [r for r in races if (r["network"], r["batch"]) == (network, batch)]
            if (options.only and network not in options.only) or (there and not options.again):
                continue
            print(f"{network}, batch {batch}", file=sys.stderr, flush=True)
            races = [r for r in races if r not in there] + [_race(network, file, batch, options)]
            races.sort(key=lambda r: (r["network"], r["batch"]))
            write_atomic(results, json.dumps({"races": races}, indent=1) + "\n")
    if races:
        write_atomic(HERE / "results.md", page(races))
        write_atomic(HERE / "chart.svg", drawing(races))
        print(page(races))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=lambda text: text.split(","), metavar="B4,...", help="these networks alone")
    parser.add_argument("--again", action="store_true", help="also what is already there")
    parser.add_argument("--bursts", type=int, default=5, metavar="N")
    parser.add_argument("--seconds", type=float, default=0.5, metavar="S")
    parser.add_argument("--threads", type=int, metavar="N")
    return parser.parse_args()


def _race(network: str, file: str, batch: int, options: argparse.Namespace) -> Race:
    graph = pipeline.graph(pipeline.tree(pipeline.read(str(EXAMPLES / file))))
    trained = EXAMPLES / Path(file).with_suffix(".safetensors")
    result = race.race(
        graph,
        resolve_weights(graph, trained if trained.exists() else None, seed=0),
        batches=(batch,),
        threads=options.threads,
        bursts=options.bursts,
        seconds=options.seconds,
        progress=lambda words: print(f"  {words}", file=sys.stderr, flush=True),
    )
    print(report.table(result), file=sys.stderr, flush=True)
    return {"network": network, "batch": batch, **report.as_json(result)}


def page(races: list[Race]) -> str:
    """The results as Markdown."""
    machine = races[-1]["machine"]
    engines = [name for name in race.PEERS if any(row["engine"] == name for r in races for row in r["rows"])]
    peaks = sorted(r["machine"]["gflops"] for r in races)
    reads = sorted(r["machine"]["bytes_per_s"] / 1e9 for r in races)
    dates = sorted({r["machine"]["date"] for r in races})
    versions = ", ".join(f"{name} {version}" for name, version in sorted(machine["versions"].items()))
    lines = [
        "# The gallery's race",
        "",
        f"{machine['cpu']} ({machine['architecture']}, vectors of {machine['vector_bits']} bits), "
        f"{report.count(machine['threads'], 'thread')}, {machine['system']}, Python {machine['python']}, "
        f"{' to '.join(dict.fromkeys((dates[0], dates[-1])))}.",
        f"Measured limits: {peaks[0]:,.0f} to {peaks[-1]:,.0f} GFLOP/s of float32 multiply-adds, "
        f"{reads[0]:.1f} to {reads[-1]:.1f} GB/s read.",
        f"Versions: {versions}.",
        "",
        "Medians; float32, same weights, same inputs, each engine alone in its process, bursts in turn, as many",
        "threads each. The ratio is the fastest other engine's median over upc's. MFLOP counts two for each",
        "multiply-add of the layers, no inserted zeros; the share of the FMA peak is that over the time, so that",
        "fewer multiplications than the layers' can pass 100 %. Bytes are weights, inputs and outputs once a call,",
        "next to the speed of reading memory; weights that stay in a cache can pass 100 %.",
        "",
    ]
    header = ["network", "batch", "MFLOP", *engines, "upc", "ratio", "FMA peak", "GB/s", "of reading"]
    lines += [_line(header), _line(["---"] * 2 + ["---:"] * (len(header) - 2))]
    lines += [_line(_timing(r, engines)) for r in races]
    lines += [
        "",
        *_means(races),
        "",
        "Most memory resident while running (MB); from a new process to the first result,",
    ]
    lines += ["with everything compiled before where an engine compiles; and a call after 10 ms of nothing:", ""]
    columns = [*engines, race.OURS]
    header = [
        "network",
        "batch",
        *columns,
        *(f"{name} start" for name in columns),
        "upc compile",
        "upc idle",
        "others idle",
    ]
    lines += [_line(header), _line(["---"] * 2 + ["---:"] * (len(header) - 2))]
    lines += [_line(_memory(r, columns)) for r in races]
    missing = {f"{name}: {reason}" for r in races for name, reason in r["left_out"].items()}
    missing |= {f"not timed: {words}" for r in races for words in r["disagreeing"]}
    lines += ["", *(f"- {words}" for words in sorted(missing))] if missing else []
    return "\n".join(lines).rstrip() + "\n"


def _timing(found: Race, engines: list[str]) -> list[str]:
    rows = {row["engine"]: row for row in found["rows"]}
    ours = rows[race.OURS]
    fastest = min((rows[name]["median_s"] for name in engines if name in rows), default=None)
    peers = []
    for name in engines:
        words = report.duration(rows[name]["median_s"]) if name in rows else ""
        peers.append(f"**{words}**" if name in rows and rows[name]["median_s"] == fastest else words)
    return [
        f"{found['network']} {GALLERY[found['network']][0]}",
        str(found["batch"]),
        f"{2 * ours['macs'] * found['batch'] / 1e6:,.1f}",
        *peers,
        report.duration(ours["median_s"]),
        f"**{ours['ratio']:.2f}**" if ours["ratio"] else "",
        f"{ours['peak_share']:.0%}",
        f"{ours['bytes_per_s'] / 1e9:.1f}",
        f"{ours['bandwidth_share']:.0%}",
    ]


def _memory(found: Race, columns: list[str]) -> list[str]:
    rows = {row["engine"]: row for row in found["rows"]}
    memory = [f"{rows[name]['rss_bytes'] / 1e6:.0f}" if name in rows else "" for name in columns]
    starts = [report.duration(rows[name]["start_s"]) if name in rows else "" for name in columns]
    compiling = report.duration(rows[race.OURS]["first_start_s"])
    rested = {name: row["idle_s"] for name, row in rows.items() if "idle_s" in row}
    others = min((seconds for name, seconds in rested.items() if name != race.OURS), default=None)
    idle = [report.duration(s) if s else "" for s in (rested.get(race.OURS), others)]
    return [found["network"], str(found["batch"]), *memory, *starts, compiling, *idle]


def _means(races: list[Race]) -> list[str]:
    """Geometric means of the ratios: of all rows, and by batch."""
    every = [(r["batch"], row["ratio"]) for r in races for row in report.ours(r["rows"]) if row["ratio"]]
    groups = {
        "all rows": [ratio for _, ratio in every],
        "batch 1": [ratio for batch, ratio in every if batch == 1],
        "larger batches": [ratio for batch, ratio in every if batch > 1],
    }
    means = {name: report.geometric_mean(ratios) for name, ratios in groups.items()}
    return [f"Geometric mean of the ratios, {name}: **{mean:.2f}**  " for name, mean in means.items() if mean]


def drawing(races: list[Race]) -> str:
    """The results as a chart: batch 1 above, the larger batches below."""
    scenes = []
    for title, chosen in (("one image", [1]), ("a batch", [r["batch"] for r in races if r["batch"] > 1])):
        groups = [
            chart.Group(f"{r['network']}\n{r['batch']}", {row["engine"]: row["median_s"] for row in r["rows"]})
            for r in races
            if r["batch"] in chosen
        ]
        if groups:
            scenes.append(chart.scene(f"Speed on {title} (fastest other engine = 1)", groups))
    return chart.svg(chart.stacked(scenes))


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
