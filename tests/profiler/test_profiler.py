"""In: programs under a profile. Out: the launches that they made, with times."""

from __future__ import annotations

import json

import jittensor as jt
from jittensor.profiler import profile, record_function, schedule, tensorboard_trace_handler


def work(n=300):
    x = jt.ones(n, n)
    return (x @ x).relu().sum().item()


def test_launches_are_counted_and_timed():
    work()
    before = jt.stats().kernels_launched
    with profile() as p:
        assert work() == 300.0**3
        with record_function("mine"):
            work()
    assert jt.stats().kernels_launched - before == sum(
        e.kind == "kernel" for e in p.events()) > 1
    rows = {row.key: row for row in p.key_averages()}
    product = next(row for name, row in rows.items() if "matmul" in name)
    assert product.count == 2 and product.cpu_time_total > 0
    region = rows["mine"]
    inside = sum(r.cpu_time_total for n, r in rows.items() if n != "mine") / 2
    assert region.cpu_time_total > region.self_cpu_time_total >= 0 and inside > 0
    table = p.key_averages().table(sort_by="cpu_time_total", row_limit=2)
    assert "Self CPU %" in table and len(table.splitlines()) == 7
    work()
    assert sum(row.count for row in p.key_averages()) == sum(r.count for r in rows.values())


def test_results_are_the_same_under_a_profile():
    f = jt.compile(lambda x: (x * 3).exp().sum())
    x = jt.linspace(0, 1, 7)
    plain = [f(x).item() for _ in range(3)]
    with profile() as p:
        assert [f(x).item() for _ in range(3)] == plain
    assert sum(e.kind == "kernel" for e in p.events()) >= 3


def test_schedule_and_trace(tmp_path):
    seen = []
    with profile(schedule=schedule(wait=1, warmup=1, active=2, repeat=1),
                 on_trace_ready=lambda p: seen.append(len(p.events()))) as p:
        for _ in range(6):
            work()
            p.step()
    assert len(seen) == 1 and seen[0] == len(p.events()) > 1
    tensorboard_trace_handler(str(tmp_path), "me")(p)
    (file,) = tmp_path.iterdir()
    entries = json.loads(file.read_text())["traceEvents"]
    assert len(entries) == seen[0] and all(e["dur"] > 0 for e in entries)
    assert __file__ in entries[0]["args"]["recorded at"]


def test_nothing_is_measured_outside():
    with record_function("unseen"):
        work()
    p = profile()
    assert p.key_averages() == []
