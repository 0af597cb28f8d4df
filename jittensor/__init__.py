"""jittensor: PyTorch's interface on a lazy, fusing, Numba-compiled engine.

What a user touches: `tensor` (Tensor), `creation`, `functions`, `views`, `indexing`, `random`,
`autograd`, `nn`, `optim`. The engine, in the order in which data flows: `graph` (what was asked
for), `compiler` (what will be run), `kernels` (how it is run), `runtime` (running it).

>>> import jittensor as torch
>>> x = torch.tensor([1.0, 2.0], requires_grad=True)
>>> (x * x).sum().backward()
>>> x.grad
tensor([2., 4.])
"""

from __future__ import annotations

import math as _math
from builtins import int as _int

from . import collector as _collector
from . import later as _later
from . import tensor as _tensor_module
from .arguments import guard as _guard
from .config import config
from .graph.arguments import dtype_of as _dtype_of
from .graph.dtypes import (
    BY_NAME as _BY_NAME,
)
from .graph.dtypes import (
    Default as _Default,
)
from .graph.dtypes import (
    DType as dtype,
)
from .graph.dtypes import (
    promote_types as _promoted,
)
from .graph.shapes import Size
from .graph.shapes import broadcast_shapes as _broadcast_shapes
from .tensor import Tensor, device, realize

from . import functions, views, indexing, creation, random, methods  # isort: skip
from .autograd.modes import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from .creation import *  # noqa: F403
from .creation import tensor
from .functions import *  # noqa: F403
from .functions import (
    abs,
    all,
    any,
    pow,
    round,
    sum,
)
from .indexing import index_add, index_copy, index_select
from .kernels.compile import stats as _stats
from .methods.dlpack import from_dlpack, to_dlpack
from .numeric import finfo, iinfo
from .printing import set_printoptions
from .random import (
    Generator,
    bernoulli,
    default_generator,
    get_rng_state,
    initial_seed,
    manual_seed,
    multinomial,
    normal,
    rand,
    rand_like,
    randint,
    randint_like,
    randn,
    randn_like,
    randperm,
    seed,
    set_rng_state,
)
from .sampling import *  # noqa: F403
from .segments import segment_reduce

_guard(globals(), """bernoulli multinomial normal rand rand_like randint randint_like randn
    randn_like randperm""".split(), __name__)
globals().update(methods.inplace_functions())
globals().update(functions.with_outs(vars(indexing), ("index_add", "index_copy", "index_select")))
for _name, _dtype in _BY_NAME.items():
    globals()[_name] = _dtype
half, float, double = _BY_NAME["float16"], _BY_NAME["float32"], _BY_NAME["float64"]
short, int, long = _BY_NAME["int16"], _BY_NAME["int32"], _BY_NAME["int64"]
cfloat, cdouble = _BY_NAME["complex64"], _BY_NAME["complex128"]
pi, e, inf, nan = _math.pi, _math.e, _math.inf, _math.nan
newaxis = None
__version__ = "0.1.0"


class layout:  # noqa: N801
    """How a tensor's elements are laid out in memory."""

    def __init__(self, name: str):
        self.name = name

    def __repr__(self) -> str:
        return "torch." + self.name


class memory_format(layout):  # noqa: N801
    """The order of dims in memory."""


strided, sparse_coo, sparse_csr = layout("strided"), layout("sparse_coo"), layout("sparse_csr")
_mkldnn = layout("_mkldnn")
contiguous_format = memory_format("contiguous_format")
preserve_format = memory_format("preserve_format")
channels_last = memory_format("channels_last")
channels_last_3d = memory_format("channels_last_3d")
Tensor.layout = property(lambda x: strided)


def broadcast_shapes(*shapes) -> Size:
    """The shape that operands of these shapes broadcast to."""
    return Size(_broadcast_shapes(*[(s,) if isinstance(s, _int) else tuple(s) for s in shapes]))


def is_tensor(obj) -> bool:
    """Whether an object is a Tensor."""
    return isinstance(obj, Tensor)


def is_floating_point(input) -> bool:
    """Whether a tensor's dtype is a real floating one."""
    return input.is_floating_point()


def is_complex(input) -> bool:
    """Whether a tensor's dtype is complex."""
    return input.is_complex()


def numel(input) -> _int:
    """The number of elements."""
    return input.numel()


def get_default_dtype() -> dtype:
    """The dtype of Python floats and float factories."""
    return _Default.float_


def set_default_dtype(d: dtype) -> None:
    """Sets the dtype of Python floats and float factories."""
    if not isinstance(d, dtype) or not d.is_floating_point:
        raise TypeError("invalid dtype object: only floating-point types are supported as the "
                        "default type")
    _Default.float_ = d


def can_cast(from_: dtype, to: dtype) -> bool:
    """Whether PyTorch's rules let a result of one dtype be stored in another."""
    return _dtype_of(from_, "can_cast").category <= _dtype_of(to, "can_cast").category


def promote_types(type1: dtype, type2: dtype) -> dtype:
    """The smallest dtype that holds both.

    >>> import jittensor as torch
    >>> torch.promote_types(torch.uint8, torch.int8)
    torch.int16
    """
    return _promoted(_dtype_of(type1, "promote_types"), _dtype_of(type2, "promote_types"))


def get_num_threads() -> _int:
    """Threads that kernels are spread over."""
    return config.threads


def set_num_threads(count: _int) -> None:
    """Sets how many threads kernels are spread over."""
    if not isinstance(count, _int) or count <= 0:
        raise RuntimeError("set_num_threads expects a positive integer")
    config.threads = count


def set_eager(mode: bool = True) -> None:  # noqa: F405
    """Runs each operation as it is called (for debugging), or lazily again."""
    config.eager = mode
    realize()


def stats():
    """The engine's counters of this process: kernels compiled, loaded from disk and launched,
    realizes, plans built, seconds spent compiling."""
    return _stats


from . import (  # noqa: E402
    autograd,
    backends,
    cuda,
    fft,
    linalg,
    return_types,
    sparse,
    special,
    spectral,
)
from .aliases import as_torch  # noqa: E402
from .capture import compile  # noqa: E402
from .cuda import OutOfMemoryError  # noqa: E402
from .inspection import explain  # noqa: E402

globals().update({**linalg.toplevel.FUNCTIONS, **spectral.FUNCTIONS})
sparse.route(globals())

# in-place forms that PyTorch has in the namespace too
for _name in """abs acos acosh addmv arccos arccosh arcsin arcsinh arctan arctanh as_strided asin
        asinh atan atanh ceil celu clamp clamp_max clamp_min clip cos cosh deg2rad detach erf erfc
        exp exp2 expm1 fill fix floor frac gcd i0 lcm ldexp log log10 log1p log2 logit nan_to_num
        neg negative rad2deg reciprocal relu resize_as round rsqrt selu sigmoid sin sinc sinh sqrt
        square tan tanh threshold trunc xlogy zero""".split():
    if hasattr(Tensor, _name + "_"):
        globals()[_name + "_"] = getattr(Tensor, _name + "_")

_collector.ease()
del _tensor_module


def __getattr__(name: str):
    """Submodules that are imported when they are first looked at, and the functions of layers
    that have names here too (`torch.conv2d`)."""
    import importlib

    if name in _later.SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _later.NAMES:
        value = getattr(importlib.import_module(f"{__name__}.{_later.NAMES[name]}"), name)
        globals()[name] = value
        return value
    if name.endswith("Storage"):
        return getattr(importlib.import_module(f"{__name__}.storage"), name)
    if not name.startswith("__"):
        layers = importlib.import_module(f"{__name__}.nn.functional.toplevel").FUNCTIONS
        if name in layers:
            globals().update(layers)
            return layers[name]
    raise AttributeError(f"module 'torch' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *_later.SUBMODULES, *_later.NAMES})
