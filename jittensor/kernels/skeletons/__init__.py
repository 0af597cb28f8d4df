"""Loop skeletons of CPU kernels: a LoopNest in, its kernel's source out; a file a shape."""
