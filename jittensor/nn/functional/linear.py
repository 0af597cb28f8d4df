"""In: features, weights. Out: linear and bilinear maps of the features."""

from __future__ import annotations

from ... import functions
from ...autograd.graph import relabel
from ...functions import products
from ...tensor import Tensor


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`x @ weight.T + bias`: (…, in), (out, in), (out) to (…, out)."""
    return products.linear(input, weight, bias)


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`y[o] = x1 @ weight[o] @ x2 + bias[o]`: (…, in1), (…, in2), (out, in1, in2) to (…, out).

    Raises:
        RuntimeError: the shapes do not fit each other.
    """
    if input1.dim() != input2.dim():
        raise RuntimeError(
            f"bilinear(): input dimensions do not match: got {input1.dim()} and {input2.dim()}"
        )
    for dim, (first, second) in enumerate(zip(input1.shape[:-1], input2.shape[:-1], strict=True)):
        if first != second:
            raise RuntimeError(
                "bilinear(): input batch dimensions do not match at "
                f"dim {dim}: got {first} and {second}"
            )
    out_features, in1_features, in2_features = weight.shape
    for position, (tensor, expected) in enumerate(
        [(input1, in1_features), (input2, in2_features)], start=1
    ):
        if tensor.size(-1) != expected:
            raise RuntimeError(
                f"bilinear(): input{position} size does not match weight size: "
                f"got {tensor.size(-1)} but expected {expected}"
            )
    if bias is not None and bias.size(0) != out_features:
        raise RuntimeError(
            "bilinear(): bias size does not match weight size: "
            f"got {bias.size(0)} but expected {out_features}"
        )
    # One product makes x1 @ weight[o] for all outputs at once.
    stacked = weight.permute(1, 0, 2).reshape(in1_features, out_features * in2_features)
    left = functions.matmul(input1, stacked).unflatten(-1, (out_features, in2_features))
    output = functions.matmul(left, input2.unsqueeze(-1)).squeeze(-1)
    return relabel(output, "ViewBackward0") if bias is None else output + bias
