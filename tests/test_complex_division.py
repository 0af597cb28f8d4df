"""Complex division where the divisor has zeros, and where its parts differ much in size."""

import warnings

import numpy as np

import jittensor as torch


def test_complex_division_by_zero_and_by_large_numbers():
    a = np.array([1 + 1j, 0, 2 - 3j, 1e200 + 1j, 1 + 2j, 3 - 1j])
    b = np.array([0, 0, 1 + 2j, 1e200 + 1e200j, 2j, 1e-300 + 4j])
    have = (torch.from_numpy(a) / torch.from_numpy(b)).numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        want = a / b
    np.testing.assert_allclose(have[2:], want[2:], rtol=1e-15)
    assert np.isinf(have[0].real) and np.isinf(have[0].imag) and np.isnan(have[1].real)


def test_reciprocal_of_a_complex_zero():
    z = torch.tensor([0j, 2j], dtype=torch.complex64).reciprocal()
    assert np.isinf(z.numpy()[0].real) and z[1].item() == -0.5j
