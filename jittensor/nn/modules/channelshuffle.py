"""In: nothing. Out: what interleaves channels, under the name of PyTorch's file."""

from .vision import ChannelShuffle

__all__ = ["ChannelShuffle"]
