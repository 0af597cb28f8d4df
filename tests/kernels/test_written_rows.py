"""A value that stands once a row or column, is written to memory and read in the same kernel."""

from __future__ import annotations

import numpy as np

import jittensor as torch


def filled(*shape: int, value: float):
    return torch.full(shape, value).realize()


def test_a_column_sum_reads_what_its_kernel_writes() -> None:
    bias, x = filled(16, value=7.0), filled(40, 16, value=1.0)
    wanted = np.arange(16, dtype=np.float32)
    bias.copy_(torch.tensor(wanted).realize())
    total = (x + bias).sum(0)
    np.testing.assert_array_equal(total.numpy(), 40 * (1 + wanted))
    np.testing.assert_array_equal(bias.numpy(), wanted)


def test_a_column_sum_of_old_and_new_values() -> None:
    bias, x = filled(16, value=7.0), filled(40, 16, value=1.0)
    old = x * bias
    bias.add_(1.0)
    total = (old + bias).sum(0)
    np.testing.assert_array_equal(total.numpy(), np.full(16, 40 * 15.0, np.float32))


def test_a_long_sum_reads_what_its_kernel_writes() -> None:
    shift, x = filled(value=0.0), filled(300_000, value=1.0)
    shift.fill_(7.0)
    assert (x + shift).sum().item() == 2_400_000 and shift.item() == 7
    shift.copy_(torch.tensor(3.0))
    assert (x * shift).sum().item() == 900_000 and shift.item() == 3
    rows, y = filled(2, 1, value=0.0), filled(2, 200_000, value=1.0)
    rows.copy_(torch.tensor([[1.0], [2.0]]).realize())
    assert (y + rows).sum(1).tolist() == [400_000, 600_000]


def test_running_statistics_of_a_fresh_network() -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(16, 16), torch.nn.BatchNorm1d(16))
    x = torch.randn(16, 16)
    network(x).sum().item()
    h = network[0](x).detach().numpy()
    np.testing.assert_allclose(network[1].running_mean.numpy(), 0.1 * h.mean(0), rtol=1e-4,
                               atol=1e-6)
