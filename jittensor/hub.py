"""In: names of repositories and files. Out: `torch.hub`: files from the network; no programs."""

from __future__ import annotations

import os
from typing import Any

__all__ = ["download_url_to_file", "get_dir", "help", "list", "load", "load_state_dict_from_url",
           "set_dir"]

_directory: str | None = None


def get_dir() -> str:
    """Where files are kept: TORCH_HOME/hub, by default ~/.cache/torch/hub."""
    if _directory is not None:
        return _directory
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("TORCH_HOME", os.path.join(cache, "torch"))
    return os.path.join(os.path.expanduser(home), "hub")


def set_dir(d: str | os.PathLike) -> None:
    """Set where files are kept."""
    global _directory
    _directory = os.path.expanduser(d)


def _refuse(name: str, instead: str) -> Any:
    raise RuntimeError(f"torch.hub.{name}(): jittensor does not run programs from the network; "
                       f"{instead}")


_BUILD = "build the model from its class and load weights with torch.hub.load_state_dict_from_url"


def load(repo_or_dir: Any, model: str, *args: Any, **kwargs: Any) -> Any:
    """RuntimeError: models are not fetched as programs."""
    _refuse("load", _BUILD)


def list(github: str, *args: Any, **kwargs: Any) -> Any:  # noqa: A001
    """RuntimeError: repositories are not listed."""
    _refuse("list", _BUILD)


def help(github: str, model: str, *args: Any, **kwargs: Any) -> Any:  # noqa: A001
    """RuntimeError: repositories are not read."""
    _refuse("help", _BUILD)


def download_url_to_file(url: str, dst: str, hash_prefix: str | None = None, progress: bool = True
                         ) -> None:
    """Fetch a file.

    Args:
        hash_prefix: what its SHA-256 begins with.
        progress: accepted; nothing is printed.

    Raises:
        RuntimeError: the hash is another; the file is not kept.
    """
    import hashlib
    import shutil
    import urllib.request

    part = dst + ".part"
    try:
        with urllib.request.urlopen(url) as source, open(part, "wb") as file:
            shutil.copyfileobj(source, file)
        if hash_prefix is not None:
            with open(part, "rb") as file:
                digest = hashlib.sha256(file.read()).hexdigest()
            if not digest.startswith(hash_prefix):
                raise RuntimeError(f'invalid hash value (expected "{hash_prefix}", got "{digest}")')
        os.replace(part, dst)
    finally:
        if os.path.exists(part):
            os.remove(part)


def load_state_dict_from_url(url: str, model_dir: str | None = None, map_location: Any = None,
                             progress: bool = True, check_hash: bool = False,
                             file_name: str | None = None, weights_only: bool = True) -> Any:
    """What `torch.load` reads from a file of the network, which is kept in `get_dir()/checkpoints`.

    Args:
        check_hash: the file's name ends with '-<first digits of its SHA-256>.<ext>'.
    """
    import re
    from urllib.parse import urlparse

    from .serialization import load as load_file

    folder = model_dir or os.path.join(get_dir(), "checkpoints")
    os.makedirs(folder, exist_ok=True)
    name = file_name or os.path.basename(urlparse(url).path)
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        found = re.search(r"-([a-f0-9]*)\.", name) if check_hash else None
        download_url_to_file(url, path, found.group(1) if found else None, progress)
    return load_file(path, map_location=map_location, weights_only=weights_only)
