"""Runs emitted Keras source on the backend that KERAS_BACKEND names: `python keras_backend.py EVERY OFFSET FORMAT`.

Takes every EVERYth of the cards' examples, beginning with the OFFSETth; where that is all of them, half of
the small nets too. FORMAT is the data format that Keras is globally set to. Prints how many agreed with the
reference; a failed assertion ends it.
"""

from __future__ import annotations

import sys

import keras
from emission import (
    EXAMPLES,
    NETS,
    assert_close,
    drawn_inputs,
    drawn_weights,
    example_graph,
    example_inputs,
    expected,
    is_small,
)

from upc.load_frameworks import load_keras


def main(every: int, offset: int, data_format: str) -> None:
    keras.config.set_image_data_format(data_format)
    agreed = 0
    for name, example in EXAMPLES[offset::every]:
        graph = example_graph(example)
        weights, inputs = drawn_weights(graph), example_inputs(example)
        try:
            assert_close(graph, expected(graph, weights, inputs), load_keras(graph, weights)(inputs))
        except Exception as problem:
            raise AssertionError(f"{name}: {example.call} on {example.shapes}") from problem
        agreed += 1
    for net in [net for net in NETS if is_small(net.graph)][::2] if every == 1 else []:
        graph = net.graph
        weights, inputs = drawn_weights(graph), drawn_inputs(graph)
        assert_close(graph, expected(graph, weights, inputs), load_keras(graph, weights)(inputs))
        agreed += 1
    print(agreed)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
