"""In: ranks and sizes, given or from the environment. Out: process groups, of one process."""

from __future__ import annotations

import os
from typing import Any

_NO_GROUP = ("Default process group has not been initialized, please make sure to call "
             "init_process_group.")
_BACKENDS = ("gloo", "mpi", "nccl", "ucc", "xccl")


class Backend(str):
    """The name of a backend, in lower case."""

    UNDEFINED, GLOO, NCCL, UCC, MPI, XCCL = "undefined", "gloo", "nccl", "ucc", "mpi", "xccl"

    def __new__(cls, name: str) -> Backend:
        if not isinstance(name, str):
            raise ValueError(f"Backend constructor parameter must be string-ish, not {name}")
        return super().__new__(cls, name.lower())


class ProcessGroup:
    """The processes that a collective goes over: this one."""

    def __init__(self, backend: str) -> None:
        self._backend = backend

    def rank(self) -> int:
        """This process's number."""
        return 0

    def size(self) -> int:
        """How many processes."""
        return 1


class Work:
    """A collective that was begun: it is done."""

    def wait(self, timeout: Any = None) -> bool:
        """True."""
        return True

    def is_completed(self) -> bool:
        """True."""
        return True

    def is_success(self) -> bool:
        """True."""
        return True


class GroupMember:
    """Names for the group of all processes, and for a process that is in none."""

    WORLD: ProcessGroup | None = None
    NON_GROUP_MEMBER = -100


group = GroupMember


# ── what there is ─────────────────────────────────────────────────────────────────────────────
def is_available() -> bool:
    """Whether this module is there: always."""
    return True


def is_initialized() -> bool:
    """Whether `init_process_group` was called."""
    return GroupMember.WORLD is not None


def is_backend_available(backend: str) -> bool:
    """Whether a group of several processes can be made with a backend: not yet."""
    return False


def is_gloo_available() -> bool:
    """False."""
    return False


def is_mpi_available() -> bool:
    """False."""
    return False


def is_nccl_available() -> bool:
    """False."""
    return False


def is_ucc_available() -> bool:
    """False."""
    return False


def is_xccl_available() -> bool:
    """False."""
    return False


def is_torchelastic_launched() -> bool:
    """Whether `torchrun` started this process."""
    return os.environ.get("TORCHELASTIC_RUN_ID") is not None


def get_default_backend_for_device(device: Any) -> str:
    """'gloo' for the CPU, 'nccl' for CUDA.

    Raises:
        ValueError: another device.
    """
    kind = str(getattr(device, "type", device)).partition(":")[0]
    backends = {"cpu": "gloo", "cuda": "nccl", "xpu": "xccl"}
    if kind not in backends:
        raise ValueError(f"Default backend not registered for device : {device}")
    return backends[kind]


# ── making groups ─────────────────────────────────────────────────────────────────────────────
def _from_environment(name: str) -> int:
    if name not in os.environ:
        raise ValueError("Error initializing torch.distributed using env:// rendezvous: "
                         f"environment variable {name} expected, but not set")
    return int(os.environ[name])


def init_process_group(backend: str | None = None, init_method: str | None = None,
                       timeout: Any = None, world_size: int = -1, rank: int = -1,
                       store: Any = None, group_name: str = "", pg_options: Any = None,
                       device_id: Any = None) -> None:
    """Make the group of all processes.

    Args:
        backend: a name such as 'gloo'; in a group of one all do the same.
        rank, world_size: given, or from the variables RANK and WORLD_SIZE.

    Raises:
        ValueError: a second call, an unknown backend, or no rank or size.
        NotImplementedError: more than one process.
    """
    if is_initialized():
        raise ValueError("trying to initialize the default process group twice!")
    names = [part.rpartition(":")[2] for part in (backend or "gloo").lower().split(",")]
    for name in names:
        if name not in _BACKENDS:
            raise ValueError(f"init_process_group(): unknown backend '{backend}'; expected one of "
                             f"{', '.join(_BACKENDS)}")
    rank = _from_environment("RANK") if rank < 0 else rank
    world_size = _from_environment("WORLD_SIZE") if world_size < 0 else world_size
    if world_size > 1:
        raise NotImplementedError(
            f"init_process_group(): world_size={world_size}, but jittensor's groups have one "
            "process so far; run one process, which uses all cores")
    if rank != 0 or world_size != 1:
        raise ValueError(f"init_process_group(): rank={rank} is not in a group of {world_size}")
    GroupMember.WORLD = ProcessGroup(names[0])


def destroy_process_group(group: ProcessGroup | None = None) -> None:
    """Give up the group of all processes, or one made by `new_group`.

    Raises:
        AssertionError: there is none.
    """
    if group is None and GroupMember.WORLD is None:
        raise AssertionError("Process group cannot be None")
    if group is None or group is GroupMember.WORLD:
        GroupMember.WORLD = None


def checked(group: ProcessGroup | None) -> ProcessGroup:
    """The group that is meant; ValueError if none was made."""
    if GroupMember.WORLD is None:
        raise ValueError(_NO_GROUP)
    return GroupMember.WORLD if group is None else group


def new_group(ranks: list[int] | None = None, timeout: Any = None, backend: str | None = None,
              pg_options: Any = None, use_local_synchronization: bool = False,
              group_desc: str | None = None, device_id: Any = None) -> Any:
    """A group of some of the processes; NON_GROUP_MEMBER where this one is not among them.

    Raises:
        ValueError: there is no group of all, or a rank outside of it.
    """
    world = checked(None)
    if ranks is None:
        return ProcessGroup(backend or world._backend)
    if any(rank != 0 for rank in ranks):
        raise ValueError("The new group's rank should be within the world_size set by "
                         "init_process_group")
    return ProcessGroup(backend or world._backend) if ranks else GroupMember.NON_GROUP_MEMBER


# ── asking about groups ───────────────────────────────────────────────────────────────────────
def get_rank(group: ProcessGroup | None = None) -> int:
    """This process's number in a group."""
    return checked(group).rank()


def get_world_size(group: ProcessGroup | None = None) -> int:
    """How many processes are in a group."""
    return checked(group).size()


def get_backend(group: ProcessGroup | None = None) -> str:
    """The name of a group's backend."""
    return Backend(checked(group)._backend)


def get_process_group_ranks(group: ProcessGroup | None) -> list[int]:
    """The numbers of a group's processes among all."""
    return list(range(checked(group).size()))


def get_global_rank(group: ProcessGroup, group_rank: int) -> int:
    """A process's number among all."""
    return get_process_group_ranks(group)[group_rank]


def get_group_rank(group: ProcessGroup, global_rank: int) -> int:
    """A process's number in a group."""
    return get_process_group_ranks(group).index(global_rank)


def get_node_local_rank(fallback_rank: int | None = None) -> int:
    """This process's number on its machine, from LOCAL_RANK.

    Raises:
        RuntimeError: it is not set, and no other number is given.
    """
    if "LOCAL_RANK" in os.environ:
        return int(os.environ["LOCAL_RANK"])
    if fallback_rank is None:
        raise RuntimeError("LOCAL_RANK is not in the environment, and no fallback_rank is given to "
                           "get_node_local_rank")
    return int(fallback_rank)
