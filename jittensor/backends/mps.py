"""Questions about Apple's Metal in, the answers of a PyTorch built without it out."""


def is_available() -> bool:
    """Whether tensors can be put on a Metal device: never."""
    return False


def is_built() -> bool:
    """Whether Metal support was built: it was not."""
    return False


def is_macos_or_newer(major: int, minor: int) -> bool:
    """RuntimeError: there is no Metal to ask."""
    raise RuntimeError("Cannot execute isOnMacOSorNewer() without MPS backend.")


def is_macos13_or_newer(minor: int = 0) -> bool:
    """RuntimeError: there is no Metal to ask."""
    return is_macos_or_newer(13, minor)
