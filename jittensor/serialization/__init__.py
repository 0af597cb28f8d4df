"""`save` and `load` in PyTorch's own file formats, and what is around them.

`pickling` and `saving` write; `loading`, `restricted` (runs only what is `allowed`) and
`legacy` read; `names` holds which object has which name in files.
"""

from .allowed import add_safe_globals, clear_safe_globals, get_safe_globals, safe_globals
from .loading import get_unsafe_globals_in_checkpoint, load
from .locations import default_restore_location, location_tag, register_package
from .options import (
    MAP_PRIVATE,
    MAP_SHARED,
    LoadEndianness,
    get_default_load_endianness,
    get_default_mmap_options,
    set_default_load_endianness,
    set_default_mmap_options,
)
from .rebuild import _get_layout
from .saving import DEFAULT_PROTOCOL, save

__all__ = ["DEFAULT_PROTOCOL", "MAP_PRIVATE", "MAP_SHARED", "LoadEndianness", "add_safe_globals",
           "clear_safe_globals", "default_restore_location", "get_default_load_endianness",
           "get_default_mmap_options", "get_safe_globals", "get_unsafe_globals_in_checkpoint",
           "load", "location_tag", "register_package", "safe_globals", "save",
           "set_default_load_endianness", "set_default_mmap_options"]
