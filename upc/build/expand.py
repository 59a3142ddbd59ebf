"""Writes a net out: blocks and repeats become nodes, every one with its path, its shapes and its weights."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, replace
from math import prod

from upc import limits, syntax
from upc.build import calls
from upc.build.evaluate import UNKNOWN, Bound, Unknown, ValueProblem, evaluate, show, unknown_name
from upc.build.names import check_identifier
from upc.demands import solve
from upc.diagnostics import Diagnostic
from upc.ir import Demand, Frame, Graph, LayerError, Literal, Node, Output, Value
from upc.shape import Dim, Shape, free, names_of
from upc.source import Span
from upc.units import Report, Unit


class _Stop(Exception):
    """The net is too large to go on with."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a statement sees: the names, the path before its layers, and how it came to stand there.

    `names` and `origins` are shared by all statements of one body; `taken` by all of one net or block
    instance.
    """

    unit: Unit
    names: MutableMapping[str, Bound]
    origins: MutableMapping[str, Span]
    taken: set[str]
    counts: dict[str, int]
    place: str  # "net", "block", "repeat" or "branch"
    prefix: str = ""
    frames: tuple[Frame, ...] = ()
    callers: tuple[tuple[str, Span], ...] = ()
    inside: frozenset[int] = frozenset()
    trainable: bool = True


@dataclass(slots=True)
class Effort:
    """What has been done for all nets that are written out together."""

    steps: int = 0
    layers: int = 0


class Expansion:
    """One net on its way to a graph. Errors and warnings go to `report`."""

    def __init__(self, net: syntax.Net, unit: Unit, report: Report, effort: Effort) -> None:
        self.net, self.unit, self._report = net, unit, report
        self._warnings: dict[tuple[str, Span], Diagnostic] = {}
        self.nodes: list[Node] = []
        self.inputs: list[Value] = []
        self.input_names: set[str] = set()
        self.outputs: dict[str, tuple[Value | Unknown, Span]] = {}
        self.demands: list[Demand] = []
        self.made: dict[str, Span] = {}
        self.values_named: list[tuple[str, str]] = []
        self.effort = effort
        self.parameters = 0
        self.failed = False

    def run(self, parameters: Mapping[str, Literal]) -> Graph | None:
        """The graph, or None where something was reported."""
        names: dict[str, Bound] = {}
        origins: dict[str, Span] = {}
        check_identifier(self.net.name, "net", self.report)
        for parameter in self.net.parameters:
            name = parameter.name.text
            given = parameters.get(name, UNKNOWN)
            if name not in parameters and parameter.default is not None:
                given = self.value(parameter.default, names)
            names[name], origins[name] = given, parameter.name.span
        taken = {s.action.name.text for s in self.net.body.statements if isinstance(s.action, syntax.Input)}
        scope = Scope(self.unit, names, origins, taken, {}, "net")
        settled = tuple((p.name.text, names[p.name.text]) for p in self.net.parameters)
        try:
            self.body(self.net.body, scope, None)
        except _Stop:
            return None
        if not self.outputs and not self.failed:
            hint = "name the result at the end: `output picture`"
            self.report(Diagnostic("E0207", f"net `{self.net.name.text}` has no output", self.net.name.span, hint))
        return None if self.failed else self._graph(settled)

    def report(self, diagnostic: Diagnostic) -> None:
        self.failed |= diagnostic.severity == "error"
        self._report(diagnostic)

    def problem(
        self, code: str, message: str, span: Span, hint: str | None = None, notes: tuple[tuple[Span, str], ...] = ()
    ) -> None:
        self.report(Diagnostic(code, message, span, hint, notes))

    def value(self, written: syntax.Expression, names: Mapping[str, Bound]) -> Bound:
        """A written value, UNKNOWN where it cannot be."""
        try:
            return evaluate(written, names)
        except ValueProblem as e:
            self.report(e.diagnostic)
            return UNKNOWN

    # Statements

    def body(self, body: syntax.Body, scope: Scope, current: Value | Unknown | None) -> Value | Unknown | None:
        """The current value after a body's statements."""
        if body.naming:
            self.name(body.naming, scope, (current,) if current is not None else ())
        for statement in body.statements:
            span = statement.action.span
            long = (span.end - span.start) // 32 if isinstance(statement.action, syntax.Call) else 0
            self.spend(1 + long, span)  # long calls are more work than short ones
            results: tuple[Value | Unknown, ...]
            match statement.action:
                case syntax.Input() as action:
                    results = (self.input(action, scope),)
                case syntax.Output() as action:
                    self.output(action, scope, current)
                    results = () if current is None else (current,)
                case syntax.Repeat() as action:
                    after = self.repeat(action, scope, current)
                    results = () if after is None else (after,)
                case syntax.Branch() as action:
                    branch = self.branch(action, scope)
                    if statement.naming:
                        self.name(statement.naming, scope, (branch,))
                    continue
                case syntax.Call() as action:
                    results = calls.call(self, action, scope, current)
            if statement.naming:
                self.name(statement.naming, scope, results)
            current = results[0] if results else current
        return current

    def name(self, naming: syntax.Naming, scope: Scope, results: tuple[Value | Unknown, ...]) -> None:
        """Bind the names after `as`."""
        count = len(naming.names)
        if not results:
            self.problem("E0208", "there is no value to name yet", naming.span, "begin with `input x: [...]`")
            results = (UNKNOWN,) * count
        elif UNKNOWN in results:
            results = (UNKNOWN,) * count
        elif count != len(results) and (count > 1 or len(results) > 1):
            have = f"{len(results)} value{'s' if len(results) > 1 else ''}"
            self.problem("E0209", f"the layer gives {have}, but {count} names are given", naming.span)
            results = (UNKNOWN,) * count
        for name, result in zip(naming.names, results, strict=True):
            self.bind(name, result, scope)

    def bind(self, name: syntax.Name, bound: Bound, scope: Scope) -> None:
        check_identifier(name, "value", self.report)
        if name.text in scope.names:
            notes = ((scope.origins[name.text], "it is taken here"),) if name.text in scope.origins else ()
            self.problem("E0203", f"the name `{name.text}` is already taken", name.span, "choose another", notes)
            return
        scope.names[name.text], scope.origins[name.text] = bound, name.span
        if isinstance(bound, Value) and not scope.frames:
            self.values_named.append((name.text, bound.name))

    def input(self, action: syntax.Input, scope: Scope) -> Value | Unknown:
        if scope.place != "net":
            hint = "inputs stand in the body of the net itself"
            self.problem("E0210", f"an input cannot stand in a {scope.place}", action.span, hint)
            return UNKNOWN
        shape = self.input_shape(action.shape, scope)
        result = UNKNOWN if shape is None else Value(action.name.text, shape)
        if action.name.text in self.made:
            notes = ((self.made[action.name.text], "it is taken here"),)
            self.problem("E0203", f"the name `{action.name.text}` is already taken", action.name.span, None, notes)
            return UNKNOWN
        self.made[action.name.text] = action.name.span
        self.bind(action.name, result, scope)
        if isinstance(result, Value):
            self._warn_channels_first(result, action.shape.span)
            self.inputs.append(result)
            self.input_names.add(result.name)
        return result

    def _warn_channels_first(self, value: Value, span: Span) -> None:
        """A shape that only a picture with its channels in front has is likely not meant."""
        if len(value.shape) != 3:
            return
        first, a, b = value.shape
        large = isinstance(a, int) and isinstance(b, int) and min(a, b) >= 16
        if large and (first == 3 or (first == 1 and a == b)):
            message = f"this is {first} row{'s' if first == 3 else ''} of {a} pixels of {b} channels"
            self._warn("W0704", message, span, f"shapes are channels last: a picture is `[{a}, {b}, {first}]`")

    def input_shape(self, shape: syntax.List, scope: Scope) -> Shape | None:
        dims: list[Dim] = []
        if not 1 <= len(shape.items) <= 8:
            self.problem("E0304", "an input has 1 to 8 axes; the batch is not written", shape.span, "`[H, W, 3]`")
            return None
        for item in shape.items:
            if isinstance(item, syntax.Word) and item.text not in scope.names:
                if item.text in ("None", "True", "False"):
                    hint = "free sizes are capital names: `[H, W, 3]`; the batch is not written"
                    self.problem("E0204", f"`{item.text}` cannot name a free size", item.span, hint)
                elif item.text[0].isupper():
                    dims.append(free(item.text))
                else:
                    problem = unknown_name(item, scope.names, "parameter").diagnostic
                    hint = problem.hint or "free sizes are capital names: `[H, W, 3]`"
                    self.report(replace(problem, hint=hint))
                continue
            try:
                value = evaluate(item, scope.names)
            except ValueProblem as e:
                alone = "a free size stands alone: `[H, W, 3]`" if e.diagnostic.code == "E0204" else e.diagnostic.hint
                self.report(replace(e.diagnostic, hint=alone))
                continue
            if value is UNKNOWN:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= calls.LARGEST_SIZE:
                got = show(value) if not isinstance(value, Value) else "the result of a layer"
                self.problem("E0304", f"a size is a whole number from 1 up, got {got}", item.span)
                continue
            dims.append(value)
        if len(dims) < len(shape.items):
            return None
        try:
            calls.check_volume(tuple(dims))
        except LayerError as e:
            self.problem("E0304", e.message, shape.span, e.hint)
            return None
        return tuple(dims)

    def output(self, action: syntax.Output, scope: Scope, current: Value | Unknown | None) -> None:
        if scope.place not in ("net", "branch") or scope.frames:
            inside = "block" if scope.callers else scope.place
            hint = "a block's result is its last value" if inside == "block" else "name the value and return it after"
            self.problem("E0210", f"an output cannot stand in a {inside}", action.span, hint)
            return
        for name in action.names:
            known = scope.names.get(name.text)
            if isinstance(known, (Value, Unknown)):
                result = known
            elif len(action.names) > 1:
                values = [n for n, bound in scope.names.items() if isinstance(bound, Value)]
                problem = unknown_name(name, values, "value").diagnostic
                hint = f"several outputs must have names before: `as {name.text}` names the current value"
                self.report(replace(problem, hint=problem.hint or hint))
                result = UNKNOWN
            elif current is None:
                self.problem("E0208", "there is no value to return yet", action.span, "begin with `input x: [...]`")
                result = UNKNOWN
            else:
                result = current
                self.bind(name, result, scope)
            if name.text in self.outputs:
                notes = ((self.outputs[name.text][1], "it is returned here"),)
                self.problem("E0203", f"`{name.text}` is returned twice", name.span, None, notes)
            elif isinstance(result, Value) and result.name in self.input_names:
                self.problem("E0207", f"output `{name.text}` is an input as it came: no layer works on it", name.span)
            self.outputs.setdefault(name.text, (result, name.span))

    def repeat(self, action: syntax.Repeat, scope: Scope, current: Value | Unknown | None) -> Value | Unknown | None:
        first = 1 if action.first is None else self.count(action.first, scope)
        last = self.count(action.last, scope)
        if first is None or last is None:
            return UNKNOWN
        if last < first - 1:
            span = (action.first or action.last).span.to(action.last.span)
            self.problem("E0305", f"the range {first}..{last} runs backwards", span, f"write `{last}..{first}`")
            return UNKNOWN
        variable = action.variable.text if action.variable else "_"
        if action.variable and variable in scope.names:
            notes = ((scope.origins[variable], "it is taken here"),) if variable in scope.origins else ()
            self.problem("E0203", f"the name `{variable}` is already taken", action.variable.span, None, notes)
        for turn in range(first, last + 1):
            self.spend(1, action.span)
            frame = Frame("repeat", variable, scope.prefix.rstrip("."), ((variable, turn),), action.span)
            bound = {action.variable.text: turn} if action.variable else {}
            inner = replace(
                scope,
                names=ChainMap(bound, scope.names),
                origins=ChainMap({variable: action.variable.span} if action.variable else {}, scope.origins),
                place="repeat",
                frames=(*scope.frames, frame),
            )
            current = self.body(action.body, inner, current)
        return current

    def count(self, written: syntax.Expression, scope: Scope) -> int | None:
        value = self.value(written, scope.names)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if isinstance(written, syntax.Word) and written.text not in scope.names:
            numbers = [name for name, bound in scope.names.items() if isinstance(bound, int)]
            self.report(unknown_name(written, numbers, "parameter").diagnostic)
        elif value is not UNKNOWN:
            got = show(value) if not isinstance(value, Value) else "the result of a layer"
            self.problem("E0305", f"`repeat` counts in whole numbers, got {got}", written.span)
        return None

    def branch(self, action: syntax.Branch, scope: Scope) -> Value | Unknown:
        origin = scope.names.get(action.origin.text)
        if not isinstance(origin, (Value, Unknown)):
            values = [n for n, bound in scope.names.items() if isinstance(bound, Value)]
            self.report(unknown_name(action.origin, values, "value").diagnostic)
            origin = UNKNOWN
        place = "branch" if scope.place == "net" else scope.place
        result = self.body(action.body, replace(scope, place=place), origin)
        assert result is not None  # a branch begins with a value
        return result

    # The whole

    def spend(self, steps: int, place: Span) -> None:
        """Count work that is done; stop where it is more than may be."""
        self.effort.steps += steps
        most = limits.current().steps
        if self.effort.steps > most:
            message = f"the net carries out more than {most:,} statements"
            self.problem("E0603", message, place, limits.hint("steps"))
            raise _Stop

    def add(self, node: Node, demands: tuple[Demand, ...]) -> None:
        """Take in a node."""
        self.effort.layers += 1
        most = limits.current()
        if self.effort.layers > most.layers:
            what = "the net has" if len(self.nodes) >= most.layers else "the nets together have"
            self.problem("E0603", f"{what} more than {most.layers:,} layers", node.span, limits.hint("layers"))
            raise _Stop
        self.spend(len(node.inputs) + len(node.outputs) - 2, node.span)
        self.parameters += sum(prod(weight.shape) for weight in node.weights)
        if self.parameters > most.parameters:
            message = f"the net has {self.parameters:,} parameters up to this layer; the limit is {most.parameters:,}"
            self.problem("E0603", message, node.span, limits.hint("parameters", self.parameters))
            raise _Stop
        self.nodes.append(node)
        self.demands += demands
        for value in node.outputs:
            self.made[value.name] = node.span

    def _graph(self, parameters: tuple[tuple[str, Literal], ...]) -> Graph | None:
        outputs = tuple(Output(name, value) for name, (value, _) in self.outputs.items() if isinstance(value, Value))
        needed = {output.value.name for output in outputs}
        live: set[str] = set()
        for node in reversed(self.nodes):
            if any(value.name in needed for value in node.outputs):
                live.add(node.path)
                needed.update(value.name for value in node.inputs)
        demands = tuple(dict.fromkeys(d for d in self.demands if d.path in live))
        for name, solution in solve(demands).items():
            if not solution:
                places = tuple(
                    (d.span, f"{d.left} = {d.right}")
                    for d in demands
                    if d.kind == "equal" and name in names_of((d.left, d.right))
                )[:3]
                self.problem(
                    "E0402", f"no {name} meets all that the net demands of it", self.net.name.span, None, places
                )
        if self.failed:
            return None
        self._warn_dead(live)
        for value in self.inputs:
            if value.name not in needed:
                self._warn("W0702", f"input `{value.name}` is not used", self.made[value.name], None)
        kept = {value.name for node in self.nodes if node.path in live for value in node.outputs}
        kept |= {value.name for value in self.inputs}
        return Graph(
            name=self.net.name.text,
            parameters=parameters,
            inputs=tuple(self.inputs),
            nodes=tuple(node for node in self.nodes if node.path in live),
            outputs=outputs,
            demands=demands,
            span=self.net.span,
            values_named=tuple(named for named in self.values_named if named[1] in kept),
        )

    def _warn(self, code: str, message: str, span: Span, hint: str | None) -> None:
        warning = Diagnostic(code, message, span, hint, severity="warning")
        self._warnings.setdefault((code, span), warning)

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        """What the graph has that is likely not meant, each place once."""
        return tuple(self._warnings.values())

    def _warn_dead(self, live: set[str]) -> None:
        dead = [node for node in self.nodes if node.path not in live]
        used = {value.name for node in dead for value in node.inputs}
        for node in dead:
            if not any(value.name in used for value in node.outputs):
                message = f"nothing uses the result of `{node.layer.name}`: it is left out and has no weights"
                self._warn("W0701", message, node.span, "return it with `output`, or take the layer away")
