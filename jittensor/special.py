"""`torch.special`: special functions by their names there; tensors in, tensors out."""

from __future__ import annotations

from . import functions as _functions

_SAME = ("digamma", "erf", "erfc", "erfinv", "exp2", "expm1", "i0", "log1p", "log_softmax", "logit",
         "logsumexp", "polygamma", "round", "sinc", "softmax", "xlogy")
_RENAMED = {"expit": "sigmoid", "gammainc": "igamma", "gammaincc": "igammac", "gammaln": "lgamma",
            "psi": "digamma", "multigammaln": "mvlgamma"}

for _name in _SAME:
    globals()[_name] = getattr(_functions, _name)
for _name, _source in _RENAMED.items():
    globals()[_name] = getattr(_functions, _source)
for _name, _function in vars(_functions).items():
    if _name.startswith("special_"):
        globals()[_name.removeprefix("special_")] = _function

__all__ = sorted(name for name in globals() if not name.startswith("_") and name != "annotations")
