"""In: vectors and integers. Out: distances, unit vectors and one-hot vectors."""

from __future__ import annotations

import numpy as np
import pytest

import jittensor as jt
from jittensor.nn import functional as F


def test_distances():
    a, b = jt.tensor([[3.0, 4.0]]), jt.tensor([[4.0, 3.0]])
    assert F.cosine_similarity(a, b).item() == pytest.approx(24 / 25)
    assert F.pairwise_distance(a, b).item() == pytest.approx(2**0.5, rel=1e-5)
    np.testing.assert_allclose(F.normalize(a).numpy(), [[0.6, 0.8]], rtol=1e-6)
    assert F.normalize(jt.zeros(1, 2)).tolist() == [[0.0, 0.0]]


def test_one_hot():
    assert F.one_hot(jt.tensor([0, 2])).tolist() == [[1, 0, 0], [0, 0, 1]]
    assert tuple(F.one_hot(jt.tensor([[1]]), 4).shape) == (1, 1, 4)
    for values, classes in (([-1], -1), ([4], 3)):
        with pytest.raises(RuntimeError, match="Class values must be"):
            F.one_hot(jt.tensor(values), classes)
