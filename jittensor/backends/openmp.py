"""Questions about OpenMP in, the answers of a build without it out: threads are Numba's."""


def is_available() -> bool:
    """Whether kernels were built with OpenMP: never."""
    return False
