"""Time each step of a net's Numba module, beside what the machine could do.

A step is one kernel: a convolution with all that is fused into it. Its limit is the time that its
multiply-adds, or else the bytes it must read and write, take at the machine's measured best. Steps that do
fewer multiply-adds than their layers count are faster than the machine's best would be without that.
"""

from __future__ import annotations

import argparse

from upc.commands import shared
from upc.commands.bench import sizes
from upc.commands.shared import positive


def configure(parser: argparse.ArgumentParser) -> None:
    shared.add_source(parser)
    shared.add_algorithm(parser)
    parser.add_argument("--batch", type=positive, default=1, metavar="N", help="images a call (1)")
    parser.add_argument("--threads", type=positive, metavar="N", help="how many work on a call (the cores there are)")
    parser.add_argument("--size", dest="sizes", type=sizes, default={}, metavar="H=N,...", help="the free sizes")
    shared.add_weights(parser)
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(options: argparse.Namespace) -> int:
    import json

    from upc import summary
    from upc.bench import profile, race
    from upc.demands import check_sizes

    graph = shared.read_graph(options)
    inputs = race.random_inputs(graph, options.batch, options.sizes, options.seed or 0)
    found = profile.profile(
        graph,
        shared.weights_of(graph, options)[0],
        inputs,
        multiply_adds=summary.multiply_adds(graph, check_sizes(graph, [x.shape[1:] for x in inputs])),
        threads=options.threads,
        algorithm=options.algorithm,
    )
    print(json.dumps(profile.as_json(found), indent=2) if options.json else profile.table(found).rstrip())
    return 0
