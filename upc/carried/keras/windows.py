"""Layers that look through windows: what Keras does not have of convolution and pooling."""

from __future__ import annotations

import keras
from keras import ops

from upc.carried.keras.axes import _pair, _same_amounts


@keras.saving.register_keras_serializable(package="upc")
class TransposedConvolution2D(keras.layers.Layer):
    """Transposed convolution with groups, dilation beside strides, and any crop.

    `crop` is taken from the full result, (before, after) each axis; less than nothing adds zeros.
    """

    def __init__(
        self,
        filters,
        kernel_size,
        strides=1,
        dilation_rate=1,
        groups=1,
        crop=((0, 0), (0, 0)),
        activation=None,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = _pair(kernel_size)
        self.strides = _pair(strides)
        self.dilation_rate = _pair(dilation_rate)
        self.groups = groups
        self.crop = tuple(tuple(sides) for sides in crop)
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)

    def build(self, input_shape):
        shape = (*self.kernel_size, self.filters // self.groups, input_shape[-1])
        self.kernel = self.add_weight(
            shape=shape, initializer=self.kernel_initializer, name="kernel"
        )
        if self.use_bias:
            self.bias = self.add_weight(
                shape=(self.filters,), initializer=self.bias_initializer, name="bias"
            )

    def _dilated_kernel(self):
        """The kernel with zeros between its taps."""
        (kh, kw), (dh, dw) = self.kernel_size, self.dilation_rate
        outputs, inputs = self.kernel.shape[2:]
        taps = ops.reshape(self.kernel, (kh, 1, kw, 1, outputs, inputs))
        taps = ops.pad(taps, ((0, 0), (0, dh - 1), (0, 0), (0, dw - 1), (0, 0), (0, 0)))
        kernel = ops.reshape(taps, (kh * dh, kw * dw, outputs, inputs))
        return kernel[: dh * (kh - 1) + 1, : dw * (kw - 1) + 1]

    def call(self, x):
        kernel = self._dilated_kernel()
        inputs = kernel.shape[-1] // self.groups
        parts = []
        for start in range(0, kernel.shape[-1], inputs):
            part = slice(start, start + inputs)
            parts.append(
                ops.conv_transpose(
                    x[..., part],
                    kernel[..., part],
                    strides=self.strides,
                    padding="valid",
                    data_format="channels_last",
                )
            )
        y = ops.concatenate(parts, axis=-1)
        # Keras's `valid` ends with zeros where the kernel is smaller than the stride.
        extra = [max(0, s - k) for s, k in zip(self.strides, kernel.shape)]
        ends = [after + more for (_, after), more in zip(self.crop, extra)]
        y = ops.pad(y, ((0, 0), (0, max(0, -ends[0])), (0, max(0, -ends[1])), (0, 0)))
        top, left = self.crop[0][0], self.crop[1][0]
        bottom, right = (-end if end > 0 else None for end in ends)
        y = y[:, top:bottom, left:right]
        return self.activation(y + self.bias if self.use_bias else y)

    def compute_output_shape(self, input_shape):
        sizes = []
        for axis, size in enumerate(input_shape[1:3]):
            span = self.dilation_rate[axis] * (self.kernel_size[axis] - 1) + 1
            cut = sum(self.crop[axis])
            sizes.append(None if size is None else (size - 1) * self.strides[axis] + span - cut)
        return (input_shape[0], *sizes, self.filters)

    def get_config(self):
        return super().get_config() | {
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "dilation_rate": self.dilation_rate,
            "groups": self.groups,
            "crop": self.crop,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
        }


@keras.saving.register_keras_serializable(package="upc")
class SamePadding2D(keras.layers.Layer):
    """The zeros that "same" stands for, with both strides and dilation, for whatever size comes."""

    def __init__(self, kernel_size, strides, dilation_rate, **kwargs):
        super().__init__(**kwargs)
        self.kernel_size = _pair(kernel_size)
        self.strides = _pair(strides)
        self.dilation_rate = _pair(dilation_rate)

    def _spans(self):
        return [d * (k - 1) + 1 for k, d in zip(self.kernel_size, self.dilation_rate)]

    def call(self, x):
        return ops.pad(x, ((0, 0), *_same_amounts(x, self._spans(), self.strides), (0, 0)))

    def compute_output_shape(self, input_shape):
        sizes = []
        for size, span, stride in zip(input_shape[1:3], self._spans(), self.strides):
            if size is not None:
                size = max(size, (-(-size // stride) - 1) * stride + span)
            sizes.append(size)
        return (input_shape[0], *sizes, input_shape[3])

    def get_config(self):
        return super().get_config() | {
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "dilation_rate": self.dilation_rate,
        }


@keras.saving.register_keras_serializable(package="upc")
class Subsampling2D(keras.layers.Layer):
    """Every s-th row and column, the first included."""

    def __init__(self, strides, **kwargs):
        super().__init__(**kwargs)
        self.strides = _pair(strides)

    def call(self, x):
        return x[:, :: self.strides[0], :: self.strides[1]]

    def compute_output_shape(self, input_shape):
        sizes = (None if n is None else -(-n // s) for n, s in zip(input_shape[1:3], self.strides))
        return (input_shape[0], *sizes, input_shape[3])

    def get_config(self):
        return super().get_config() | {"strides": self.strides}


@keras.saving.register_keras_serializable(package="upc")
class PaddedPooling2D(keras.layers.Layer):
    """Pooling with padding, alike on all backends: `max`, `mean`, `mean_inside` of real pixels.

    `padding` is "same" or (before, after) for each axis.
    """

    def __init__(self, kind, pool_size, strides, padding, **kwargs):
        super().__init__(**kwargs)
        self.kind = kind
        self.pool_size = _pair(pool_size)
        self.strides = _pair(strides)
        self.padding = padding

    def _sum(self, x, amounts):
        padded = ops.pad(x, ((0, 0), *amounts, (0, 0)))
        mean = ops.average_pool(
            padded, self.pool_size, self.strides, "valid", data_format="channels_last"
        )
        return mean * (self.pool_size[0] * self.pool_size[1])

    def call(self, x):
        if self.padding == "same":
            amounts = _same_amounts(x, self.pool_size, self.strides)
        else:
            amounts = [tuple(sides) for sides in self.padding]
        if self.kind == "max":
            padded = ops.pad(x, ((0, 0), *amounts, (0, 0)), constant_values=float("-inf"))
            return ops.max_pool(
                padded, self.pool_size, self.strides, "valid", data_format="channels_last"
            )
        if self.kind == "mean":
            return self._sum(x, amounts) / (self.pool_size[0] * self.pool_size[1])
        return self._sum(x, amounts) / self._sum(ops.ones_like(x[:1, :, :, :1]), amounts)

    def compute_output_shape(self, input_shape):
        sizes = []
        for axis, size in enumerate(input_shape[1:3]):
            k, s = self.pool_size[axis], self.strides[axis]
            if size is not None:
                same = self.padding == "same"
                size = -(-size // s) if same else (size + sum(self.padding[axis]) - k) // s + 1
            sizes.append(size)
        return (input_shape[0], *sizes, input_shape[3])

    def get_config(self):
        return super().get_config() | {
            "kind": self.kind,
            "pool_size": self.pool_size,
            "strides": self.strides,
            "padding": self.padding,
        }
