"""In: features (N, C, *size), running statistics. Out: features normalised by channel or group."""

from __future__ import annotations

from ... import creation, functions
from ...autograd.graph import relabel
from ...autograd.modes import no_grad
from ...functions.normalization import check_parameters
from ...tensor import Tensor
from .windows import windows


def _scaled(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    shape = (1, -1, *[1] * (x.dim() - 2))
    if weight is not None:
        x = x * weight.reshape(shape)
    return x if bias is None else x + bias.reshape(shape)


def _centred(x: Tensor, dims: tuple[int, ...], eps: float):
    """(x - mean) / sqrt(var + eps), with mean, biased variance and the factor, dims kept."""
    mean = x.mean(dims, keepdim=True)
    gap = x - mean
    var = (gap * gap).mean(dims, keepdim=True)
    factor = (var + eps).rsqrt()
    return gap * factor, mean, var, factor


def _check_channels(channels: int, **values: Tensor | None) -> None:
    for name, value in values.items():
        if value is not None and value.numel() != channels:
            raise RuntimeError(f"{name} should contain {channels} elements not {value.numel()}")


def _update(running: Tensor | None, value: Tensor, momentum: float) -> None:
    if running is not None:
        with no_grad():
            running.mul_(1 - momentum).add_(value.detach().reshape(-1).to(running.dtype),
                                            alpha=momentum)


def native_batch_norm(input: Tensor, weight: Tensor | None, bias: Tensor | None,
                      running_mean: Tensor | None, running_var: Tensor | None, training: bool,
                      momentum: float, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """(normalised, mean, 1 / standard deviation) by channel (Ioffe & Szegedy 2015); the last two
    are empty when not training. Running statistics are updated in place.

    Raises:
        RuntimeError: numbers of channels differ.
    """
    if not input.numel() and input.dim() < 2:
        return input.clone(), *(creation.empty(0, dtype=input.dtype.compute) for _ in range(2))
    channels = input.shape[1]
    _check_channels(channels, running_mean=running_mean, running_var=running_var, weight=weight,
                    bias=bias)
    check_parameters(input, weight, bias, running_mean, running_var)
    wide = input.dtype.compute if input.dtype.is_floating_point else input.dtype
    x = input.to(wide)
    count = input.numel() // channels if channels else 0
    if training:
        dims = (0, *range(2, input.dim()))
        out, mean, var, factor = _centred(x, dims, eps)
        _update(running_mean, mean, momentum)
        _update(running_var, var * (count / max(count - 1, 1)), momentum)
        saved = mean.detach().reshape(-1), factor.detach().reshape(-1)
    else:
        if running_mean is None or running_var is None:
            raise RuntimeError("running_mean and running_var must be defined in evaluation mode")
        shape = (1, -1, *[1] * (input.dim() - 2))
        factor = (running_var.to(wide) + eps).rsqrt().reshape(shape)
        out = (x - running_mean.to(wide).reshape(shape)) * factor
        saved = creation.empty(0, dtype=wide), creation.empty(0, dtype=wide)
    out = _scaled(out, weight, bias).to(input.dtype)
    return relabel(out, "NativeBatchNormBackward0"), *saved


def batch_norm(input: Tensor, running_mean: Tensor | None, running_var: Tensor | None,
               weight: Tensor | None = None, bias: Tensor | None = None, training: bool = False,
               momentum: float = 0.1, eps: float = 1e-5) -> Tensor:
    """(N, C, *size) normalised by channel: by the batch's statistics in training, which the
    running ones are moved towards, else by the running ones.

    Raises:
        ValueError: a channel has one value only in training.
        RuntimeError: numbers of channels differ.
    """
    if (running_mean is None) is not (running_var is None):
        raise ValueError("running_mean and running_var must either both be None or neither be None")
    if training and input.dim() > 1 and input.numel() == input.shape[1] and input.numel():
        raise ValueError("Expected more than 1 value per channel when training, got input size "
                         f"torch.Size({list(input.shape)})")
    return native_batch_norm(input, weight, bias, running_mean, running_var, training, momentum,
                             eps)[0]


def instance_norm(input: Tensor, running_mean: Tensor | None = None,
                  running_var: Tensor | None = None, weight: Tensor | None = None,
                  bias: Tensor | None = None, use_input_stats: bool = True,
                  momentum: float = 0.1, eps: float = 1e-5) -> Tensor:
    """(N, C, *size) normalised by channel of each sample (Ulyanov et al. 2016).

    Raises:
        ValueError: one spatial element only.
        RuntimeError: running statistics are missing or do not fit.
    """
    if use_input_stats:
        spatial = 1
        for n in input.shape[2:]:
            spatial *= n
        if spatial == 1:
            raise ValueError("Expected more than 1 spatial element when training, got input size "
                             f"torch.Size({list(input.shape)})")
    elif running_mean is None or running_var is None:
        raise RuntimeError("Expected running_mean and running_var to be defined when "
                           "use_input_stats is false")
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    _check_channels(input.shape[1], running_mean=running_mean, running_var=running_var,
                    weight=weight, bias=bias)
    x = input.to(input.dtype.compute)
    dims = tuple(range(2, input.dim()))
    out, mean, var, _ = _centred(x, dims, eps)
    count = input.numel() // (input.shape[0] * input.shape[1])
    _update(running_mean, mean.mean(0), momentum)
    _update(running_var, (var * (count / max(count - 1, 1))).mean(0), momentum)
    return relabel(_scaled(out, weight, bias).to(input.dtype), "ViewBackward0")


def native_group_norm(input: Tensor, weight: Tensor | None, bias: Tensor | None, N: int, C: int,
                      HxW: int, group: int, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """(normalised, mean (N, group), 1 / standard deviation) by group of channels."""
    shape = input.shape
    x = input.to(input.dtype.compute).reshape(N, group, C // group * HxW)
    out, mean, _, factor = _centred(x, (2,), eps)
    flat = _scaled(out.reshape(N, C, HxW), weight, bias).to(input.dtype)
    return (relabel(flat.reshape(shape), "NativeGroupNormBackward0"), mean.reshape(N, group),
            factor.reshape(N, group))


def group_norm(input: Tensor, num_groups: int, weight: Tensor | None = None,
               bias: Tensor | None = None, eps: float = 1e-5) -> Tensor:
    """(N, C, *size) normalised by group of C / num_groups channels (Wu & He 2018).

    Raises:
        RuntimeError: the groups do not divide the channels, or shapes do not fit.
    """
    if input.dim() < 2:
        raise RuntimeError("Expected at least 2 dimensions for input tensor but received "
                           f"{input.dim()}")
    count, channels = input.shape[:2]
    if num_groups <= 0:
        raise RuntimeError("Expected num groups to be greater than 0, got " + str(num_groups))
    if channels % num_groups:
        raise RuntimeError("Expected number of channels in input to be divisible by num_groups, "
                           f"but got input of shape {list(input.shape)} and num_groups="
                           f"{num_groups}")
    for value, name in ((weight, "weight"), (bias, "bias")):
        if value is not None and tuple(value.shape) != (channels,):
            raise RuntimeError(f"Expected {name} to be a vector of size equal to the number of "
                               f"channels in input, but got {name} of shape {list(value.shape)} "
                               f"and input of shape {list(input.shape)}")
    check_parameters(input, weight, bias)
    if not input.numel():
        return input.clone()
    spatial = input.numel() // (count * channels)
    return native_group_norm(input, weight, bias, count, channels, spatial, num_groups, eps)[0]


def native_layer_norm(input: Tensor, normalized_shape, weight: Tensor | None,
                      bias: Tensor | None, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """(normalised, mean, 1 / standard deviation) over the last dims, which the last two keep as
    size one."""
    if not len(tuple(normalized_shape)):
        raise RuntimeError("Expected normalized_shape to be at least 1-dimensional, i.e., "
                           "containing at least one element, but got normalized_shape = []")
    out = functions.layer_norm(input, normalized_shape, weight, bias, eps)
    dims = tuple(range(input.dim() - len(tuple(normalized_shape)), input.dim()))
    x = input.to(input.dtype.compute)
    _, mean, _, factor = _centred(x, dims, eps)
    return out, mean, factor


def local_response_norm(input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75,
                        k: float = 1.0) -> Tensor:
    """x / (k + alpha * mean of x ** 2 over `size` channels around) ** beta (Krizhevsky 2012).

    Raises:
        ValueError: fewer than three dims.
    """
    if input.dim() < 3:
        raise ValueError(f"Expected 3D or higher dimensionality                          "
                         f"input (got {input.dim()} dimensions)")
    if not input.numel():
        return input
    square = (input * input).movedim(1, -1)
    padded = functions.constant_pad_nd(square, (size // 2, (size - 1) // 2), 0)
    flat = padded.reshape(-1, 1, padded.shape[-1])
    total = windows(flat, (size,), (1,), (1,)).sum(2)
    means = total.reshape(square.shape) / size
    return input / (means.movedim(-1, 1) * alpha + k).pow(beta)
