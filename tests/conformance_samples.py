"""PyTorch's own operator samples and Keras's own test parameters, said in the language.

Each becomes a `Sample`, one layer with its input, weights and the result that PyTorch (or the NumPy code of Keras's
test) gives, or else the reason why the language does not say it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray


class NotSaid(Exception):
    """Why a sample cannot be said."""


@dataclass(frozen=True)
class Sample:
    """One layer: its statement, input (batch, ..., channels), weights by their own names, and expected result."""

    origin: str
    statement: str
    given: Array
    expected: Array
    weights: dict[str, Array] = field(default_factory=dict)


OPERATORS = {
    "conv_transpose2d": "",
    "conv2d": "",
    "interpolate": "nearest",
    "interpolate bilinear": "bilinear",
    "interpolate bicubic": "bicubic",
    "pixel_shuffle": "",
    "batch_norm": "",
    "instance_norm": "",
    "group_norm": "",
    "pad": "constant",
    "pad reflect": "reflect",
    "pad replicate": "replicate",
    "prelu": "",
    "max_pool2d": "",
}
"""Operators, and the variant of `op_db` that is meant."""

MOST = 400
"""Of the 1,440 samples of max_pool2d every seventh is taken, which keeps all their kinds."""


def torch_samples(operator: str) -> Iterator[Sample | str]:
    """A Sample for each of PyTorch's, or the reason why there is none."""
    import torch
    from torch.testing._internal.common_methods_invocations import op_db

    name, variant = operator.partition(" ")[0], OPERATORS[operator]
    (info,) = (i for i in op_db if i.name == f"nn.functional.{name}" and i.variant_test_name == variant)
    torch.manual_seed(0)
    every = list(info.sample_inputs("cpu", torch.float32))
    for sample in every[:: 7 if len(every) > MOST else 1]:
        arguments = (sample.input, *sample.args)
        if not sample.input.numel():
            yield "an empty input"
            continue
        try:
            statement, given, weights, turn = _SAY[name](*arguments, **sample.kwargs)
        except NotSaid as reason:
            yield str(reason)
            continue
        with torch.no_grad():
            result = info.op(*arguments, **sample.kwargs).numpy()
        yield Sample(f"{operator} {tuple(sample.input.shape)}", statement, given, turn(result), weights)


Said = tuple[str, Array, dict[str, Array], Callable[[Array], Array]]


def _last(x: Array) -> Array:
    """Channels last, from channels first with a batch."""
    return np.ascontiguousarray(np.moveaxis(x, 1, -1) if x.ndim > 2 else x)


def _picture(x: Any) -> tuple[Array, Callable[[Array], Array]]:
    """An input of two spatial axes with a batch of channels-last pictures, and the same done to the result."""
    if x.ndim not in (3, 4):
        raise NotSaid("another number of axes")
    if x.ndim == 4:
        return _last(x.numpy()), _last
    return _last(x.numpy()[None]), lambda y: _last(y[None])


def _two(value: Any) -> list[int]:
    return list(value) if isinstance(value, (tuple, list)) else [value, value]


def _numpy(value: Any) -> Array:
    return np.asarray(value.numpy())


def _padding(padding: Any) -> str:
    if isinstance(padding, str):
        return padding
    return "[" + ", ".join(f"[{p}, {p}]" for p in _two(padding)) + "]"


def _conv2d(x: Any, weight: Any, bias: Any = None, **options: Any) -> Said:
    return _convolution("conv2d", x, weight, bias, weight.shape[0], (2, 3, 1, 0), options)


def _conv_transpose2d(x: Any, weight: Any, bias: Any = None, **options: Any) -> Said:
    filters = weight.shape[1] * options.get("groups", 1)
    return _convolution("conv2d_transpose", x, weight, bias, filters, (2, 3, 1, 0), options)


def _convolution(kind: str, x: Any, weight: Any, bias: Any, filters: int, axes: Any, options: dict[str, Any]) -> Said:
    given, turn = _picture(x)
    words = [
        str(filters),
        str(list(weight.shape[2:])),
        f"strides={_two(options.get('stride', 1))}",
        f"padding={_padding(options.get('padding', 0))}",
        f"dilation_rate={_two(options.get('dilation', 1))}",
        f"groups={options.get('groups', 1)}",
        f"use_bias={'false' if bias is None else 'true'}",
    ]
    if "output_padding" in options:
        words.append(f"output_padding={_two(options['output_padding'])}")
    weights = {"kernel": np.ascontiguousarray(_numpy(weight).transpose(axes))}
    if bias is not None:
        weights["bias"] = _numpy(bias)
    return f"{kind}({', '.join(words)})", given, weights, turn


def _interpolate(x: Any, size: Any = None, **options: Any) -> Said:
    if x.ndim != 4:
        raise NotSaid("another number of axes")
    given, turn = _picture(x)
    mode, scale = options["mode"], options.get("scale_factor")
    if size is None:
        scales = list(scale) if isinstance(scale, (tuple, list)) else [scale, scale]
        wanted = [n * s for n, s in zip(x.shape[2:], scales, strict=True)]
        if not options.get("recompute_scale_factor") and any(n != int(n) for n in wanted):
            raise NotSaid("a scale that is not the ratio of the sizes")
        size = [int(n) for n in wanted]
    words = [*map(str, _two(size)), f"interpolation={mode}"]
    if mode == "nearest":
        words.append("coordinates=asymmetric")
    else:
        words.append(f"coordinates={'align_corners' if options.get('align_corners') else 'half_pixel'}")
    if mode == "bicubic":
        words += ["cubic_coefficient=-0.75", "border=replicate"]
    return f"resizing({', '.join(words)})", given, {}, turn


def _pixel_shuffle(x: Any, upscale_factor: int) -> Said:
    given, turn = _picture(x)
    return f"pixel_shuffle({upscale_factor}, order=crd)", given, {}, turn


def _epsilon(eps: float) -> str:
    if eps <= 0:
        raise NotSaid("an epsilon that is not positive")
    return f"epsilon={eps}"


def _batch_norm(x: Any, mean: Any, variance: Any, weight: Any, bias: Any, **options: Any) -> Said:
    if options.get("training"):
        raise NotSaid("statistics of the batch: training")
    if x.ndim < 2:
        raise NotSaid("another number of axes")
    words, weights = _affine(weight, bias)
    weights |= {"moving_mean": _numpy(mean), "moving_variance": _numpy(variance)}
    statement = f"batch_normalization({', '.join([_epsilon(options.get('eps', 1e-5)), *words])})"
    return statement, _last(x.numpy()), weights, _last


def _affine(weight: Any, bias: Any) -> tuple[list[str], dict[str, Array]]:
    words = [f"scale={'false' if weight is None else 'true'}", f"center={'false' if bias is None else 'true'}"]
    weights = {name: _numpy(v) for name, v in (("gamma", weight), ("beta", bias)) if v is not None}
    return words, weights


def _instance_norm(x: Any, **options: Any) -> Said:
    if not options.get("use_input_stats", True):
        raise NotSaid("moving statistics")
    words, weights = _affine(options.get("weight"), options.get("bias"))
    statement = f"instance_normalization({', '.join([_epsilon(options.get('eps', 1e-5)), *words])})"
    return statement, _last(x.numpy()), weights, _last


def _group_norm(x: Any, groups: int, **options: Any) -> Said:
    words, weights = _affine(options.get("weight"), options.get("bias"))
    statement = f"group_normalization({', '.join([str(groups), _epsilon(options.get('eps', 1e-5)), *words])})"
    return statement, _last(x.numpy()), weights, _last


def _pad(x: Any, amounts: Any, mode: str = "constant", value: float | None = None) -> Said:
    if mode == "constant" and value:
        raise NotSaid("a constant other than 0")
    if min(amounts) < 0:
        raise NotSaid("negative padding")
    if len(amounts) > 4:
        raise NotSaid("padding of channels or batch")
    given, turn = _picture(x)
    pairs = [[amounts[i], amounts[i + 1]] for i in range(0, len(amounts), 2)][::-1]
    kind = {"constant": "zero", "reflect": "reflect", "replicate": "replicate"}[mode]
    return f"{kind}_padding2d({[[0, 0]] * (2 - len(pairs)) + pairs})", given, {}, turn


def _prelu(x: Any, weight: Any) -> Said:
    if x.ndim < 2 or weight.ndim == 0:
        raise NotSaid("another number of axes")
    spatial = list(range(1, x.ndim - 1))
    given = _last(x.numpy())
    alpha = np.broadcast_to(_numpy(weight), given.shape[-1:]).reshape(*[1] * len(spatial), -1)
    return f"prelu({f'shared_axes={spatial}' if spatial else ''})", given, {"alpha": np.ascontiguousarray(alpha)}, _last


def _max_pool2d(x: Any, kernel_size: Any, stride: Any = None, **options: Any) -> Said:
    if options.get("return_indices"):
        raise NotSaid("indices as a result")
    if _two(options.get("dilation", 1)) != [1, 1]:
        raise NotSaid("a dilated pool")
    kernel, steps = _two(kernel_size), _two(stride if stride is not None else kernel_size)
    given, turn = _picture(x)
    pads = _two(options.get("padding", 0))
    whole = all((n + 2 * p - k) % s == 0 for n, p, k, s in zip(given.shape[1:3], pads, kernel, steps, strict=True))
    if options.get("ceil_mode") and not whole:
        raise NotSaid("sizes rounded up")
    return f"max_pooling2d({kernel}, strides={steps}, padding={_padding(pads)})", given, {}, turn


_SAY: dict[str, Callable[..., Said]] = {
    "conv2d": _conv2d,
    "conv_transpose2d": _conv_transpose2d,
    "interpolate": _interpolate,
    "pixel_shuffle": _pixel_shuffle,
    "batch_norm": _batch_norm,
    "instance_norm": _instance_norm,
    "group_norm": _group_norm,
    "pad": _pad,
    "prelu": _prelu,
    "max_pool2d": _max_pool2d,
}


def keras_transpose_samples() -> Iterator[Sample | str]:
    """The parameters of Keras's `test_conv2d_transpose` and, for two axes, of its consistency test; its own NumPy."""
    from keras.src.layers.convolutional.conv_transpose_test import np_conv2d_transpose

    basic = [
        (5, 2, 2, "valid", None),
        (6, 7, 16, "same", 2),
        (6, (2, 3), (2, 1), "valid", None),
        (2, (7, 7), (16, 16), "valid", None),
    ]
    consistency = [
        (1, k, s, padding, q)
        for k in range(1, 5)
        for s in range(1, 5)
        for padding in ("same", "valid")
        for q in (None, 1, 2, 3, 4)
    ]
    random = np.random.RandomState(0)
    for filters, kernel, stride, padding, q in basic + consistency:
        if q is not None and q >= min(_two(stride)):
            yield "output_padding that reaches the stride, which Keras's test leaves out too"
            continue
        small = filters == 1
        x = np.ones((2, 3, 3, 1)) if small else random.normal(size=(2, 14, 14, 4))
        rows, columns = _two(kernel)
        weights = (
            np.arange(1.0, rows * columns + 1).reshape(rows, columns, 1, 1)
            if small
            else random.normal(size=(rows, columns, filters, 4))
        )
        bias = np.zeros(1) if small else random.normal(size=filters)
        expected = np_conv2d_transpose(x, weights, bias, stride, padding, q, "channels_last", 1)
        statement = f"conv2d_transpose({filters}, {_two(kernel)}, strides={_two(stride)}, padding={padding}"
        statement += ")" if q is None else f", output_padding={q})"
        yield Sample("keras conv_transpose_test", statement, _single(x), expected, {
            "kernel": _single(weights), "bias": _single(bias),
        })  # fmt: skip


def keras_up_sampling_samples() -> Iterator[Sample]:
    """The parameters of Keras's `up_sampling2d_test`: nearest as its test has it, the others by TensorFlow.

    Not by Keras's layer: on PyTorch, its default in this process if another test came first, bicubic is PyTorch's.
    """
    import tensorflow as tf

    random = np.random.RandomState(0)
    x = _single(random.rand(2, 11, 12, 2))
    for columns in (2, 3):
        repeated = np.repeat(np.repeat(x, 2, axis=1), columns, axis=2)
        yield Sample("keras up_sampling2d_test", f"up_sampling2d([2, {columns}])", x, repeated)
        # TensorFlow looks cubic weights up in a table of 1,024 steps, in which thirds of a pixel are not found.
        for interpolation in ("bilinear", "bicubic") if columns == 2 else ("bilinear",):
            expected = tf.image.resize(x, (22, 12 * columns), method=interpolation).numpy()
            statement = f"up_sampling2d([2, {columns}], interpolation={interpolation})"
            yield Sample("keras up_sampling2d_test", statement, x, expected)


def _single(values: Array) -> Array:
    return values.astype(np.float32)
