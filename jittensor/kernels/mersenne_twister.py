"""A seed or a saved state comes in; words of 32 and 64 bits and fractions of them go out.

The state of PyTorch's CPU generator, in its own format, around NumPy's Mersenne Twister (Matsumoto
and Nishimura, 1998). What PyTorch makes of the words is in `random_draws`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any, Self

import numpy as np

BLOCK = 16384  # words drawn at a time: 128 KiB, so that a block stays in the second-level cache
MASK53 = np.uint64((1 << 53) - 1)

_WORDS = 624
_MASK24 = np.uint64((1 << 24) - 1)
_SCALE24 = np.float32(2.0**-24)
_SCALE53 = 2.0**-53
_SHIFT32 = np.uint64(32)

STATE_DTYPE = np.dtype(
    [
        ("seed", "<u8"), ("left", "<i4"), ("seeded", "<i4"), ("next", "<u8"),
        ("words", "<u8", (_WORDS,)), ("normal_x", "<f8"), ("normal_y", "<f8"),
        ("normal_rho", "<f8"), ("normal_is_valid", "<i4"), ("pad0", "<i4"),
        ("next_float_normal", "<f4"), ("next_float_normal_is_valid", "u1"), ("pad1", "u1", (3,)),
    ]
)  # fmt: skip
"""Layout of PyTorch's CPU generator state: 5056 bytes, little-endian."""


class MersenneWords:
    """One generator of PyTorch's CPU kind: a Mersenne Twister and the normal it has left over.

    All methods may be called from several threads; each draw is one uninterrupted piece of the
    stream. Draws of nothing leave the state as it is.
    """

    def __init__(self, seed: int = 67280421310721) -> None:
        """A generator seeded with `seed`; PyTorch's default is the one given here."""
        self.lock = threading.RLock()
        self._bits = np.random.MT19937(0)
        self._seeder = np.random.RandomState(self._bits)
        self.manual_seed(seed)

    # ── state ────────────────────────────────────────────────────────────────────────────────────

    def manual_seed(self, seed: int) -> Self:
        """Restarts from `seed`, of which the low 32 bits choose the stream; returns the generator.

        ValueError unless -2**63 <= seed < 2**64.
        """
        seed = int(seed)
        if not -(1 << 63) <= seed < 1 << 64:
            raise ValueError(f"manual_seed expects a 64-bit integer, but got seed={seed}")
        with self.lock:
            self._seed = seed % (1 << 64)
            self._seeder.seed(self._seed & 0xFFFFFFFF)
            self._untouched = True  # PyTorch numbers the words of a new generator differently
            self.next_double: float | None = None
            self.next_float: float | None = None
        return self

    def initial_seed(self) -> int:
        """The seed that the generator was last started from."""
        return self._seed

    def seed(self) -> int:
        """Restarts from a seed that the operating system chooses (53 bits), and returns it."""
        seed = int.from_bytes(os.urandom(8), "little") & ((1 << 53) - 1)
        self.manual_seed(seed)
        return seed

    def get_state(self) -> np.ndarray:
        """The state as 5056 bytes (uint8), equal to PyTorch's after the same draws."""
        record = np.zeros(1, dtype=STATE_DTYPE)
        with self.lock:
            inner = self._bits.state["state"]
            position = int(inner["pos"])
            record["seed"] = self._seed
            record["seeded"] = 1
            record["left"] = 1 if self._untouched else _WORDS + 1 - position
            record["next"] = 0 if self._untouched else position
            record["words"] = inner["key"]
            if self.next_double is not None:
                record["normal_y"], record["normal_is_valid"] = self.next_double, 1
            if self.next_float is not None:
                record["next_float_normal"] = self.next_float
                record["next_float_normal_is_valid"] = 1
        return record.view(np.uint8)

    def set_state(self, state: np.ndarray) -> Self:
        """Goes on from `state`, 5056 bytes from `get_state` or from PyTorch; returns the generator.

        TypeError unless uint8, RuntimeError for another size or a state that no generator has.
        """
        state = np.asarray(state)
        if state.dtype != np.uint8:
            raise TypeError(f"RNG state must be a torch.ByteTensor, but its dtype is {state.dtype}")
        if state.size != STATE_DTYPE.itemsize:
            raise RuntimeError(
                f"Expected a CPUGeneratorImplState of size {STATE_DTYPE.itemsize} "
                f"but found the input RNG state size to be {state.size}"
            )
        record = np.ascontiguousarray(state).reshape(-1).view(STATE_DTYPE)[0]
        left, position = int(record["left"]), int(record["next"])
        untouched = (left, position) == (1, 0)
        if not record["seeded"] or not (untouched or 1 <= position == _WORDS + 1 - left <= _WORDS):
            raise RuntimeError("Invalid mt19937 state")
        inner = {
            "key": record["words"].astype(np.uint32),
            "pos": _WORDS if untouched else position,
        }
        with self.lock:
            self._bits.state = {"bit_generator": "MT19937", "state": inner}
            self._seed, self._untouched = int(record["seed"]), untouched
            cached, flag = record["normal_y"], record["normal_is_valid"]
            self.next_double = float(cached) if flag else None
            cached, flag = record["next_float_normal"], record["next_float_normal_is_valid"]
            self.next_float = float(cached) if flag else None
        return self

    def clone(self) -> Self:
        """A second generator that will draw the same numbers."""
        return type(self)(0).set_state(self.get_state())

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self.get_state())

    # ── words ────────────────────────────────────────────────────────────────────────────────────

    def words(self, n: int) -> np.ndarray:
        """The next `n` words of 32 bits, in uint64."""
        if n:
            self._untouched = False
        return self._bits.random_raw(n)

    def joined(self, n: int) -> np.ndarray:
        """The next `n` words of 64 bits, the first 32 bits of each being the high ones."""
        words = self.words(2 * n)
        joined = words[0::2] << _SHIFT32
        joined |= words[1::2]
        return joined

    def fill_unit32(self, out: np.ndarray) -> np.ndarray:
        """Fills float32 `out` with the next fractions of 24 bits, in [0, 1)."""
        n = out.size
        for start in range(0, n, BLOCK):
            words = self.words(min(BLOCK, n - start))
            words &= _MASK24
            piece = out[start : start + BLOCK]
            piece[...] = words.view(np.int64)
            piece *= _SCALE24
        return out

    def fill_unit64(self, out: np.ndarray) -> np.ndarray:
        """Fills float64 `out` with the next fractions of 53 bits, in [0, 1)."""
        n = out.size
        for start in range(0, n, BLOCK // 2):
            words = self.joined(min(BLOCK // 2, n - start))
            words &= MASK53
            piece = out[start : start + BLOCK // 2]
            piece[...] = words.view(np.int64)
            piece *= _SCALE53
        return out

    def unit64_blocks(self, n: int) -> Iterator[tuple[slice, np.ndarray]]:
        """The next `n` fractions of 53 bits, a block at a time, with the place of each block."""
        for start in range(0, n, BLOCK // 2):
            size = min(BLOCK // 2, n - start)
            yield slice(start, start + size), self.fill_unit64(np.empty(size, np.float64))

    def random32(self, n: int) -> np.ndarray:
        """The next `n` words of 32 bits, uint32."""
        with self.lock:
            return self.words(n).astype(np.uint32)

    def random64(self, n: int) -> np.ndarray:
        """The next `n` words of 64 bits, uint64; each is two words of 32, the high one first."""
        with self.lock:
            return self.joined(n)


def _restored(kind: type[MersenneWords], state: np.ndarray) -> MersenneWords:
    return kind(0).set_state(state)
