"""In: containers of modules and parameters. Out: they behave as the lists and dicts they are."""

from __future__ import annotations

from collections import OrderedDict

import pytest

import jittensor as jt
from jittensor import nn


def kinds(container) -> list[str]:
    return [type(module).__name__ for module in container]


def test_sequential_runs_and_edits():
    net = nn.Sequential(nn.Identity(), nn.ReLU())
    assert net(jt.tensor([-1.0, 2.0])).tolist() == [0.0, 2.0]
    net.insert(1, nn.Tanh()).append(nn.ELU())
    del net[0]
    net[-1] = nn.SiLU()
    assert kinds(net) == ["Tanh", "ReLU", "SiLU"]
    assert list(net._modules) == ["0", "1", "2"]
    assert kinds(net[1:]) == ["ReLU", "SiLU"] and kinds(net + net[:1])[-1] == "Tanh"
    assert len(net * 3) == 9 and type(net.pop(0)).__name__ == "Tanh"
    with pytest.raises(IndexError):
        net[2]
    with pytest.raises(ValueError, match="Non-positive"):
        net * 0


def test_sequential_from_names():
    net = nn.Sequential(OrderedDict(first=nn.Linear(2, 2), second=nn.ReLU()))
    assert net[0] is net.first and list(net.state_dict()) == ["first.weight", "first.bias"]


def test_module_list_repr_counts_repeats():
    modules = nn.ModuleList([nn.ReLU(), nn.ReLU()])
    modules += [nn.Tanh()]
    assert repr(modules) == "ModuleList(\n  (0-1): 2 x ReLU()\n  (2): Tanh()\n)"
    with pytest.raises(TypeError, match="iterable"):
        modules.extend(3)


def test_module_dict():
    modules = nn.ModuleDict({"b": nn.ReLU()})
    modules.update([("a", nn.Tanh())])
    assert list(modules) == ["b", "a"] and "a" in modules
    assert type(modules.pop("b")).__name__ == "ReLU" and len(modules) == 1
    with pytest.raises(ValueError, match="2 is required"):
        modules.update([("a",)])


def test_parameter_list_and_dict_register_tensors():
    values = nn.ParameterList([jt.ones(2), 3])
    values.append(nn.Parameter(jt.zeros(1)))
    assert [name for name, _ in values.named_parameters()] == ["0", "2"]
    assert values[1] == 3 and len(values[1:]) == 2
    named = nn.ParameterDict({"w": jt.ones(2)})
    named["o"] = "text"
    assert isinstance(named["w"], nn.Parameter) and named.popitem() == ("o", "text")
    assert list((named | nn.ParameterDict({"v": jt.ones(1)})).keys()) == ["w", "v"]
    with pytest.raises(RuntimeError, match="should not be called"):
        values(1)
