"""In: no group, and a group of one process. Out: PyTorch's answers and errors."""

from __future__ import annotations

import pytest

import jittensor as jt
import jittensor.distributed as dist


@pytest.fixture
def group():
    dist.init_process_group("gloo", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def test_without_a_group(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    assert dist.is_available() and not dist.is_initialized()
    for call in (dist.get_rank, dist.get_world_size, dist.barrier, dist.get_backend,
                 lambda: dist.all_reduce(jt.ones(1)), lambda: dist.send(jt.ones(1), 1)):
        with pytest.raises(ValueError, match="Default process group has not been initialized"):
            call()
    with pytest.raises(ValueError, match="RANK expected, but not set"):
        dist.init_process_group("gloo")
    with pytest.raises(NotImplementedError, match="world_size=2"):
        dist.init_process_group("gloo", rank=0, world_size=2)
    with pytest.raises(AssertionError):
        dist.destroy_process_group()


def test_a_group_of_one(group):
    assert (dist.get_rank(), dist.get_world_size(), dist.get_backend()) == (0, 1, "gloo")
    x, out = jt.arange(3.0), jt.zeros(3)
    assert dist.all_reduce(x) is None and dist.all_reduce(x, async_op=True).wait()
    dist.broadcast(x, 0)
    dist.all_gather([out], x)
    assert out.tolist() == x.tolist() == [0.0, 1.0, 2.0]
    dist.scatter(out, [x * 2], src=0)
    assert out.tolist() == [0.0, 2.0, 4.0]
    objects = [None]
    dist.all_gather_object(objects, {"a": 1})
    assert objects == [{"a": 1}]
    dist.barrier()
    with pytest.raises(ValueError, match="twice"):
        dist.init_process_group("gloo", rank=0, world_size=1)
    with pytest.raises(ValueError, match="no other process"):
        dist.send(x, 1)


def test_from_the_environment(monkeypatch):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "1")
    dist.init_process_group()
    assert dist.is_initialized() and dist.new_group([0]).size() == 1
    dist.destroy_process_group()
