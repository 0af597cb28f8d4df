"""In: nothing. Out: what trades channels for pixels, under the name of PyTorch's file."""

from .vision import PixelShuffle, PixelUnshuffle

__all__ = ["PixelShuffle", "PixelUnshuffle"]
