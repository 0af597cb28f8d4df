"""Aliasing: programs that write through views, each once a wrong answer of the engine."""

from __future__ import annotations

import numpy as np
import pytest

import jittensor as torch
from jittensor.config import config


def test_a_read_beside_a_pending_write_of_another_part() -> None:
    x = torch.arange(6).float().realize()
    x[2:5] += 1
    y = x[0:3] * 2                # starts elsewhere than the write: must not take its values
    assert y.tolist() == [0, 2, 6]
    assert x.tolist() == [0, 1, 3, 4, 5, 5]


def test_one_structure_at_other_offsets_is_another_plan() -> None:
    for start in (2, 1, 0, 2):
        x = torch.arange(6).float().realize()
        x[start:start + 3] += 1
        y = x[2:5] * 2
        expected = np.arange(6.0)
        expected[start:start + 3] += 1
        assert y.tolist() == (expected[2:5] * 2).tolist()


def test_bytes_written_in_one_dtype_and_read_in_another() -> None:
    z = torch.tensor([1.0, 2.0, 3.0, 4.0])
    bits = z.view(torch.int32)
    z += 1
    assert (bits * 1).tolist() == np.array([2, 3, 4, 5], np.float32).view(np.int32).tolist()
    parts = torch.tensor([1 + 2j, 3 - 4j])
    real = parts.real
    real += 1
    assert (parts * 2).tolist() == [4 + 4j, 8 - 8j]


def test_an_array_handed_out_while_its_memory_is_read_later() -> None:
    x = torch.arange(4).float().realize()
    y = x * 2                     # pending, reads x
    array = x.numpy()
    array[:] = 100
    assert y.tolist() == [0, 2, 4, 6]
    assert x.tolist() == [100] * 4


def test_an_in_place_operation_that_reads_foreign_memory() -> None:
    array = np.ones(3, np.float32)
    outside = torch.from_numpy(array)
    x = torch.arange(3).float().realize()
    x -= outside
    array[:] = 50
    assert x.tolist() == [-1, 0, 1]


def test_an_array_handed_out_of_foreign_memory() -> None:
    array = np.ones(3, np.float32)
    x = torch.from_numpy(array)
    del array
    handed = x.numpy()            # the only way left to the memory
    y = x * 2
    handed[:] = 9
    assert y.tolist() == [2, 2, 2]
    assert x.tolist() == [9, 9, 9]


def test_many_arrays_of_one_tensor() -> None:
    x = torch.zeros(3)
    arrays = [x.numpy() for _ in range(3000)]
    y = x + 1
    arrays[0][:] = 5
    assert y.tolist() == [1, 1, 1] and (x + 1).tolist() == [6, 6, 6]
    del arrays
    z = x + 1
    assert z.storage.node is not None         # nobody looks any more: lazy again


def test_an_address_taken_while_memory_is_read_later() -> None:
    import ctypes
    x = torch.zeros(3).realize()
    y = x + 1
    ctypes.memset(x.data_ptr(), 0xFF, 12)
    assert y.tolist() == [1, 1, 1]


def test_the_old_value_of_an_updated_storage() -> None:
    x = torch.arange(5).float().realize()
    before = x * 10
    x += 1
    after = x * 10
    with pytest.raises(RuntimeError, match="refer to a single memory location"):
        x[1:] = x[:-1]
    x[::2] = x[1:4]               # overlaps with gaps: as if the right side were copied first
    assert before.tolist() == [0, 10, 20, 30, 40]
    assert after.tolist() == [10, 20, 30, 40, 50]
    assert x.tolist() == [2, 2, 3, 4, 4]


@pytest.mark.parametrize("fusion", [True, False])
def test_a_chain_of_writes_to_one_storage(fusion, monkeypatch) -> None:
    monkeypatch.setattr(config, "fusion", fusion)
    h = torch.zeros(6, 3)
    h[0] = torch.arange(3).float()
    for t in range(1, 6):
        h[t] = h[t - 1] * 2 + 1
    expected = np.zeros((6, 3), np.float32)
    expected[0] = np.arange(3)
    for t in range(1, 6):
        expected[t] = expected[t - 1] * 2 + 1
    assert h.tolist() == expected.tolist()


def test_reductions_of_single_elements_fuse_with_what_surrounds_them() -> None:
    x = torch.arange(12).float().reshape(3, 1, 4)
    assert (x.sum(1) + 1).tolist() == (np.arange(12.0).reshape(3, 4) + 1).tolist()
    assert (x * 2).amax(1).sum(0).tolist() == (np.arange(12.0).reshape(3, 4) * 2).sum(0).tolist()
    assert x[:, :, :1].sum(2).sum(0).tolist() == [12.0]


def test_extremes_of_truth_values() -> None:
    x = torch.tensor([[True, False], [False, False]])
    assert x.amax(1).tolist() == [True, False]
    assert x.amin(0).tolist() == [False, False]
    assert x.amax().dtype is torch.bool


def test_composites_with_dims_taken_out() -> None:
    x = torch.arange(6).float().reshape(2, 3)
    expected = np.log(np.exp(np.arange(6.0).reshape(2, 3)).sum(1))
    np.testing.assert_allclose(torch.logsumexp(x, 1).numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0, 3)])
def test_empty_tensors_run(shape) -> None:
    x = torch.zeros(shape)
    y = (x + 1).sum(0, keepdim=True) - torch.zeros(shape).sum(0, keepdim=True)
    assert y.shape == (1, *shape[1:])
    assert x.sum().item() == 0 and bool(x.all()) and not bool(x.any())
    x += 1
    assert x.tolist() == np.zeros(shape).tolist()


def test_scalars_and_single_elements() -> None:
    x = torch.tensor(3.0)
    x += 1
    y = x.expand(2, 2).clone()
    y[0] = x * 2
    assert y.tolist() == [[8, 8], [4, 4]]
    assert x.item() == 4


def test_overlapping_views_refuse_writes() -> None:
    x = torch.zeros(3)
    with pytest.raises(RuntimeError, match="more than one element"):
        x.expand(2, 3).add_(1)
    with pytest.raises(RuntimeError, match="more than one element"):
        x.as_strided((2, 2), (1, 1)).fill_(1)


def test_strides_of_results_with_numbers_follow_the_general_rule() -> None:
    x = torch.zeros(1, 5).t()
    assert x.stride() == (1, 5)
    assert (x - 1).stride() == (1, 5)        # a number is broadcast
    assert x.neg().stride() == (1, 1)        # contiguous: row-major
    assert (torch.zeros(3, 4).t() + 1).stride() == (1, 4)
