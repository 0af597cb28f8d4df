"""In: a part of a program. Out: `torch.profiler`: how long each kernel of it ran."""

from .report import EventList, KernelAverage
from .session import (
    ProfilerAction,
    ProfilerActivity,
    profile,
    record_function,
    schedule,
    supported_activities,
    tensorboard_trace_handler,
)

__all__ = ["EventList", "KernelAverage", "ProfilerAction", "ProfilerActivity", "profile",
           "record_function", "schedule", "supported_activities", "tensorboard_trace_handler"]


def kineto_available() -> bool:
    """Whether PyTorch's tracing library is there: no, times are taken by the engine."""
    return False
