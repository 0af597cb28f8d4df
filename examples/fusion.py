"""A few lines of tensor code in; the graph they recorded, its groups and the kernels out.

python examples/fusion.py
"""

import jittensor as torch
from jittensor.nn import functional as F


def normalise(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """RMSNorm written by hand: x [rows, columns] over the root mean square of each row."""
    scale = (x.pow(2).mean(-1, keepdim=True) + 1e-6).rsqrt()
    return x * scale * weight


def main() -> None:
    torch.manual_seed(0)
    x = torch.randn(256, 512)
    weight, w, bias = torch.ones(512), torch.randn(512, 128) / 512**0.5, torch.zeros(128)
    torch.realize(x, weight, w, bias)

    print("== 1. one row-normal kernel: six operations, one pass over memory ==")
    y = normalise(x, weight)
    print(y.graph())  # nothing has run yet: this is what was recorded
    print(torch.explain(y))  # its groups, the kernel that Numba compiles, the bytes it moves

    print("== 2. a matrix product with its epilogue, and why a boundary is where it is ==")
    z = F.gelu(normalise(x, weight) @ w + bias)
    print(torch.explain(z))

    before = torch.stats().kernels_launched
    z.realize()
    print(f"kernels launched for the second: {torch.stats().kernels_launched - before}")
    print(f"mean {z.mean().item():+.4f}, standard deviation {z.std().item():.4f}")


if __name__ == "__main__":
    main()
