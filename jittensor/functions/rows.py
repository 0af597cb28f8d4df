"""Functions made from the elementwise table: operands in, a recorded operator out; `out=`."""

from __future__ import annotations

from collections.abc import Callable

from ..creation import as_tensor, resize_output
from ..graph import composites, elementwise, reductions  # noqa: F401  (fill the tables)
from ..graph.ops import ELEMENTWISE, OPS, Op
from ..record import elementwise as record
from ..record import write
from ..tensor import Tensor


def into(out: Tensor | None, result: Tensor) -> Tensor:
    """`result`, or `out` with the result written to it (resized when its shape differs)."""
    if out is None:
        return result
    if not isinstance(out, Tensor):
        raise TypeError(f"argument 'out' must be Tensor, not {type(out).__name__}")
    if result.dtype.category > out.dtype.category:
        from ..graph.ops import _scalar_name
        raise RuntimeError(f"result type {_scalar_name(result.dtype)} can't be cast to the desired "
                           f"output type {_scalar_name(out.dtype)}")
    if out.shape != result.shape:
        resize_output(out, result.shape)
    write(out, OPS["cast"], result)
    return out


OPERANDS = (Tensor, bool, int, float, complex)


def operand(value, op: Op, arg: str):
    """A tensor or number as an operand; TypeError for anything else."""
    if isinstance(value, OPERANDS):
        return value
    if hasattr(value, "item") and hasattr(value, "dtype"):
        return value.item() if getattr(value, "ndim", 0) == 0 else as_tensor(value)
    raise TypeError(f"{op.name}(): argument '{arg}' must be Tensor, not {type(value).__name__}")


def must_be_tensor(function: str, arg: str, value, position: int = 1) -> None:
    """TypeError in PyTorch's words unless a value is a tensor."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{function}(): argument '{arg}' (position {position}) must be Tensor, not "
                        f"{type(value).__name__}")


# a number may stand before a tensor in these
SCALAR_FIRST = {"mul", "xlogy", "xlog1py", "zeta", "bitwise_and", "bitwise_or", "bitwise_xor",
                "bitwise_left_shift", "bitwise_right_shift"} | {
                    op.name for op in OPS.values() if "_polynomial_" in op.name}


# the second operand of these is a tensor too
TENSORS_ONLY = {"atan2", "fmax", "fmin", "maximum", "minimum", "logical_and", "logical_or",
                "logical_xor", "gcd", "lcm", "ldexp"}


# of operators whose formulas are real ones: what takes complex tensors (`complex_elementary`)
COMPOSED: dict[str, Callable[..., Tensor]] = {}


def _given(op: Op, values: tuple, named: dict) -> list:
    """The operands of a row, with named and default ones in their places."""
    values, args = list(values), op.args
    for arg in args[len(values):]:
        if arg in named:
            values.append(named.pop(arg))
        elif arg == args[0] and "input" in named:
            values.append(named.pop("input"))
        elif arg in op.defaults:
            values.append(op.defaults[arg])
        else:
            required = len(args) - len(op.defaults)
            raise TypeError(f"{op.name}() missing {required - len(values)} required positional "
                            f"arguments: \"{arg}\"")
    if named:
        raise TypeError(f"{op.name}() got an unexpected keyword argument "
                        f"'{next(iter(named))}'")
    if len(values) > len(args):
        raise TypeError(f"{op.name}() takes {len(args)} positional arguments but "
                        f"{len(values)} were given")
    return values


def from_row(op: Op):
    """The public function of an elementwise row."""
    args, count = op.args, len(op.args)
    scalar_first, tensors_only = op.name in SCALAR_FIRST, op.name in TENSORS_ONLY

    def function(*values, out=None, **named):
        if named or len(values) != count:
            values = _given(op, values, named)
        for value in values:
            if not isinstance(value, OPERANDS):
                values = [operand(v, op, a) for v, a in zip(values, args, strict=True)]
                break
        if not isinstance(values[0], Tensor) and not (scalar_first and any(
                isinstance(v, Tensor) for v in values)):
            raise TypeError(f"{op.name}(): argument '{args[0]}' (position 1) must be Tensor, not "
                            f"{type(values[0]).__name__}")
        if tensors_only and not isinstance(values[1], Tensor):
            raise TypeError(f"{op.name}(): argument '{args[1]}' (position 2) must be Tensor, not "
                            f"{type(values[1]).__name__}")
        try:
            result = record(op, *values)
        except NotImplementedError:
            composed = COMPOSED.get(op.name)
            if composed is None or not any(
                    isinstance(v, Tensor) and v.dtype.is_complex for v in values):
                raise
            result = None
        if result is None:
            result = composed(*values)
        return result if out is None else into(out, result)

    function.__name__ = function.__qualname__ = op.public[0] if op.public else op.name
    function.__doc__ = (f"Elementwise: `{op.formula}`."
                        + (f" {op.doc}" if op.doc else ""))
    return function


ROWS: dict[str, Callable[..., Tensor]] = {}
for _op in list(OPS.values()):
    if _op.kind == ELEMENTWISE and _op.public:
        _function = from_row(_op)
        for _name in _op.public:
            ROWS[_name] = _function


def title(x: Tensor) -> str:
    """The name of a tensor's dtype in PyTorch's errors."""
    from ..graph.ops import _scalar_name
    return _scalar_name(x.dtype)
