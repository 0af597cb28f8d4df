"""`python -m jittensor script.py args`: a PyTorch program in, its run on jittensor out.

`-m module args` and `-c code args` work as they do with `python`.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from types import CodeType, ModuleType

from .aliases import as_torch

USAGE = "usage: python -m jittensor [-m module | -c code | script.py] [arguments]"


def main(arguments: list[str]) -> int:
    """Runs the program that the arguments name as `__main__`; returns the exit status."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE, file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else 2
    as_torch()
    try:
        code, module, argv = _program(arguments)
    except (OSError, ImportError) as error:
        print(f"python -m jittensor: {error}", file=sys.stderr)
        return 2
    except SyntaxError as error:
        sys.excepthook(type(error), error.with_traceback(None), None)
        return 1
    sys.argv = argv
    sys.modules["__main__"] = module
    try:
        exec(code, module.__dict__)
    except SystemExit:
        raise
    except BaseException as error:
        trace = error.__traceback__.tb_next          # from the program's own first frame on
        sys.excepthook(type(error), error.with_traceback(trace), trace)
        return 130 if isinstance(error, KeyboardInterrupt) else 1
    return 0


def _program(arguments: list[str]) -> tuple[CodeType, ModuleType, list[str]]:
    """(code, the module it runs in, its argv)."""
    module = ModuleType("__main__")
    module.__builtins__ = __builtins__
    first = arguments[0]
    if first in ("-c", "-m") and len(arguments) < 2:
        raise ImportError(f"argument expected for {first}")
    if first == "-c":
        sys.path[0] = ""
        return compile(arguments[1], "<string>", "exec"), module, ["-c", *arguments[2:]]
    if first == "-m":
        sys.path[0] = os.getcwd()
        return _module_program(arguments[1], module, arguments[2:])
    with open(first, "rb") as file:
        source = file.read()
    sys.path[0] = os.path.dirname(os.path.abspath(first))
    module.__file__ = first
    return compile(source, first, "exec"), module, list(arguments)


def _module_program(name: str, module: ModuleType, rest: list[str]) -> tuple:
    spec = importlib.util.find_spec(name)
    if spec is not None and spec.submodule_search_locations is not None:
        spec = importlib.util.find_spec(name + ".__main__")
    if spec is None or not hasattr(spec.loader, "get_code"):
        raise ImportError(f"No module named {name}")
    module.__file__, module.__spec__ = spec.origin, spec
    module.__package__ = spec.parent
    return spec.loader.get_code(spec.name), module, [spec.origin or name, *rest]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
