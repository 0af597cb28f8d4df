"""`out=`: a function and the tensors given for its results in, PyTorch's rules kept.

A result is computed as without `out=` and then written to it: the tensor given is resized to the
result's shape (with a warning, unless it was empty), must have a dtype that the result may be cast
to (for some functions: the very dtype), takes part in no gradient, and may not lie in part, or for
some functions at all, over an operand.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable

from ..arguments import misfit, with_misfits
from ..autograd.modes import modes
from ..graph.arguments import parameter_names, read_dtype
from ..graph.ops import _scalar_name
from ..record import overlap
from ..tensor import Tensor
from .rows import into

# results of these are not cast
EXACT = frozenset("""
    abs absolute addmm addmv baddbmm bmm mv bitwise_not ceil conj_physical cross cummax cummin diff
    expand_copy diag diagonal_copy alias_copy frac floor frexp isin kthvalue lu_unpack lu_solve
    masked_select matmul quantile nanquantile heaviside softmax aminmax as_strided_copy topk mm mode
    narrow_copy view_copy neg negative ormqr permute_copy qr round sign sgn slice_scatter signbit
    triangular_solve trunc fix nan_to_num isposinf isneginf svd gather index_copy index_select
    index_add sort take scatter scatter_add scatter_reduce index_reduce histc unfold_copy msort
    renorm squeeze_copy take_along_dim unsqueeze_copy transpose_copy tril triu tensordot
    logcumsumexp log_softmax where nonzero norm t_copy amin amax argmax argmin addbmm bucketize
    searchsorted positive complex polar
    linalg.cross linalg.det linalg.cholesky linalg.cholesky_ex linalg.vecdot linalg.eigh
    linalg.eigvalsh linalg.ldl_factor linalg.ldl_factor_ex linalg.ldl_solve linalg.multi_dot
    linalg.matrix_norm linalg.qr linalg.slogdet linalg.vector_norm linalg.lu_factor
    linalg.lu_factor_ex linalg.lu linalg.lu_solve linalg.inv linalg.inv_ex linalg.solve
    linalg.solve_ex linalg.solve_triangular linalg.svd linalg.svdvals
    """.split())
CLAMPS = frozenset(("clamp", "clip", "clamp_min", "clamp_max"))     # so with numbers for bounds
# these compute in the dtype of what they are given
TYPED = frozenset("sum nansum prod cumsum cumprod".split())
# what these are given may not share memory with an operand
SEPARATE = frozenset("""
    gather index_select take take_along_dim masked_select cat concat concatenate stack hstack vstack
    dstack column_stack row_stack kthvalue mode max min cross nonzero kron outer ger
    """.split())
# these read all of an operand before they write
BUFFERED = frozenset("""
    median nanmedian sum nansum prod amax amin aminmax all any mean nanmean std var norm logsumexp
    argmax argmin mm matmul mv bmm tril triu softmax log_softmax diag inverse histc searchsorted
    bucketize cummax cummin cholesky cholesky_inverse cholesky_solve lu lu_solve lu_unpack qr svd
    det slogdet logdet pinverse geqrf ormqr triangular_solve matrix_power quantile nanquantile
    tensordot inner
    """.split())
_ROOT = __name__.partition(".")[0]
JOINING = frozenset("""
    cat concat concatenate stack hstack vstack dstack column_stack row_stack""".split())
_NAMES = {"float16": "c10::Half", "bfloat16": "c10::BFloat16", "float32": "float",
          "float64": "double", "uint8": "unsigned char", "int8": "signed char", "int16": "short",
          "int32": "int", "int64": "long int", "bool": "bool", "complex64": "c10::complex<float>",
          "complex128": "c10::complex<double>"}


def with_out(function: Callable, name: str) -> Callable:
    """The function with `out=` handled here; `name` is its public one.

    Raises:
        TypeError: what is given is not a tensor (or a tuple of as many as there are results).
        RuntimeError: its dtype, memory or part in gradients do not fit.
    """
    renamed = bool(parameter_names(function) & _REWRITTEN)

    @functools.wraps(function)
    def call(*args, out=None, **named):
        if named and renamed:
            named = _renamed(named, name)
        if out is None:
            try:
                return function(*args, **named) if named else function(*args)
            except Exception:
                wrong = misfit(function, name, args, named)
                if wrong is None:
                    raise
            raise wrong
        outs = _tensors(name, out)
        if name in TYPED and named.get("dtype") is None:
            named["dtype"] = outs[0].dtype
        result = function(*args, **named)
        results = (result,) if isinstance(result, Tensor) else tuple(result)
        if len(results) != len(outs):
            raise TypeError(f"{name}(): argument 'out' must be tuple of {len(results)} Tensors, "
                            f"but {len(outs)} were given")
        operands = [x for a in (*args, *named.values()) for x in _operands(a)]
        for target, value in zip(outs, results, strict=True):
            _check(name, target, value, operands)
        for target, value in zip(outs, results, strict=True):
            into(target, value)
        if isinstance(result, Tensor):
            return outs[0]
        return type(result)(*outs) if type(result) is not tuple else outs

    return call


def with_numpy_names(function: Callable, name: str = "") -> Callable:
    """The function, which if it has `dim` or `keepdim` also takes them as `axis` and `keepdims`,
    and if it has `dtype` takes Python's types for it."""
    if not parameter_names(function) & _REWRITTEN:
        wrap = name and parameter_names(function)
        return with_misfits(function, name, _ROOT) if wrap else function
    name = name or getattr(function, "__name__", "")

    @functools.wraps(function)
    def call(*args, **named):
        try:
            return function(*args, **_renamed(named, name)) if named else function(*args)
        except Exception:
            wrong = misfit(function, name, args, named)
            if wrong is None:
                raise
        raise wrong

    return call


_REWRITTEN = {"dim", "dims", "keepdim", "dtype"}


def _renamed(named: dict, function: str) -> dict:
    """Keyword arguments with PyTorch's names for NumPy's, and DTypes for Python's types."""
    read_dtype(named, function)
    for theirs, ours in (("axis", "dim"), ("keepdims", "keepdim")):
        if theirs in named and ours not in named:
            named[ours] = named.pop(theirs)
    return named


def takes_out(function: Callable) -> bool:
    """Whether a function has a parameter `out`."""
    return "out" in parameter_names(function)


def with_outs(names: dict, public: Iterable[str], prefix: str = "") -> dict:
    """The functions of a namespace that have `out`, with it handled here."""
    return {name: with_out(names[name], prefix + name) for name in public
            if takes_out(names[name])}


def _tensors(name: str, out) -> tuple:
    several = isinstance(out, (tuple, list))
    outs = tuple(out) if several else (out,)
    for x in outs:
        if not isinstance(x, Tensor):
            wanted = "tuple of Tensors" if several else "Tensor"
            raise TypeError(f"{name}(): argument 'out' must be {wanted}, not {type(x).__name__}")
    return outs


def _operands(value) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, (list, tuple)):
        return [x for x in value if isinstance(x, Tensor)]
    return []


def _check(name: str, out: Tensor, result: Tensor, operands: list[Tensor]) -> None:
    """PyTorch's errors for one result and the tensor given for it."""
    floating = result.dtype.category >= 2
    if modes.grad and floating and (result.requires_grad or out.requires_grad):
        raise RuntimeError(f"{name}(): functions with out=... arguments don't support automatic "
                           "differentiation, but one of the arguments requires grad.")
    numbers = name in CLAMPS and len(operands) == 1
    if (name in EXACT or numbers) and out.dtype is not result.dtype:
        raise RuntimeError(f"Expected out tensor to have dtype {_NAMES[result.dtype.name]}, but "
                           f"got {_NAMES[out.dtype.name]} instead")
    if name in JOINING and result.dtype.category > out.dtype.category:
        raise TypeError(f"torch.{name}(): input types can't be cast to the desired output type "
                        f"{_scalar_name(out.dtype)}")
    if name.startswith("fft.") and result.dtype.is_complex is not out.dtype.is_complex:
        wanted = "complex" if result.dtype.is_complex else "floating point"
        raise RuntimeError(f"{name[4:]} expects a {wanted} output tensor, but got "
                           f"{_scalar_name(out.dtype)}")
    if name in ("any", "all") and out.dtype.name not in ("bool", "uint8"):
        raise RuntimeError(f"{name} only supports bool tensor for result, got: "
                           f"{_scalar_name(out.dtype)}")
    refused = ("full", "part") if name in SEPARATE else ("part",)
    if name in BUFFERED or name.startswith(("linalg.", "fft.")):
        return
    if any(overlap(out, x) in refused for x in operands):
        raise RuntimeError("unsupported operation: some elements of the input tensor and the "
                           "written-to tensor refer to a single memory location. Please clone() "
                           "the tensor before performing the operation.")
