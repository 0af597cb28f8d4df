"""Questions about MKL in, the answers of a build without it out: products use SciPy's BLAS."""

VERBOSE_OFF, VERBOSE_ON = 0, 1


def is_available() -> bool:
    """Whether MKL is there: never."""
    return False
