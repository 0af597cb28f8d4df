"""In: small modules. Out: registration, traversal, state dicts and hooks do what they promise."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import jittensor as jt
from jittensor import nn


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lin = nn.Linear(3, 3)
        self.scale = nn.Parameter(jt.ones(()))
        self.register_buffer("mean", jt.zeros(3))
        self.register_buffer("scratch", jt.zeros(3), persistent=False)

    def forward(self, x):
        return self.lin(x) * self.scale + self.mean


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block = Block()
        self.shared = self.block
        self.head = nn.Sequential(nn.Linear(3, 2), nn.ReLU())


def test_names_come_in_order_and_once():
    names = [name for name, _ in Net().named_parameters()]
    assert names == [
        "block.scale",
        "block.lin.weight",
        "block.lin.bias",
        "head.0.weight",
        "head.0.bias",
    ]
    assert len(list(Net().named_parameters(remove_duplicate=False))) == 8
    assert [name for name, _ in Net().named_modules()] == [
        "",
        "block",
        "block.lin",
        "head",
        "head.0",
        "head.1",
    ]


def test_state_dict_has_persistent_buffers_and_versions():
    state = Block().state_dict()
    assert list(state) == ["scale", "mean", "lin.weight", "lin.bias"]
    assert dict(state._metadata) == {"": {"version": 1}, "lin": {"version": 1}}
    assert not state["scale"].requires_grad


def test_repr_is_indented():
    assert repr(Net().head) == (
        "Sequential(\n  (0): Linear(in_features=3, out_features=2, bias=True)\n  (1): ReLU()\n)"
    )


def test_assignment_moves_a_name_between_registries():
    block = Block()
    block.scale = None
    assert "scale" in block._parameters and block.scale is None
    with pytest.raises(TypeError, match="as parameter 'scale'"):
        block.scale = jt.ones(())
    block.mean = nn.Parameter(jt.ones(3))
    assert "mean" in block._parameters and "mean" not in block._buffers
    block.lin = None
    assert [name for name, _ in block.named_parameters()] == ["mean"]
    del block.mean
    with pytest.raises(AttributeError, match="no attribute 'mean'"):
        block.mean  # noqa: B018


def test_registration_before_init_is_refused():
    class Early(nn.Module):
        def __init__(self) -> None:
            self.weight = nn.Parameter(jt.ones(2))

    with pytest.raises(AttributeError, match="before Module.__init__"):
        Early()


def test_load_lists_everything_that_is_wrong_and_changes_nothing():
    net = Net()
    before = net.head[0].bias.detach().numpy().copy()
    state = {name: value + 1 for name, value in net.state_dict().items()}
    del state["block.scale"], state["shared.scale"]
    state["head.0.weight"] = jt.ones(5, 5)
    state["other"] = jt.ones(1)
    with pytest.raises(RuntimeError) as error:
        net.load_state_dict(state)
    message = str(error.value)
    assert 'Missing key(s) in state_dict: "block.scale", "shared.scale". ' in message
    assert 'Unexpected key(s) in state_dict: "other". ' in message
    assert "size mismatch for head.0.weight" in message
    assert (net.head[0].bias.detach().numpy() == before).all()


def test_load_copies_and_assign_replaces():
    block = Block()
    weight = jt.ones(3, 3)
    state = {"weight": weight, "bias": jt.zeros(3)}
    parameter = block.lin.weight
    assert repr(block.lin.load_state_dict(state)) == "<All keys matched successfully>"
    assert block.lin.weight is parameter
    assert parameter.tolist() == weight.tolist()
    block.lin.load_state_dict(state, assign=True)
    assert block.lin.weight is not parameter
    assert isinstance(block.lin.weight, nn.Parameter) and block.lin.weight.requires_grad
    weight[0, 0] = 7
    assert block.lin.weight[0, 0].item() == 7


def test_forward_hooks_run_in_order_and_can_be_removed():
    log = []
    lin = nn.Identity()
    lin.register_forward_pre_hook(lambda module, args: args[0] + 1)
    lin.register_forward_pre_hook(lambda module, args: args[0] * 10, prepend=True)
    handle = lin.register_forward_hook(lambda module, args, out: out + 100)
    lin.register_forward_hook(
        lambda module, args, kwargs, out: log.append((kwargs, out.item())), with_kwargs=True
    )
    assert lin(jt.tensor(2.0)).item() == 121
    handle.remove()
    handle.remove()
    assert lin(jt.tensor(2.0)).item() == 21
    assert log == [({}, 121.0), ({}, 21.0)]


def test_always_called_hook_sees_an_error():
    class Fails(nn.Module):
        def forward(self, x):
            raise ZeroDivisionError

    seen = []
    module = Fails()
    module.register_forward_hook(lambda m, args, out: seen.append(out), always_call=True)
    module.register_forward_hook(lambda m, args, out: seen.append("not me"))
    with pytest.raises(ZeroDivisionError):
        module(1)
    assert seen == [None]


def test_full_backward_hook_replaces_the_gradient():
    lin = nn.Linear(2, 1, bias=False)
    with jt.no_grad():
        lin.weight.copy_(jt.tensor([[2.0, 3.0]]))
    seen = []

    def hook(module, grad_input, grad_output):
        seen.append((grad_input[0].tolist(), grad_output[0].tolist()))
        return (grad_input[0] * 10,)

    lin.register_full_backward_hook(hook)
    lin.register_full_backward_pre_hook(lambda module, grad_output: (grad_output[0] * 2,))
    x = jt.ones(1, 2, requires_grad=True)
    lin(x).sum().backward()
    assert seen == [([[4.0, 6.0]], [[2.0]])]
    assert x.grad.tolist() == [[40.0, 60.0]]
    assert lin.weight.grad.tolist() == [[2.0, 2.0]]
    with pytest.raises(RuntimeError, match="Cannot use both"):
        lin.register_backward_hook(hook)


def test_conversion_keeps_parameters_and_leaves_integers():
    block = Block()
    block.register_buffer("count", jt.tensor(3))
    parameter = block.scale
    block.to(jt.float64)
    assert block.scale is parameter and parameter.dtype == jt.float64
    assert block.mean.dtype == jt.float64 and block.count.dtype == jt.int64
    assert block.half().lin.weight.dtype == jt.float16
    with pytest.raises(TypeError, match="only accepts floating point or complex"):
        block.to(jt.int32)


def test_train_freeze_and_zero_grad():
    net = Net()
    net.eval()
    assert not any(module.training for module in net.modules())
    net.freeze("block", "head.0.bias")
    assert [p.requires_grad for p in net.parameters()] == [False, False, False, True, False]
    net.unfreeze("block.scale")
    assert net.block.scale.requires_grad and not net.block.lin.weight.requires_grad
    net.unfreeze()
    assert all(p.requires_grad for p in net.parameters())
    with pytest.raises(AttributeError):
        net.freeze("block", "nothing")
    assert all(p.requires_grad for p in net.parameters())
    net.head(net.block(jt.ones(1, 3))).sum().backward()
    net.zero_grad(set_to_none=False)
    assert net.head[0].bias.grad.tolist() == [0.0, 0.0]
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_are_separate(copied):
    net = Net()
    other = copied(net)
    assert other.shared is other.block and other.block is not net.block
    with jt.no_grad():
        other.block.scale.add_(1)
    assert (net.block.scale.item(), other.block.scale.item()) == (1.0, 2.0)
    x = np.ones((1, 3), dtype="float32")
    np.testing.assert_array_equal(
        net.head(jt.from_numpy(x)).detach().numpy(), other.head(jt.from_numpy(x)).detach().numpy()
    )
