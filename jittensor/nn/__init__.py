"""In: nothing. Out: `torch.nn`: modules, parameters, and functional, init, utils beside them."""

from . import functional, init, modules, parameter, utils
from .modules import *  # noqa: F403
from .modules import __all__ as _modules
from .parameter import Buffer, Parameter

__all__ = [*_modules, "Buffer", "Parameter", "functional", "init", "modules", "parameter", "utils"]  # noqa: PLE0604
