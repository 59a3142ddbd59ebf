"""Graph -> Plan: which kernel makes what, what is done on the way, and what need not be done at all.

Non-goals: sizes, tiles and memory, which the module works out where it runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod

from upc.diagnostics import UpcError, error
from upc.ir import Graph, Node, Value
from upc.layers.activations import Softmax
from upc.layers.conv import Conv, DepthwiseConv
from upc.layers.conv_transpose import ConvTranspose
from upc.layers.dense import Dense
from upc.layers.merge import Concatenate, Merge
from upc.layers.normalization import GroupNormalization, InstanceNormalization, LayerNormalization
from upc.layers.padding import Cropping, ReflectPadding, ReplicatePadding, ZeroPadding
from upc.layers.pixel_shuffle import PixelShuffle, PixelUnshuffle
from upc.layers.pooling import AveragePooling, GlobalMaxPooling, GlobalPooling, MaxPooling
from upc.layers.reshaping import Flatten, Permute, Reshape
from upc.layers.resizing import Resizing, UpSampling
from upc.layers.shapes import axis_index
from upc.layers.slicing import Slice, Split
from upc.plan.minimal import Algorithm, filtered
from upc.plan.operations import activation_operations, constant_operations, merge_operation, unary_operations
from upc.plan.segments import segments
from upc.plan.steps import BatchNorm, Operation, Plan, Size, Step, picture
from upc.shape import Dim

MOST_OPERANDS = 2  # values that one epilogue can read


def lower(graph: Graph, algorithm: Algorithm = "auto", batch: int = 1) -> Plan:
    """Plan a graph, for calls of so many images. Raises UpcError where the Numba target cannot do a layer."""
    return _Lowering(graph).run(algorithm, batch)


def unsupported(node: Node, reason: str) -> UpcError:
    return error("E0701", f"unsupported on numba: {node.layer.name}: {reason}", node.span)


class _Lowering:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.steps: list[Step] = []
        self.sizes: dict[str, Size] = {}
        self.slices: dict[str, tuple[str, Dim, Dim, Dim]] = {}
        self.place: dict[str, str] = {}  # a graph value's name -> the planned value that holds it
        self.deferred: dict[str, Node] = {}  # values never made: their readers reach through to the source
        self.absorbed: set[str] = set()
        self.readers: dict[str, list[Node]] = {}
        for node in graph.nodes:
            for value in node.inputs:
                self.readers.setdefault(value.name, []).append(node)
        self.returned = {output.value.name for output in graph.outputs}

    def run(self, algorithm: Algorithm, batch: int) -> Plan:
        for value in self.graph.inputs:
            self.sizes[f"input {value.name}"] = self.sizes[value.name] = picture(value.shape)
            self.place[value.name] = value.name
            line = self.graph.span.line
            self._add(Step("Gather", value.name, line, f"input {value.name}", value.name, (("move", _STAY),)))
        for node in self.graph.nodes:
            if node.path not in self.absorbed:
                self._lower(node)
        self._return()
        self._filter(algorithm, batch)
        weights = {key: prod(weight.shape) for key, weight, _ in self.graph.weights()}
        slices, lives = self._resolved_slices(), self._lives()
        turns = segments(self.steps, self.sizes, {name: place[0] for name, place in slices.items()}, weights)
        return Plan(self.graph, tuple(self.steps), self.sizes, slices, lives, turns, algorithm)

    # Values and steps

    def _add(self, step: Step) -> None:
        self.steps.append(step)

    def _source(self, value: Value) -> str:
        """The planned value that holds a graph value, made now if it had been put off."""
        if value.name in self.deferred and value.name not in self.place:
            self._make(self.deferred[value.name])
        return self.place[value.name]

    def _new(self, name: str, size: Size) -> str:
        self.sizes[name] = size
        return name

    def _make(self, node: Node) -> None:
        """Emit a node's own step, with nothing absorbed."""
        step = self._moving_step(node)
        if step is None:
            raise AssertionError(node.layer.name)
        self._add(step)
        self.place[node.outputs[0].name] = step.target

    def _only_reader(self, value: Value) -> Node | None:
        readers = self.readers.get(value.name, [])
        return readers[0] if len(readers) == 1 and value.name not in self.returned else None

    # Lowering one node, with those after it that its epilogue can do

    def _lower(self, node: Node) -> None:
        layer = node.layer
        if isinstance(layer, (Conv, ConvTranspose, Dense)):
            self._finish(node, self._convolution(node))
        elif isinstance(layer, DepthwiseConv):
            self._finish(node, self._depthwise(node))
        elif isinstance(layer, Merge):
            self._merge(node)
        elif isinstance(layer, Concatenate):
            self._concatenate(node)
        elif isinstance(layer, Split):
            self._split(node)
        elif self._can_wait(node):
            self.deferred[node.outputs[0].name] = node
        elif unary_operations(node) is not None:
            source = self._source(node.inputs[0])
            operations = unary_operations(node) or ()
            if not operations:
                self.place[node.outputs[0].name] = source
                return
            target = self._new(node.outputs[0].name, picture(node.outputs[0].shape))
            self._finish(node, Step("Pointwise", node.path, node.span.line, source, target, then=operations))
        elif isinstance(layer, Softmax):
            axis = axis_index(layer.name, layer.axis, node.inputs[0].shape)
            self._add(self._softmax(node, self._source(node.inputs[0]), node.outputs[0], axis))
            self.place[node.outputs[0].name] = node.outputs[0].name
        else:
            step = self._moving_step(node) or self._computing_step(node)
            if step is None:
                raise unsupported(node, "no kernel makes it")
            self._finish(node, step)

    def _finish(self, node: Node, step: Step) -> None:
        """Let the step's epilogue do what follows, and add it."""
        activation = getattr(node.layer, "activation", None)
        operations = activation_operations(activation)
        value = node.outputs[0]
        if operations is None:
            self._add(step)
            last = len(value.shape) - 1
            made = f"{step.target} softmax"
            softmax = self._softmax(node, step.target, Value(made, value.shape), last)
            self._add(softmax)
            self.place[value.name] = made
            return
        step = replace(step, then=step.then + operations)
        if step.kind in _WITH_EPILOGUE:
            step, value = self._absorb(step, value)
        self._add(step)
        self.place[value.name] = step.target

    def _absorb(self, step: Step, value: Value) -> tuple[Step, Value]:
        """Take in the nodes that follow and that an epilogue can do; the step, and the value it then makes."""
        while (reader := self._only_reader(value)) is not None:
            grown = self._with(step, value, reader)
            if grown is None:
                break
            self.absorbed.add(reader.path)
            step, value = grown, reader.outputs[0]
            self.sizes.pop(step.target, None)
            step = replace(step, target=value.name)
            self.sizes[value.name] = picture(value.shape)
        return step, value

    def _with(self, step: Step, value: Value, reader: Node) -> Step | None:
        """The step with one more node done in its epilogue, if it can be."""
        shape, made = value.shape, reader.outputs[0].shape
        operations = unary_operations(reader)
        if operations is not None:
            if any(not _takes(step, operation) for operation in operations):
                return None
            return replace(step, then=step.then + operations)
        layer = reader.layer
        if step.kind == "Convolution" and isinstance(layer, Reshape):
            return self._spread(step, shape, made)
        if step.kind == "Convolution" and isinstance(layer, PixelShuffle):
            plain = step.setting("form") == "convolution" and step.setting("groups") == 1
            if plain and not step.operands and "shuffle" not in dict(step.settings):
                return step.with_settings(shuffle=(layer.factor, layer.order))
            return None
        if isinstance(layer, Merge) and step.kind in ("Convolution", "Pointwise"):
            return self._joined(step, value, reader, layer)
        return None

    def _joined(self, step: Step, value: Value, reader: Node, layer: Merge) -> Step | None:
        others = [v for v in reader.inputs if v.name != value.name]
        if len(others) + 1 != len(reader.inputs) or any(v.shape != reader.outputs[0].shape for v in reader.inputs):
            return None
        if len(step.operands) + len(others) > MOST_OPERANDS or any(v.name not in self.place for v in others):
            return None
        operations: list[Operation] = []
        first = reader.inputs[0].name == value.name
        for position, _ in enumerate(others, start=len(step.operands)):
            operations.append((merge_operation(layer, not first), position))
        operations += constant_operations(layer, len(reader.inputs))
        operands = step.operands + tuple(self.place[v.name] for v in others)
        return replace(step, then=step.then + tuple(operations), operands=operands)

    def _spread(self, step: Step, shape: tuple[Dim, ...], made: tuple[Dim, ...]) -> Step | None:
        """A dense layer whose numbers are laid out as a picture writes that picture at once."""
        dense = step.setting("layout") == "gather" and step.setting("form") == "convolution"
        if not dense or len(shape) != 1 or len(made) != 3 or step.operands or step.setting("kernel") != (1, 1):
            return None
        flat = [op for op in step.then if isinstance(op, BatchNorm) or op[0] == "channel_prelu"]
        if flat and not (len(flat) == 1 and step.then[0] is flat[0] and isinstance(flat[0], BatchNorm)):
            return None
        rows, columns, channels = made
        then = step.then
        if flat:
            then = (replace(flat[0], flat=True), *then[1:])
        step = replace(step, then=then)
        return step.with_settings(form="transposed", layout="spread", kernel=(rows, columns), outputs=channels)

    # Kinds of steps

    def _convolution(self, node: Node) -> Step:
        layer = node.layer
        kernel_key = f"{node.path}.kernel"
        bias_key = f"{node.path}.bias" if getattr(layer, "use_bias", False) else None
        value = node.inputs[0]
        before = self.deferred.get(value.name)
        target = self._new(node.outputs[0].name, picture(node.outputs[0].shape))
        settings: dict[str, object] = {"form": "convolution", "layout": "conv", "kernel": (1, 1)}
        common = {"weights": (kernel_key, bias_key), "groups": getattr(layer, "groups", 1)}
        if isinstance(layer, Dense):
            settings["layout"] = "gather"
            if before is not None:
                rows, columns, channels = picture(before.inputs[0].shape)
                settings |= {"kernel": (rows, columns), "inputs": channels}
                value = before.inputs[0]
            else:
                settings["inputs"] = value.shape[-1]
            settings |= {"outputs": layer.units, **common}
            return self._step("Convolution", node, self._source(value), target, settings)
        assert isinstance(layer, (Conv, ConvTranspose))
        settings["kernel"] = layer.kernel_size
        settings |= {"inputs": value.shape[-1], "outputs": layer.filters, **common}
        settings |= {"strides": layer.strides, "dilation": layer.dilation_rate}
        padding = ((0, 0),) * layer.rank if layer.padding == "valid" else layer.padding
        if isinstance(layer, ConvTranspose):
            settings |= {"form": "transposed", "layout": "conv_transpose"}
            settings["padding"] = tuple((crop, 0) for crop, _ in layer.crops(node.inputs[0].shape))
        else:
            if before is not None and isinstance(before.layer, UpSampling):
                settings |= {"form": "upsampled", "size": before.layer.size}
                value = before.inputs[0]
            elif before is not None and isinstance(before.layer, ZeroPadding):
                assert not isinstance(padding, str)
                pairs = zip(padding, before.layer.padding, strict=True)
                padding = tuple((a + c, b + d) for (a, b), (c, d) in pairs)
                value = before.inputs[0]
            settings["padding"] = padding
        return self._step("Convolution", node, self._source(value), target, settings)

    def _step(self, kind: str, node: Node, source: str, target: str, settings: Mapping[str, object]) -> Step:
        return Step(kind, node.path, node.span.line, source, target, tuple(settings.items()))

    def _depthwise(self, node: Node) -> Step:
        layer = node.layer
        assert isinstance(layer, DepthwiseConv)
        source = self._source(node.inputs[0])
        rows, columns, channels = self.sizes[source]
        if layer.depth_multiplier > 1:
            wide = self._new(f"{node.path} repeated", (rows, columns, channels * layer.depth_multiplier))
            move = (("move", ("channels", layer.depth_multiplier)),)
            self._add(Step("Gather", f"{node.path} repeated", node.span.line, source, wide, move))
            source = wide
        target = self._new(node.outputs[0].name, picture(node.outputs[0].shape))
        settings = {
            "kernel": layer.kernel_size,
            "strides": layer.strides,
            "dilation": layer.dilation_rate,
            "padding": ((0, 0), (0, 0)) if layer.padding == "valid" else layer.padding,
            "weights": (f"{node.path}.kernel", f"{node.path}.bias" if layer.use_bias else None),
        }
        return self._step("Depthwise", node, source, target, settings)

    def _can_wait(self, node: Node) -> bool:
        """Whether every reader can reach through the node to what it reads."""
        layer, value = node.layer, node.outputs[0]
        readers = self.readers.get(value.name, [])
        if not readers or value.name in self.returned:
            return False
        if isinstance(layer, UpSampling):
            fits = [isinstance(r.layer, Conv) and set(r.layer.strides) == {1} for r in readers]
            return layer.interpolation == "nearest" and all(fits)
        if isinstance(layer, ZeroPadding):
            return all(isinstance(r.layer, Conv) and r.layer.padding != "same" for r in readers)
        if isinstance(layer, Flatten):
            fixed = all(isinstance(n, int) for n in node.inputs[0].shape)
            return fixed and len(node.inputs[0].shape) <= 3 and all(isinstance(r.layer, Dense) for r in readers)
        return False

    def _moving_step(self, node: Node) -> Step | None:
        """The step of a node that moves values about."""
        layer, shape = node.layer, node.inputs[0].shape
        move: tuple[object, ...]
        if isinstance(layer, (Reshape, Flatten)):
            source = self._source(node.inputs[0])
            target = self._new(node.outputs[0].name, picture(node.outputs[0].shape))
            return self._step("Reshape", node, source, target, {})
        if isinstance(layer, ZeroPadding):
            move = ("pad", layer.padding, "zero")
        elif isinstance(layer, ReflectPadding):
            move = ("pad", layer.padding, "reflect")
        elif isinstance(layer, ReplicatePadding):
            move = ("pad", layer.padding, "replicate")
        elif isinstance(layer, Cropping):
            (top, _), (left, _) = layer.cropping
            move = ("slice", (top, left, 0), (1, 1, 1))
        elif isinstance(layer, Slice):
            axis = self._axis(node, layer.axis)
            start, _ = layer.bounds(shape[axis - 3 + len(shape)])
            if not isinstance(start, int):
                raise unsupported(node, "a start counted from the end of a free size")
            starts, steps = [0, 0, 0], [1, 1, 1]
            starts[axis], steps[axis] = start, layer.step
            move = ("slice", tuple(starts), tuple(steps))
        elif isinstance(layer, PixelShuffle):
            move = ("shuffle", layer.factor, layer.order)
        elif isinstance(layer, PixelUnshuffle):
            move = ("unshuffle", layer.factor, layer.order)
        elif isinstance(layer, UpSampling) and layer.interpolation == "nearest":
            move = ("repeat", layer.size)
        elif isinstance(layer, Permute):
            if len(shape) > 3:
                raise unsupported(node, "values of more than three axes")
            lead = 3 - len(shape)
            move = ("permute", (*range(lead), *(dim - 1 + lead for dim in layer.dims)))
        else:
            return None
        source = self._source(node.inputs[0])
        target = self._new(node.outputs[0].name, picture(node.outputs[0].shape))
        return self._step("Gather", node, source, target, {"move": move})

    def _axis(self, node: Node, axis: int) -> int:
        """Which of rows, columns and channels an axis of the node's input is."""
        shape = node.inputs[0].shape
        at = axis_index(node.layer.name, axis, shape) - len(shape) + 3
        if len(shape) > 3 and at < 2:
            raise unsupported(node, "an axis before the last two, of values of more than three axes")
        return at

    def _computing_step(self, node: Node) -> Step | None:
        layer = node.layer
        settings: dict[str, object]
        if isinstance(layer, (MaxPooling, AveragePooling)):
            kind = "Pool"
            settings = {
                "window": layer.pool_size,
                "strides": layer.strides,
                "padding": ((0, 0), (0, 0)) if layer.padding == "valid" else layer.padding,
                "largest": isinstance(layer, MaxPooling),
                "count_padding": isinstance(layer, AveragePooling) and layer.count_include_padding,
            }
        elif isinstance(layer, GlobalPooling):
            kind, settings = "GlobalPool", {"largest": isinstance(layer, GlobalMaxPooling)}
        elif isinstance(layer, (UpSampling, Resizing)):
            kind = "Resize"
            settings = {
                "interpolation": layer.interpolation,
                "coordinates": layer.coordinates,
                "cubic_coefficient": layer.cubic_coefficient,
                "border": layer.border,
            }
        elif isinstance(layer, (LayerNormalization, InstanceNormalization, GroupNormalization)):
            groups = 0
            if isinstance(layer, GroupNormalization):
                groups = layer.groups
            elif isinstance(layer, InstanceNormalization):
                channels = node.inputs[0].shape[-1]
                assert isinstance(channels, int)
                groups = channels
            kind, settings = "Normalize", {"path": node.path, "epsilon": layer.epsilon, "groups": groups}
        else:
            return None
        source = self._source(node.inputs[0])
        target = self._new(node.outputs[0].name, picture(node.outputs[0].shape))
        return self._step(kind, node, source, target, settings)

    def _softmax(self, node: Node, source: str, made: Value, axis: int) -> Step:
        at = axis - len(made.shape) + 3
        if len(made.shape) > 3 and at < 2:
            raise unsupported(node, "an axis before the last two, of values of more than three axes")
        self._new(made.name, picture(made.shape))
        return self._step("Softmax", node, source, made.name, {"axis": at})

    # Joining and cutting

    def _merge(self, node: Node) -> None:
        layer, result = node.layer, node.outputs[0]
        assert isinstance(layer, Merge)
        size = picture(result.shape)
        if len(result.shape) > 3 and any(v.shape != result.shape for v in node.inputs):
            raise unsupported(node, "repeating values of more than three axes")
        sources = [self._with_all_channels(node, self._source(v), size) for v in node.inputs]
        name = merge_operation(layer)
        current, rest, turn = sources[0], sources[1:], 0
        while True:
            now, rest = rest[:MOST_OPERANDS], rest[MOST_OPERANDS:]
            operations: tuple[Operation, ...] = tuple((name, position) for position in range(len(now)))
            target = result.name if not rest else f"{result.name} so far {turn}"
            self._new(target, size)
            line = node.span.line
            if rest:
                self._add(Step("Pointwise", target, line, current, target, (), operations, tuple(now)))
                current, turn = target, turn + 1
                continue
            operations += constant_operations(layer, len(node.inputs))
            if not operations:
                self.sizes.pop(target)
                self.place[result.name] = current
                return
            self._finish(node, Step("Pointwise", node.path, line, current, target, (), operations, tuple(now)))
            return

    def _with_all_channels(self, node: Node, source: str, size: Size) -> str:
        """The value with its one channel repeated, where the result has more."""
        rows, columns, channels = self.sizes[source]
        if channels == size[2]:
            return source
        wide = self._new(f"{node.path} {source} repeated", (rows, columns, size[2]))
        self._add(Step("Gather", wide, node.span.line, source, wide, (("move", ("channels", size[2])),)))
        return wide

    def _concatenate(self, node: Node) -> None:
        layer, result = node.layer, node.outputs[0]
        assert isinstance(layer, Concatenate)
        axis = self._axis(node, layer.axis)
        whole = self._new(result.name, picture(result.shape))
        self.place[result.name] = whole
        offset: list[Dim] = [0, 0, 0]
        for position, value in enumerate(node.inputs):
            source = self._source(value)
            placed = (whole, offset[0], offset[1], offset[2])
            if axis == 2 and self._can_lie_in(source, whole, node):
                self.slices[source] = placed
            else:
                part = self._new(f"{result.name} part {position}", self.sizes[source])
                self.slices[part] = placed
                self._add(Step("Gather", part, node.span.line, source, part, (("move", _STAY),)))
            offset[axis] = offset[axis] + self.sizes[source][axis]

    def _can_lie_in(self, source: str, whole: str, node: Node) -> bool:
        """Whether a value can be made in its place in a concatenation, so that nothing is copied."""
        rows, columns, _ = self.sizes[whole]
        held = source in self.slices or any(host == source for host, *_ in self.slices.values())
        return not held and self.sizes[source][:2] == (rows, columns)

    def _split(self, node: Node) -> None:
        layer = node.layer
        assert isinstance(layer, Split)
        axis = self._axis(node, layer.axis)
        source = self._source(node.inputs[0])
        offset: list[Dim] = [0, 0, 0]
        for value in node.outputs:
            size = picture(value.shape)
            part = self._new(value.name, size)
            if axis == 2:
                self.slices[part] = (source, 0, 0, offset[2])
            else:
                # A copy, not the place itself: around it readers want zeros, not the neighbouring part.
                cut = self._new(f"{value.name} cut", size)
                self.slices[cut] = (source, offset[0], offset[1], 0)
                self._add(self._step("Gather", node, cut, part, {"move": _STAY}))
            self.place[value.name] = part
            offset[axis] = offset[axis] + size[axis]

    # The whole

    def _return(self) -> None:
        """Let the last steps write to the caller's arrays, or copy what more than the caller needs."""
        reads = [name for step in self.steps for name in step.reads]
        for output in self.graph.outputs:
            made = self._source(output.value)
            name = f"output {output.name}"
            self.sizes[name] = self.sizes[made]
            shared = [o for o in self.graph.outputs if self.place[o.value.name] == made]
            held = made in self.slices or any(host == made for host, *_ in self.slices.values())
            makers = [i for i, step in enumerate(self.steps) if step.target == made]
            direct = len(makers) == 1 and self.steps[makers[0]].source != f"input {made}"
            if direct and not held and made not in reads and len(shared) == 1:
                self.steps[makers[0]] = replace(self.steps[makers[0]], target=name)
                del self.sizes[made]
            else:
                line = output_line(self.graph, made)
                self._add(Step("Gather", name, line, made, name, (("move", _STAY),)))

    def _filter(self, algorithm: Algorithm, batch: int) -> None:
        """Let convolutions take the way of minimal filtering, and tell them how many images to expect."""
        self.steps = [filtered(step, self.sizes, algorithm, batch) for step in self.steps]
        if batch > 1:
            self.steps = [s.with_settings(images=batch) if s.kind == "Convolution" else s for s in self.steps]

    def _resolved_slices(self) -> dict[str, tuple[str, Dim, Dim, Dim]]:
        """Slices of slices as slices of the buffer itself."""
        resolved = {}
        for name, (host, row, column, channel) in self.slices.items():
            while host in self.slices:
                host, y, x, c = self.slices[host]
                row, column, channel = row + y, column + x, channel + c
            resolved[name] = (host, row, column, channel)
        return resolved

    def _lives(self) -> dict[str, tuple[int, int]]:
        slices = self._resolved_slices()
        lives: dict[str, tuple[int, int]] = {}
        for number, step in enumerate(self.steps):
            for name in (step.target, *step.reads):
                if not name.startswith(("input ", "output ")):
                    buffer = slices[name][0] if name in slices else name
                    first, _ = lives.get(buffer, (number, number))
                    lives[buffer] = (first, number)
        return lives


_STAY = ("slice", (0, 0, 0), (1, 1, 1))
_WITH_EPILOGUE = frozenset({"Convolution", "Depthwise", "Pointwise", "Pool", "GlobalPool", "Resize", "Gather"})


def _takes(step: Step, operation: Operation) -> bool:
    """Whether the step's epilogue can do an operation on single values."""
    if isinstance(operation, BatchNorm) or operation[0] == "channel_prelu":
        if step.kind not in ("Convolution", "Depthwise", "Pointwise"):
            return False
        if step.kind == "Convolution" and "shuffle" in dict(step.settings):
            return False
        per_channel = isinstance(operation, BatchNorm) or operation[2][:2] == (1, 1)
        return per_channel or step.kind == "Pointwise"
    if step.kind != "Gather":
        return True
    move = step.setting("move")
    return move[0] in ("pad", "repeat") or (move[0] == "slice" and move[2][2] == 1)


def output_line(graph: Graph, value: str) -> int:
    """The source line that made a value, or the net's own."""
    return next((n.span.line for n in graph.nodes for v in n.outputs if v.name == value), graph.span.line)
