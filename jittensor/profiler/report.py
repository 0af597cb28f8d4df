"""In: kernel launches with their times. Out: their sums by name, as tables and Chrome traces."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Event", "EventList", "KernelAverage"]

_UNITS = {"s": 1e6, "ms": 1e3, "us": 1.0}


@dataclass
class Event:
    """One launch or region: name, start and length in ns, bytes moved, where it was recorded."""

    name: str
    start: int
    length: int
    kind: str               # 'kernel', 'region' or 'compile'
    moved: int = 0
    origin: str = ""
    inside: int = field(default=0)      # ns of the launches in a region

    @property
    def cpu_time_total(self) -> float:
        """Microseconds."""
        return self.length / 1e3

    cpu_time = cpu_time_total

    @property
    def self_cpu_time_total(self) -> float:
        """Microseconds outside of what it contains."""
        return (self.length - self.inside) / 1e3


@dataclass
class KernelAverage:
    """All launches of one name; times are in microseconds."""

    key: str
    count: int = 0
    cpu_time_total: float = 0.0
    self_cpu_time_total: float = 0.0
    moved: int = 0

    @property
    def cpu_time(self) -> float:
        """Microseconds of one launch."""
        return self.cpu_time_total / self.count if self.count else 0.0

    cuda_time_total = device_time_total = self_device_time_total = self_cuda_time_total = 0.0


def _duration(us: float, unit: str | None) -> str:
    """Microseconds as text."""
    if unit is None:
        unit = "s" if us >= 1e6 else "ms" if us >= 1e3 else "us"
    return f"{us / _UNITS[unit]:.3f}{unit}"


class EventList(list):
    """Sums by name, or single events."""

    def total_average(self) -> KernelAverage:
        """The sum of all."""
        out = KernelAverage("Total")
        for item in self:
            out.count += getattr(item, "count", 1)
            out.cpu_time_total += item.cpu_time_total
            out.self_cpu_time_total += item.self_cpu_time_total
        return out

    @property
    def self_cpu_time_total(self) -> float:
        """Microseconds of all."""
        return sum(item.self_cpu_time_total for item in self)

    def table(self, sort_by: str | None = None, row_limit: int = 100,
              max_src_column_width: int = 75, max_name_column_width: int = 55,
              max_shapes_column_width: int = 80, header: str | None = None,
              top_level_events_only: bool = False, time_unit: str | None = None) -> str:
        """The sums as text, one row a name.

        Args:
            sort_by: an attribute of the rows, 'cpu_time_total' for example; the largest come first.
            row_limit: how many rows; all if negative.
            time_unit: 's', 'ms' or 'us'; as fits unless given.
        """
        rows = list(self)
        if sort_by is not None:
            name = sort_by.replace("cuda", "device") if "cuda" in sort_by else sort_by
            rows.sort(key=lambda r: getattr(r, name, 0), reverse=True)
        rows = rows if row_limit < 0 else rows[:row_limit]
        total = self.self_cpu_time_total or 1.0
        lines = [("Name", "Self CPU %", "Self CPU", "CPU total %", "CPU total", "CPU time avg",
                  "# of Calls")]
        for row in rows:
            name = row.key if isinstance(row, KernelAverage) else row.name
            if len(name) > max_name_column_width > 3:
                name = name[: max_name_column_width - 3] + "..."
            lines.append((
                name, f"{row.self_cpu_time_total / total:.2%}",
                _duration(row.self_cpu_time_total, time_unit),
                f"{row.cpu_time_total / total:.2%}", _duration(row.cpu_time_total, time_unit),
                _duration(row.cpu_time, time_unit), str(getattr(row, "count", 1))))
        widths = [max(12, *(len(line[k]) for line in lines)) for k in range(7)]
        rule = "  ".join("-" * w for w in widths)
        text = ["  ".join(v.rjust(w) for v, w in zip(line, widths, strict=True))
                for line in lines]
        body = [rule, text[0], rule, *text[1:], rule]
        if header is not None:
            body = ["=" * len(rule), header, *body]
        return "\n".join(body) + (
            f"\nSelf CPU time total: {_duration(self.self_cpu_time_total, time_unit)}\n")

    def __str__(self) -> str:
        return self.table()


def averages(events: list[Event]) -> EventList:
    """The sums of events by name, in the order in which the names came."""
    found: dict[str, KernelAverage] = {}
    for event in events:
        row = found.setdefault(event.name, KernelAverage(event.name))
        row.count += 1
        row.cpu_time_total += event.cpu_time_total
        row.self_cpu_time_total += event.self_cpu_time_total
        row.moved += event.moved
    return EventList(found.values())


def chrome_trace(events: list[Event]) -> str:
    """The events in Chrome's trace format (chrome://tracing, Perfetto), as JSON text."""
    first = min((e.start for e in events), default=0)
    entries: list[dict[str, Any]] = [
        {"ph": "X", "cat": e.kind, "name": e.name, "pid": 0, "tid": 0 if e.kind == "kernel" else 1,
         "ts": (e.start - first) / 1e3, "dur": e.length / 1e3,
         "args": {"bytes moved": e.moved, "recorded at": e.origin}} for e in events]
    return json.dumps({"traceEvents": entries, "displayTimeUnit": "ms"})
