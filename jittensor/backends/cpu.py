"""Questions about the processor in, what kernels are compiled for out."""

from __future__ import annotations


def get_cpu_capability() -> str:
    """The widest vectors that this machine has, by PyTorch's names."""
    from llvmlite import binding

    features = binding.get_host_cpu_features()
    if features.get("avx512f"):
        return "AVX512"
    return "AVX2" if features.get("avx2") else "DEFAULT"
