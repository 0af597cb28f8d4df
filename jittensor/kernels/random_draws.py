"""A generator comes in; PyTorch's CPU random numbers go out of it, as NumPy arrays.

Under the draws is the 32-bit Mersenne Twister of `mersenne_twister`. What this file adds is how
PyTorch turns its words into numbers: which word gives which element, how many words an element
takes, and how they are rounded. The numbers equal PyTorch's bit for bit, but for the last bit of
some float64 ones that went through a logarithm or a tangent: mathematical libraries differ there.

Two rules that surprise: a float64 (and a mask of scalar probability) takes two words an element, of
which the first is the high one and the low 53 bits count; a float32 takes one word, of which the
low 24 bits count. NumPy's own conversions take the high bits, so none of them is used.

Where PyTorch prefers MKL's generator (`bernoulli_` with a scalar and `dropout`, in some builds on
Intel CPUs), its masks come from MKL; this file follows the path that all others take.

Every draw returns a new contiguous array, one-dimensional unless its docstring gives a shape, in
the order in which PyTorch fills a contiguous tensor. `dtype` is a NumPy dtype or its name;
`"bfloat16"` gives raw bits in uint16 (see `bfloat16_bits`), and a registered NumPy dtype of that
name (ml_dtypes') gives that dtype. Complex tensors are drawn as their real view, `randn` with
std / sqrt(2). A normal with a tensor for mean or std is `normal(n)` times std, plus mean.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .box_muller import box_muller
from .mersenne_twister import BLOCK, MASK53, STATE_DTYPE, MersenneWords
from .random_arithmetic import (
    COMMON,
    FLOATING,
    FULL_RANGE_LOW,
    INTEGRAL,
    PARTS,
    bfloat16_bits,
    bfloat16_values,
    check_bounds,
    convert,
    inside_out,
    permute,
    representable_bounds,
    require,
    resolve,
    rounded,
    scale_and_shift32,
    scale_and_shift64,
    uniform_limits,
)

__all__ = ["BLOCK", "STATE_DTYPE", "MersenneTwister", "bfloat16_bits", "bfloat16_values"]

_WIDE_RANGE = 1 << 28  # from this range on, integers take two words each
_LONG_PERMUTATION = ((1 << 32) - 1) // 20  # from this length on, permutations do too


class MersenneTwister(MersenneWords):
    """One generator of PyTorch's CPU kind: a Mersenne Twister and the normal it has left over.

    All methods may be called from several threads; each draw is one uninterrupted piece of the
    stream. Draws of nothing leave the state as it is.
    """

    # ── real numbers ─────────────────────────────────────────────────────────────────────────────

    def uniform(
        self, n: int, dtype: Any = "float32", low: float = 0.0, high: float = 1.0
    ) -> np.ndarray:
        """`n` draws from [low, high): u * (high - low) + low, rounded once; `high` turns to `low`.

        float64 takes two words an element; float32, and the 16-bit dtypes by way of it, take one.
        A complex number's parts are two draws. NotImplementedError unless floating or complex,
        RuntimeError for bounds that PyTorch refuses.
        """
        name, storage = resolve(dtype)
        if name in PARTS:
            return self.uniform(2 * n, PARTS[name], low, high).view(storage)
        if low != 0.0 or high != 1.0 or name not in FLOATING:
            require(name, FLOATING, "check_uniform_bounds")
            low, high = uniform_limits(low, high, name)
        double = name == "float64"
        out = np.empty(n, np.float64 if double else np.float32)
        with self.lock:
            if double:
                self.fill_unit64(out)
            else:
                self.fill_unit32(out)
        if low != 0.0 or high != 1.0:
            kind, fused = (
                (np.float64, scale_and_shift64) if double else (np.float32, scale_and_shift32)
            )
            first, last = kind(low), kind(high)
            for start in range(0, n, BLOCK):
                piece = out[start : start + BLOCK]
                piece[...] = fused(piece, last - first, first)
        elif out.dtype == storage:
            return out  # a fraction below 1 needs neither rounding nor clamping
        out = convert(out, name, storage)
        if name == "bfloat16":
            bits = out.view(np.uint16)
            ends = bfloat16_bits(np.array([low, high], dtype=np.float32))
            bits[bits == ends[1]] = ends[0]
        else:
            out[out == storage.type(rounded(high, name))] = rounded(low, name)
        return out

    def normal(
        self,
        n: int,
        dtype: Any = "float32",
        mean: float = 0.0,
        std: float = 1.0,
        contiguous: bool = True,
    ) -> np.ndarray:
        """`n` draws from the normal distribution, by Box and Muller (1958).

        From 16 elements on, a contiguous tensor is filled in blocks of 16: eight radii from the
        first eight uniforms and eight angles from the others give eight cosines, then eight sines;
        if 16 does not divide n, the last 16 elements are drawn anew. Fewer elements, or a tensor
        that is not contiguous, are drawn in float64 two at a time, and the second of a pair waits
        in the generator for the next such draw. A complex number's parts are two draws of half the
        variance. NotImplementedError unless floating or complex, RuntimeError for a negative std.
        """
        if not std >= 0.0:
            raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
        name, storage = resolve(dtype)
        if name in PARTS:
            return self.normal(2 * n, PARTS[name], mean, std / 2 ** 0.5, contiguous).view(storage)
        require(name, FLOATING, "normal_kernel_cpu")
        with self.lock:
            if n < 16 or not contiguous:
                values = self._normal_pairs(n)
                values *= std
                values += mean
            else:
                values = self._normal_blocks(n, name, mean, std)
        return convert(values, name, storage)

    def _normal_pairs(self, n: int) -> np.ndarray:
        """`n` standard normals in float64, using up and leaving behind the spare one."""
        out = np.empty(n, np.float64)
        if n and self.next_double is not None:
            out[0], self.next_double = self.next_double, None
            rest = out[1:]
        else:
            rest = out
        if rest.size:
            pairs = -(-rest.size // 2)
            unit = self.fill_unit64(np.empty(2 * pairs, np.float64))
            radius = np.sqrt(-2.0 * np.log1p(-unit[1::2]))
            angle = 2.0 * np.pi * unit[0::2]
            rest[0::2] = radius * np.cos(angle)
            second = radius * np.sin(angle)
            rest[1::2] = second[: rest.size // 2]
            if rest.size % 2:
                self.next_double = float(second[-1])
        return out

    def _normal_blocks(self, n: int, name: str, mean: float, std: float) -> np.ndarray:
        """`n` >= 16 normals in float64 for that dtype, else in float32, in blocks of 16."""
        double = name == "float64"
        fill = self.fill_unit64 if double else self.fill_unit32
        out = np.empty(n, np.float64 if double else np.float32)
        whole = n - n % 16
        box_muller(fill(out[:whole]), mean, std)
        if n % 16:
            if name in ("float32", "float64"):
                fill(out[whole:])  # drawn and thrown away: the 16-bit dtypes do not draw them
            box_muller(fill(out[-16:]), mean, std)
        return out

    def log_normal(
        self, n: int, dtype: Any = "float32", mean: float = 1.0, std: float = 2.0
    ) -> np.ndarray:
        """exp of `n` normals, always the float64 pairs of `normal`; RuntimeError unless std > 0."""
        if not std > 0.0:
            raise RuntimeError(f"log_normal_ expects std > 0.0, but found std={std}")
        name, storage = resolve(dtype)
        require(name, FLOATING, "log_normal_cpu")
        with self.lock:
            values = self._normal_pairs(n)
        with np.errstate(over="ignore"):
            return convert(np.exp(values * std + mean), name, storage)

    def exponential(self, n: int, dtype: Any = "float32", rate: float = 1.0) -> np.ndarray:
        """-1/rate * log1p(-u), u a fraction of 53 bits whatever the dtype; 0 can come out.

        RuntimeError unless rate > 0 and the dtype is floating.
        """
        if not rate > 0.0:
            raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={rate}")
        name, storage = resolve(dtype)
        if name not in FLOATING:
            raise RuntimeError(
                "Exponential distribution is a continuous probability distribution. "
                f"dtype must be a floating point but you specified {name}"
            )
        out = np.empty(n, storage)
        with self.lock:
            for place, unit in self.unit64_blocks(n):
                out[place] = convert(-1.0 / rate * np.log1p(-unit), name, storage)
        return out

    def cauchy(
        self, n: int, dtype: Any = "float32", median: float = 0.0, sigma: float = 1.0
    ) -> np.ndarray:
        """median + sigma * tan(pi * (u - 1/2)), u a fraction of 53 bits whatever the dtype.

        RuntimeError unless sigma > 0 and the dtype is floating.
        """
        if not sigma > 0.0:
            raise RuntimeError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma}")
        name, storage = resolve(dtype)
        if name not in FLOATING:
            raise RuntimeError(
                "Cauchy distribution is a continuous probability distribution. "
                f"dtype must be a floating point but you specified {name}"
            )
        out = np.empty(n, storage)
        with self.lock:
            for place, unit in self.unit64_blocks(n):
                values = median + sigma * np.tan(np.pi * (unit - 0.5))
                out[place] = convert(values, name, storage)
        return out

    def geometric(self, n: int, p: float, dtype: Any = "float32") -> np.ndarray:
        """ceil(log(u) / log1p(-p)), u a fraction of 53 bits: trials up to the first success.

        RuntimeError unless 0 < p < 1, NotImplementedError for bool and complex.
        """
        if not 0.0 < p < 1.0:
            raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p}")
        name, storage = resolve(dtype)
        require(name, COMMON, "geometric_cpu")
        out = np.empty(n, storage)
        with self.lock, np.errstate(divide="ignore"):
            for place, unit in self.unit64_blocks(n):
                values = np.ceil(np.log(unit) / np.log1p(-p))
                out[place] = convert(values, name, storage)
        return out

    # ── integers ─────────────────────────────────────────────────────────────────────────────────

    def randint(self, n: int, low: int, high: int | None, dtype: Any = "int64") -> np.ndarray:
        """`n` integers from low up to `high` exclusive, or up to the dtype's last one for None.

        word % (high - low) + low, the word of 32 bits for a range under 2**28, else of 64 bits.
        With low = -2**63 and high None, the 64-bit words themselves. Floating dtypes hold integers;
        their bounds are moved inwards to representable ones. RuntimeError for an empty range or
        bounds outside the dtype; UserWarning where a floating dtype skips integers.
        """
        name, storage = resolve(dtype)
        if high is None and low == FULL_RANGE_LOW:
            return self._full_range(n, name, storage)
        if high is None:
            low, high = _up_to_last(low, name)
        else:
            if low >= high:
                raise RuntimeError(
                    f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}"
                )
            if name in FLOATING:
                low, high = representable_bounds(low, high, name)
                if low >= high:
                    raise RuntimeError(
                        "random_ expects 'from' casted to dtype to be less than 'to' casted to "
                        f"dtype, but got from={low} >= to={high}"
                    )
        check_bounds(low, high - 1, name)
        span = high - low
        wide = span >= _WIDE_RANGE
        out = np.empty(n, storage)
        with self.lock:
            for start in range(0, n, BLOCK):
                size = min(BLOCK, n - start)
                if wide:
                    values = (self.joined(size) % np.uint64(span)).view(np.int64)
                else:
                    words = self.words(size).astype(np.uint32)
                    # quotient first: NumPy divides by one number in vectors, but has no such rest
                    words -= words // np.uint32(span) * np.uint32(span)
                    values = words.astype(np.int64)
                if low:
                    values += low
                out[start : start + size] = convert(values, name, storage)
        return out

    def _full_range(self, n: int, name: str, storage: np.dtype) -> np.ndarray:
        if name not in ("int64", "float64", "float32", "bfloat16"):
            raise RuntimeError(
                "random_full_64_bits_range_kernel_cpu handles only int64, double, float and "
                f"bfloat16, but the dtype is {name}"
            )
        return convert(self.random64(n).view(np.int64), name, storage)

    def random_(self, n: int, dtype: Any = "int64") -> np.ndarray:
        """`n` integers from 0 to the dtype's last one, or to 2**digits for a floating dtype.

        int64 and float64 are made of 64-bit words, the others of 32-bit ones (bool of the lowest
        bit). NotImplementedError for the unsigned dtypes but uint8, and for complex.
        """
        name, storage = resolve(dtype)
        require(name, (*COMMON, "bool"), "random_kernel_cpu")
        if name in FLOATING:
            span = (1 << FLOATING[name]) + 1
        else:
            span = 2 if name == "bool" else 1 << (8 * storage.itemsize - (name != "uint8"))
        with self.lock:
            words = self.joined(n) if name in ("int64", "float64") else self.words(n)
        words %= np.uint64(span)
        return convert(words.view(np.int64), name, storage)

    def randperm(self, n: int, dtype: Any = "int64") -> np.ndarray:
        """A permutation of 0..n-1: Fisher and Yates' exchanges, with word % (n - i) + i.

        From 214,748,364 elements on, PyTorch uses 64-bit words and the inside-out variant.
        RuntimeError for negative n or one whose numbers the dtype does not hold.
        """
        if n < 0:
            raise RuntimeError(f"Trying to create tensor with negative dimension {n}: [{n}]")
        name, storage = resolve(dtype)
        require(name, COMMON, "randperm")
        if name in FLOATING:
            most = (1 << FLOATING[name]) + 1
        else:
            most = int(np.iinfo(name).max)
        if n > most:
            raise RuntimeError(f"n cannot be greater than {most} for {name} type, but got n={n}")
        with self.lock:
            if n >= _LONG_PERMUTATION:
                words = self.joined(n)
                words %= np.arange(1, n + 1, dtype=np.uint64)
                return convert(inside_out(words.view(np.int64)), name, storage)
            words = self.words(max(n - 1, 0)).astype(np.uint32)
        words %= np.arange(n, 1, -1, dtype=np.uint32)
        targets = words.astype(np.int64)
        targets += np.arange(targets.size)
        return convert(permute(targets) if n else targets, name, storage)

    # ── choices ──────────────────────────────────────────────────────────────────────────────────

    def bernoulli(self, n: int, p: float, dtype: Any = "bool") -> np.ndarray:
        """`n` masks that are 1 with probability `p`: a fraction of 53 bits less than `p`.

        It is the mask of `bernoulli_(p)`, and of dropout with p the probability to keep.
        RuntimeError unless 0 <= p <= 1, NotImplementedError for complex.
        """
        if not 0.0 <= p <= 1.0:
            raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p}")
        name, storage = resolve(dtype)
        require(name, (*COMMON, "bool"), "bernoulli_scalar_cpu_")
        # u < p compares integers: u is a multiple of 2**-53, and p * 2**53 is exact
        threshold = np.uint64(int(np.ceil(p * 2.0**53)))
        mask = np.empty(n, np.bool_)
        with self.lock:
            for start in range(0, n, BLOCK // 2):
                size = min(BLOCK // 2, n - start)
                words = self.joined(size)
                words &= MASK53
                np.less(words, threshold, out=mask[start : start + size])
        return convert(mask, name, storage)

    def bernoulli_from(self, p: np.ndarray, dtype: Any = None) -> np.ndarray:
        """Masks of the shape of `p`, 1 with the probability at that place; dtype `p`'s by default.

        A float64 `p` is compared with fractions of 53 bits, every other floating dtype with ones of
        24 bits (bfloat16 as ml_dtypes', or widen the bits with `bfloat16_values` first).
        RuntimeError for a probability outside [0, 1], NotImplementedError unless `p` is floating.
        """
        p = np.asarray(p)
        require(p.dtype.name, FLOATING, "bernoulli_tensor_cpu_p_")
        name, storage = resolve(p.dtype if dtype is None else dtype)
        require(name, (*COMMON, "bool"), "bernoulli_tensor_cpu_self_")
        if not np.all((p >= 0) & (p <= 1)):
            raise RuntimeError("bernoulli expects every probability to be in [0, 1]")
        double = p.dtype == np.float64
        unit = self.uniform(p.size, "float64" if double else "float32")
        mask = unit < p.reshape(-1).astype(unit.dtype, copy=False)
        return convert(mask, name, storage).reshape(p.shape)

    def multinomial(
        self, weights: np.ndarray, num_samples: int, replacement: bool = False
    ) -> np.ndarray:
        """Indices (int64) drawn with probabilities proportional to `weights`, 1-D or rows of 2-D.

        Without replacement, and for a single sample, the largest of weight / Exponential(1) are
        taken in descending order; equal quotients (weights of 0) come in the order of their index,
        which PyTorch leaves open. Otherwise each sample is a fraction of 53 bits looked up in the
        cumulative weights, which are summed in the dtype (16-bit ones in float32). bfloat16 as
        ml_dtypes'. RuntimeError for what is no distribution and for too many samples.
        """
        weights = np.asarray(weights)
        _check_multinomial(weights, num_samples, replacement)
        rows = weights.reshape(-1, weights.shape[-1])
        shape = (*weights.shape[:-1], num_samples)
        name, storage = resolve(weights.dtype)
        wide = rows.astype(np.float64 if name == "float64" else np.float32)
        if not replacement or num_samples == 1:
            _check_weights(wide)
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                noise = self.exponential(rows.size, storage).reshape(rows.shape)
                quotient = convert(wide / noise.astype(wide.dtype), name, storage)
            quotient = quotient.astype(wide.dtype)
            if num_samples == 1:
                return np.argmax(quotient, axis=-1).reshape(shape)
            order = np.argsort(-quotient, axis=-1, kind="stable")
            return np.ascontiguousarray(order[:, :num_samples]).reshape(shape)
        out = np.empty((rows.shape[0], num_samples), dtype=np.int64)
        with self.lock:
            for row, found in zip(wide, out):
                cumulative = _cumulative(row)
                found[...] = np.searchsorted(cumulative, self.uniform(num_samples, "float64"))
        return out.reshape(shape)


def _up_to_last(low: int, name: str) -> tuple[int, int]:
    """The bounds of `random_(low, None)`: `high` is one above the last integer of the dtype."""
    if name in FLOATING:
        last = 1 << FLOATING[name]
        low = representable_bounds(low, last, name)[0]
        if low >= last:
            raise RuntimeError(
                "random_ expects 'from' casted to dtype to be less than or equal to 'to_inc' "
                f"casted to dtype, but got from={low} > to_inc={last}"
            )
    elif name in INTEGRAL:
        last = 1 if name == "bool" else min(int(np.iinfo(name).max), (1 << 63) - 1)
    else:
        raise RuntimeError(
            "random_from_to_impl handles only integral, floating-point and boolean types, "
            f"but the dtype is {name}"
        )
    return low, last + 1


def _check_multinomial(weights: np.ndarray, num_samples: int, replacement: bool) -> None:
    if weights.ndim not in (1, 2):
        raise RuntimeError(f"prob_dist must be 1 or 2 dim, but its shape is {weights.shape}")
    if weights.dtype.name not in FLOATING:
        raise RuntimeError(
            f"multinomial only supports floating-point dtypes for input, got: {weights.dtype.name}"
        )
    if num_samples <= 0:
        raise RuntimeError(f"cannot sample n_sample <= 0 samples, but got {num_samples}")
    if not replacement and num_samples > weights.shape[-1]:
        raise RuntimeError(
            "cannot sample n_sample > prob_dist.size(-1) samples without replacement: "
            f"{num_samples} > {weights.shape[-1]}"
        )
    if weights.shape[-1] > 1 << 24:
        raise RuntimeError(
            f"number of categories cannot exceed 2^24, but there are {weights.shape[-1]}"
        )


def _check_weights(rows: np.ndarray) -> None:
    if not np.all((rows >= 0) & (rows < np.inf)):
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
    if np.any(rows.sum(axis=-1) == 0):
        raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")


def _cumulative(row: np.ndarray) -> np.ndarray:
    """Normalised running sums of `row`, added up in its dtype, as float64; the last one is 1."""
    if not np.all(row >= 0):
        raise RuntimeError("invalid multinomial distribution (encountering probability entry < 0)")
    if not np.all(np.isfinite(row)):
        raise RuntimeError(
            "invalid multinomial distribution (encountering probability entry = infinity or NaN)"
        )
    sums = np.cumsum(row)
    if not sums[-1] > 0:
        raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")
    sums /= sums[-1]
    sums[-1] = 1
    return sums.astype(np.float64)
