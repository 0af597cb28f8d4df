"""In: tensors. Out: parameters and buffers over the same storage."""

from __future__ import annotations

import copy
import pickle

import pytest

import jittensor as jt
from jittensor import nn


def test_parameter_is_a_leaf_over_the_same_storage():
    data = jt.ones(2)
    parameter = nn.Parameter(data)
    assert parameter.requires_grad and parameter.is_leaf and not data.requires_grad
    data[0] = 5
    assert parameter.tolist() == [5.0, 1.0]
    assert not isinstance(parameter * 2, nn.Parameter)
    assert repr(parameter) == ("Parameter containing:\ntensor([5., 1.], requires_grad=True)")


def test_bad_data_is_refused():
    with pytest.raises(AttributeError, match="list"):
        nn.Parameter([1.0])
    with pytest.raises(RuntimeError, match="floating point"):
        nn.Parameter(jt.ones(2, dtype=jt.int64))
    assert tuple(nn.Parameter().shape) == (0,)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))])
def test_copies_keep_their_kind(copied):
    parameter = nn.Parameter(jt.ones(2), requires_grad=False)
    other = copied(parameter)
    assert isinstance(other, nn.Parameter) and not other.requires_grad
    with jt.no_grad():
        other.add_(1)
    assert parameter.tolist() == [1.0, 1.0]


def test_buffer_registers_itself():
    module = nn.Module()
    module.kept = nn.Buffer(jt.ones(1))
    module.scratch = nn.Buffer(jt.ones(1), persistent=False)
    assert list(module._buffers) == ["kept", "scratch"] and list(module.state_dict()) == ["kept"]
    assert isinstance(module.kept, nn.Buffer) and not isinstance(jt.ones(1), nn.Buffer)
