"""The reference backend: a graph of the compiler in, its values out, by NumPy and nothing else."""
