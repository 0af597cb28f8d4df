"""Numbers drawn in a wide type come in; what PyTorch stores of them, bit for bit, goes out.

Pure functions for `random_draws`: rounding to a dtype, fused scaling of uniforms, the bounds that
integers keep, and exchanges turned into a permutation. No state, no random numbers.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

FULL_RANGE_LOW = -(1 << 63)
FLOATING = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}  # name: significand bits
PARTS = {"complex64": "float32", "complex128": "float64"}  # name: that of the two parts
LARGEST = {
    "float16": 65504.0, "bfloat16": (2.0 - 2.0**-7) * 2.0**127,
    "float32": float(np.finfo(np.float32).max), "float64": float(np.finfo(np.float64).max),
}  # fmt: skip
INTEGRAL = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
)  # fmt: skip
COMMON = ("int8", "int16", "int32", "int64", "uint8", *FLOATING)  # what most operators accept
TORCH_NAMES = {
    "float16": "Half", "bfloat16": "BFloat16", "float32": "Float", "float64": "Double",
    "int8": "Char", "int16": "Short", "int32": "Int", "int64": "Long", "bool": "Bool",
    "uint8": "Byte", "uint16": "UInt16", "uint32": "UInt32", "uint64": "UInt64",
    "complex64": "ComplexFloat", "complex128": "ComplexDouble",
}  # fmt: skip


def bfloat16_bits(values: np.ndarray) -> np.ndarray:
    """float32 `values` as bfloat16 bits (uint16), rounded to nearest even; NaN becomes 0x7FC0."""
    words = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    rounded = (words + (np.uint32(0x7FFF) + ((words >> 16) & np.uint32(1)))) >> 16
    return np.where(np.isnan(values), np.uint32(0x7FC0), rounded).astype(np.uint16)


def bfloat16_values(bits: np.ndarray) -> np.ndarray:
    """The float32 values that bfloat16 `bits` (uint16) stand for."""
    return (np.asarray(bits).view(np.uint16).astype(np.uint32) << 16).view(np.float32)


def resolve(dtype: Any) -> tuple[str, np.dtype]:
    """The name of `dtype` and the NumPy dtype of the array that will hold it."""
    if isinstance(dtype, str) and dtype == "bfloat16":
        return "bfloat16", np.dtype(np.uint16)
    storage = np.dtype(dtype)
    return storage.name, storage


def require(name: str, allowed: Any, kernel: str) -> None:
    if name not in allowed:
        raise NotImplementedError(f'"{kernel}" not implemented for {TORCH_NAMES.get(name, name)!r}')


def convert(values: np.ndarray, name: str, storage: np.dtype) -> np.ndarray:
    """`values` cast as C casts them; 16-bit floats are reached by way of float32, as in PyTorch."""
    if values.dtype == storage:
        return values
    with np.errstate(over="ignore", invalid="ignore"):
        if name == "bfloat16":
            return bfloat16_bits(values.astype(np.float32)).view(storage)
        if name == "float16":
            return values.astype(np.float32).astype(np.float16)
        return values.astype(storage)


def rounded(value: float, name: str) -> float:
    """The number that is left of `value` when it is stored with the dtype `name`."""
    if name == "float64":
        return float(value)
    with np.errstate(over="ignore"):
        single = np.asarray([value]).astype(np.float32)
        if name == "bfloat16":
            single = bfloat16_values(bfloat16_bits(single))
        elif name == "float16":
            single = single.astype(np.float16)
    return float(single[0])


def scale_and_shift32(unit: np.ndarray, scale: np.float32, shift: np.float32) -> np.ndarray:
    """float32 `unit * scale + shift`, rounded once; `unit` are 24-bit fractions.

    The product is exact in float64. The sum is rounded there before it is rounded to float32, which
    is wrong only if the first rounding made a tie: those elements are moved off it by hand.
    """
    product = unit.astype(np.float64) * np.float64(scale)
    total = product + np.float64(shift)
    ties = np.flatnonzero((total.view(np.int64) & 0x1FFFFFFF) == 0x10000000)
    if ties.size:
        near, far = total[ties], np.float64(shift)
        back = near - far
        error = (product[ties] - back) + (far - (near - back))
        total[ties] = np.where(error == 0, near, np.nextafter(near, np.copysign(np.inf, error)))
    return total.astype(np.float32)


def uniform_limits(low: float, high: float, name: str) -> tuple[float, float]:
    """`low` and `high` as floats; RuntimeError unless they make a range of the dtype `name`."""
    low, high, top = float(low), float(high), LARGEST[name]
    for label, value in (("from", low), ("to", high)):
        if not -top <= value <= top:
            raise RuntimeError(f"{label} is out of bounds for {name}: {value}")
    if not low <= high:
        raise RuntimeError(
            f"uniform_ expects to return a [from, to) range, but found from={low} > to={high}"
        )
    if not high - low <= top:
        raise RuntimeError(
            f"uniform_ expects to-from <= std::numeric_limits<{TORCH_NAMES[name]}>::max(), but "
            f"found to={high} and from={low} which result in to-from to exceed the limit"
        )
    return low, high


def _two_sum(a: Any, b: Any) -> tuple[Any, Any]:
    """Sum and its rounding error (Knuth's TwoSum)."""
    total = a + b
    back = total - a
    return total, (a - (total - back)) + (b - back)


def _split(a: Any) -> tuple[Any, Any]:
    """`a` as two halves of 26 bits (Veltkamp)."""
    big = a * 134217729.0
    high = big - (big - a)
    return high, a - high


def scale_and_shift64(unit: np.ndarray, scale: np.float64, shift: np.float64) -> np.ndarray:
    """float64 `unit * scale + shift`, rounded once, as a fused multiply-add rounds it.

    Dekker's exact product, then the sum of three by rounding the two small parts to odd: Boldo and
    Melquiond, "Emulation of a FMA and correctly rounded sums", 2008.
    """
    product = unit * scale
    (unit_high, unit_low), (scale_high, scale_low) = _split(unit), _split(scale)
    error = unit_high * scale_high - product
    error = ((error + unit_high * scale_low) + unit_low * scale_high) + unit_low * scale_low
    small_sum, small_rest = _two_sum(shift, error)
    large_sum, large_rest = _two_sum(product, small_sum)
    rest, lost = _two_sum(small_rest, large_rest)
    even = (rest.view(np.int64) & 1) == 0
    toward = np.nextafter(rest, np.copysign(np.inf, lost))
    return large_sum + np.where((lost != 0) & even, toward, rest)


def permute(targets: np.ndarray) -> np.ndarray:
    """0..n-1 after exchanging position i with position targets[i] >= i, for i = 0, 1, ..., n-2.

    Without the loop: the value that leaves i when its turn comes is where a chain of exchanges
    began, so the chains are followed for all i at once by pointer doubling. The earlier exchange
    that had the same target comes from one sort.
    """
    n = targets.size + 1
    if n < 400:
        values = list(range(n))
        for i, j in enumerate(targets.tolist()):
            values[i], values[j] = values[j], values[i]
        return np.array(values, dtype=np.int64)
    turns = np.arange(n - 1, dtype=np.int64)
    ordered = np.sort((targets << 32) | turns)
    target, turn = ordered >> 32, ordered & 0xFFFFFFFF
    same = target[1:] == target[:-1]
    earlier = np.full(n - 1, -1, dtype=np.int64)  # the turn before i that had i's target
    earlier[turn[1:][same]] = turn[:-1][same]
    last = np.append(~same, True)
    position, source = target[last], turn[last]
    itself = source == position
    source[itself] = earlier[position[itself]]
    origin = np.arange(n, dtype=np.int64)
    found = source >= 0
    origin[position[found]] = source[found]
    while True:
        further = origin[origin]
        if np.array_equal(further, origin):
            break
        origin = further
    out = np.append(targets, origin[n - 1])
    seen = np.flatnonzero(earlier >= 0)
    out[seen] = origin[earlier[seen]]
    return out


def inside_out(choices: np.ndarray) -> np.ndarray:
    """0..n-1 after exchanging position i with position choices[i] <= i, for i = 0, 1, ..., n-1.

    Read backwards and mirrored these are the exchanges of `permute`, so its inverse is the answer.
    """
    n = choices.size
    mirrored = n - 1 - choices[:0:-1]
    out = np.empty(n, dtype=np.int64)
    out[n - 1 - permute(mirrored)] = np.arange(n - 1, -1, -1)
    return out


def representable_bounds(low: int, high: int, name: str) -> tuple[int, int]:
    """`low` and `high` moved inwards to where `name` has values, as PyTorch moves them."""
    digits = FLOATING[name]

    def stored(value: int) -> int:
        number = float(np.int64(value)) if name == "float64" else rounded(np.int64(value), name)
        return int(number) if abs(number) < 2.0**63 else FULL_RANGE_LOW

    def step(value: int) -> int:
        shift = abs(value).bit_length() - 1 - digits + 1
        return 1 << shift if shift >= 0 else 0

    if stored(low + 1) < low:
        low = stored(low + 1) + step(low + 1)
    if stored(high - 1) >= high:
        high = stored(high - 1) - step(high - 1)
    return low, high


def check_bounds(low: int, last: int, name: str) -> None:
    """Raises RuntimeError unless both ends, `last` inclusive, are values of the dtype `name`."""
    if name in FLOATING:
        digits, top = FLOATING[name], LARGEST[name]
        bottom: float = -top
    elif name == "bool":
        bottom, top = 0, 1
    elif name in INTEGRAL:
        bottom, top = int(np.iinfo(name).min), min(int(np.iinfo(name).max), (1 << 63) - 1)
    else:
        raise RuntimeError(
            "check_random_bounds handles only integral, floating-point and boolean types, "
            f"but the dtype is {name}"
        )
    for label, value in (("from", low), ("to - 1", last)):
        if not bottom <= value <= top:
            raise RuntimeError(f"{label} is out of bounds for {name}: {value}")
        if name in FLOATING and abs(value) > 1 << digits:
            warnings.warn(
                f"{label} is out of bounds [-(2^{digits}), 2^{digits}]. Due to precision "
                f"limitations {name} can support discrete uniform distribution only within this "
                "range.",
                UserWarning,
                stacklevel=4,
            )
