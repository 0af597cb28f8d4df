"""Kernels for the CPU: vector mathematics and the families written by hand."""
