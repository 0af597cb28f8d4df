"""In: a matrix function of the top level that PyTorch has taken out. Out: its RuntimeError, which
names the function of `linalg` to call."""

from __future__ import annotations

from typing import Any, NoReturn

from ..tensor import Tensor

INSTEAD = {"eig": "linalg.eig", "lstsq": "linalg.lstsq", "matrix_rank": "linalg.matrix_rank",
           "solve": "linalg.solve", "symeig": "linalg.eigh"}
NOT_METHODS = {"matrix_rank"}


def _removed(name: str):
    def function(*args: Any, **options: Any) -> NoReturn:
        raise RuntimeError(f"torch.{name} was deprecated and has been removed; use "
                           f"torch.{INSTEAD[name]} instead")

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"RuntimeError: `{INSTEAD[name]}` has taken its place."
    return function


globals().update({name: _removed(name) for name in INSTEAD})


def install() -> None:
    """Puts the methods on Tensor."""
    for name in INSTEAD:
        if name not in NOT_METHODS:
            setattr(Tensor, name, globals()[name])
