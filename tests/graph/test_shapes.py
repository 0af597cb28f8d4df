"""Stride mathematics against NumPy, over random shapes and strides."""

from __future__ import annotations

import numpy as np
import pytest

from jittensor.graph.shapes import (
    Size,
    broadcast_shapes,
    contiguous_strides,
    dim_order,
    expand_strides,
    infer_size,
    is_contiguous,
    is_dense,
    may_overlap_itself,
    output_strides,
    span,
    view_strides,
    wrap_dim,
    wrap_dims,
)

RNG = np.random.default_rng(11)


def random_views(count: int = 300):
    """(shape, strides, array) of random views: permuted, sliced with steps, expanded."""
    for _ in range(count):
        shape = tuple(int(n) for n in RNG.integers(1, 5, RNG.integers(0, 4)))
        array = np.arange(int(np.prod(shape))).reshape(shape)
        array = array.transpose(RNG.permutation(array.ndim))
        if RNG.random() < 0.5:
            array = array[tuple(slice(int(RNG.integers(0, n)), None, int(RNG.integers(1, 3)))
                                for n in array.shape)]
        if RNG.random() < 0.3:
            array = np.broadcast_to(array, (int(RNG.integers(1, 4)), *array.shape))
        yield array.shape, tuple(s // array.itemsize for s in array.strides), array


def addresses(shape, strides) -> np.ndarray:
    """The element offset of every index."""
    at = np.zeros(shape, np.int64)
    for d, (n, s) in enumerate(zip(shape, strides, strict=True)):
        at += (np.arange(n) * s).reshape([-1 if k == d else 1 for k in range(len(shape))])
    return at


def test_contiguous_strides_are_numpys() -> None:
    for shape in ((), (3,), (2, 3, 4), (2, 1, 5)):
        array = np.zeros(shape)
        assert contiguous_strides(shape) == tuple(s // 8 for s in array.strides)
    assert contiguous_strides((2, 0, 3)) == (3, 3, 1)


def test_contiguity_density_span_and_overlap() -> None:
    for shape, strides, array in random_views():
        at = addresses(shape, strides)
        flat = at.reshape(-1)
        assert is_contiguous(shape, strides) == (list(flat) == list(range(flat.size)))
        assert is_dense(shape, strides) == (sorted(flat) == list(range(flat.size)))
        assert span(shape, strides) == (int(flat.min()), int(flat.max()))
        if len(set(flat)) < flat.size:
            assert may_overlap_itself(shape, strides)      # it may also say so where unsure
        assert is_contiguous(shape, strides) == array.flags.c_contiguous


def test_views_of_other_shapes_name_the_same_elements() -> None:
    found = 0
    for shape, strides, array in random_views(500):
        n = int(np.prod(shape))
        for new in ((n,), (1, n), (n, 1), (2, n // 2), (n // 2, 2), (2, 2, n // 4)):
            if int(np.prod(new)) != n or not n:
                continue
            got = view_strides(shape, strides, new)
            if got is not None:
                found += 1
                assert (addresses(new, got) == addresses(shape, strides).reshape(new)).all()
            else:
                copy = array.reshape(new)
                assert not np.shares_memory(copy, array)
    assert found > 300


def test_results_keep_the_order_of_dims_and_are_dense() -> None:
    for shape, strides, _ in random_views():
        out = output_strides(shape, [(shape, strides)])
        assert is_dense(shape, out)
        if is_dense(shape, strides) and not is_contiguous(shape, strides):
            assert all(n == 1 or a == b for n, a, b in zip(shape, out, strides, strict=True))
        general = output_strides(shape, [(shape, strides)], plain=False)
        assert is_dense(shape, general)
        assert sorted(dim_order(shape, [strides])) == list(range(len(shape)))


@pytest.mark.parametrize("shape,operands,plain,expected", [
    ((3, 4), [(1, 3)], True, (1, 3)), ((3, 4), [(4, 1), (1, 3)], True, (4, 1)),
    ((3, 4), [(0, 1), (1, 3)], False, (1, 3)), ((2, 3, 4), [(12, 1, 3)], True, (12, 1, 3)),
    ((3, 4), [(8, 2)], True, (4, 1)), ((5, 1), [(1, 5)], True, (1, 1)),
    ((5, 1), [(1, 5)], False, (1, 5)), ((3, 4), [(0, 0)], True, (4, 1)),
])
def test_results_as_pytorch_lays_them_out(shape, operands, plain, expected) -> None:
    assert output_strides(shape, [(shape, s) for s in operands], plain) == expected


def test_broadcasting_is_numpys() -> None:
    for _ in range(200):
        full = [int(n) for n in RNG.integers(1, 4, 3)]
        shapes = [tuple(n if RNG.random() < 0.6 else 1 for n in full[RNG.integers(0, 3):])
                  for _ in range(3)]
        assert broadcast_shapes(*shapes) == np.broadcast_shapes(*shapes)
        for shape in shapes:
            array = np.zeros(shape)
            target = np.broadcast_shapes(*shapes)
            wanted = np.broadcast_to(array, target)
            got = expand_strides(shape, contiguous_strides(shape), target)
            assert all(n == 1 or s == w // 8 for n, s, w in zip(
                target, got, wanted.strides, strict=True))
    with pytest.raises(RuntimeError, match=r"tensor a \(3\) must match the size of tensor b \(4\) "
                                           "at non-singleton dimension 1"):
        broadcast_shapes((2, 3), (4,))


def test_sizes_and_dims() -> None:
    assert infer_size((2, -1), 6) == (2, 3) and infer_size((), 1) == ()
    for bad, words in (((-1, -1), "only one dimension"), ((4, -1), "is invalid for input"),
                       ((0, -1), "ambiguous"), ((-2, 3), "invalid shape dimension")):
        with pytest.raises(RuntimeError, match=words):
            infer_size(bad, 6 if 0 not in bad else 0)
    assert wrap_dim(-1, 3) == 2 and wrap_dim(-1, 0) == 0
    assert wrap_dims((-1, 0), 3) == (0, 2)
    with pytest.raises(IndexError, match=r"expected to be in range of \[-3, 2\], but got 3"):
        wrap_dim(3, 3)
    with pytest.raises(RuntimeError, match="appears multiple times"):
        wrap_dims((1, -2), 3)


def test_a_size_is_a_tuple() -> None:
    size = Size((2, 3, 4))
    assert size == (2, 3, 4) and size.numel() == 24 and isinstance(size[1:], Size)
    assert repr(size) == "torch.Size([2, 3, 4])" and size + (5,) == (2, 3, 4, 5)
