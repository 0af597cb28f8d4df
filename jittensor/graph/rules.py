"""Shape and dtype rules: an operator and what it is given in, a Rule (or PyTorch's error) out."""

from __future__ import annotations

from . import dtypes as dt
from .node import Rule, Spec, spec_of
from .ops import OPS, Op, elementwise_types
from .shapes import broadcast_shapes, expand_strides, output_strides, wrap_dims


def elementwise_rule(op: Op, operands: tuple, result_dtype: dt.DType | None = None) -> Rule:
    """The rule of an elementwise operator on operands (Specs, or the types of Python scalars).

    `attrs` of the rule are (pattern, compute dtype): the pattern has a 't' or 's' an operand.
    """
    kinds = [("z" if o.ndim == 0 else "t", o.dtype) if o.__class__ is Spec else ("s", o)
             for o in operands]
    compute, result = elementwise_types(op, kinds)
    if op.dtypes == "where":
        condition = operands[0]
        if condition.__class__ is Spec and condition.dtype not in (dt.bool_, dt.uint8):
            raise RuntimeError(
                "where expected condition to be a boolean tensor, but got a tensor with dtype "
                f"{_title(condition.dtype)}")
    if op.dtypes == "mask" and operands[1].dtype is not dt.bool_:
        raise RuntimeError("masked_fill_ only supports boolean masks, but got mask with dtype "
                           f"{operands[1].dtype.name}")
    if result_dtype is not None:
        result = result_dtype
    if compute.itemsize == 2 and op.name in KEPT and _is_wide_number(operands):
        compute = dt.float32
    tensors = [o for o in operands if o.__class__ is Spec]
    shape = broadcast_shapes(*[t.shape for t in tensors])
    device = tensors[0].device
    reads = tuple(
        t if t.shape == shape else
        spec_of(t.dtype, shape, expand_strides(t.shape, t.strides, shape), t.device)
        for t in tensors
    )
    plain = all(o.shape == shape if o.__class__ is Spec else arg not in ("self", "other")
                for o, arg in zip(operands, op.args, strict=True))
    strides = output_strides(shape, [(shape, r.strides) for r in reads], plain)
    pattern = "".join("t" if o.__class__ is Spec else "s" for o in operands)
    slots = "".join(_slot(o) for o in operands if o.__class__ is not Spec)
    return Rule(op, reads, spec_of(result, shape, strides, device), (pattern, compute), slots)


# PyTorch's CPU kernels of these read a 0-d second operand as float32 beside 16-bit floats
KEPT = ("mul", "div", "floor_divide")


def _is_wide_number(operands: tuple) -> bool:
    first, second = operands[:2]
    return (first.__class__ is Spec and second.__class__ is Spec and not second.ndim
            and first.ndim > 0 and first.dtype.itemsize == 2 and second.dtype.category == dt.FLOAT
            and second.dtype.itemsize > 2)


def _slot(kind: type) -> str:
    if issubclass(kind, complex):
        return "c"
    return "i" if issubclass(kind, int) else "f"


def _title(dtype: dt.DType) -> str:
    return {"float32": "Float", "float64": "Double", "int64": "Long", "int32": "Int"}.get(
        dtype.name, dtype.name)


def cast_rule(spec: Spec, dtype: dt.DType, strides: tuple | None = None) -> Rule:
    """A copy in another dtype; strides follow PyTorch's `to` (dense strides are preserved)."""
    if strides is None:
        strides = spec.strides if spec.dense and spec.numel else output_strides(
            spec.shape, [(spec.shape, spec.strides)])
    return Rule(OPS["cast"], (spec,), spec_of(dtype, spec.shape, strides, spec.device),
                ("t", dtype))


def fill_rule(spec: Spec, kind: type) -> Rule:
    """A tensor filled with one scalar."""
    return Rule(OPS["fill"], (), spec, ("s", spec.dtype), _slot(kind))


def reduction_dtypes(op: Op, dtype: dt.DType, wanted: dt.DType | None) -> tuple:
    """(accumulating dtype, result dtype)."""
    if op.dtypes == "bool":
        return dt.bool_, dt.uint8 if dtype is dt.uint8 else dt.bool_
    if wanted is not None:
        result = wanted
    elif op.dtypes == "sum" and dtype.category <= dt.INT:
        result = dt.int64
    else:
        result = dtype
    return result.compute, result


def reduce_rule(op: Op, spec: Spec, dims: tuple[int, ...] | None, keepdim: bool,
                dtype: dt.DType | None = None) -> Rule:
    """The rule of a reduction over `dims` (None or (): all). attrs: (dims, keepdim, compute)."""
    dims = tuple(range(spec.ndim)) if not dims and dims != 0 else wrap_dims(dims, spec.ndim)
    dims = tuple(d for d in dims if d < spec.ndim)
    if op.name in ("amax", "amin"):
        for d in dims:
            if spec.shape[d] == 0:
                raise IndexError(f"{op.name}(): Expected reduction dim {d} to have non-zero size.")
        if spec.dtype.is_complex:
            raise RuntimeError(f'"{op.name}" not implemented for \'{_title(spec.dtype)}\'')
    compute, result = reduction_dtypes(op, spec.dtype, dtype)
    if not spec.ndim:       # nothing to combine
        return Rule(OPS["cast"], (spec,), spec_of(result, (), None, spec.device), ("t", compute))
    if keepdim:
        shape = tuple(1 if d in dims else n for d, n in enumerate(spec.shape))
    else:
        shape = tuple(n for d, n in enumerate(spec.shape) if d not in dims)
    return Rule(op, (spec,), spec_of(result, shape, None, spec.device), (dims, keepdim, compute))
