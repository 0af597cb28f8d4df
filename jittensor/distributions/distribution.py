"""What every distribution is: parameters in, samples, log-probabilities and moments out."""

from __future__ import annotations

from typing import Any

from ..autograd.modes import no_grad
from ..graph.shapes import Size, broadcast_shapes
from ..tensor import Tensor
from . import constraints
from .parameters import lazy_property


class Distribution:
    """Base of all distributions: `batch_shape` of independent ones, each over `event_shape`."""

    has_rsample = False
    has_enumerate_support = False
    _validate_args = __debug__
    _kept: tuple[str, ...] = ()        # attributes that `expand` leaves as they are

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Whether arguments are checked by default; ValueError for anything but a bool."""
        if value not in (True, False):
            raise ValueError
        Distribution._validate_args = value

    def __init__(self, batch_shape: Any = (), event_shape: Any = (),
                 validate_args: bool | None = None):
        self._batch_shape, self._event_shape = Size(batch_shape), Size(event_shape)
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args:
            with no_grad():
                self._check_parameters()
        super().__init__()

    def _check_parameters(self) -> None:
        for name, constraint in self.arg_constraints.items():
            if constraints.is_dependent(constraint) or name not in self.__dict__ and isinstance(
                    getattr(type(self), name), lazy_property):
                continue
            value = getattr(self, name)
            if not constraint.holds(value):
                raise ValueError(
                    f"Expected parameter {name} ({type(value).__name__} of shape "
                    f"{tuple(value.shape)}) of distribution {self!r} to satisfy the constraint "
                    f"{constraint!r}, but found invalid values:\n{value}")

    # ── shapes ────────────────────────────────────────────────────────────────────────────────
    @property
    def batch_shape(self) -> Size:
        """The shape of the independent distributions."""
        return self._batch_shape

    @property
    def event_shape(self) -> Size:
        """The shape of one draw."""
        return self._event_shape

    def _extended_shape(self, sample_shape: Any = ()) -> Size:
        return Size(tuple(Size(sample_shape)) + tuple(self._batch_shape) + tuple(self._event_shape))

    def expand(self, batch_shape: Any, _instance: Any = None) -> Distribution:
        """The same distribution with its batch dims broadcast to `batch_shape`."""
        own_class = next(c for c in type(self).__mro__ if c.__module__.startswith(__package__))
        new = self._get_checked_instance(own_class, _instance)
        shape = Size(batch_shape)
        own = len(self._batch_shape)
        for name in self._expanded():
            if name in self.__dict__:
                value = self.__dict__[name]
                new.__dict__[name] = value.expand(
                    shape + value.shape[own:]) if isinstance(value, Tensor) else value.expand(shape)
        for name in self._kept:
            setattr(new, name, getattr(self, name))
        return self._born(new, shape)

    def _expanded(self) -> tuple:
        """The attributes that `expand` broadcasts: tensors and distributions."""
        return tuple(self.arg_constraints)

    def _born(self, new: Any, batch_shape: Any) -> Any:
        """A distribution whose parameters were checked before."""
        Distribution.__init__(new, batch_shape, self._event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def _get_checked_instance(self, cls: type, _instance: Any = None) -> Any:
        if _instance is None and type(self).__init__ is not cls.__init__:
            raise NotImplementedError(
                f"Subclass {type(self).__name__} of {cls.__name__} that defines a custom __init__ "
                "method must also define a custom .expand() method.")
        return type(self).__new__(type(self)) if _instance is None else _instance

    # ── what a family gives ───────────────────────────────────────────────────────────────────
    @property
    def arg_constraints(self) -> dict:
        """The set of each parameter."""
        raise NotImplementedError

    @property
    def support(self) -> Any:
        """The set of draws."""
        raise NotImplementedError

    @property
    def mean(self) -> Tensor:
        """The mean."""
        raise NotImplementedError

    @property
    def mode(self) -> Tensor:
        """The most likely value."""
        raise NotImplementedError(f"{type(self)} does not implement mode")

    @property
    def variance(self) -> Tensor:
        """The variance."""
        raise NotImplementedError

    @property
    def stddev(self) -> Tensor:
        """The standard deviation."""
        return self.variance.sqrt()

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws of shape `sample_shape` + batch_shape + event_shape, without a gradient."""
        with no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws that are differentiable functions of the parameters."""
        raise NotImplementedError

    def sample_n(self, n: int) -> Tensor:
        """`sample((n,))`, PyTorch's old name."""
        import warnings
        warnings.warn("sample_n(n) will be deprecated. Use .sample((n,)) instead.", UserWarning,
                      stacklevel=2)
        return self.sample(Size((n,)))

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density or probability of a value."""
        raise NotImplementedError

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of draws up to a value."""
        raise NotImplementedError

    def icdf(self, value: Tensor) -> Tensor:
        """The value below which draws stay with a probability."""
        raise NotImplementedError

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All values of a discrete distribution along the first dim."""
        raise NotImplementedError

    def entropy(self) -> Tensor:
        """The entropy in nats."""
        raise NotImplementedError

    def perplexity(self) -> Tensor:
        """exp of the entropy."""
        return self.entropy().exp()

    # ── checks ────────────────────────────────────────────────────────────────────────────────
    def _validate_sample(self, value: Any) -> None:
        if not isinstance(value, Tensor):
            raise ValueError("The value argument to log_prob must be a Tensor")
        events = value.ndim - len(self._event_shape)
        if tuple(value.shape[max(events, 0):]) != tuple(self._event_shape):
            raise ValueError("The right-most size of value must match event_shape: "
                             f"{value.shape} vs {self._event_shape}.")
        want = self._batch_shape + self._event_shape
        try:
            broadcast_shapes(tuple(value.shape), tuple(want))
        except RuntimeError:
            raise ValueError("Value is not broadcastable with batch_shape+event_shape: "
                             f"{value.shape} vs {want}.") from None
        try:
            support = self.support
        except NotImplementedError:
            import warnings
            warnings.warn(f"{type(self)} does not define `support` to enable sample validation. "
                          "Please initialize the distribution with `validate_args=False` to turn "
                          "off validation.", stacklevel=3)
            return
        with no_grad():
            if not support.holds(value):
                raise ValueError(
                    f"Expected value argument ({type(value).__name__} of shape "
                    f"{tuple(value.shape)}) to be within the support ({support!r}) of the "
                    f"distribution {self!r}, but found invalid values:\n{value}")

    def __repr__(self) -> str:
        names = [name for name in self.arg_constraints if name in self.__dict__]
        values = ((n, self.__dict__[n]) for n in names)
        text = ", ".join(f"{n}: {v if v.numel() == 1 else v.size()}" for n, v in values)
        return f"{type(self).__name__}({text})"


class ExponentialFamily(Distribution):
    """Distributions of the form exp(<eta, t(x)> - A(eta)) h(x)."""
