"""Random numbers: sizes in, tensors of PyTorch's own draws out.

Draws are made when they are asked for, in program order, from a Mersenne Twister.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Iterable, Iterator

import numpy as np

from .creation import filled_out
from .graph import dtypes as dt
from .graph.dtypes import Default, DType
from .graph.node import spec_of
from .graph.ops import OPS, _scalar_name
from .graph.shapes import dim_order, given_sizes
from .kernels.random_draws import MersenneTwister
from .record import elementwise
from .runtime import realize
from .tensor import CPU, Tensor, check_device, from_array

lock = threading.RLock()


class Generator:
    """A source of random numbers with a state of its own."""

    def __init__(self, device="cpu"):
        check_device(device)
        self.device = CPU
        self.draws = MersenneTwister(67280421310721)
        self._seed = 67280421310721

    def manual_seed(self, seed: int) -> Generator:
        """Starts over from a seed."""
        seed = int(seed)
        if not -0x8000_0000_0000_0000 <= seed <= 0xFFFF_FFFF_FFFF_FFFF:
            raise RuntimeError("Overflow when unpacking long long")
        self._seed = seed & 0xFFFF_FFFF_FFFF_FFFF
        with lock:
            self.draws.manual_seed(self._seed)
        return self

    def seed(self) -> int:
        """Starts over from a seed of the system's."""
        import secrets
        seed = secrets.randbits(53)
        self.manual_seed(seed)
        return seed

    def initial_seed(self) -> int:
        """The seed last given."""
        return self._seed

    def get_state(self) -> Tensor:
        """The state as a uint8 tensor, in PyTorch's format."""
        return from_array(self.draws.get_state())

    def set_state(self, state: Tensor) -> Generator:
        """Goes back to a state."""
        if not isinstance(state, Tensor) or state.dtype is not dt.uint8:
            raise TypeError("RNG state must be a torch.ByteTensor")
        self.draws.set_state(np.ascontiguousarray(state._array()))
        return self

    def __reduce__(self):
        return Generator, (self.device,), (self._seed, None, self.get_state())

    def __setstate__(self, state) -> None:
        self.manual_seed(state[0])
        self.set_state(state[2])


default_generator = Generator()


def manual_seed(seed: int) -> Generator:
    """Seeds the default generator.

    >>> import jittensor as torch
    >>> _ = torch.manual_seed(0)
    >>> torch.rand(2)
    tensor([0.4963, 0.7682])
    """
    return default_generator.manual_seed(seed)


def seed() -> int:
    """Seeds the default generator from the system."""
    return default_generator.seed()


def initial_seed() -> int:
    """The default generator's seed."""
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """The default generator's state."""
    return default_generator.get_state()


def set_rng_state(new_state: Tensor) -> None:
    """Sets the default generator's state."""
    default_generator.set_state(new_state)


@contextlib.contextmanager
def fork_rng(devices: Iterable | None = None, enabled: bool = True,
             device_type: str = "cuda") -> Iterator[None]:
    """Inside, draws leave no trace: afterwards the default generator is where it was."""
    state = get_rng_state() if enabled else None
    try:
        yield
    finally:
        if state is not None:
            set_rng_state(state)


def _draws(generator: Generator | None) -> MersenneTwister:
    return (generator or default_generator).draws


def _drawn(draw, shape, dtype: DType, generator=None, requires_grad: bool = False) -> Tensor:
    """A tensor of `draw(draws)`'s numbers. A step that is being captured draws anew each time."""
    def values() -> np.ndarray:
        with lock:
            return draw(_draws(generator))

    out = _tensor(values(), shape, dtype, requires_grad)
    if realize.capturing is not None:
        realize.capturing.draws.append(
            (out.storage, lambda: _tensor(values(), shape, dtype).storage.block))
    return out


def in_memory_order(x: Tensor, draw) -> Tensor:
    """draw(shape)'s numbers taken in the order in which x's elements lie in memory, as PyTorch
    takes them for a tensor that is like x."""
    if x.spec.contiguous:
        return draw(tuple(x.shape))
    order = dim_order(x.shape, (x.spec.strides,))[::-1]
    drawn = draw(tuple(x.shape[d] for d in order))
    return drawn.permute([order.index(d) for d in range(x.ndim)])


def _tensor(values: np.ndarray, shape, dtype: DType, requires_grad: bool = False) -> Tensor:
    if dtype is dt.bfloat16 and values.dtype == np.uint16:
        values = values.view(dtype.numpy)
    out = from_array(values.reshape(shape), dtype)
    out._leaf = requires_grad
    return out


def _shape(sizes, size=None) -> tuple[tuple[int, ...], int]:
    shape = given_sizes(sizes, size)
    for n in shape:
        if n < 0:
            raise RuntimeError(f"Trying to create tensor with negative dimension {n}: "
                               f"{list(shape)}")
    return shape, spec_of(dt.float32, shape).numel


def rand(*sizes, size=None, generator=None, out=None, dtype=None, layout=None, device=None,
         requires_grad=False, pin_memory=False) -> Tensor:
    """Uniform numbers in [0, 1)."""
    check_device(device)
    shape, n = _shape(sizes, size)
    dtype = dtype or Default.float_
    return _drawn(lambda d: d.uniform(n, dtype.name), shape, dtype, generator, requires_grad)


def randn(*sizes, size=None, generator=None, out=None, dtype=None, layout=None, device=None,
          requires_grad=False, pin_memory=False) -> Tensor:
    """Normal numbers of mean 0 and standard deviation 1."""
    check_device(device)
    shape, n = _shape(sizes, size)
    dtype = dtype or Default.float_
    return _drawn(lambda d: d.normal(n, dtype.name), shape, dtype, generator, requires_grad)


def randint(*args, low=None, high=None, size=None, generator=None, out=None, dtype=None,
            layout=None, device=None, requires_grad=False) -> Tensor:
    """Integers in low..high - 1."""
    check_device(device)
    args = list(args)
    if size is None and args and not isinstance(args[-1], int):
        size = args.pop()
    if len(args) == 2:
        low, high = args
    elif len(args) == 1:
        if high is None:
            low, high = (0 if low is None else low), args[0]
        else:
            low = args[0]
    low = 0 if low is None else int(low)
    high = int(high)
    if low >= high:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= "
                           f"to={high}")
    dtype = dtype or dt.int64
    shape, n = _shape((size,))
    return _drawn(lambda d: d.randint(n, low, high, dtype.name), shape, dtype, generator,
                  requires_grad)


def randperm(n: int, *, generator=None, out=None, dtype=None, layout=None, device=None,
             requires_grad=False, pin_memory=False) -> Tensor:
    """A random permutation of 0..n - 1."""
    check_device(device)
    if n < 0:
        raise RuntimeError(f"n must be non-negative, got {n}")
    dtype = dtype or dt.int64
    return _drawn(lambda d: d.randperm(n, dtype.name), (n,), dtype, generator, requires_grad)


def rand_like(input, *, dtype=None, **options) -> Tensor:
    """Uniform numbers with the shape of `input`."""
    return rand(tuple(input.shape), dtype=dtype or input.dtype,
                requires_grad=options.get("requires_grad", False))


def randn_like(input, *, dtype=None, **options) -> Tensor:
    """Normal numbers with the shape of `input`."""
    return randn(tuple(input.shape), dtype=dtype or input.dtype,
                 requires_grad=options.get("requires_grad", False))


def randint_like(input, low, high=None, *, dtype=None, **options) -> Tensor:
    """Integers with the shape of `input`."""
    low, high = (0, low) if high is None else (low, high)
    return randint(low, high, tuple(input.shape), dtype=dtype or input.dtype)


def normal(mean, std=1.0, size=None, *, generator=None, out=None, dtype=None,
           requires_grad=False, **options) -> Tensor:
    """Normal numbers of given means and standard deviations (numbers or tensors)."""
    if size is not None:
        shape, n = _shape((size,))
        kind = dtype or Default.float_
        return _drawn(lambda d: d.normal(n, kind.name, float(mean), float(std)), shape, kind,
                      generator, requires_grad)
    from .graph.shapes import broadcast_shapes
    shapes = [v.shape for v in (mean, std) if isinstance(v, Tensor)]
    kind = next(v.dtype for v in (mean, std) if isinstance(v, Tensor))
    if isinstance(std, Tensor) and std.numel() and bool((std < 0).any()):
        raise RuntimeError("normal expects all elements of std >= 0.0")
    draw = randn(broadcast_shapes(*shapes), generator=generator, dtype=kind)
    return draw * std + mean


def bernoulli(input, p=None, *, generator=None, out=None) -> Tensor:
    """1 with the probability that `input` (or p) gives, else 0."""
    shape, dtype = tuple(input.shape), input.dtype
    if p is not None:
        n = input.numel()
        return _drawn(lambda d: d.bernoulli(n, float(p)).astype(dtype.numpy), shape, dtype,
                      generator)
    values = input._array()
    if values.size and not bool(((values >= 0) & (values <= 1)).all()):
        raise RuntimeError("Expected p_in >= 0 && p_in <= 1 to be true, but got false.")
    return _drawn(lambda d: d.bernoulli_from(np.ascontiguousarray(input._array())).astype(
        dtype.numpy), shape, dtype, generator)


def multinomial(input, num_samples: int, replacement: bool = False, *, generator=None,
                out=None) -> Tensor:
    """Indices drawn with the weights in each row."""
    rows = input.shape[:-1]
    return _drawn(lambda d: d.multinomial(np.ascontiguousarray(input._array()), num_samples,
                                          replacement), (*rows, num_samples), dt.int64, generator)


def dropout_mask(shape, p: float, dtype: DType, generator=None) -> Tensor:
    """1 / (1 - p) where an element is kept, else 0: PyTorch's mask for the same seed."""
    n = spec_of(dt.float32, tuple(shape)).numel
    return _drawn(lambda d: d.bernoulli(n, 1 - p).astype(dtype.numpy), tuple(shape), dtype,
                  generator).div(1 - p)


def _written(function):
    """The function of random numbers with `out=`: drawn in its dtype and written to it."""
    name = function.__name__

    @functools.wraps(function)
    def call(*args, out=None, **named):
        if out is None:
            return function(*args, **named)
        if not isinstance(out, Tensor):
            raise TypeError(f"{name}(): argument 'out' must be Tensor, not {type(out).__name__}")
        if name == "multinomial" and out.dtype is not dt.int64:
            raise RuntimeError("multinomial expects Long tensor out, got: "
                               f"{_scalar_name(out.dtype)}")
        given = named.get("dtype")
        if name not in ("multinomial", "bernoulli"):
            named["dtype"] = given or out.dtype
        return filled_out(out, function(*args, **named), given)

    return call


rand, randn, randint, randperm = map(_written, (rand, randn, randint, randperm))
normal, bernoulli, multinomial = map(_written, (normal, bernoulli, multinomial))


# ── masks from counters ───────────────────────────────────────────────────────────────────────
_STEPS: dict[tuple[int, int], Tensor] = {}


def draw_key() -> Tensor:
    """An odd number drawn from the default generator, for `kept`."""
    return _drawn(lambda d: d.randint(1, -(1 << 63), (1 << 63) - 1, "int64") | 1, (), dt.int64)


def kept(shape, p: float, key: Tensor) -> Tensor:
    """True with probability 1 - p: a function of an element's place in the shape and of the key
    alone, computed where it is used and by as many threads as there are."""
    counter, step = None, 1
    for d in range(len(shape) - 1, -1, -1):
        places = _steps(shape[d], step).view(*[-1 if k == d else 1 for k in range(len(shape))])
        counter = places if counter is None else counter + places
        step *= shape[d]
    counter = _steps(1, 1).view(()) if counter is None else counter
    return elementwise(OPS["_kept"], counter, key, min(round(p * 2 ** 32), 2 ** 32))


def _steps(count: int, step: int) -> Tensor:
    """0, step, 2 step, …: kept for reuse."""
    if (count, step) not in _STEPS:
        if len(_STEPS) > 256:
            _STEPS.clear()
        _STEPS[count, step] = from_array(np.arange(count, dtype=np.int64) * step)
    return _STEPS[count, step]


# ── in-place draws ────────────────────────────────────────────────────────────────────────────
def _inplace(draw):
    def method(self, *args, generator=None, **named):
        from .autograd.inplace import check_inplace
        check_inplace(self)
        fresh = in_memory_order(self, lambda shape: _drawn(
            lambda d: draw(d, self.numel(), self.dtype, *args, **named), shape, self.dtype,
            generator))
        from .autograd.modes import no_grad
        with no_grad():
            return self.copy_(fresh)

    return method


def _uniform(draws, n, dtype, a=0.0, b=1.0, **named):
    low, high = named.get("from", a), named.get("to", b)
    if low > high:
        raise RuntimeError(f"uniform_ expects to return a [from, to) range, but found from={low} > "
                           f"to={high}")
    return draws.uniform(n, dtype.name, float(low), float(high))


def _normal(draws, n, dtype, mean=0.0, std=1.0):
    if std < 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
    return draws.normal(n, dtype.name, float(mean), float(std))


def _random(draws, n, dtype, low=None, high=None, **named):
    low = named.get("from", low)
    high = named.get("to", high)
    if low is None:
        return draws.random_(n, dtype.name)
    if high is None:
        low, high = 0, low
    return draws.randint(n, int(low), int(high), dtype.name)


def _bernoulli(draws, n, dtype, p=0.5):
    if isinstance(p, Tensor):
        return draws.bernoulli_from(np.ascontiguousarray(p._array())).astype(dtype.numpy)
    if not 0 <= p <= 1:
        raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p}")
    return draws.bernoulli(n, float(p)).astype(dtype.numpy)


INPLACE = {
    "uniform_": _inplace(_uniform), "normal_": _inplace(_normal), "random_": _inplace(_random),
    "bernoulli_": _inplace(_bernoulli),
    "exponential_": _inplace(lambda d, n, t, lambd=1.0: d.exponential(n, t.name, lambd)),
    "cauchy_": _inplace(lambda d, n, t, median=0.0, sigma=1.0: d.cauchy(n, t.name, median, sigma)),
    "geometric_": _inplace(lambda d, n, t, p: d.geometric(n, p, t.name)),
    "log_normal_": _inplace(lambda d, n, t, mean=1.0, std=2.0: d.log_normal(n, t.name, mean, std)),
}
for _name, _method in INPLACE.items():
    _method.__name__ = _name
    setattr(Tensor, _name, _method)
Tensor.bernoulli, Tensor.multinomial = bernoulli, multinomial
