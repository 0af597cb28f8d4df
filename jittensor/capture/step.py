"""Compiled steps: `Compiled(f)` records a call of f once and replays its plan as one native call.

A capture holds when everything it took for granted is as it was: the structure, dtypes, shapes
and strides of the arguments, the grad mode and settings, and the state of every module, parameter,
optimizer and plain value that f reaches. Numbers in param groups, float arguments and step counts
are read again at each call. Python side effects do not happen in a replay.
"""

from __future__ import annotations

import functools
import sys
import threading
import types
import warnings
import weakref
from array import array
from collections.abc import Callable
from typing import Any

from ..autograd.modes import modes
from ..config import config
from ..graph.dtypes import Default
from ..graph.node import Node, Storage, user_frame, where
from ..kernels.compile import stats
from ..runtime import bind, blocks, realize
from ..tensor import Tensor, new_tensor
from .conditions import probe
from .numbers import Traced
from .state import Reached

MAX_CAPTURES = 16
_getrefcount = sys.getrefcount
_TWICE = 1 << 20           # bytes of a result of which two may be held, one in flight
_ALONE = 3                 # references that the engine alone has to a gradient and to its memory
# A forward pass whose backward comes later is recorded each time; nothing in it cannot be.
NEEDS_GRAPH = "it returns a tensor that still needs its graph"


class Capture:
    """What is noted while a step is recorded."""

    def __init__(self):
        self.thread = threading.get_ident()
        self.broken: str | None = None
        self.draws: list[tuple[Storage, Callable]] = []
        self.checks: list[tuple[Tensor, Callable]] = []
        self.released: set[int] = set()

    def look(self, x: Tensor) -> None:
        """Called when a value is read; checks of a range are made again at each replay."""
        if self.thread == threading.get_ident() and not any(
                x.storage is checked.storage for checked, _ in self.checks):
            self.flush(user_frame())

    def flush(self, origin) -> None:
        """Called when something forces pending work to run inside the step."""
        if self.broken is None:
            file, line = where(origin)
            self.broken = f"a value is looked at in {file}:{line}"


class Replay:
    """One capture, ready to run again."""

    __slots__ = ("holds", "bound", "addresses", "floats", "argument_slots", "draws",
                 "checks", "results", "grads", "places", "updated", "scalars", "tick", "storages",
                 "build", "hold", "decide", "single")


class Compiled:
    """What `compile` returns; other attributes are the wrapped object's."""

    def __init__(self, function: Callable, fullgraph: bool = False, check: int = 0):
        self._function, self._fullgraph, self._check = function, fullgraph, check
        self._captures: dict[tuple, list[Replay]] = {}
        self._warm: set[tuple] = set()
        self._lazy: set[tuple] = set()
        self._calls = 0
        self._bound: dict[int, Compiled] = {}
        functools.update_wrapper(self, function, updated=())

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_function"], name)

    def __get__(self, owner: Any, kind: type | None = None) -> Any:
        """A compiled method of an object: captures are kept per object."""
        if owner is None:
            return self
        bound = self._bound.get(id(owner))
        if bound is None:
            bound = Compiled(types.MethodType(self._function, owner), self._fullgraph, self._check)
            self._bound[id(owner)] = bound
            weakref.finalize(owner, self._bound.pop, id(owner), None)
        return bound

    def __call__(self, *args, **kwargs):
        if realize.capturing is not None or config.eager:
            return self._function(*args, **kwargs)
        tensors: list[Tensor] = []
        numbers: list[float] = []
        key = (modes.grad, modes.inference, modes.autocast, config.fusion, config.backend,
               config.threads, Default.float_, _signatures(args, tensors, numbers),
               _signature(kwargs, tensors, numbers) if kwargs else ())
        captures = self._captures.get(key)
        self._calls += 1
        if captures and not (self._check and self._calls % self._check == 0):
            for replay in captures:
                if replay.holds() and (replay.decide is None or replay.decide(numbers)):
                    return _run(replay, tensors, numbers)
        if key in self._lazy:
            return self._function(*args, **kwargs)
        if key not in self._warm:            # the first call makes what later ones keep
            self._warm.add(key)
            result = self._function(*args, **kwargs)
            realize.realize_all()
            return result
        return self._capture(key, args, kwargs, tensors, numbers)

    def _capture(self, key, args, kwargs, tensors, numbers):
        realize.realize_all()
        reached = Reached(self._function)
        capture = Capture()
        places = _Places(reached, numbers)
        traced_args, traced_kwargs = places.arguments(args), places.arguments(kwargs)
        Traced.decisions, Traced.deciding = {}, set()
        realize.capturing = capture
        try:
            result = self._function(*traced_args, **traced_kwargs)
        finally:
            realize.capturing = None
            places.restore()
        replay = None
        if capture.broken is None:
            replay = _record(capture, reached, places, result, tensors)
            if isinstance(replay, str):
                capture.broken, replay = replay, None
        if replay is None:
            realize.realize_all()
            self._give_up(key, capture.broken)
        elif len(self._captures.setdefault(key, [])) < MAX_CAPTURES:
            self._captures[key].append(replay)
        else:
            warnings.warn("compile: what the step reads besides its arguments is another at each "
                          "call; it runs without being captured", stacklevel=3)
            self._lazy.add(key)
        return result

    def _give_up(self, key, reason: str) -> None:
        if self._fullgraph and reason is not NEEDS_GRAPH:
            raise RuntimeError(f"compile(fullgraph=True): the step cannot be captured: {reason}")
        if not self._lazy:
            warnings.warn(f"compile: {reason}; the step runs without being captured", stacklevel=4)
        self._lazy.add(key)


def _signatures(values, tensors: list, numbers: list) -> tuple:
    """The signature of each of some values; most are tensors."""
    out = []
    for x in values:
        if not isinstance(x, Tensor):
            out.append(_signature(x, tensors, numbers))
            continue
        for k, other in enumerate(tensors):
            if other.storage is x.storage:
                out.append(("alias", k, x.spec, x.offset - other.offset))
                break
        else:
            out.append((x.spec, x._leaf, x._fn is None, x._grad is None))
        tensors.append(x)
    return tuple(out)


def _signature(value: Any, tensors: list, numbers: list) -> Any:
    """The hashable structure of arguments; collects their tensors and floats."""
    if isinstance(value, Tensor):
        return _signatures((value,), tensors, numbers)[0]
    kind = type(value)
    if kind is float:
        numbers.append(value)
        return float
    if kind in (tuple, list):
        return (kind, *_signatures(value, tensors, numbers))
    if kind is dict:
        return (kind, *[(k, _signature(v, tensors, numbers)) for k, v in value.items()])
    try:
        hash(value)
    except TypeError:
        return (kind, id(value))
    return (kind, value)


class _Places:
    """The numbers that are read again at each call, as Traced while a step is captured."""

    def __init__(self, reached: Reached, numbers: list[float]):
        self.scope: dict[str, Any] = {}
        self.undo: list[Callable] = []
        self.texts: dict[str, str] = {}
        self.values: dict[str, float] = {}
        self.counts: list[tuple[Any, Any, float]] = []     # (counts, parameter, as it was)
        self.raised: list[tuple[Any, Any]] = []      # of these, those that the step raised
        self.next_number = 0
        for n, optimizer in enumerate(reached.optimizers):
            self._groups(n, optimizer)
            self._counts(n, optimizer)

    def _traced(self, name: str, value: float, text: str) -> Traced:
        self.texts[name], self.values[name] = text, value
        return Traced(value, name, frozenset([name]))

    def _groups(self, n: int, optimizer) -> None:
        for k, group in enumerate(optimizer.param_groups):
            held = f"group{n}_{k}"
            self.scope[held] = group
            for key, value in list(group.items()):
                name = f"g{n}_{k}_{key}"
                if type(value) is float:
                    self._replace(group, key, value, self._traced(name, value,
                                                                  f"{held}[{key!r}]"))
                elif type(value) is tuple and value and all(type(v) is float for v in value):
                    parts = tuple(self._traced(f"{name}_{i}", v, f"{held}[{key!r}][{i}]")
                                  for i, v in enumerate(value))
                    self._replace(group, key, value, parts)

    def _counts(self, n: int, optimizer) -> None:
        counts = getattr(optimizer, "_step_counts", None)
        if counts is None:
            return
        held = f"counts{n}"
        self.scope[held] = counts
        for param, state in optimizer._state.items():
            if "step" in state and param not in counts:
                counts[param] = float(state["step"])
        for i, (param, value) in enumerate(list(counts.items())):
            self.scope[f"param{n}_{i}"] = param
            name = f"n{n}_{i}"
            self.counts.append((counts, param, float(value)))
            counts[param] = self._traced(name, value, f"{held}[param{n}_{i}] - 1.0")

    def _replace(self, holder, key, value, traced) -> None:
        holder[key] = traced
        self.undo.append(lambda: holder.__setitem__(key, value))

    def arguments(self, value: Any) -> Any:
        """Arguments with their floats traced."""
        if type(value) is float:
            k = self.next_number
            self.next_number += 1
            return self._traced(f"a{k}", value, f"numbers[{k}]")
        if type(value) in (tuple, list):
            return type(value)(self.arguments(v) for v in value)
        if type(value) is dict:
            return {k: self.arguments(v) for k, v in value.items()}
        return value

    def restore(self) -> None:
        """Puts plain numbers back."""
        for undo in self.undo:
            undo()
        for counts, param, before in self.counts:
            if param in counts:
                if float(counts[param]) != before:
                    self.raised.append((counts, param))
                counts[param] = float(counts[param])

    def function(self, result: str, used: set[str], counted: bool) -> Callable:
        """A function of the call's float arguments that computes numbers anew, after the step
        counts have been raised (`counted`) or before."""
        lines = [f"    {name} = {self.texts[name]}" for name in sorted(used)]
        if not counted:
            lines = [line.removesuffix(" - 1.0") for line in lines]
        body = "\n".join([*lines, f"    return {result}"])
        scope = dict(self.scope)
        exec(f"def scalars(numbers):\n{body}", scope)
        return scope["scalars"]


# ── making a replay ───────────────────────────────────────────────────────────────────────────
def _record(capture: Capture, reached: Reached, places: _Places, result, tensors):
    """Runs what was recorded and makes a Replay of it, or says why it cannot be one."""
    with realize.lock:
        nodes = realize.PENDING[:]
        key, binding = realize.snapshot(nodes)
        if key is None:
            del realize.PENDING[:len(nodes)]
            return "it records nothing"
        layout = _describe(binding)
        bound = realize.plan_for(key, binding)
        owners = _owners(bound, binding)
        updated = [n.storage for n in nodes if n.base is not None]
        external = any(s.external is not None and s.external() for s in binding.storages)
        realize.execute(bound, binding)
    if external:
        return "it uses memory that is seen from outside"
    replay = Replay()
    replay.bound = bound
    bad = _sources(replay, capture, binding, layout, tensors, reached)
    if bad:
        return bad
    memory = {id(s) for s in replay.storages}
    read = [(x, s) for x, s in reached.grads if id(s) in memory]
    if any(x._grad is None or x._grad.storage is not s for x, s in read):
        return "it reads a gradient of the step before"
    replay.updated = updated
    bad = _results(replay, capture, result, owners, reached)
    if bad:
        return bad
    texts, used = [], set()
    for value in binding.floats:
        if isinstance(value, Traced):
            used |= value.sources
            texts.append(value.text)
        else:
            texts.append(repr(float(value)) if value == value and abs(value) != float("inf")
                         else f"float('{float(value)}')")
    decisions = [f"{text} is {outcome}" for text, outcome in Traced.decisions.items()]
    frozen = {s for s in places.values if s not in used and s not in Traced.deciding}
    if any(s.startswith("a") for s in frozen):
        return "a float argument is used in a way that cannot be followed"
    replay.decide = places.function(" and ".join(decisions), Traced.deciding, False) if (
        decisions) else None
    replay.scalars = places.function(f"[{', '.join(texts)}]", used, True) if used else None
    replay.floats = array("d", [float(v) for v in binding.floats])
    replay.tick = places.raised
    free = {s.rsplit("_", 1)[0] if s.count("_") > 2 and s.rsplit("_", 1)[1].isdigit() else s
            for s in places.values if s not in frozen}
    replay.holds = probe(reached, free, replay.storages, read)
    reached.grads.clear()               # their memory is free again
    replay.hold = (reached, capture)
    return replay


def _describe(binding) -> list[tuple]:
    """For each address slot: ('storage', index, byte offset) or ('number', value)."""
    known = {id(s): k for k, s in enumerate(binding.storages)}
    layout: list[tuple] = []
    seen: set[tuple[int, int]] = set()

    def place(source, start: int) -> None:
        if (id(source), start) not in seen:
            seen.add((id(source), start))
            layout.append(("storage", known[id(source)], start))

    for node in binding.nodes:
        rule = node.rule
        offsets = node.offsets or (0,) * len(node.srcs)
        for source, offset, spec in zip(node.srcs, offsets, rule.reads, strict=True):
            if source.__class__ is not Node:
                place(source, offset * spec.dtype.itemsize)
        for kind, value in zip(rule.scalars, node.scalars, strict=True):
            if kind == "i":
                layout.append(("number", value))
        storage = None if node.base is None else realize.written_storage(node)
        if storage is not None:
            place(storage, node.out_offset * rule.writes.dtype.itemsize)
    return layout


def _owners(bound, binding) -> list[Storage]:
    """The storages that a run's output blocks go to."""
    return [binding.nodes[entry].storage for entry, _ in bound.outputs]


def _sources(replay: Replay, capture: Capture, binding, layout, tensors, reached) -> str | None:
    """Sorts the external storages: arguments, draws, and what stays."""
    arguments = {}
    for k, x in enumerate(tensors):
        arguments.setdefault(id(x.storage), (k, x.offset * x.spec.dtype.itemsize))
    draws = {id(s): k for k, (s, _) in enumerate(capture.draws)}
    fixed = {id(x.storage) for x in reached.tensors}
    replay.argument_slots, replay.draws = [], [redraw for _, redraw in capture.draws]
    addresses = []
    storages: list[Storage] = []
    moving: dict[int, tuple] = {}
    for k, storage in enumerate(binding.storages):
        if id(storage) in arguments and id(storage) not in fixed:
            moving[k] = ("argument", *arguments[id(storage)])
        elif id(storage) in draws:
            moving[k] = ("draw", draws[id(storage)], 0)
        else:
            storages.append(storage)
    for slot, item in enumerate(layout):
        if item[0] == "number":
            addresses.append(int(item[1]))
            continue
        _, k, offset = item
        if k in moving:
            kind, which, start = moving[k]
            replay.argument_slots.append((slot, kind == "argument", which, offset - start))
            addresses.append(0)
        else:
            addresses.append(binding.storages[k].block.address + offset)
    bound = replay.bound
    base = len(addresses)
    for k in range(bound.storages):
        if k in moving:
            kind, which, start = moving[k]
            replay.argument_slots.append((base + k, kind == "argument", which, -start))
            addresses.append(0)
        else:
            addresses.append(binding.storages[k].block.address)
    replay.addresses = array("q", addresses)
    replay.storages = storages
    replay.checks = []
    for x, check in capture.checks:
        place = next((k for k, t in enumerate(tensors) if t is x), None)
        if place is None and x.storage in storages:
            replay.checks.append((None, x, check))
        elif place is None:
            return "an index is made inside the step"
        else:
            replay.checks.append((place, None, check))
    return None


def _results(replay: Replay, capture: Capture, result, owners: list[Storage],
             reached: Reached) -> str | None:
    """Finds where each output goes: returned tensors, gradients, what is kept as it is."""
    number = {id(s): k for k, s in enumerate(owners)}
    returned: list[Tensor] = []
    _signature(result, returned, [])
    for x in returned:
        if x._fn is not None and id(x._fn) not in capture.released:
            return NEEDS_GRAPH
    replay.results = [(number.get(id(x.storage)), x) for x in returned]
    replay.grads = []
    for x in reached.tensors:
        grad = x._grad
        if grad is not None and id(grad.storage) in number:
            replay.grads.append((x, number[id(grad.storage)], grad.spec, grad.offset))
    users = [k for k, _ in replay.results] + [k for _, k, *_ in replay.grads]
    replay.single = {k for k in users if users.count(k) == 1}
    replay.build = _builder(result)
    return None


def _builder(result) -> Callable:
    """Puts tensors back into the structure that the step returned."""
    def build(value, tensors):
        if isinstance(value, Tensor):
            return next(tensors)
        if type(value) in (tuple, list):
            return type(value)(build(v, tensors) for v in value)
        if type(value) is dict:
            return {k: build(v, tensors) for k, v in value.items()}
        return value

    if isinstance(result, Tensor):
        return lambda tensors: tensors[0]
    shape = _hollow(result)
    return lambda tensors: build(shape, iter(tensors))


def _hollow(value):
    if isinstance(value, Tensor):
        return new_tensor(Storage(None, 0), value.spec)
    if type(value) in (tuple, list):
        return type(value)(_hollow(v) for v in value)
    if type(value) is dict:
        return {k: _hollow(v) for k, v in value.items()}
    return value


# ── replaying ─────────────────────────────────────────────────────────────────────────────────
def _run(replay: Replay, tensors: list[Tensor], numbers: list[float]):
    """One replay."""
    if realize.PENDING or bind.interrupted:
        realize.realize_all()
    for place, x, check in replay.checks:
        check(tensors[place] if x is None else x)
    with realize.lock:
        addresses = replay.addresses[:]
        draws = [redraw() for redraw in replay.draws]
        for slot, argument, which, offset in replay.argument_slots:
            if argument:
                x = tensors[which]
                addresses[slot] = (x.storage.block.address
                                   + x.offset * x.spec.dtype.itemsize + offset)
            else:
                addresses[slot] = draws[which].address + offset
        wait = False
        storages = [*replay.storages, *[x.storage for x in tensors]]
        for storage in storages:
            if storage.external is not None:
                wait = True
        for counts, param in replay.tick:
            counts[param] += 1.0
        floats = replay.floats
        if replay.scalars is not None:
            floats = array("d", replay.scalars(numbers))
        bound = replay.bound
        before = bind.in_flight(bound)
        if before is None:
            bind.settle()       # what it held goes back to the pool first, still in the cache
        again = _take_back(replay, before)
        if before is not None and any(nbytes > _TWICE and k not in again
                                      for k, (_, nbytes) in enumerate(bound.outputs)):
            before = None
            bind.settle()
        outputs = [again.get(k) or blocks.take(nbytes)
                   for k, (_, nbytes) in enumerate(bound.outputs)]
        addresses.extend([b.address for b in outputs])
        stats.realizes += 1
        bind.proceed(bind.begin_bound(bound, addresses, floats, outputs, (draws, storages),
                                      _nothing), wait)
    for storage in replay.updated:
        storage.version += 1
        storage.bounds = None               # what was known of its values
    return _finish(replay, outputs, again)


def _take_back(replay: Replay, before: Any) -> dict[int, Any]:
    """Takes away the gradients that this run replaces: number of an output -> block. A gradient
    that nobody but its parameter holds, and the run `before` in flight, stays where it is, to be
    written over."""
    again: dict[int, Any] = {}
    flying = before.outputs if before is not None else None
    for x, k, spec, offset in replay.grads:
        grad = x._grad
        if grad is not None and k in replay.single and _getrefcount(grad) == _ALONE:
            storage = grad.storage
            block = storage.block
            if (grad.spec is spec and grad.offset == offset and grad._fn is None
                    and not grad._leaf and not grad.__dict__ and storage.node is None
                    and (storage.external is None or not storage.external())
                    and _getrefcount(storage) == _ALONE == _getrefcount(block) - (
                        flying is not None and flying[k] is block)
                    and block.pooled and block.size >= replay.bound.outputs[k][1]):
                storage.external = None
                again[k] = block
                continue
        x._grad = None
    return again


def _nothing() -> None:
    return None


def _finish(replay: Replay, outputs: list, again: dict):
    """New storages for the outputs, handed to returned tensors and gradients; those of `again`
    have theirs."""
    sizes = replay.bound.outputs
    made = {k: Storage(block, sizes[k][1]) for k, block in enumerate(outputs) if k not in again}
    for x, k, spec, offset in replay.grads:
        if k in again:
            kept = x._grad.storage
            kept.version, kept.bounds = 0, None
            continue
        x._grad = new_tensor(made[k], spec, offset)
    returned = []
    for k, like in replay.results:
        if k is None:
            returned.append(like)
            continue
        out = new_tensor(made[k], like.spec, like.offset)
        out._fn, out._leaf = like._fn, like._leaf
        returned.append(out)
    return replay.build(returned)
