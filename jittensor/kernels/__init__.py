"""How plans are run: loop nests emitted as source, compiled kernels, vector mathematics."""
