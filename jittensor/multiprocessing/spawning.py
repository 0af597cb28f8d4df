"""Fresh interpreters of a program whose `torch` is jittensor: in them `torch` is jittensor too.

A spawned process runs the program's main file again before anything else, so `as_torch` has to come
before that.
"""

from __future__ import annotations

import sys
from multiprocessing import spawn

__all__ = ["command_line"]

_plain = spawn.get_command_line
_FIRST = "import jittensor; jittensor.as_torch(); "


def command_line(**named: object) -> list[str]:
    """The command that starts a spawned process."""
    command = _plain(**named)
    torch = sys.modules.get("torch")
    if torch is not None and torch.__name__ == "jittensor" and "-c" in command:
        place = command.index("-c") + 1
        command[place] = _FIRST + command[place]
    return command


spawn.get_command_line = command_line
