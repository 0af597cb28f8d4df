"""Random programs with bad indices: a seed in, what each program did out.

    python -m tests.bad_indices --programs 10000 --seed 0

A program makes a tensor over the middle of a guarded buffer, takes one operation that looks
something up and an index with entries out of range, and runs it on one of several ways through the
engine. It has to raise PyTorch's class; nothing outside the tensor may be written, and a value from
outside may not come out. One program in five has a good index, and must not raise.
"""

from __future__ import annotations

import argparse
import collections
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

import jittensor as torch
from jittensor import config
from jittensor.nn import functional as F  # noqa: N812

CANARY = 7654321.0
PAD = 64
ROWS, COLUMNS = 6, 5


@dataclass
class Entry:
    """One operation: call(x, index) over x [ROWS, COLUMNS]; `shape` of the index, the range that
    its entries may lie in, and the class that an entry outside raises."""

    call: Callable
    error: type = IndexError
    low: int = 0
    high: int = ROWS
    shape: tuple = (4,)
    writes: bool = False
    kinds: tuple = ("int64",)
    whole: tuple = ()        # an index that is good as a whole: entries are changed in a copy of it


def _set(x, i, value):
    x[i] = value
    return x


def _put_two(x, i):
    x[i, i.clamp(-COLUMNS, COLUMNS - 1)] = 1.0
    return x


def _rows(count: int = 4):
    return torch.ones(count, COLUMNS)


def _csr(crow=None, col=None):
    crow = torch.tensor([0, 1, 2, 3]) if crow is None else crow
    col = torch.tensor([0, 1, 2]) if col is None else col
    return torch.sparse_csr_tensor(crow, col, torch.ones(3), (3, COLUMNS)) @ torch.ones(COLUMNS)


WRAPS = {"low": -ROWS}
WIDE = {"shape": (4, COLUMNS), "error": RuntimeError}
BOTH = ("int64", "int32")
TABLE = {
    "getitem": Entry(lambda x, i: x[i], **WRAPS, kinds=BOTH),
    "getitem_last": Entry(lambda x, i: x[:, i], low=-COLUMNS, high=COLUMNS),
    "getitem_two": Entry(lambda x, i: x[i, i * 0], **WRAPS),
    "getitem_after_slice": Entry(lambda x, i: x[1:5, None, i], low=-COLUMNS, high=COLUMNS),
    "getitem_of_view": Entry(lambda x, i: x.t()[i], low=-COLUMNS, high=COLUMNS),
    "getitem_twice": Entry(lambda x, i: x[i][:2].sum(), **WRAPS),
    "getitem_gradient": Entry(lambda x, i: _gradient(x, lambda y: y[i]), **WRAPS),
    "setitem": Entry(lambda x, i: _set(x, i, 1.0), **WRAPS, writes=True),
    "setitem_rows": Entry(lambda x, i: _set(x, i, _rows()), **WRAPS, writes=True),
    "setitem_two": Entry(_put_two, **WRAPS, writes=True),
    "index_put_": Entry(lambda x, i: x.index_put_((i,), _rows()), **WRAPS, writes=True),
    "index_put_accumulate": Entry(lambda x, i: x.index_put_((i,), _rows(), accumulate=True),
                                  **WRAPS, writes=True),
    "index_select": Entry(lambda x, i: x.index_select(0, i), kinds=BOTH),
    "index_select_last": Entry(lambda x, i: x.index_select(1, i), high=COLUMNS),
    "index_add": Entry(lambda x, i: x.index_add(0, i, _rows()), RuntimeError, kinds=BOTH),
    "index_add_": Entry(lambda x, i: x.index_add_(0, i, _rows()), RuntimeError, writes=True),
    "index_copy": Entry(lambda x, i: x.index_copy(0, i, _rows())),
    "index_copy_": Entry(lambda x, i: x.index_copy_(0, i, _rows()), writes=True),
    "index_fill": Entry(lambda x, i: x.index_fill(0, i, 2.0), **WRAPS),
    "index_fill_": Entry(lambda x, i: x.index_fill_(0, i, 2.0), **WRAPS, writes=True),
    "index_reduce_": Entry(lambda x, i: x.index_reduce_(0, i, _rows(), "prod"), writes=True),
    "gather": Entry(lambda x, i: x.gather(0, i), **WIDE, kinds=BOTH),
    "gather_gradient": Entry(lambda x, i: _gradient(x, lambda y: y.gather(0, i)), **WIDE),
    "scatter": Entry(lambda x, i: x.scatter(0, i, 3.0), **WIDE),
    "scatter_": Entry(lambda x, i: x.scatter_(0, i, _rows()), **WIDE, writes=True),
    "scatter_add_": Entry(lambda x, i: x.scatter_add_(0, i, _rows()), **WIDE, writes=True),
    "scatter_reduce": Entry(lambda x, i: x.scatter_reduce(0, i, _rows(), "amax"), **WIDE),
    "take": Entry(lambda x, i: x.take(i), low=-ROWS * COLUMNS, high=ROWS * COLUMNS),
    "put_": Entry(lambda x, i: x.put_(i, torch.ones(4)), low=-ROWS * COLUMNS,
                  high=ROWS * COLUMNS, writes=True),
    "put_accumulate": Entry(lambda x, i: x.put_(i, torch.ones(4), accumulate=True),
                            low=-ROWS * COLUMNS, high=ROWS * COLUMNS, writes=True),
    "take_along_dim": Entry(lambda x, i: torch.take_along_dim(x, i), RuntimeError,
                            high=ROWS * COLUMNS),
    "embedding": Entry(lambda x, i: F.embedding(i, x), kinds=BOTH),
    "embedding_2d": Entry(lambda x, i: F.embedding(i, x), shape=(2, 3)),
    "embedding_bag": Entry(lambda x, i: F.embedding_bag(i, x), RuntimeError, shape=(2, 3)),
    "cross_entropy": Entry(lambda x, i: F.cross_entropy(x, i), high=COLUMNS, shape=(ROWS,)),
    "cross_entropy_gradient": Entry(lambda x, i: _gradient(x, lambda y: F.cross_entropy(y, i)),
                                    high=COLUMNS, shape=(ROWS,)),
    "nll_loss": Entry(lambda x, i: F.nll_loss(x.log_softmax(1), i), high=COLUMNS, shape=(ROWS,)),
    "nll_loss_weighted": Entry(lambda x, i: F.nll_loss(x, i, weight=torch.ones(COLUMNS)),
                               high=COLUMNS, shape=(ROWS,)),
    "multi_margin_loss": Entry(lambda x, i: F.multi_margin_loss(x, i), RuntimeError,
                               high=COLUMNS, shape=(ROWS,)),
    "one_hot": Entry(lambda x, i: F.one_hot(i, ROWS), RuntimeError),
    "max_unpool2d": Entry(lambda x, i: F.max_unpool2d(x[:2, :2].reshape(1, 1, 2, 2), i, 2),
                          RuntimeError, high=16, shape=(1, 1, 2, 2)),
    "max_unpool1d": Entry(lambda x, i: F.max_unpool1d(x[0, :4].reshape(1, 1, 4), i, 2),
                          RuntimeError, high=8, shape=(1, 1, 4)),
    "repeat_interleave": Entry(lambda x, i: x.repeat_interleave(i, 0), RuntimeError, high=1 << 40,
                               shape=(ROWS,), whole=(1, 0, 2, 1, 1, 3)),
    "searchsorted": Entry(lambda x, i: torch.searchsorted(x[0, :3].contiguous(), x[1], sorter=i),
                          RuntimeError, high=3, shape=(3,)),
    "bincount": Entry(lambda x, i: torch.bincount(i), RuntimeError, high=1 << 40,
                      whole=(1, 2, 0, 2)),
    "sparse_coo": Entry(lambda x, i: torch.sparse_coo_tensor(
        i, torch.ones(4), (COLUMNS, COLUMNS)).to_dense(), RuntimeError, high=COLUMNS,
        shape=(2, 4)),
    "sparse_csr_columns": Entry(lambda x, i: _csr(col=i), RuntimeError, high=COLUMNS, shape=(3,)),
    "sparse_csr_rows": Entry(lambda x, i: _csr(crow=i), RuntimeError, high=0, shape=(4,),
                             whole=(0, 1, 2, 3)),
    "ctc_loss_lengths": Entry(lambda x, i: F.ctc_loss(
        x.log_softmax(1).unsqueeze(1), torch.tensor([[1, 2]]), i, torch.tensor([2])), RuntimeError,
        high=ROWS + 1, shape=(1,)),
}
# numbers rather than tensors: (call with a number, class, least and greatest good number)
NUMBERS = {
    "select": (lambda x, n: x.select(0, n), IndexError, -ROWS, ROWS - 1),
    "integer": (lambda x, n: x[n], IndexError, -ROWS, ROWS - 1),
    "integer_write": (lambda x, n: _set(x, n, 1.0), IndexError, -ROWS, ROWS - 1),
    "narrow": (lambda x, n: x.narrow(0, n, 1), (IndexError, RuntimeError), 0, ROWS - 1),
    "narrow_length": (lambda x, n: x.narrow(0, 2, n), RuntimeError, 0, ROWS - 2),
    "unfold": (lambda x, n: x.unfold(0, n, 1), RuntimeError, 0, ROWS),
    "as_strided_offset": (lambda x, n: torch.arange(30.0).as_strided((5, 5), (6, 1), n),
                          RuntimeError, 0, 1),
    "as_strided_stride": (lambda x, n: torch.arange(30.0).as_strided((5, 5), (n, 1)), RuntimeError,
                          0, 6),
    "as_strided_size": (lambda x, n: torch.arange(30.0).as_strided((n, 5), (6, 1)), RuntimeError,
                        0, 5),
    "diagonal_dim": (lambda x, n: x.diagonal(0, n, n - 1 if n > 0 else n + 1), IndexError, -2, 1),
    "roll_dim": (lambda x, n: x.roll(1, n), IndexError, -2, 1),
    "topk": (lambda x, n: x.topk(n, 1)[0], RuntimeError, 0, COLUMNS),
    "kthvalue": (lambda x, n: x.kthvalue(n, 1)[0], RuntimeError, 1, COLUMNS),
    "sum_dim": (lambda x, n: x.sum(n), IndexError, -2, 1),
    "unsqueeze": (lambda x, n: x.unsqueeze(n), IndexError, -3, 2),
    "split_sizes": (lambda x, n: x.split([n, 1])[0], RuntimeError, ROWS - 1, ROWS - 1),
    "set_offset": (lambda x, n: torch.zeros(0).set_(torch.arange(30.0), n, (4,)),
                   RuntimeError, 0, 26),
}


def _gradient(x, function):
    y = x.detach().clone().requires_grad_(True)
    function(y).sum().backward()
    return y.grad


@dataclass
class Guarded:
    """A [ROWS, COLUMNS] tensor with canaries before and after it: over NumPy's memory, or in the
    middle of a storage of the engine's."""

    shared: bool
    buffer: np.ndarray = field(init=False)

    def __post_init__(self):
        self.buffer = np.full(ROWS * COLUMNS + 2 * PAD, CANARY, np.float32)
        self.buffer[PAD:-PAD] = np.linspace(0.5, 2, ROWS * COLUMNS, dtype=np.float32)
        self.base = torch.from_numpy(self.buffer) if self.shared else torch.tensor(self.buffer)
        self.x = self.base[PAD:-PAD].view(ROWS, COLUMNS)
        if self.shared:
            self.x = torch.from_numpy(self.buffer[PAD:-PAD].reshape(ROWS, COLUMNS))

    def check(self) -> None:
        """AssertionError when a canary was written over."""
        values = self.base.detach().tolist()
        assert all(v == CANARY for v in values[:PAD] + values[-PAD:]), "written outside"


def values_of(result) -> np.ndarray:
    """The numbers that a result holds."""
    return np.asarray(result.detach().numpy(), np.float64)


# ── ways through the engine ───────────────────────────────────────────────────────────────────
def _plain(entry, guarded, good, bad):
    return entry.call(guarded.x, torch.tensor(bad))


def _shared(entry, guarded, good, bad):
    return entry.call(guarded.x, torch.from_numpy(bad))


def _computed(entry, guarded, good, bad):
    """The index is pending when the operation is recorded."""
    return entry.call(guarded.x, (torch.tensor(bad) - 3) + 3)


def _picked(entry, guarded, good, bad):
    """The index is picked from a realized tensor."""
    table = torch.tensor(np.ascontiguousarray(bad.reshape(-1)))
    order = torch.arange(bad.size)
    return entry.call(guarded.x, table.index_select(0, order).view(*bad.shape))


def _changed_in_place(entry, guarded, good, bad):
    """A good index is known, then written over."""
    index = torch.tensor(good)
    if not entry.writes:
        values_of(entry.call(guarded.x, index))
    index.copy_(torch.tensor(bad))
    return entry.call(guarded.x, index)


def _changed_by_numpy(entry, guarded, good, bad):
    """A good index is known, then changed through a window that is gone when it is used again."""
    index = torch.tensor(good)
    if not entry.writes:
        values_of(entry.call(guarded.x, index))
    window = index.numpy()
    window[...] = bad
    del window
    return entry.call(guarded.x, index)


def _changed_before_running(entry, guarded, good, bad):
    """Recorded with a good index, whose memory is bad when the result is looked at: the result is
    the good index's. Then the operation is recorded again."""
    memory = good.copy()
    index = torch.from_numpy(memory)
    first = entry.call(guarded.x, index)
    memory[...] = bad
    check_values(first)
    return entry.call(guarded.x, index)


def _compiled(entry, guarded, good, bad):
    """A captured step is replayed with another index."""
    step = torch.compile(lambda x, i: entry.call(x, i))
    for _ in range(2):
        values_of(step(guarded.x, torch.tensor(good)))
    return step(guarded.x, torch.tensor(bad))


def _compiled_from_table(entry, guarded, good, bad):
    """A captured step picks the index from a table, whose values are changed between replays by
    another captured step."""
    table = torch.tensor(good.reshape(-1))
    order, shape = torch.arange(good.size), good.shape
    change = torch.compile(lambda t, new: t.copy_(new))
    step = torch.compile(lambda x, t: entry.call(x, t[order].view(*shape)))
    for _ in range(3):
        change(table, torch.tensor(good.reshape(-1)))
        values_of(step(guarded.x, table))
    change(table, torch.tensor(bad.reshape(-1)))
    return step(guarded.x, table)


def _overwritten_after_recording(entry, guarded, good, bad):
    """The index of a pending result is written over in place: the result is the old one's."""
    index = torch.tensor(good)
    if not entry.writes:
        first = entry.call(guarded.x, index)
        index.copy_(torch.tensor(bad))
        again = entry.call(guarded.x, torch.tensor(good))
        assert np.array_equal(values_of(first), values_of(again), equal_nan=True), "another result"
    return entry.call(guarded.x, torch.tensor(bad))


def _changed_by_a_step(entry, guarded, good, bad):
    """A good index is known, then written over by replays of a captured step."""
    index = torch.tensor(good)
    change = torch.compile(lambda i, new: i.copy_(new))
    for _ in range(2):
        change(index, torch.tensor(good))
        if not entry.writes:
            values_of(entry.call(guarded.x, index))
    change(index, torch.tensor(bad))
    return entry.call(guarded.x, index)


def _eager(entry, guarded, good, bad):
    config.eager = True
    try:
        return entry.call(guarded.x, torch.tensor(bad))
    finally:
        config.eager = False


def _unfused(entry, guarded, good, bad):
    config.fusion = False
    try:
        return entry.call(guarded.x, torch.tensor(bad) + 0)
    finally:
        config.fusion = True


WAYS = {f.__name__[1:]: f for f in (_plain, _shared, _computed, _picked, _changed_in_place,
                                    _changed_by_numpy, _changed_before_running, _changed_by_a_step,
                                    _overwritten_after_recording, _compiled, _compiled_from_table,
                                    _eager, _unfused)}


def check_values(result) -> None:
    """AssertionError when a value from outside came out."""
    if isinstance(result, torch.Tensor):
        assert not (values_of(result) == CANARY).any(), "read outside"


# ── programs ──────────────────────────────────────────────────────────────────────────────────
def indices(rng: np.random.Generator, entry: Entry, spoil: bool) -> tuple[np.ndarray, np.ndarray]:
    """A good index and one with (if `spoil`) entries outside."""
    kind = np.dtype(entry.kinds[rng.integers(len(entry.kinds))])
    good = np.array(entry.whole, kind).reshape(entry.shape) if entry.whole else rng.integers(
        entry.low, entry.high, entry.shape).astype(kind)
    bad = good.copy()
    if spoil:
        far = [entry.low - 1, entry.low - 2, -(1 << 30)]
        if entry.high < 1 << 40:
            far += [entry.high, entry.high + 1, 1 << 20, (1 << 31) - 1]
            far += [] if kind.itemsize == 4 else [1 << 40, (1 << 63) - 1, -(1 << 63)]
        if entry.whole and entry.high == 0:     # ends of rows: only the shape of the whole is good
            far = [-1, 4, 7, 1 << 20, -(1 << 30)]
        flat = bad.reshape(-1)
        for _ in range(rng.integers(1, 3)):
            at = rng.integers(flat.size)
            value = far[rng.integers(len(far))]
            flat[at] = value
    return good, bad


def run_tensor(rng: np.random.Generator, counts: collections.Counter) -> None:
    """One program of an operation with an index tensor."""
    names, ways = list(TABLE), list(WAYS)
    name, way = names[rng.integers(len(names))], ways[rng.integers(len(ways))]
    entry, spoil = TABLE[name], rng.random() < 0.8
    good, bad = indices(rng, entry, spoil)
    guarded = Guarded(bool(rng.integers(2)))
    what = f"{name} by way {way}, index {bad.tolist()}"
    if (bad == good).all():
        spoil = False
    try:
        result = WAYS[way](entry, guarded, good, bad)
        check_values(result)
    except AssertionError as error:
        raise AssertionError(f"{what}: {error}") from None
    except Exception as error:
        assert spoil, f"{what} raised {type(error).__name__}: {error}"
        assert isinstance(error, entry.error), (
            f"{what} raised {type(error).__name__} ({error}), not {entry.error}")
        counts["refused"] += 1
    else:
        assert not spoil, f"{what} raised nothing"
        counts["answered"] += 1
    guarded.check()
    counts[name] += 1


def run_number(rng: np.random.Generator, counts: collections.Counter) -> None:
    """One program of an operation with an index that is a number."""
    names = list(NUMBERS)
    name = names[rng.integers(len(names))]
    call, kind, low, high = NUMBERS[name]
    spoil = rng.random() < 0.8
    far = [low - 1, low - 2, high + 1, high + 2, 1 << 20, -(1 << 20), 1 << 40]
    n = int(far[rng.integers(len(far))]) if spoil else int(rng.integers(low, high + 1))
    if name == "narrow" and -ROWS <= n < 0:
        spoil = False
    guarded = Guarded(bool(rng.integers(2)))
    try:
        check_values(call(guarded.x, n))
    except AssertionError:
        raise AssertionError(f"{name} {n}: read outside") from None
    except Exception as error:
        assert spoil and isinstance(error, kind), f"{name} {n}: {type(error).__name__}: {error}"
        counts["refused"] += 1
    else:
        assert not spoil, f"{name} {n} raised nothing"
        counts["answered"] += 1
    guarded.check()
    counts[name] += 1


def run_programs(count: int, seed: int = 0, failures: list | None = None) -> collections.Counter:
    """Runs `count` programs; the first that goes wrong raises (or all are put in `failures`)."""
    counts: collections.Counter = collections.Counter()
    for k in range(count):
        rng = np.random.default_rng([seed, k])
        try:
            (run_number if rng.random() < 0.15 else run_tensor)(rng, counts)
        except AssertionError as error:
            if failures is None:
                raise AssertionError(f"program {k} of seed {seed}: {error}") from None
            failures.append(f"program {k}: {error}")
    return counts


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--programs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    failures: list[str] = []
    counts = run_programs(given.programs, given.seed, failures)
    for text in failures[:40]:
        print(text)
    print(f"{given.programs} programs: {counts.pop('refused')} refused, {counts.pop('answered')} "
          f"answered, {len(failures)} wrong; {len(counts)} operations")


if __name__ == "__main__":
    main()
