"""Recording: an operator and its operands in, a pending Tensor (or an in-place write) out."""

from __future__ import annotations

from ctypes import memmove

from .autograd.graph import attach, updates
from .autograd.inplace import check_inplace, rebase
from .autograd.modes import modes
from .config import config
from .graph.node import Node, Rule, Spec, Storage, blame, spec_of, user_frame
from .graph.ops import OPS, Op
from .graph.rules import cast_rule, elementwise_rule, fill_rule, reduce_rule
from .graph.shapes import broadcast_shapes, expand_strides, may_overlap_itself, span
from .kernels.compile import stats
from .runtime import blocks, realize
from .runtime.realize import PENDING, realize_all
from .tensor import Tensor, empty_tensor, realize_storage

RULES: dict[tuple, Rule] = {}
_new = object.__new__
LOOK = 256          # the bounds of pending work are looked at whenever so many nodes more wait


def make(rule: Rule, tensors=(), scalars: tuple = (), op: Op | None = None, operands: tuple = (),
         attrs: tuple = ()) -> Tensor:
    """Records a node that reads tensors as they are now, and returns a tensor over its (pending)
    storage. For autograd it is op(operands); None where it has no gradient."""
    srcs, moved, differentiable, seen = [], False, False, False
    for x in tensors:
        storage = x.storage
        srcs.append(storage.node or source(x))
        if x.offset:
            moved = True
        if x._fn is not None or x._leaf:
            differentiable = True
        if storage.external is not None:
            seen = True
    node = _new(Node)
    node.rule, node.srcs, node.scalars = rule, tuple(srcs), scalars
    node.offsets = tuple([x.offset for x in tensors]) if moved else None
    node.index, node.base, node.out_offset = 0, None, 0
    node.origin = blame.origin or user_frame()
    spec = rule.spec
    node.storage = storage = Storage(None, spec.nbytes)
    storage.node = node
    PENDING.append(node)
    out = _new(Tensor)
    out.storage, out.spec, out.offset = storage, spec, 0
    out._leaf = False
    out._fn = out._grad = out._base = None
    if not len(PENDING) % LOOK or config.eager:
        bound_pending()
    if differentiable and op is not None and modes.grad:
        attach(out, op, operands, attrs)
    if seen:
        finish(tensors)
    return out


def bound_pending() -> None:
    """Runs pending work when it is too much, or at once in eager mode."""
    count = len(PENDING)
    if config.eager or count > config.max_pending_nodes:
        realize_all()
    elif not count & (count - 1):       # bytes are added up at powers of two
        if sum(n.storage.nbytes for n in PENDING) > config.max_pending_bytes:
            realize_all()


def source(x: Tensor):
    """What a node that reads x now has to name."""
    storage = x.storage
    node = storage.node
    if node is not None:
        return node
    if storage.block is None:
        realize_storage(storage)
    return storage if storage.external is None else _seen(storage)


COPIED = 4096       # bytes of memory seen from outside that are copied rather than read at once


def _copied(storage: Storage) -> bool:
    """Whether reads of memory that is seen from outside are reads of a copy, so that they may wait.
    A step that is being captured has to name the memory itself."""
    return storage.nbytes <= COPIED and realize.capturing is None


def _seen(storage: Storage) -> Storage:
    """What a read of memory that was seen from outside names."""
    if not storage.external():
        storage.external = None
    elif _copied(storage):
        copy = Storage(blocks.take(storage.nbytes), storage.nbytes)
        blocks.settle()
        memmove(copy.block.address, storage.block.address, storage.nbytes)
        return copy
    return storage


def sources(tensors) -> tuple[tuple, tuple | None]:
    """(srcs, offsets) of tensors."""
    srcs, moved = [], False
    for x in tensors:
        srcs.append(x.storage.node or source(x))
        if x.offset:
            moved = True
    return tuple(srcs), tuple([x.offset for x in tensors]) if moved else None


def finish(tensors) -> None:
    """Runs an operation on tensors at once when it read memory that is seen from outside."""
    for x in tensors:
        external = x.storage.external
        if external is not None and not _copied(x.storage):
            if external():
                realize_all()
                return
            x.storage.external = None


# ── elementwise ───────────────────────────────────────────────────────────────────────────────
def elementwise(op: Op, *operands, dtype=None) -> Tensor:
    """Records an elementwise operator on tensors and Python scalars."""
    key, tensors, scalars = [op, dtype], [], []
    for o in operands:
        if isinstance(o, Tensor):
            tensors.append(o)
            key.append(o.spec)
        else:
            scalars.append(o)
            key.append(o.__class__)
    key = tuple(key)
    rule = RULES.get(key)
    if rule is None:
        rule = RULES[key] = elementwise_rule(
            op, tuple(o.spec if isinstance(o, Tensor) else scalar_type(o) for o in operands), dtype)
    if "c" in rule.scalars:
        return elementwise(op, *_complex_operands(operands, rule.attrs[1]), dtype=dtype)
    return make(rule, tensors, tuple(scalars), op, operands)


def _complex_operands(operands: tuple, dtype) -> tuple:
    """Operands with complex numbers as 0-d tensors: a scalar slot holds a real number."""
    from .creation import from_data
    return tuple(from_data(o, dtype) if isinstance(o, complex) else o for o in operands)


def scalar_type(value) -> type:
    """The Python type that a number promotes as; TypeError for anything else."""
    for kind in (bool, int, float, complex):
        if isinstance(value, kind):
            return kind
    try:
        import numpy as np
        if isinstance(value, np.generic):
            return scalar_type(value.item())
    except ImportError:
        pass
    raise TypeError(f"expected a Tensor or a number, not {type(value).__name__}")


def cast(x: Tensor, dtype, strides=None) -> Tensor:
    """A copy in another dtype, recorded (and differentiable)."""
    key = ("cast", x.spec, dtype, strides)
    rule = RULES.get(key)
    if rule is None:
        rule = RULES[key] = cast_rule(x.spec, dtype, strides)
    operands = (x,)
    op = OPS["cast" if dtype is not x.spec.dtype else "clone"]
    return make(rule, operands, (), op, operands)


def fill(spec: Spec, value) -> Tensor:
    """A tensor filled with a number."""
    kind = value.__class__
    if kind is not int and kind is not float:
        kind = scalar_type(value)
    if kind is complex:
        out = empty_tensor(spec.shape, spec.dtype, spec.strides)
        out._memory()[...] = value
        return out
    key = ("fill", spec, kind)
    rule = RULES.get(key)
    if rule is None:
        rule = RULES[key] = fill_rule(spec, kind)
    return make(rule, (), (value,))


# ── reductions, composites, opaque operators ──────────────────────────────────────────────────
def reduce(name: str, x: Tensor, dims=None, keepdim: bool = False, dtype=None) -> Tensor:
    """Records a reduction."""
    op = OPS[name]
    key = (op, x.spec, dims, keepdim, dtype)
    rule = RULES.get(key)
    if rule is None:
        rule = RULES[key] = reduce_rule(op, x.spec, dims, keepdim, dtype)
    operands = (x,)
    return make(rule, operands, (), op if op.backward is not None else None, operands,
                (rule.attrs[0] if rule.op is op else (), keepdim))


def apply(name: str, tensors: tuple, attrs: tuple = (), scalars: tuple = (), spec=None
          ) -> Tensor:
    """Records a composite or opaque operator whose result has `spec` (a function making it)."""
    return record_rule(rule_of(name, tensors, attrs, scalars, spec), tensors, scalars)


def rule_of(name: str, tensors: tuple, attrs: tuple, scalars: tuple, spec) -> Rule:
    """The rule that `apply` records."""
    op = OPS[name]
    key = (op, attrs, *[x.spec for x in tensors], *[s.__class__ for s in scalars])
    rule = RULES.get(key)
    if rule is None:
        slots = "".join("i" if isinstance(s, int) else "f" for s in scalars)
        rule = RULES[key] = Rule(op, tuple(x.spec for x in tensors), spec(), attrs, slots)
    return rule


def record_rule(rule: Rule, tensors: tuple, scalars: tuple = ()) -> Tensor:
    """Records a composite or opaque operator whose rule is known."""
    op = rule.op
    return make(rule, tensors, scalars, op if op.backward is not None else None, tensors,
                rule.attrs + scalars)


# ── writes ────────────────────────────────────────────────────────────────────────────────────
def write(x: Tensor, op: Op, *operands) -> Tensor:
    """x becomes op(operands) in place; operands may be x itself."""
    check_inplace(x)
    key, tensors, scalars, storage = ["write", op, x.spec], [], [], x.storage
    differentiable, near, seen = x._leaf or x._fn is not None, False, False
    for o in operands:
        if isinstance(o, Tensor):
            tensors.append(o)
            key.append(o.spec)
            held = o.storage
            if held is storage and o is not x:
                near = True
            if held.external is not None:
                seen = True
            if o._fn is not None or o._leaf:
                differentiable = True
        else:
            scalars.append(o)
            key.append(o.__class__)
    key = tuple(key)
    rule = RULES.get(key)
    if rule is None:
        rule = RULES[key] = write_rule(x.spec, op, operands)
    if "c" in rule.scalars:
        return write(x, OPS["cast"] if op.name == "fill" else op,
                     *_complex_operands(operands, x.spec.dtype))
    if near and may_conflict(x, tensors):
        if any(overlap(x, t) == "part" for t in tensors):
            raise RuntimeError(
                "unsupported operation: some elements of the input tensor and the written-to "
                "tensor refer to a single memory location. Please clone() the tensor before "
                "performing the operation.")
        tensors = [t if same_view(t, x) else elementwise(OPS["clone"], t) for t in tensors]
        pairs = iter(tensors)
        operands = tuple(next(pairs) if isinstance(o, Tensor) else o for o in operands)
        return write(x, op, *operands)
    grads = differentiable and modes.grad and x.spec.dtype.category >= 2
    before = rebase.before(x, op, operands) if grads else None
    if x._leaf and not modes.grad:
        updates.run = stats.realizes
    srcs, offsets = sources(tensors)
    store(storage, x.spec, x.offset, rule, srcs, offsets, tuple(scalars))
    if seen:
        finish(tensors)
    free = getattr(x if x._base is None else x._base, "_free", None)
    if free is None:
        storage.version += 1
    else:
        free[0] += 1                 # `.data` counts its writes by itself
    if grads:
        rebase.after(x, op, before)
    return x


def write_rule(spec: Spec, op: Op, operands) -> Rule:
    """The rule of an in-place elementwise write; PyTorch's errors where it does not fit."""
    specs = tuple(o.spec if isinstance(o, Tensor) else scalar_type(o) for o in operands)
    shapes = [s.shape for s in specs if s.__class__ is Spec]
    shape = broadcast_shapes(*shapes, spec.shape)
    if shape != spec.shape:
        raise RuntimeError(f"output with shape {list(spec.shape)} doesn't match the broadcast "
                           f"shape {list(shape)}")
    if may_overlap_itself(spec.shape, spec.strides):
        raise RuntimeError("unsupported operation: more than one element of the written-to "
                           "tensor refers to a single memory location. Please clone() the "
                           "tensor before performing the operation.")
    if not shapes:
        return Rule(op, (), spec, ("s" * len(specs), spec.dtype),
                    "".join("c" if issubclass(s, complex) else "i" if issubclass(s, int) else "f"
                            for s in specs), writes=spec)
    plain = elementwise_rule(op, specs)
    if op.name not in ("cast", "fill", "clone"):
        _check_cast(plain.spec.dtype, spec.dtype)
    reads = tuple(
        spec_of(r.dtype, spec.shape, expand_strides(r.shape, r.strides, spec.shape), r.device)
        for r in plain.reads)
    compute = plain.attrs[1]
    return Rule(op, reads, spec, (plain.attrs[0], compute), plain.scalars, writes=spec)


def _check_cast(have, want) -> None:
    from .graph.ops import _scalar_name
    if have.category > want.category:
        raise RuntimeError(f"result type {_scalar_name(have)} can't be cast to the desired output "
                           f"type {_scalar_name(want)}")


def store(storage: Storage, spec: Spec, offset: int, rule: Rule, srcs, offsets, scalars,
          origin=None) -> None:
    """Records the write of a region: a new value of a storage never realized, or an update."""
    storage.bounds = None
    node = _new(Node)
    node.rule, node.srcs, node.offsets, node.scalars = rule, srcs, offsets, scalars
    node.origin = origin or blame.origin or user_frame()
    node.index, node.storage = 0, storage
    whole = (storage.block is None and offset == 0 and spec.dense
             and spec.nbytes == storage.nbytes and min(spec.strides, default=1) > 0)
    if whole:
        node.rule = _unwritten(rule)
        node.base, node.out_offset = None, 0
    else:
        if storage.block is None and storage.node is None:
            realize_storage(storage)
        node.base = storage.node or storage
        node.out_offset = offset
    storage.node = node
    PENDING.append(node)
    if storage.external is not None:
        if storage.external():
            realize_all()
        else:
            storage.external = None
    if not len(PENDING) % LOOK or config.eager:
        bound_pending()


_UNWRITTEN: dict[int, Rule] = {}


def _unwritten(rule: Rule) -> Rule:
    """The rule of a write that fills its whole storage anew."""
    plain = _UNWRITTEN.get(rule.id)
    if plain is None:
        plain = _UNWRITTEN[rule.id] = Rule(rule.op, rule.reads, rule.spec, rule.attrs,
                                           rule.scalars)
    return plain


def same_view(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors name the same elements in the same order."""
    return (a.storage is b.storage and a.offset == b.offset and a.spec.shape == b.spec.shape
            and a.spec.strides == b.spec.strides and a.spec.dtype is b.spec.dtype)


def overlap(x: Tensor, t: Tensor) -> str:
    """'full' where two dense tensors lie over the same memory in the same order, 'part' where they
    share some of it, 'none' where they share nothing or one has gaps (then nobody can say)."""
    a, b = x.spec, t.spec
    if t.storage is not x.storage or not a.numel or not b.numel or not (a.dense and b.dense):
        return "none"
    if min(a.strides, default=0) < 0 or min(b.strides, default=0) < 0:
        return "none"
    first, second = x.offset * a.dtype.itemsize, t.offset * b.dtype.itemsize
    if first == second and a.nbytes == b.nbytes:
        return "full" if a.strides == b.strides else "part"
    return "part" if first < second + b.nbytes and second < first + a.nbytes else "none"


def may_conflict(x: Tensor, tensors) -> bool:
    """Whether an operand overlaps the written region without being the same view."""
    for t in tensors:
        if t.storage is x.storage and t is not x and not same_view(t, x):
            low, high = span(x.spec.shape, x.spec.strides)
            low2, high2 = span(t.spec.shape, t.spec.strides)
            size, size2 = x.spec.dtype.itemsize, t.spec.dtype.itemsize
            if not ((x.offset + high + 1) * size <= (t.offset + low2) * size2
                    or (t.offset + high2 + 1) * size2 <= (x.offset + low) * size):
                return True
    return False
