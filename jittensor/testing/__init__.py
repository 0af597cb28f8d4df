"""In: nothing. Out: `torch.testing`: comparing results, and making tensors to test with."""

from .comparison import assert_close
from .creation import make_tensor

__all__ = ["assert_close", "make_tensor"]
