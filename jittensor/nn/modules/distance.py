"""In: nothing. Out: distances, under the name of PyTorch's file."""

from .margin_loss import CosineSimilarity, PairwiseDistance

__all__ = ["CosineSimilarity", "PairwiseDistance"]
