"""The CUDA target: LoopNests in, numba.cuda source and cubins out. Launches nothing."""
