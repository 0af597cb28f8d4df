"""What will be run: a graph becomes groups, steps and a plan. Pure Python; imports no Numba."""
