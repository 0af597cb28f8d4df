"""A pickle in, the object it describes out, where nothing but what is allowed can be called.

The pickle's instructions are interpreted here: a global is looked up in a table of what PyTorch's
files need and what the user has added, and never imported. Anything else raises UnpicklingError.
"""

from __future__ import annotations

import codecs
import collections
import struct
from collections.abc import Callable
from pickle import UnpicklingError
from typing import IO, Any

from ..nn.parameter import Parameter
from ..tensor import Tensor
from .allowed import _ALLOWED, _CALLS, _FUNCTIONS, _MAKES, _added, refusal

__all__ = ["RestrictedUnpickler", "globals_in"]



class RestrictedUnpickler:
    """Interprets one pickle from a file.

    Args:
        file: where to read; what follows the pickle is left unread.
        persistent_load: called with each persistent id.
        encoding: of 8-bit strings that Python 2 wrote.
    """

    def __init__(self, file: IO[bytes], persistent_load: Callable | None = None, *,
                 encoding: str = "bytes"):
        self.read, self.readline = file.read, file.readline
        self.persistent_load, self.encoding = persistent_load, encoding
        self.memo: dict[int, Any] = {}
        self.stack: list = []
        self.marks: list[list] = []
        self.seen: list[str] = []

    def load(self) -> Any:
        """The object.

        Raises:
            UnpicklingError: a global or an instruction that is not allowed, or no pickle.
            EOFError: the file ends too soon.
        """
        steps = _STEPS
        while True:
            code = self.read(1)
            if not code:
                raise EOFError("Ran out of input: the pickle ends before its end mark")
            if code == b".":
                if len(self.stack) != 1 or self.marks:
                    raise UnpicklingError("the pickle does not end with one object")
                return self.stack.pop()
            step = steps.get(code[0])
            if step is None:
                raise UnpicklingError(f"Unsupported operand {code[0]}: weights_only=True does not "
                                      "run this pickle instruction")
            try:
                step(self)
            except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError,
                    struct.error) as error:
                raise UnpicklingError(f"damaged pickle: {error!r} at instruction "
                                      f"{code!r}") from error

    # ── reading ───────────────────────────────────────────────────────────────────────────────
    def exactly(self, count: int) -> bytes:
        """The next `count` bytes; EOFError where there are fewer."""
        if count < 0:
            raise UnpicklingError(f"damaged pickle: a length of {count}")
        data = self.read(count)
        if len(data) != count:
            raise EOFError(f"Ran out of input: {count} bytes are wanted, {len(data)} are left")
        return data

    def number(self, form: str) -> Any:
        """A number in a `struct` format."""
        return struct.unpack(form, self.exactly(struct.calcsize(form)))[0]

    def line(self, encoding: str = "utf-8") -> str:
        """The rest of a line."""
        data = self.readline()
        if not data.endswith(b"\n"):
            raise EOFError("Ran out of input: the pickle ends within a line")
        return data[:-1].decode(encoding)

    def mark(self) -> list:
        """What lies above the last mark."""
        items, self.stack = self.stack, self.marks.pop()
        return items

    # ── what is allowed ───────────────────────────────────────────────────────────────────────
    def find(self, module: str, name: str) -> Any:
        """The allowed object of a global; UnpicklingError for any other."""
        full = f"{_PYTHON2.get(module, module)}.{name}"
        self.seen.append(full)
        found = _added.get(full)
        if found is None:
            found = _ALLOWED.get(full)
        if found is None:
            raise refusal(full)
        return found

    def call(self, function: Any, args: Any) -> Any:
        """function(*args), where that is one of the allowed calls."""
        if not isinstance(args, tuple):
            raise UnpicklingError(f"damaged pickle: arguments are a {type(args).__name__}")
        if not self.allowed_call(function):
            raise UnpicklingError("Trying to call reduce for unrecognized function "
                                  f"{getattr(function, '__name__', type(function).__name__)}")
        if function is bytearray and any(isinstance(a, int) for a in args):
            raise UnpicklingError("bytearray of a size is not allowed")
        try:
            return function(*args)
        except (TypeError, ValueError, RuntimeError, NotImplementedError, AttributeError,
                OverflowError, MemoryError, LookupError) as error:
            raise UnpicklingError(f"{getattr(function, '__name__', function)} could not be called "
                                  f"as the file asks: {error}") from error

    @staticmethod
    def allowed_call(function: Any) -> bool:
        """Whether a global of the pickle may be called."""
        return any(function is f for f in (*_added.values(), *_FUNCTIONS.values(), *_CALLS))

    def new(self, kind: Any, args: tuple, named: dict) -> Any:
        """kind.__new__(kind, ...), for an allowed class."""
        if not isinstance(kind, type) or not any(
                kind is f for f in (*_added.values(), *_MAKES)):
            raise UnpicklingError("Trying to create new object for unrecognized class "
                                  f"{getattr(kind, '__name__', kind)}")
        return kind.__new__(kind, *args, **named)

    def build(self, obj: Any, state: Any) -> None:
        """Sets an object's state, for an object of an allowed class."""
        kind = type(obj)
        if kind is collections.OrderedDict or kind in (Tensor, Parameter):
            self.attributes(obj, state)
        elif any(kind is f for f in _added.values()):
            setter = getattr(obj, "__setstate__", None)
            if setter is not None:
                setter(state)
            else:
                self.attributes(obj, state)
        else:
            raise UnpicklingError("Can only build Tensor, Parameter, OrderedDict or types "
                                  f"allowlisted via `add_safe_globals`, but got {kind}")

    @staticmethod
    def attributes(obj: Any, state: Any) -> None:
        """Sets attributes, from a dict or a pair of dicts (attributes, slots)."""
        slots = None
        if isinstance(state, tuple) and len(state) == 2:
            state, slots = state
        for name, value in (state or {}).items():
            if not isinstance(name, str) or name.startswith("__"):
                raise UnpicklingError(f"the file sets an attribute {name!r}")
            obj.__dict__[name] = value
        for name, value in (slots or {}).items():
            setattr(obj, name, value)


_PYTHON2 = {"__builtin__": "builtins", "copy_reg": "copyreg"}
_STEPS: dict[int, Callable] = {}


def _step(code: bytes):
    def note(function):
        for one in code:
            _STEPS[one] = function
        return function

    return note


def _push(code: bytes, value: Callable) -> None:
    def step(u):
        result = value(u)           # may take the stack above a mark away: before it is named
        u.stack.append(result)

    _STEPS[code[0]] = step


# ── values ────────────────────────────────────────────────────────────────────────────────────
def _decimal(u: RestrictedUnpickler) -> Any:
    text = u.line()
    if text in ("00", "01"):
        return text == "01"
    return _whole(text)


def _whole(text: str) -> int:
    return int(text.rstrip("L"))


def _text8(u: RestrictedUnpickler, data: bytes) -> Any:
    return data if u.encoding == "bytes" else data.decode(u.encoding, "strict")


def _quoted(u: RestrictedUnpickler) -> Any:
    text = u.line()
    if len(text) < 2 or text[0] != text[-1] or text[0] not in "\"'":
        raise UnpicklingError("the STRING instruction's argument must be quoted")
    return _text8(u, codecs.escape_decode(text[1:-1].encode("ascii"))[0])


_push(b"N", lambda u: None)
_push(b"\x88", lambda u: True)
_push(b"\x89", lambda u: False)
_push(b"I", _decimal)
_push(b"L", lambda u: _whole(u.line()))
_push(b"J", lambda u: u.number("<i"))
_push(b"K", lambda u: u.number("<B"))
_push(b"M", lambda u: u.number("<H"))
_push(b"\x8a", lambda u: int.from_bytes(u.exactly(u.number("<B")), "little", signed=True))
_push(b"\x8b", lambda u: int.from_bytes(u.exactly(u.number("<i")), "little", signed=True))
_push(b"F", lambda u: float(u.line()))
_push(b"G", lambda u: u.number(">d"))
_push(b"S", _quoted)
_push(b"T", lambda u: _text8(u, u.exactly(u.number("<i"))))
_push(b"U", lambda u: _text8(u, u.exactly(u.number("<B"))))
_push(b"V", lambda u: u.line("raw-unicode-escape"))
_push(b"X", lambda u: u.exactly(u.number("<I")).decode("utf-8", "surrogatepass"))
_push(b"\x8c", lambda u: u.exactly(u.number("<B")).decode("utf-8", "surrogatepass"))
_push(b"\x8d", lambda u: u.exactly(u.number("<Q")).decode("utf-8", "surrogatepass"))
_push(b"C", lambda u: u.exactly(u.number("<B")))
_push(b"B", lambda u: u.exactly(u.number("<I")))
_push(b"\x8e", lambda u: u.exactly(u.number("<Q")))
_push(b"\x96", lambda u: bytearray(u.exactly(u.number("<Q"))))
_push(b"]", lambda u: [])
_push(b"}", lambda u: {})
_push(b")", lambda u: ())
_push(b"\x8f", lambda u: set())
_push(b"t", lambda u: tuple(u.mark()))
_push(b"l", lambda u: u.mark())
_push(b"\x91", lambda u: frozenset(u.mark()))


@_step(b"\x80")
def _protocol(u):
    version = u.number("<B")
    if not 0 <= version <= 5:
        raise UnpicklingError(f"unsupported pickle protocol: {version}")


@_step(b"\x95")
def _frame(u):
    u.number("<Q")                      # a hint for readers with buffers


def _tuple_of(count: int) -> Callable:
    def step(u):
        if len(u.stack) < count:
            raise IndexError("stack underflow")
        u.stack[-count:] = [tuple(u.stack[-count:])]

    return step


for _count in (1, 2, 3):
    _STEPS[0x84 + _count] = _tuple_of(_count)


@_step(b"d")
def _dict(u):
    items = u.mark()
    u.stack.append(dict(zip(items[::2], items[1::2], strict=True)))


# ── filling containers ────────────────────────────────────────────────────────────────────────
def _into_list(u, values: list) -> None:
    target = u.stack[-1]
    if type(target) is list:
        target.extend(values)
    elif isinstance(target, list) and any(type(target) is f for f in _added.values()):
        target.extend(values)
    else:
        raise UnpicklingError(f"Can only append to lists, but got {type(target)}")


def _into_dict(u, values: list) -> None:
    target = u.stack[-1]
    if type(target) not in (dict, collections.OrderedDict, collections.Counter) and not (
            isinstance(target, dict) and any(type(target) is f for f in _added.values())):
        raise UnpicklingError(f"Can only set items of dicts, but got {type(target)}")
    for key, value in zip(values[::2], values[1::2], strict=True):
        target[key] = value


@_step(b"a")
def _append(u):
    value = u.stack.pop()
    _into_list(u, [value])


@_step(b"e")
def _appends(u):
    values = u.mark()
    _into_list(u, values)


@_step(b"s")
def _setitem(u):
    value, key = u.stack.pop(), u.stack.pop()
    _into_dict(u, [key, value])


@_step(b"u")
def _setitems(u):
    values = u.mark()
    _into_dict(u, values)


@_step(b"\x90")
def _additems(u):
    values = u.mark()
    if type(u.stack[-1]) is not set:
        raise UnpicklingError(f"Can only add to sets, but got {type(u.stack[-1])}")
    u.stack[-1].update(values)


# ── stack and memo ────────────────────────────────────────────────────────────────────────────
@_step(b"(")
def _mark(u):
    u.marks.append(u.stack)
    u.stack = []


@_step(b"0")
def _pop(u):
    if u.stack:
        u.stack.pop()
    else:
        u.mark()


@_step(b"1")
def _pop_mark(u):
    u.mark()


@_step(b"2")
def _dup(u):
    u.stack.append(u.stack[-1])


_push(b"g", lambda u: u.memo[_whole(u.line())])
_push(b"h", lambda u: u.memo[u.number("<B")])
_push(b"j", lambda u: u.memo[u.number("<I")])


@_step(b"p")
def _put(u):
    u.memo[_whole(u.line())] = u.stack[-1]


@_step(b"q")
def _binput(u):
    u.memo[u.number("<B")] = u.stack[-1]


@_step(b"r")
def _long_binput(u):
    u.memo[u.number("<I")] = u.stack[-1]


@_step(b"\x94")
def _memoize(u):
    u.memo[len(u.memo)] = u.stack[-1]


# ── globals and calls ─────────────────────────────────────────────────────────────────────────
@_step(b"c")
def _global(u):
    module, name = u.line(), u.line()
    u.stack.append(u.find(module, name))


@_step(b"\x93")
def _stack_global(u):
    name, module = u.stack.pop(), u.stack.pop()
    if type(name) is not str or type(module) is not str:
        raise UnpicklingError("the name of a global must be two strings")
    u.stack.append(u.find(module, name))


@_step(b"R")
def _reduce(u):
    args, function = u.stack.pop(), u.stack.pop()
    u.stack.append(u.call(function, args))


@_step(b"\x81")
def _newobj(u):
    args, kind = u.stack.pop(), u.stack.pop()
    u.stack.append(u.new(kind, args, {}))


@_step(b"\x92")
def _newobj_ex(u):
    named, args, kind = u.stack.pop(), u.stack.pop(), u.stack.pop()
    u.stack.append(u.new(kind, args, named))


@_step(b"b")
def _build(u):
    state = u.stack.pop()
    u.build(u.stack[-1], state)


@_step(b"Q")
def _binpersid(u):
    if u.persistent_load is None:
        raise UnpicklingError("the pickle names a storage, but there is none here")
    u.stack.append(u.persistent_load(u.stack.pop()))


def globals_in(file: IO[bytes]) -> list[str]:
    """The full names of the globals in a pickle, which is read but not interpreted."""
    import pickletools
    found, texts = [], []
    memo: dict[int, Any] = {}
    for operation, argument, _ in pickletools.genops(file):
        name = operation.name
        if name == "GLOBAL":
            module, _, last = argument.partition(" ")
            found.append(f"{_PYTHON2.get(module, module)}.{last}")
        elif name == "STACK_GLOBAL":
            found.append(".".join(str(text) for text in texts[-2:]))
        elif name == "MEMOIZE":
            memo[len(memo)] = texts[-1] if texts else None
        elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
            memo[int(argument)] = texts[-1] if texts else None
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            texts.append(memo.get(int(argument)))
        elif isinstance(argument, str):
            texts.append(argument)
    return list(dict.fromkeys(found))
