"""Named tuples that functions with several results return: `max(x, dim).values`, …"""

from __future__ import annotations

from collections import namedtuple


def _named(name: str, fields: str) -> type:
    base = namedtuple(name, fields)

    def text(self) -> str:
        parts = ",\n".join(f"{f}={v!r}" for f, v in zip(self._fields, self, strict=True))
        return f"torch.return_types.{name}(\n{parts})"

    return type(name, (base,), {"__slots__": (), "__repr__": text, "__module__": __name__,
                                "__doc__": f"What `{name}` returns: {fields}."})


max = _named("max", "values indices")
min = _named("min", "values indices")
median = _named("median", "values indices")
nanmedian = _named("nanmedian", "values indices")
mode = _named("mode", "values indices")
kthvalue = _named("kthvalue", "values indices")
sort = _named("sort", "values indices")
topk = _named("topk", "values indices")
cummax = _named("cummax", "values indices")
cummin = _named("cummin", "values indices")
aminmax = _named("aminmax", "min max")
frexp = _named("frexp", "mantissa exponent")
histogram = _named("histogram", "hist bin_edges")
histogramdd = _named("histogramdd", "hist bin_edges")
