"""In: an llvmlite builder and SSA values; out: values that Python's operators turn into LLVM IR.

A `Lane` is one scalar value inside a loop body. Formulas in the sibling files are written once on
lanes; every operator appends one instruction, without fastmath flags and without branches, so that
LLVM's loop vectoriser makes vector instructions of them. `fma` is explicit: nothing is contracted
behind the formula's back, so vector body and scalar tail of a loop give the same bits.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

import llvmlite.ir as ir

F32 = ir.FloatType()
F64 = ir.DoubleType()
I1 = ir.IntType(1)
I32 = ir.IntType(32)
I64 = ir.IntType(64)

Number = int | float


def round_to_float32(x: float) -> float:
    """The float32 nearest to `x`, as a Python float; infinite where it overflows."""
    try:
        return struct.unpack("f", struct.pack("f", x))[0]
    except OverflowError:
        return float("inf") if x > 0 else float("-inf")


class Lane:
    """One scalar SSA value (float32, float64, int32, int64 or bool) and the builder that made it.

    Operators want both sides of the same type; a Python number is taken as a constant of the
    other side's type. Comparisons of floats are ordered (false for NaN) but for `!=`, as in C;
    integers are signed.
    """

    __slots__ = ("builder", "value")
    __hash__ = None

    def __init__(self, builder: ir.IRBuilder, value: ir.Value) -> None:
        self.builder = builder
        self.value = value

    def _new(self, value: ir.Value) -> Lane:
        return type(self)(self.builder, value)

    # -- what it is ------------------------------------------------------------------------
    @property
    def is_float(self) -> bool:
        return self.value.type in (F32, F64)

    @property
    def is_f32(self) -> bool:
        return self.value.type == F32

    @property
    def is_short(self) -> bool:
        """Whether float32 precision is all that the result needs."""
        return self.value.type == F32

    def const(self, x: Number) -> Lane:
        """The constant `x` of this lane's type."""
        if self.is_f32:
            x = round_to_float32(x)
        return self._new(ir.Constant(self.value.type, x))

    def pick(self, f32: object, f64: object) -> object:
        """`f32` in a float32 formula, `f64` in a float64 formula (coefficients, degrees)."""
        return f32 if self.is_f32 else f64

    def _same(self, other: Lane | Number) -> ir.Value:
        return (other if isinstance(other, Lane) else self.const(other)).value

    def coefficients(self, f32: Sequence[float], f64: Sequence[float]) -> Sequence[float]:
        """The coefficients for the precision that the result needs, whatever the lane's type."""
        return f32 if self.is_short else f64

    def _emit(self, float_op: str, int_op: str, other: Lane | Number, flip: bool = False) -> Lane:
        pair = (self.value, self._same(other))
        method = getattr(self.builder, float_op if self.is_float else int_op)
        return self._new(method(*(pair[::-1] if flip else pair)))

    # -- arithmetic ------------------------------------------------------------------------
    def __add__(self, other: Lane | Number) -> Lane:
        return self._emit("fadd", "add", other)

    def __radd__(self, other: Number) -> Lane:
        return self._emit("fadd", "add", other, flip=True)

    def __sub__(self, other: Lane | Number) -> Lane:
        return self._emit("fsub", "sub", other)

    def __rsub__(self, other: Number) -> Lane:
        return self._emit("fsub", "sub", other, flip=True)

    def __mul__(self, other: Lane | Number) -> Lane:
        return self._emit("fmul", "mul", other)

    def __rmul__(self, other: Number) -> Lane:
        return self._emit("fmul", "mul", other, flip=True)

    def __truediv__(self, other: Lane | Number) -> Lane:
        return self._new(self.builder.fdiv(self.value, self._same(other)))

    def __rtruediv__(self, other: Number) -> Lane:
        return self._new(self.builder.fdiv(self._same(other), self.value))

    def __neg__(self) -> Lane:
        make = self.builder.fneg if self.is_float else self.builder.neg
        return self._new(make(self.value))

    def __abs__(self) -> Lane:
        return intrinsic_call("fabs", self)

    # -- bits ------------------------------------------------------------------------------
    def __and__(self, other: Lane | int) -> Lane:
        return self._new(self.builder.and_(self.value, self._same(other)))

    def __or__(self, other: Lane | int) -> Lane:
        return self._new(self.builder.or_(self.value, self._same(other)))

    def __xor__(self, other: Lane | int) -> Lane:
        return self._new(self.builder.xor(self.value, self._same(other)))

    def __invert__(self) -> Lane:
        return self._new(self.builder.not_(self.value))

    def __lshift__(self, count: Lane | int) -> Lane:
        return self._new(self.builder.shl(self.value, self._same(count)))

    def __rshift__(self, count: Lane | int) -> Lane:
        """Arithmetic shift: the sign bit fills."""
        return self._new(self.builder.ashr(self.value, self._same(count)))

    def logical_shift_right(self, count: Lane | int) -> Lane:
        return self._new(self.builder.lshr(self.value, self._same(count)))

    # -- comparisons -----------------------------------------------------------------------
    def _compare(self, op: str, other: Lane | Number) -> Lane:
        if not self.is_float:
            made = self.builder.icmp_signed(op, self.value, self._same(other))
        elif op == "!=":
            made = self.builder.fcmp_unordered(op, self.value, self._same(other))
        else:
            made = self.builder.fcmp_ordered(op, self.value, self._same(other))
        return self._new(made)

    def __lt__(self, other: Lane | Number) -> Lane:
        return self._compare("<", other)

    def __le__(self, other: Lane | Number) -> Lane:
        return self._compare("<=", other)

    def __gt__(self, other: Lane | Number) -> Lane:
        return self._compare(">", other)

    def __ge__(self, other: Lane | Number) -> Lane:
        return self._compare(">=", other)

    def __eq__(self, other: Lane | Number) -> Lane:  # type: ignore[override]
        return self._compare("==", other)

    def __ne__(self, other: Lane | Number) -> Lane:  # type: ignore[override]
        return self._compare("!=", other)

    # -- conversions -----------------------------------------------------------------------
    def bits(self) -> Lane:
        """The same bits as an integer of the same width."""
        return self._new(self.builder.bitcast(self.value, I32 if self.is_f32 else I64))

    def as_float(self) -> Lane:
        """The same bits as a float of the same width."""
        target = F32 if self.value.type == I32 else F64
        return self._new(self.builder.bitcast(self.value, target))

    def to(self, target: ir.Type) -> Lane:
        """The value converted to `target`; a float goes to an integer only if it is in range."""
        source = self.value.type
        if source == target:
            return self
        if self.is_float:
            name = {F64: "fpext", F32: "fptrunc"}.get(target, "fptosi")
        elif target in (F32, F64):
            name = "sitofp"
        elif target.width < source.width:
            name = "trunc"
        else:
            name = "zext" if source == I1 else "sext"
        return self._new(getattr(self.builder, name)(self.value, target))


class WideLane(Lane):
    """A float64 lane in a formula whose result is narrowed to float32.

    Half as many lanes fit a register, but no compensation is needed and short polynomials do.
    """

    __slots__ = ()

    @property
    def is_short(self) -> bool:
        return True


def in_float64(formula: Callable[..., Lane]) -> Callable[..., Lane]:
    """The formula on float32 lanes, computed in float64 to float32's precision."""

    def narrowed(*lanes: Lane) -> Lane:
        wide = (WideLane(lane.builder, lane.to(F64).value) for lane in lanes)
        return Lane(lanes[0].builder, formula(*wide).to(F32).value)

    return narrowed


def intrinsic_call(name: str, *lanes: Lane) -> Lane:
    """LLVM's own `llvm.<name>.<type>` of lanes of one type, such as fma, fabs, floor, sqrt."""
    builder = lanes[0].builder
    values = [lane.value for lane in lanes]
    kind = values[0].type
    symbol = f"llvm.{name}.{kind.intrinsic_name}"
    function = builder.module.globals.get(symbol)
    if function is None:
        signature = ir.FunctionType(kind, [kind] * len(values))
        function = ir.Function(builder.module, signature, symbol)
    return lanes[0]._new(builder.call(function, values))


def fma(a: Lane, b: Lane | Number, c: Lane | Number) -> Lane:
    """a*b + c rounded once."""
    return intrinsic_call("fma", a, a._new(a._same(b)), a._new(a._same(c)))


def select(condition: Lane, yes: Lane | Number, no: Lane | Number) -> Lane:
    """`yes` where `condition` holds, else `no`; one of them may be a number."""
    typed = yes if isinstance(yes, Lane) else no
    yes_value, no_value = typed._same(yes), typed._same(no)
    return typed._new(typed.builder.select(condition.value, yes_value, no_value))


def polynomial(x: Lane, coefficients: Sequence[float]) -> Lane:
    """Horner's rule by fma; `coefficients` begin with the constant term."""
    result = x.const(coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        result = fma(result, x, coefficient)
    return result


def copysign(magnitude: Lane | Number, sign: Lane) -> Lane:
    """`magnitude` with the sign bit of `sign`."""
    return intrinsic_call("copysign", sign._new(sign._same(magnitude)), sign)


def sign_bit(x: Lane) -> Lane:
    """Whether the sign bit of a float is set (true for -0.0)."""
    return x.bits() < 0
