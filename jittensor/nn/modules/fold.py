"""In: nothing. Out: what cuts windows out and adds them up, under the name of PyTorch's file."""

from .vision import Fold, Unfold

__all__ = ["Fold", "Unfold"]
