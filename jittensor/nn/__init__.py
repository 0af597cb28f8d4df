"""In: nothing. Out: `torch.nn`: modules, parameters, and functional, init, utils beside them."""

from . import (
    attention,
    common_types,
    functional,
    grad,
    init,
    modules,
    parallel,
    parameter,
    utils,
)
from .factory import factory_kwargs
from .modules import *  # noqa: F403
from .modules import __all__ as _modules
from .parallel import DataParallel
from .parameter import Buffer, Parameter, UninitializedBuffer, UninitializedParameter

__all__ = [  # noqa: PLE0604
    *_modules, "Buffer", "DataParallel", "Parameter", "UninitializedBuffer",
    "UninitializedParameter", "attention", "common_types", "factory_kwargs", "functional", "grad",
    "init", "modules", "parallel", "parameter", "utils",
]
