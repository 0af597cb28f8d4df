"""Names in PyTorch's files: an object of jittensor in, the (module, name) PyTorch has for it out,
and back."""

from __future__ import annotations

import importlib
import types
from typing import Any

from .. import storage as storages
from ..graph import dtypes as dt
from ..graph.shapes import Size
from ..nn.parameter import Parameter
from ..random import Generator
from ..tensor import Tensor, device
from . import rebuild

__all__ = ["ALIASES", "from_torch", "name_of", "to_torch"]

_ROOT = "jittensor"
# objects that live elsewhere in PyTorch than their module's name says
ALIASES: dict[tuple[str, str], Any] = {
    **{("torch._utils", name): function for name, function in rebuild.FUNCTIONS.items()},
    **{("torch", name): kind for name, kind in storages.STORAGE_TYPES.items()},
    **{("torch", d.name): d for d in dt.ALL},
    ("torch.storage", "UntypedStorage"): storages.UntypedStorage,
    ("torch.storage", "TypedStorage"): storages.TypedStorage,
    ("torch.serialization", "_get_layout"): rebuild._get_layout,
    ("torch._tensor", "_rebuild_from_type_v2"): rebuild._rebuild_from_type_v2,
    ("torch", "Size"): Size,
    ("torch", "device"): device,
    ("torch", "Tensor"): Tensor,
    ("torch._tensor", "Tensor"): Tensor,
    ("torch._C", "Generator"): Generator,
    ("torch.nn.parameter", "Parameter"): Parameter,
}
# PyTorch's module -> its classes that jittensor keeps in a file of another name
_MOVED = {
    "nn.modules.loss": "CTCLoss LinearCrossEntropyLoss MultiLabelMarginLoss "
                       "MultiLabelSoftMarginLoss MultiMarginLoss TripletMarginLoss "
                       "TripletMarginWithDistanceLoss",
    "nn.modules.distance": "CosineSimilarity PairwiseDistance",
    "nn.modules.channelshuffle": "ChannelShuffle",
    "nn.modules.pixelshuffle": "PixelShuffle PixelUnshuffle",
    "nn.modules.fold": "Fold Unfold",
    "nn.modules.upsampling": "Upsample UpsamplingBilinear2d UpsamplingNearest2d",
    "nn.modules.sparse": "EmbeddingBag",
    "nn.modules.rnn": "GRUCell LSTMCell RNNCell RNNCellBase",
    "nn.modules.normalization": "GroupNorm LocalResponseNorm",
    "nn.modules.instancenorm": "InstanceNorm1d InstanceNorm2d InstanceNorm3d LazyInstanceNorm1d "
                               "LazyInstanceNorm2d LazyInstanceNorm3d",
    "nn.modules.batchnorm": "LazyBatchNorm1d LazyBatchNorm2d LazyBatchNorm3d",
    "nn.modules.conv": "LazyConv1d LazyConv2d LazyConv3d LazyConvTranspose1d LazyConvTranspose2d "
                       "LazyConvTranspose3d",
    "nn.modules.linear": "LazyLinear",
    "nn.modules.activation": "MultiheadAttention",
    "optim": "Adafactor Muon",
    "optim.adamw": "AdamW",
    "distributions.chi2": "Chi2", "distributions.exp_family": "ExponentialFamily",
    "distributions.half_cauchy": "HalfCauchy", "distributions.pareto": "Pareto",
    "distributions.weibull": "Weibull",
}
_HOMES = {(_module_.split(".")[0], _class): _module_
          for _module_, _classes in _MOVED.items() for _class in _classes.split()}
_TORCH_NAMES = {}
for _name, _object in ALIASES.items():
    _TORCH_NAMES.setdefault(id(_object), _name)
_TORCH_NAMES[id(Tensor)] = ("torch", "Tensor")


def to_torch(obj: Any) -> tuple[str, str] | None:
    """PyTorch's (module, name) of a function, class or dtype of jittensor; None for any other."""
    found = _TORCH_NAMES.get(id(obj))
    if found is not None:
        return found
    module = getattr(obj, "__module__", None)
    if not isinstance(module, str) or module.split(".")[0] != _ROOT:
        return None
    name = getattr(obj, "__qualname__", None) or getattr(obj, "__name__", None)
    if not isinstance(name, str) or "<" in name:
        return None
    package = module.split(".")[1] if "." in module else ""
    for whole in ("optim.lr_scheduler", "nn.functional"):     # one file each in PyTorch
        if module.startswith(f"{_ROOT}.{whole}."):
            return f"torch.{whole}", name
    home = _HOMES.get((package, name))
    return "torch" + (module[len(_ROOT):] if home is None else "." + home), name


def from_torch(module: str, name: str) -> Any:
    """jittensor's object of a name in PyTorch's files.

    Raises:
        AttributeError: jittensor has none.
    """
    found = ALIASES.get((module, name))
    if found is not None:
        return found
    if module.split(".")[0] != "torch":
        raise AttributeError(f"{module}.{name} is no name of PyTorch's")
    path = module.split(".")[1:]
    while True:
        holder = _module(".".join([_ROOT, *path]))
        value = holder
        for part in name.split("."):
            value = getattr(value, part, None)
        if value is not None and not isinstance(value, types.ModuleType):
            return value
        if not path:
            raise AttributeError(f"jittensor has no {module}.{name}")
        path.pop()


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not name.startswith(error.name):
            raise
        return None


def name_of(obj: Any) -> str:
    """The full name under which an object stands in files: 'module.name'."""
    found = to_torch(obj)
    if found is not None:
        return ".".join(found)
    name = getattr(obj, "__qualname__", None) or getattr(obj, "__name__", None)
    return f"{getattr(obj, '__module__', None)}.{name}"
