"""In: compile, script and trace in PyTorch's forms. Out: compiled things that act as the first."""

from __future__ import annotations

import copy
import io

import pytest

import jittensor as jt
from jittensor.nn import Linear, Module, Sequential

X = jt.ones(1, 2)


class Net(Module):
    def __init__(self):
        super().__init__()
        self.layer = Linear(2, 1)

    def forward(self, x):
        return self.layer(x)

    @jt.compile(fullgraph=True)
    def twice(self, x):
        return self.layer(x) * 2


def test_a_compiled_module_is_a_module_with_the_attributes_of_the_first():
    net = Net()
    fast = jt.compile(net, mode="reduce-overhead", dynamic=True, backend="inductor")
    assert isinstance(fast, Module) and fast._orig_mod is net
    assert list(fast.state_dict()) == ["_orig_mod.layer.weight", "_orig_mod.layer.bias"]
    fast.eval()
    fast.note = 3
    assert not net.training and not fast.training and net.note == 3 and fast.layer is net.layer
    assert [fast(X).item() for _ in range(3)] == [net(X).item()] * 3
    fast(X).sum().backward()
    assert net.layer.weight.grad is not None
    assert len(list(Sequential(fast).parameters())) == 2
    assert copy.deepcopy(fast)(X).item() == net(X).item()


def test_compiled_methods_are_bound_to_their_objects():
    one, two = Net(), Net()
    with jt.no_grad():
        for net in (one, two, one, two, one):
            assert net.twice(X).item() == pytest.approx(2 * net(X).item())


def test_arguments_are_checked():
    assert jt.compile(len, disable=True) is len
    with pytest.raises(TypeError, match="callable"):
        jt.compile(3)
    with pytest.raises(RuntimeError, match="mode or options"):
        jt.compile(len, mode="default", options={})
    with pytest.raises(RuntimeError, match="Unrecognized mode"):
        jt.compile(len, mode="fastest")

    @jt.compiler.disable
    def plain(x):
        return x

    assert jt.compile(plain) is plain and not jt.compiler.is_compiling()


def test_scripts_and_traces():
    net = Net()
    scripted, traced = jt.jit.script(net), jt.jit.trace(net, X)
    for made in (scripted, traced):
        assert isinstance(made, jt.jit.ScriptModule) and list(made.state_dict()) == list(
            net.state_dict())
        assert made(X).item() == net(X).item() and made.original_name == "Net"

    @jt.jit.script
    def f(x: jt.Tensor):
        return x + 1

    assert f(X).tolist() == [[2.0, 2.0]] and jt.jit.script(f) is f
    assert jt.jit.trace(lambda x: x * 2, (X,))(X).tolist() == [[2.0, 2.0]]
    assert not jt.jit.is_scripting() and jt.jit.isinstance([1], list[int])
    for call in (lambda: jt.jit.save(net, "x"), lambda: jt.jit.freeze(net)):
        with pytest.raises(RuntimeError):
            call()


def test_scripted_modules_in_files(tmp_path):
    net, path = Net(), str(tmp_path / "net.pt")
    jt.jit.script(net).save(path, _extra_files={"note": b"hello"})
    files = {"note": b"", "other": b""}
    again = jt.jit.load(path, _extra_files=files)
    assert isinstance(again, jt.jit.ScriptModule) and again(X).item() == net(X).item()
    assert files == {"note": b"hello", "other": b""}
    jt.jit.save(jt.jit.trace(net, X), buffer := io.BytesIO())
    buffer.seek(0)
    assert jt.jit.load(buffer)(X).item() == net(X).item()
    jt.save(net.state_dict(), path)
    with pytest.raises(RuntimeError, match="not written by"):
        jt.jit.load(path)
    with pytest.raises(ValueError, match="does not exist"):
        jt.jit.load(str(tmp_path / "nothing"))
