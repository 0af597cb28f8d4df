"""In: nothing. Out: `torch.__config__`: what this was built with, as text."""

from __future__ import annotations

from .config import config


def show() -> str:
    """One line for each part."""
    from . import __version__

    return (f"jittensor {__version__}\n"
            "  - kernels: Numba, compiled on this machine's CPU\n"
            "  - matrix products: the BLAS of SciPy\n"
            "  - CUDA: not used\n"
            f"  - threads: {config.threads}\n")


def parallel_info() -> str:
    """The threads that kernels are spread over, as text."""
    return f"threads: {config.threads}\nparallel backend: Numba\n"
