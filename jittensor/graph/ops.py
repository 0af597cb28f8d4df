"""The operator registry: rows in, operators by name out. A bad row fails at import, by its name.

An elementwise row is everything the project knows of an operator: its formula as a scalar Python
expression, its dtype rule, its gradient, its public names. The formula's names are the row's
arguments; the functions it may call are listed in `kernels.formula`. A gradient is a string over
`grad`, the arguments and `result`, made of operators and methods only, so that a gradient is
recorded like any other program and has a gradient of its own.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, field

from . import dtypes as dt
from .dtypes import DType

ELEMENTWISE, REDUCE, OPAQUE, COMPOSITE = "elementwise", "reduce", "opaque", "composite"


@dataclass(eq=False, slots=True)
class Gradient:
    """A gradient formula and the names that it reads (those are saved for backward)."""

    text: str
    names: frozenset[str]
    call: Callable


@dataclass(eq=False, slots=True)
class Op:
    """One operator. `kind` says which table it came from."""

    name: str
    kind: str
    args: tuple[str, ...] = ()
    formula: str = ""
    int_formula: str = ""
    complex_ok: bool = False
    dtypes: str = "same"
    grads: dict[str, Gradient | None] = field(default_factory=dict)
    grad_name: str = ""
    public: tuple[str, ...] = ()
    inplace: bool = False
    defaults: dict[str, float] = field(default_factory=dict)
    expensive: bool = False
    domain: tuple[float, float] = (-3.0, 3.0)
    doc: str = ""
    expand: Callable | None = None   # composite: builds the primitive nodes
    backward: Callable | None = None  # composite and opaque: gradient as a function
    combine: str = ""                # reduction: the name of its combining function
    saves: frozenset = frozenset()   # composite, opaque: operands (and 'result') backward reads
    overwrites: bool = False         # opaque: may write its result over its first operand

    def __repr__(self) -> str:
        return f"Op({self.name})"


OPS: dict[str, Op] = {}


def register(op: Op) -> Op:
    """Adds an operator; ValueError when the name is taken."""
    if op.name in OPS:
        raise ValueError(f"operator {op.name!r} is registered twice")
    OPS[op.name] = op
    return op


def composite(name: str, expand: Callable, backward: Callable | None = None, *, saves=(),
              grad_name: str = "", kind: str = COMPOSITE, overwrites: bool = False) -> Op:
    """Adds an operator that the compiler spells out as primitives (`expand(builder, *inputs,
    *attrs)`), or an opaque one (`expand(graph, entry, place)` gives its launches).

    `backward(node, grad)` gives a gradient for each operand.
    """
    op = Op(name, kind, expand=expand, backward=backward, saves=frozenset(saves),
            overwrites=overwrites)
    op.grad_name = grad_name or _camel(name) + "Backward0"
    return register(op)


def conj(value):
    """The conjugate of a tensor or number; real values are themselves."""
    if hasattr(value, "conj"):
        return value.conj()
    return value.conjugate() if isinstance(value, complex) else value


def number_kept(op: Op, arg: str) -> bool:
    """Whether a Python number beside 16-bit floats is kept in float32 rather than rounded to
    their dtype, as PyTorch's CPU kernels do in products, quotients and for parameters."""
    if arg in ("self", "other"):
        return op.name in ("mul", "div", "floor_divide")
    return op.name != "pow"


def _gradient(op_name: str, args: tuple[str, ...], text: str | None) -> Gradient | None:
    if text is None:
        return None
    try:
        tree = ast.parse(text, mode="eval")
    except SyntaxError as error:
        raise ValueError(f"operator {op_name!r}: gradient {text!r}: {error}") from None
    names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    known = {"grad", "result", "conj", *args}
    if not names <= known:
        raise ValueError(f"operator {op_name!r}: gradient names {sorted(names - known)}")
    parameters = ", ".join(["grad", "result", *args])
    call = eval(f"lambda {parameters}: {text}", {"conj": conj})  # the table's own text
    return Gradient(text, frozenset(names), call)


def elementwise(name: str, args: str, formula: str, *, types: str = "same",
                grad: dict | None = None, ints: str = "", public: str | None = None,
                inplace: bool | None = None,
                grad_name: str = "", defaults: dict | None = None, domain=(-3.0, 3.0),
                expensive: bool = False, complex_ok: bool = False, doc: str = "") -> Op:
    """Adds a row of the elementwise table.

    `public` lists the names users call it by ("" for none; its own name when not given).
    """
    arg_names = tuple(args.split())
    try:
        used = {n.id for n in ast.walk(ast.parse(formula, mode="eval")) if isinstance(n, ast.Name)}
    except SyntaxError as error:
        raise ValueError(f"operator {name!r}: formula {formula!r}: {error}") from None
    if not set(arg_names) & used and arg_names:
        raise ValueError(f"operator {name!r}: its formula uses none of its arguments")
    names = (name,) if public is None else tuple(public.split())
    op = Op(name, ELEMENTWISE, arg_names, formula, ints, complex_ok, types,
            public=names, defaults=defaults or {}, expensive=expensive, domain=domain, doc=doc)
    op.inplace = bool(names) if inplace is None else inplace
    op.grad_name = grad_name or _camel(name) + "Backward0"
    for arg, text in (grad or {}).items():
        if arg not in arg_names:
            raise ValueError(f"operator {name!r}: gradient of unknown argument {arg!r}")
        op.grads[arg] = _gradient(name, arg_names, text)
    return register(op)


def _camel(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in name.strip("_").split("_"))


def elementwise_types(op: Op, operands: list[tuple[str, DType | type]]) -> tuple[DType, DType]:
    """(compute dtype, result dtype) of a row applied to operands.

    Each operand is ('t', dtype) for a tensor, ('z', dtype) for a 0-d tensor or ('s', type) for
    a Python scalar.
    """
    kinds = operands
    rule = op.dtypes
    if rule == "where":
        kinds = operands[1:]
    elif rule in ("mask", "first"):
        return operands[0][1], operands[0][1]
    common = dt.result_type([d for k, d in kinds if k == "t"], [d for k, d in kinds if k == "z"],
                            [d for k, d in kinds if k == "s"])
    if rule in ("float", "float_out") and common.category < dt.FLOAT:
        common = dt.Default.float_
    if rule in ("bitwise", "integer") and common.category > dt.INT:
        raise NotImplementedError(f'"{op.name}_cpu" not implemented for \'{_scalar_name(common)}\'')
    if rule == "floating" and common.category < dt.FLOAT:
        raise NotImplementedError(f'"{op.name}_cpu" not implemented for \'{_scalar_name(common)}\'')
    if rule in ("no_bool", "real_no_bool", "integer") and common is dt.bool_:
        raise NotImplementedError(f'"{op.name}_cpu" not implemented for \'Bool\'')
    if common.is_complex and not op.complex_ok:
        raise NotImplementedError(
            f'"{op.name}_cpu" not implemented for \'{_scalar_name(common)}\'')
    if rule in ("compare", "predicate"):
        return common, dt.bool_
    if rule == "logical":
        return dt.bool_, dt.bool_
    if rule == "to_complex":
        return common, common.to_complex()
    if rule in ("real", "real_no_bool"):
        return common, common.to_real()
    if rule == "real_float":
        real = common.to_real() if common.category >= dt.FLOAT else dt.Default.float_
        return (common, real) if common.is_complex else (real, real)
    return common, common


_SCALAR_NAMES = {"bool": "Bool", "uint8": "Byte", "int8": "Char", "int16": "Short", "int32": "Int",
                 "int64": "Long", "float16": "Half", "bfloat16": "BFloat16", "float32": "Float",
                 "float64": "Double", "complex64": "ComplexFloat", "complex128": "ComplexDouble"}


def _scalar_name(dtype: DType) -> str:
    return _SCALAR_NAMES[dtype.name]
