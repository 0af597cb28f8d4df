"""In: a module and the name of a parameter. Out: the parameter times a mask of zeros and ones.

The parameter is kept as `name_orig`, the mask is the buffer `name_mask`, and a hook before each
call makes `name` their product, so that gradients reach what was not pruned.
"""

from __future__ import annotations

import numbers
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any

from ... import creation, functions, random
from ...tensor import Tensor
from ..modules.module import Module
from .convert_parameters import parameters_to_vector

__all__ = [
    "BasePruningMethod", "CustomFromMask", "Identity", "L1Unstructured", "LnStructured",
    "PruningContainer", "RandomStructured", "RandomUnstructured", "custom_from_mask",
    "global_unstructured", "identity", "is_pruned", "l1_unstructured", "ln_structured",
    "random_structured", "random_unstructured", "remove",
]


def _hooks(module: Module, name: str) -> list[tuple[Any, BasePruningMethod]]:
    """(key, hook) of the pruning of a parameter."""
    return [(key, hook) for key, hook in module._forward_pre_hooks.items()
            if isinstance(hook, BasePruningMethod) and hook._tensor_name == name]


class BasePruningMethod(ABC):
    """Base of the ways to choose a mask: override `compute_mask`, set `PRUNING_TYPE` to
    "unstructured" (elements), "structured" (slices of the dim `dim`) or "global"."""

    PRUNING_TYPE: str
    _tensor_name: str | None = None

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self._tensor_name, self.apply_mask(module))

    @abstractmethod
    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """A mask of t's shape, zero where `default_mask` is and where t is to be pruned."""

    def apply_mask(self, module: Module) -> Tensor:
        """The parameter times its mask."""
        if self._tensor_name is None:
            raise AssertionError(f"Module {module} has to be pruned")
        original = getattr(module, self._tensor_name + "_orig")
        return getattr(module, self._tensor_name + "_mask").to(original.dtype) * original

    @classmethod
    def apply(cls, module: Module, name: str, *args: Any,
              importance_scores: Tensor | None = None, **kwargs: Any) -> BasePruningMethod:
        """Prune a parameter, which may be pruned already.

        Args:
            importance_scores: what to choose by, in place of the parameter itself.
            args, kwargs: for the class.

        Raises:
            AssertionError: scores of another shape.
        """
        method = cls(*args, **kwargs)
        method._tensor_name = name
        earlier = _hooks(module, name)
        if len(earlier) > 1:
            raise AssertionError("Avoid adding multiple pruning hooks to the same tensor "
                                 f"{name} of module {module}. Use a PruningContainer.")
        for key, hook in earlier:
            del module._forward_pre_hooks[key]
            method = _together(hook, method)
        parameter = getattr(module, name)
        scores = parameter if importance_scores is None else importance_scores
        if scores.shape != parameter.shape:
            raise AssertionError("importance_scores should have the same shape as parameter "
                                 f"{name} of {module}, got {scores.shape} vs {parameter.shape}")
        first = not isinstance(method, PruningContainer)
        if first:
            module.register_parameter(name + "_orig", parameter)
            del module._parameters[name]
            mask = creation.ones_like(parameter)
        else:
            mask = getattr(module, name + "_mask").detach().clone()
        try:
            module.register_buffer(name + "_mask", method.compute_mask(scores, default_mask=mask))
            setattr(module, name, method.apply_mask(module))
            module.register_forward_pre_hook(method)
        except Exception:
            if first:
                module.register_parameter(name, parameter)
                del module._parameters[name + "_orig"]
            raise
        return method

    def prune(self, t: Tensor, default_mask: Tensor | None = None,
              importance_scores: Tensor | None = None) -> Tensor:
        """t times the mask, without a module."""
        scores = t if importance_scores is None else importance_scores
        if scores.shape != t.shape:
            raise AssertionError("importance_scores should have the same shape as tensor t, got "
                                 f"{scores.shape} vs {t.shape}")
        mask = creation.ones_like(t) if default_mask is None else default_mask
        return t * self.compute_mask(scores, default_mask=mask)

    def remove(self, module: Module) -> None:
        """Make the pruned parameter a plain one again; the zeros stay."""
        name = self._tensor_name
        if name is None:
            raise AssertionError(f"Module {module} has to be pruned before pruning can be removed")
        weight = self.apply_mask(module)
        if hasattr(module, name):
            delattr(module, name)
        original = module._parameters.pop(name + "_orig")
        original.data = weight.data
        del module._buffers[name + "_mask"]
        setattr(module, name, original)


def _together(earlier: BasePruningMethod, method: BasePruningMethod) -> PruningContainer:
    container = earlier if isinstance(earlier, PruningContainer) else PruningContainer(earlier)
    container.add_pruning_method(method)
    return container


class PruningContainer(BasePruningMethod):
    """Several prunings of one parameter; the last chooses among what the others left."""

    def __init__(self, *args: BasePruningMethod) -> None:
        self._pruning_methods: tuple[BasePruningMethod, ...] = ()
        if len(args) == 1:
            self._tensor_name = args[0]._tensor_name
        for method in args:
            self.add_pruning_method(method)

    def add_pruning_method(self, method: BasePruningMethod) -> None:
        """Add one of the same parameter.

        Raises:
            TypeError: it is no pruning method. ValueError: it is another parameter's.
        """
        if not isinstance(method, BasePruningMethod) and method is not None:
            raise TypeError(f"{type(method)} is not a BasePruningMethod subclass")
        if method is not None and self._tensor_name != method._tensor_name:
            raise ValueError("Can only add pruning methods acting on the parameter named "
                             f"'{self._tensor_name}' to PruningContainer {self}. Found "
                             f"'{method._tensor_name}'")
        self._pruning_methods += (method,)

    def __len__(self) -> int:
        return len(self._pruning_methods)

    def __iter__(self) -> Iterator[BasePruningMethod]:
        return iter(self._pruning_methods)

    def __getitem__(self, idx: int) -> BasePruningMethod:
        return self._pruning_methods[idx]

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask with what the last method takes out of the part that is left."""
        method, mask = self._pruning_methods[-1], default_mask
        part = self._left(method, t, mask)
        out = mask.to(t.dtype).clone()
        out[part] = method.compute_mask(t[part], default_mask=mask[part]).to(out.dtype)
        return out

    @staticmethod
    def _left(method: BasePruningMethod, t: Tensor, mask: Tensor) -> Any:
        """The index of the elements or slices that earlier methods left."""
        kind, everything = method.PRUNING_TYPE, [slice(None)] * t.dim()
        if kind == "unstructured":
            return mask == 1
        if kind == "global":
            return tuple(everything)
        if kind != "structured":
            raise ValueError(f"Unrecognized PRUNING_TYPE {kind}")
        if not hasattr(method, "dim"):
            raise AttributeError('Pruning methods of PRUNING_TYPE "structured" need to have the '
                                 "attribute `dim` defined.")
        dim = method.dim + t.dim() if method.dim < 0 else method.dim
        if dim < 0:
            raise IndexError(f"Index is out of bounds for tensor with dimensions {t.dim()}")
        everything[dim] = mask.sum(dim=[d for d in range(t.dim()) if d != dim]) != 0
        return tuple(everything)


# ── amounts ───────────────────────────────────────────────────────────────────────────────────
def _check_amount(amount: Any) -> None:
    if not isinstance(amount, numbers.Real):
        raise TypeError(f"Invalid type for amount: {amount}. Must be int or float.")
    whole = isinstance(amount, numbers.Integral)
    if (whole and amount < 0) or (not whole and not 0.0 <= float(amount) <= 1.0):
        raise ValueError(f"amount={amount} should either be a float in the range [0, 1] or a "
                         "non-negative integer")


def _count(amount: float, size: int) -> int:
    """How many of `size` things an amount (a number of them, or a share) is."""
    if not isinstance(amount, numbers.Integral):
        return round(amount * size)
    if amount > size:
        raise ValueError(f"amount={amount} should be smaller than the number of parameters to "
                         f"prune={size}")
    return amount


def _check_dim(t: Tensor, dim: int) -> None:
    if len(t.shape) <= 1:
        raise ValueError("Structured pruning can only be applied to multidimensional tensors. "
                         f"Found tensor of shape {t.shape} with {len(t.shape)} dims")
    if dim >= t.dim():
        raise IndexError(f"Invalid index {dim} for tensor of size {t.shape}")


def _slices(t: Tensor, dim: int, kept: Tensor, default_mask: Tensor) -> Tensor:
    """The default mask with only the slices of `dim` that `kept` names."""
    mask = creation.zeros_like(t)
    at: list[Any] = [slice(None)] * t.dim()
    at[dim] = kept
    mask[tuple(at)] = 1
    return mask * default_mask.to(mask.dtype)


# ── methods ───────────────────────────────────────────────────────────────────────────────────
class Identity(BasePruningMethod):
    """Prunes nothing: the parameter gets a mask of ones."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The default mask."""
        return default_mask


class _Unstructured(BasePruningMethod):
    PRUNING_TYPE = "unstructured"

    def __init__(self, amount: float) -> None:
        _check_amount(amount)
        self.amount = amount

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The default mask without `amount` of the elements."""
        count = _count(self.amount, t.nelement())
        mask = default_mask.clone()
        if count:
            mask.view(-1)[self._chosen(t, count)] = 0
        return mask


class RandomUnstructured(_Unstructured):
    """Prunes elements by chance.

    Args:
        amount: how many, or which share.
    """

    def _chosen(self, t: Tensor, count: int) -> Tensor:
        return functions.topk(random.rand_like(t).view(-1), k=count).indices


class L1Unstructured(_Unstructured):
    """Prunes the elements nearest to zero.

    Args:
        amount: how many, or which share.
    """

    def _chosen(self, t: Tensor, count: int) -> Tensor:
        return functions.topk(t.abs().view(-1), k=count, largest=False).indices


class RandomStructured(BasePruningMethod):
    """Prunes slices of a dim by chance.

    Args:
        amount: how many, or which share.
    """

    PRUNING_TYPE = "structured"

    def __init__(self, amount: float, dim: int = -1) -> None:
        _check_amount(amount)
        self.amount, self.dim = amount, dim

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The default mask without `amount` of the slices."""
        _check_dim(t, self.dim)
        size = t.shape[self.dim]
        count = _count(self.amount, size)
        if not count:
            return default_mask
        draws = random.rand(size)
        kept = draws > functions.kthvalue(draws, k=count).values
        return _slices(t, self.dim, kept, default_mask)


class LnStructured(BasePruningMethod):
    """Prunes the slices of a dim that have the smallest norms.

    Args:
        amount: how many, or which share. n: the p of the norm.
    """

    PRUNING_TYPE = "structured"

    def __init__(self, amount: float, n: Any, dim: int = -1) -> None:
        _check_amount(amount)
        self.amount, self.n, self.dim = amount, n, dim

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The default mask without `amount` of the slices."""
        _check_dim(t, self.dim)
        size = t.shape[self.dim]
        count = _count(self.amount, size)
        if not count:
            return default_mask
        others = [d for d in range(t.dim()) if d != self.dim % t.dim()]
        norms = functions.norm(t, self.n, others)
        kept = functions.topk(norms, k=size - count, largest=True).indices
        return _slices(t, self.dim, kept, default_mask)


class CustomFromMask(BasePruningMethod):
    """Prunes where a given mask is zero."""

    PRUNING_TYPE = "global"

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Both masks' product."""
        if default_mask.shape != self.mask.shape:
            raise AssertionError(f"default_mask shape {default_mask.shape} must match self.mask "
                                 f"shape {self.mask.shape}")
        return default_mask * self.mask.to(default_mask.dtype)


# ── functions ─────────────────────────────────────────────────────────────────────────────────
def identity(module: Module, name: str) -> Module:
    """Give a parameter a mask of ones."""
    Identity.apply(module, name)
    return module


def random_unstructured(module: Module, name: str, amount: float) -> Module:
    """Prune elements of a parameter by chance."""
    RandomUnstructured.apply(module, name, amount=amount)
    return module


def l1_unstructured(module: Module, name: str, amount: float,
                    importance_scores: Tensor | None = None) -> Module:
    """Prune the elements of a parameter that are nearest to zero.

    >>> import jittensor as torch
    >>> layer = torch.nn.Linear(4, 2)
    >>> layer = torch.nn.utils.prune.l1_unstructured(layer, "weight", amount=3)
    >>> int((layer.weight == 0).sum())
    3
    """
    L1Unstructured.apply(module, name, amount=amount, importance_scores=importance_scores)
    return module


def random_structured(module: Module, name: str, amount: float, dim: int) -> Module:
    """Prune slices of a parameter's dim by chance."""
    RandomStructured.apply(module, name, amount=amount, dim=dim)
    return module


def ln_structured(module: Module, name: str, amount: float, n: Any, dim: int,
                  importance_scores: Tensor | None = None) -> Module:
    """Prune the slices of a parameter's dim that have the smallest norms."""
    LnStructured.apply(module, name, amount=amount, n=n, dim=dim,
                       importance_scores=importance_scores)
    return module


def custom_from_mask(module: Module, name: str, mask: Tensor) -> Module:
    """Prune a parameter where a mask is zero."""
    CustomFromMask.apply(module, name, mask=mask)
    return module


def global_unstructured(parameters: Any, pruning_method: type[BasePruningMethod],
                        importance_scores: dict | None = None, **kwargs: Any) -> None:
    """Prune elements of several parameters, chosen as if they were one.

    Args:
        parameters: (module, name) pairs. importance_scores: what to choose by, by such pairs.
        pruning_method: an unstructured one; kwargs are its arguments.

    Raises:
        TypeError: no pairs, no dict, or another kind of method.
    """
    if not isinstance(parameters, Iterable):
        raise TypeError("global_unstructured(): parameters is not an Iterable")
    scores = {} if importance_scores is None else importance_scores
    if not isinstance(scores, dict):
        raise TypeError("global_unstructured(): importance_scores must be of type dict")
    held = [(module, name, getattr(module, name)) for module, name in parameters]
    row = parameters_to_vector([scores.get((m, n), value) for m, n, value in held])
    masks = parameters_to_vector([getattr(m, n + "_mask", creation.ones_like(value))
                                  for m, n, value in held])
    container, method = PruningContainer(), pruning_method(**kwargs)
    container._tensor_name = method._tensor_name = "temp"
    if method.PRUNING_TYPE != "unstructured":
        raise TypeError('Only "unstructured" PRUNING_TYPE supported for the `pruning_method`. '
                        f"Found method {pruning_method} of type {method.PRUNING_TYPE}")
    container.add_pruning_method(method)
    mask = container.compute_mask(row, masks)
    at = 0
    for module, name, value in held:
        custom_from_mask(module, name, mask=mask[at:at + value.numel()].view_as(value))
        at += value.numel()


def remove(module: Module, name: str) -> Module:
    """Make a pruned parameter a plain one again; the zeros stay.

    Raises:
        ValueError: it is not pruned.
    """
    for key, hook in _hooks(module, name)[:1]:
        hook.remove(module)
        del module._forward_pre_hooks[key]
        return module
    raise ValueError(f"Parameter '{name}' of module {module} has to be pruned before pruning can "
                     "be removed")


def is_pruned(module: Module) -> bool:
    """Whether a parameter of the module or of its descendants is pruned."""
    return any(isinstance(hook, BasePruningMethod) for _, part in module.named_modules()
               for hook in part._forward_pre_hooks.values())
