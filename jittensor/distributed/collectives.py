"""In: tensors of each process of a group. Out: their sums, copies and parts, in a group of one."""

from __future__ import annotations

from enum import Enum
from typing import Any

from ..autograd import no_grad
from ..tensor import Tensor
from .group import ProcessGroup, Work, checked


class ReduceOp(Enum):
    """How values of several processes become one."""

    SUM, AVG, PRODUCT, MIN, MAX, BAND, BOR, BXOR, PREMUL_SUM = range(9)


def _begun(group: ProcessGroup | None, async_op: bool) -> Work | None:
    """Checks that there is a group; a handle where one is asked for."""
    checked(group)
    return Work() if async_op else None


def _check_tensor(x: Any, name: str) -> None:
    if not isinstance(x, Tensor):
        raise TypeError(f"Invalid function argument. Expected parameter `{name}` of type "
                        f"torch.Tensor\n             but got {type(x)} instead.")


def _check_rank(rank: Any) -> None:
    if rank not in (0, None):
        raise ValueError(f"rank {rank} is not part of the group, which has one process")


def _copied(pairs: list[tuple[Tensor, Tensor]]) -> None:
    with no_grad():
        for to, source in pairs:
            if to is not source:
                to.copy_(source)


# ── all get the same ──────────────────────────────────────────────────────────────────────────
def all_reduce(tensor: Tensor, op: ReduceOp = ReduceOp.SUM, group: ProcessGroup | None = None,
               async_op: bool = False) -> Work | None:
    """Reduce a tensor over all processes, in place: of one process it stays.

    Raises:
        ValueError: there is no group.
        TypeError: not a tensor.
    """
    _check_tensor(tensor, "tensor")
    return _begun(group, async_op)


def reduce(tensor: Tensor, dst: int | None = None, op: ReduceOp = ReduceOp.SUM,
           group: ProcessGroup | None = None, async_op: bool = False,
           group_dst: int | None = None) -> Work | None:
    """As `all_reduce`, for process `dst` only."""
    _check_tensor(tensor, "tensor")
    out = _begun(group, async_op)
    _check_rank(dst)
    return out


def broadcast(tensor: Tensor, src: int | None = None, group: ProcessGroup | None = None,
              async_op: bool = False, group_src: int | None = None) -> Work | None:
    """Give all processes the tensor of process `src`, in place."""
    _check_tensor(tensor, "tensor")
    out = _begun(group, async_op)
    _check_rank(src)
    return out


def broadcast_object_list(object_list: list[Any], src: int | None = None,
                          group: ProcessGroup | None = None, device: Any = None,
                          group_src: int | None = None) -> None:
    """Give all processes the objects of process `src`."""
    checked(group)
    _check_rank(src)


def barrier(group: ProcessGroup | None = None, async_op: bool = False, device_ids: Any = None
            ) -> Work | None:
    """Wait for all processes."""
    return _begun(group, async_op)


def monitored_barrier(group: ProcessGroup | None = None, timeout: Any = None,
                      wait_all_ranks: bool = False) -> None:
    """As `barrier`."""
    checked(group)


# ── one gets all, or all get parts ────────────────────────────────────────────────────────────
def all_gather(tensor_list: list[Tensor], tensor: Tensor, group: ProcessGroup | None = None,
               async_op: bool = False) -> Work | None:
    """Fill a list with the tensors of all processes."""
    out = _begun(group, async_op)
    _copied([(tensor_list[0], tensor)])
    return out


def all_gather_into_tensor(output_tensor: Tensor, input_tensor: Tensor,
                           group: ProcessGroup | None = None, async_op: bool = False
                           ) -> Work | None:
    """The tensors of all processes, one after another in the first dim of one tensor."""
    out = _begun(group, async_op)
    _copied([(output_tensor, input_tensor.view(output_tensor.shape))])
    return out


def all_gather_object(object_list: list[Any], obj: Any, group: ProcessGroup | None = None) -> None:
    """Fill a list with the objects of all processes."""
    checked(group)
    object_list[0] = obj


def gather(tensor: Tensor, gather_list: list[Tensor] | None = None, dst: int | None = None,
           group: ProcessGroup | None = None, async_op: bool = False,
           group_dst: int | None = None) -> Work | None:
    """As `all_gather`, for process `dst` only."""
    out = _begun(group, async_op)
    _check_rank(dst)
    if not gather_list:
        raise ValueError("Argument ``gather_list`` must be specified on destination rank.")
    _copied([(gather_list[0], tensor)])
    return out


def gather_object(obj: Any, object_gather_list: list[Any] | None = None, dst: int | None = None,
                  group: ProcessGroup | None = None, group_dst: int | None = None) -> None:
    """As `all_gather_object`, for process `dst` only."""
    checked(group)
    _check_rank(dst)
    if object_gather_list is not None:
        object_gather_list[0] = obj


def scatter(tensor: Tensor, scatter_list: list[Tensor] | None = None, src: int | None = None,
            group: ProcessGroup | None = None, async_op: bool = False,
            group_src: int | None = None) -> Work | None:
    """Give each process its tensor of the list of process `src`."""
    out = _begun(group, async_op)
    _check_rank(src)
    if not scatter_list:
        raise ValueError("Argument ``scatter_list`` must be specified on source rank.")
    _copied([(tensor, scatter_list[0])])
    return out


def scatter_object_list(scatter_object_output_list: list[Any],
                        scatter_object_input_list: list[Any] | None = None,
                        src: int | None = None, group: ProcessGroup | None = None,
                        group_src: int | None = None) -> None:
    """Give each process its object of the list of process `src`."""
    checked(group)
    _check_rank(src)
    scatter_object_output_list[0] = scatter_object_input_list[0]


def reduce_scatter(output: Tensor, input_list: list[Tensor], op: ReduceOp = ReduceOp.SUM,
                   group: ProcessGroup | None = None, async_op: bool = False) -> Work | None:
    """Reduce lists over all processes, and give each its part."""
    out = _begun(group, async_op)
    _copied([(output, input_list[0])])
    return out


def reduce_scatter_tensor(output: Tensor, input: Tensor, op: ReduceOp = ReduceOp.SUM,
                          group: ProcessGroup | None = None, async_op: bool = False
                          ) -> Work | None:
    """Reduce a tensor over all processes, and give each its part of the first dim."""
    out = _begun(group, async_op)
    _copied([(output, input.view(output.shape))])
    return out


def all_to_all(output_tensor_list: list[Tensor], input_tensor_list: list[Tensor],
               group: ProcessGroup | None = None, async_op: bool = False) -> Work | None:
    """Each process gives each other one a tensor."""
    out = _begun(group, async_op)
    _copied(list(zip(output_tensor_list, input_tensor_list, strict=True)))
    return out


def all_to_all_single(output: Tensor, input: Tensor, output_split_sizes: Any = None,
                      input_split_sizes: Any = None, group: ProcessGroup | None = None,
                      async_op: bool = False) -> Work | None:
    """Each process gives each other one a part of the first dim."""
    out = _begun(group, async_op)
    _copied([(output, input)])
    return out


# ── from one to one ───────────────────────────────────────────────────────────────────────────
def _alone(group: ProcessGroup | None, what: str) -> Any:
    checked(group)
    raise ValueError(f"{what}(): there is no other process in the group")


def send(tensor: Tensor, dst: int | None = None, group: ProcessGroup | None = None, tag: int = 0,
         group_dst: int | None = None) -> None:
    """ValueError: there is no other process."""
    _alone(group, "send")


def recv(tensor: Tensor, src: int | None = None, group: ProcessGroup | None = None, tag: int = 0,
         group_src: int | None = None) -> int:
    """ValueError: there is no other process."""
    return _alone(group, "recv")


def isend(tensor: Tensor, dst: int | None = None, group: ProcessGroup | None = None, tag: int = 0,
          group_dst: int | None = None) -> Work:
    """ValueError: there is no other process."""
    return _alone(group, "isend")


def irecv(tensor: Tensor, src: int | None = None, group: ProcessGroup | None = None, tag: int = 0,
          group_src: int | None = None) -> Work:
    """ValueError: there is no other process."""
    return _alone(group, "irecv")
