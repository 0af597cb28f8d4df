"""Traced numbers: a float and where it came from in, expressions that can be computed again out.

While a step is captured, the numbers of optimizers' `param_groups`, step counts and float
arguments are `Traced`: arithmetic on them keeps the expression, so that each replay computes the
scalars of its kernels from the numbers of that call.
"""

from __future__ import annotations


class Traced(float):
    """A float that remembers its expression (Python source over named inputs).

    `sources` are the names it depends on. A comparison decides what is recorded: `decisions`
    collects (source text, outcome) of each, to be checked before a replay.
    """

    __slots__ = ("text", "sources")
    decisions: dict[str, bool] = {}
    deciding: set[str] = set()

    def __new__(cls, value: float, text: str, sources: frozenset[str]):
        self = super().__new__(cls, value)
        self.text, self.sources = text, sources
        return self

    def __reduce__(self):
        return (float, (float(self),))


def _binary(name: str, sign: str):
    plain = getattr(float, f"__{name}__")
    swapped = getattr(float, f"__r{name}__")

    def forward(self, other):
        value = plain(self, other)
        if value is NotImplemented:
            return value
        return Traced(value, f"({self.text} {sign} {text_of(other)})", sources_of(self, other))

    def backward(self, other):
        value = swapped(self, other)
        if value is NotImplemented:
            return value
        return Traced(value, f"({text_of(other)} {sign} {self.text})", sources_of(self, other))

    return forward, backward


def text_of(value) -> str:
    """Source text of a number."""
    return value.text if isinstance(value, Traced) else repr(value)


def sources_of(*values) -> frozenset[str]:
    """All sources of some numbers."""
    return frozenset().union(*(v.sources for v in values if isinstance(v, Traced)))


for _name, _sign in (("add", "+"), ("sub", "-"), ("mul", "*"), ("truediv", "/"), ("pow", "**"),
                     ("floordiv", "//"), ("mod", "%")):
    _forward, _backward = _binary(_name, _sign)
    setattr(Traced, f"__{_name}__", _forward)
    setattr(Traced, f"__r{_name}__", _backward)
Traced.__neg__ = lambda x: Traced(float.__neg__(x), f"(-{x.text})", x.sources)
Traced.__pos__ = lambda x: x
Traced.__abs__ = lambda x: Traced(float.__abs__(x), f"abs({x.text})", x.sources)


def _deciding(name: str, sign: str):
    plain = getattr(float, name)

    def method(self, *other):
        outcome = plain(self, *other)
        if outcome is not NotImplemented:
            text = f"({self.text} {sign} {text_of(*other)})" if other else f"bool({self.text})"
            Traced.decisions[text] = outcome
            Traced.deciding |= sources_of(self, *other)
        return outcome

    return method


for _name, _sign in (("__eq__", "=="), ("__ne__", "!="), ("__lt__", "<"), ("__le__", "<="),
                     ("__gt__", ">"), ("__ge__", ">="), ("__bool__", "")):
    setattr(Traced, _name, _deciding(_name, _sign))
Traced.__hash__ = float.__hash__
