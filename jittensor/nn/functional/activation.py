"""In: a tensor. Out: a tensor of the same shape through an activation function."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from ... import creation, functions
from ...autograd import is_grad_enabled
from ...autograd.graph import relabel
from ...functions import arithmetic, normalization
from ...functions.rows import title
from ...graph.dtypes import float64
from ...numeric import finfo
from ...tensor import Tensor


def write_back(function: Callable[..., Tensor], input: Tensor, *args: Any) -> Tensor:
    """`input` overwritten with `function(input, *args)`, as every `inplace=True` here works."""
    # The gradient may need the old values: then the function is given a tensor that keeps them.
    recorded = input.requires_grad and is_grad_enabled()
    return input.copy_(function(input.clone() if recorded else input, *args))


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """`max(x, 0)`."""
    return input.relu_() if inplace else arithmetic.relu(input)


def relu_(input: Tensor) -> Tensor:
    """`relu` in place."""
    return input.relu_()


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """`min(max(x, 0), 6)`."""
    return write_back(functions.relu6, input) if inplace else functions.relu6(input)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """`x` where positive, else `negative_slope * x`."""
    if inplace:
        return write_back(functions.leaky_relu, input, negative_slope)
    return functions.leaky_relu(input, negative_slope)


def leaky_relu_(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """`leaky_relu` in place."""
    return leaky_relu(input, negative_slope, inplace=True)


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """`x` where positive, else `weight * x`; `weight` has one element or one for each channel
    (dimension 1; one channel if `x` has fewer than two dimensions).

    Raises:
        RuntimeError: another number of weights, a weight of more than one dimension that is
            not a scalar, or another dtype.
    """
    channels = input.size(1) if input.dim() > 1 else 1
    if input.dtype != weight.dtype:
        raise RuntimeError(
            "prelu: Type promoting not supported. "
            f"Got {scalar_name(input.dtype)} and {scalar_name(weight.dtype)}"
        )
    if weight.numel() != 1:
        if input.dim() == 0:
            raise RuntimeError("Not allow zero-dim input tensor.")
        if weight.numel() != channels:
            raise RuntimeError(
                "Mismatch of parameter numbers and input channel size. "
                f"Found parameter numbers = {weight.numel()} and channel size = {channels}."
            )
    if weight.dim() > 1:
        raise RuntimeError(
            f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {weight.dim()}"
        )
    if input.dim() > 1:
        slope = weight.reshape([1, -1] + [1] * (input.dim() - 2))
    else:
        slope = weight.reshape([-1] * input.dim())
    return relabel(functions.where(input > 0, input, slope * input), "PreluKernelBackward0")


def rrelu(
    input: Tensor,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Tensor:
    """`x` where positive, else `slope * x`, with a slope drawn from [lower, upper] for each
    element while training and the middle of them otherwise (Xu et al. 2015)."""
    if lower > upper:
        raise RuntimeError(f"Lower bound should be less than or equal to the upper bound: {lower}")
    if not training:
        return leaky_relu(input, (lower + upper) / 2, inplace)
    # PyTorch draws for the elements that are not positive only: how many must be known here.
    negative = input.detach() <= 0
    count = int(negative.sum())
    # It draws in float64 between bounds that are rounded to the input's dtype.
    low, high = creation.tensor([lower, upper], dtype=input.dtype).tolist()
    draws = creation.empty(count, dtype=float64).uniform_(low, high).to(input.dtype)
    slopes = creation.ones_like(input.detach()).masked_scatter(negative, draws)
    return input.mul_(slopes) if inplace else input * slopes


def rrelu_(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False
) -> Tensor:
    """`rrelu` in place."""
    return rrelu(input, lower, upper, training, inplace=True)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """`x` where positive, else `alpha * (exp(x) - 1)`."""
    return write_back(functions.elu, input, alpha) if inplace else functions.elu(input, alpha)


def elu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """`elu` in place."""
    return elu(input, alpha, inplace=True)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """`scale * elu(x, alpha)` with the two constants of Klambauer et al. 2017."""
    return write_back(functions.selu, input) if inplace else functions.selu(input)


def selu_(input: Tensor) -> Tensor:
    """`selu` in place."""
    return selu(input, inplace=True)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """`max(x, 0) + min(alpha * (exp(x / alpha) - 1), 0)`."""
    return write_back(functions.celu, input, alpha) if inplace else functions.celu(input, alpha)


def celu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """`celu` in place."""
    return celu(input, alpha, inplace=True)


def gelu(input: Tensor, *, approximate: str = "none") -> Tensor:
    """`x * Phi(x)`, or with `approximate='tanh'` its approximation by tanh."""
    return functions.gelu(input, approximate=approximate)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """`x * sigmoid(x)`."""
    return write_back(functions.silu, input) if inplace else functions.silu(input)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """`x * tanh(softplus(x))`."""
    return write_back(functions.mish, input) if inplace else functions.mish(input)


def sigmoid(input: Tensor) -> Tensor:
    """`1 / (1 + exp(-x))`."""
    return functions.sigmoid(input)


def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    return functions.tanh(input)


def softplus(input: Tensor, beta: float = 1, threshold: float = 20) -> Tensor:
    """`log(1 + exp(beta * x)) / beta`, and `x` where `beta * x > threshold`."""
    return functions.softplus(input, beta, threshold)


def softsign(input: Tensor) -> Tensor:
    """`x / (1 + |x|)`."""
    return input / (input.abs() + 1)


def tanhshrink(input: Tensor) -> Tensor:
    """`x - tanh(x)`."""
    return input - input.tanh()


def hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    """`x` held between `min_val` and `max_val`.

    Raises:
        ValueError: `min_val` is greater than `max_val`.
    """
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    if inplace:
        return write_back(functions.hardtanh, input, min_val, max_val)
    return functions.hardtanh(input, min_val, max_val)


def hardtanh_(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """`hardtanh` in place."""
    return hardtanh(input, min_val, max_val, inplace=True)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """`relu6(x + 3) / 6`."""
    return write_back(functions.hardsigmoid, input) if inplace else functions.hardsigmoid(input)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """`x * relu6(x + 3) / 6`."""
    return write_back(functions.hardswish, input) if inplace else functions.hardswish(input)


def logsigmoid(input: Tensor) -> Tensor:
    """`log(sigmoid(x))`."""
    return functions.logsigmoid(input)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """`x` where greater than `threshold`, else `value`."""
    if inplace:
        return write_back(functions.threshold, input, threshold, value)
    return functions.threshold(input, threshold, value)


def threshold_(input: Tensor, threshold: float, value: float) -> Tensor:
    """`threshold` in place."""
    return write_back(functions.threshold, input, threshold, value)


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """`x` moved towards zero by `lambd`, zero within it.

    Raises:
        RuntimeError: `lambd` is negative.
    """
    most = finfo(input.dtype).max if input.dtype.is_floating_point else float("inf")
    if not 0 <= lambd <= most:
        raise RuntimeError(f"lambda must be in range [0, {most:g}] for input dtype "
                           f"{title(input)}, but found {lambd:g}")
    return functions.softshrink(input, lambd)


def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """`x`, and zero where `|x| <= lambd`."""
    return functions.hardshrink(input, lambd)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """`a * sigmoid(b)` of the two halves of `x` along `dim` (Dauphin et al. 2017).

    Raises:
        RuntimeError: `x` is a scalar or its size there is odd.
    """
    if input.dim() == 0:
        raise RuntimeError("glu does not support scalars because halving size must be even")
    size = input.size(dim)
    if size % 2:
        raise RuntimeError(
            f"Halving dimension must be even, but dimension {dim % input.dim()} is size {size}"
        )
    x = input.to(input.dtype.compute)
    value, gate = x.narrow(dim, 0, size // 2), x.narrow(dim, size // 2, size // 2)
    return relabel((value * functions.sigmoid(gate)).to(input.dtype), "GluBackward0")


def _softmax_dim(name: str, ndim: int, stacklevel: int) -> int:
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. "
        "Change the call to include dim=X as an argument.",
        stacklevel=stacklevel + 1,
    )
    return 0 if ndim in (0, 1, 3) else 1


def softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """`exp(x) / sum(exp(x))` along `dim`, after a cast to `dtype` if given."""
    if dim is None:
        dim = _softmax_dim("softmax", input.dim(), _stacklevel)
    return normalization.softmax(input, dim, dtype)


def softmin(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """`softmax(-x)`."""
    if dim is None:
        dim = _softmax_dim("softmin", input.dim(), _stacklevel)
    return normalization.softmax(-input, dim, dtype)


def log_softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Tensor:
    """`log(softmax(x))`, without overflow."""
    if dim is None:
        dim = _softmax_dim("log_softmax", input.dim(), _stacklevel)
    return normalization.log_softmax(input, dim, dtype)


def gumbel_softmax(
    logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Tensor:
    """Samples of a relaxed categorical distribution (Jang et al. 2017).

    Args:
        tau: temperature.
        hard: give one-hot samples, with the gradient of the soft ones.
    """
    if eps != 1e-10:
        warnings.warn("`eps` parameter is deprecated and has no effect.", stacklevel=3)
    noise = -creation.empty_like(logits.detach()).exponential_().log()
    soft = normalization.softmax((logits + noise) / tau, dim)
    if not hard:
        return soft
    index = soft.detach().argmax(dim, keepdim=True)
    one_hot = creation.zeros_like(logits.detach()).scatter_(dim, index, 1.0)
    return one_hot - soft.detach() + soft


_SCALAR_NAMES = {
    "float64": "Double",
    "float32": "Float",
    "float16": "Half",
    "bfloat16": "BFloat16",
    "int64": "Long",
    "int32": "Int",
    "int16": "Short",
    "int8": "Char",
    "uint8": "Byte",
    "bool": "Bool",
    "complex64": "ComplexFloat",
    "complex128": "ComplexDouble",
}


def scalar_name(dtype: Any) -> str:
    """The name that PyTorch's messages have for a dtype: 'Float' for float32."""
    name = str(dtype).rpartition(".")[2]
    return _SCALAR_NAMES.get(name, name)
