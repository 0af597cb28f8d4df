"""Switches and questions about the libraries behind PyTorch in, the answers of a build that has
none of them out. One module a library, as in PyTorch; what a switch says is kept, and nothing else
depends on it: kernels are the same either way."""

from . import cpu, cuda, cudnn, mkl, mkldnn, mps, openmp, opt_einsum

__all__ = ["cpu", "cuda", "cudnn", "mkl", "mkldnn", "mps", "openmp", "opt_einsum"]
