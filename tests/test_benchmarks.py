"""The benchmarks: what they write, and that each client has the same tasks."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest
from checkout import ROOT


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Make the scripts of the folder importable by their plain names."""
    monkeypatch.syspath_prepend(ROOT / "tests" / "benchmarks")
    return monkeypatch


def of_the_wait() -> list[object]:
    """Return figures of two clients in two cases."""
    report = importlib.import_module("report")
    return [
        report.Figure("Wait", f"{case} s, {state}", quantity, client, (value,) * 7)
        for case in (1, 3)
        for state in ("learned", "first task")
        for client in (report.OURS, "a & b", "limit: one round trip")
        for quantity, value in (("delay, ms", 40.0 * case), ("polls", 2.0))
    ]


def test_a_benchmark_that_fails_loses_no_figures_of_the_others(
    benchmark: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The table has the figures of the others and the error, and the exit code is 1."""

    def fail() -> None:
        raise RuntimeError("no peer")

    run = importlib.import_module("run")
    benchmark.setitem(sys.modules, "wait", SimpleNamespace(measure=of_the_wait))
    benchmark.setitem(sys.modules, "images", SimpleNamespace(measure=fail))
    assert run.main(["--out", str(tmp_path), "images", "wait"]) == 1
    table = (tmp_path / "benchmarks.md").read_text(encoding="utf-8")
    assert "| Wait | 1 s, learned | polls |" in table
    assert "**images failed**: RuntimeError: no peer" in table
    assert ElementTree.parse(tmp_path / "benchmarks.svg").getroot().tag.endswith("svg")
    assert run.main(["--out", str(tmp_path), "wait"]) == 0


def test_all_clients_wait_for_tasks_of_the_same_durations(benchmark: pytest.MonkeyPatch) -> None:
    """In each run of each case, also of ours with an empty journal."""
    plan = importlib.import_module("wait_plan")
    durations_s: dict[tuple[str, int], dict[str, list[float]]] = {}
    for place in plan.Plan(runs=2).places.values():
        if place.case in {case.name for case in plan.CASES}:
            clients = durations_s.setdefault((place.case, place.run), {})
            clients.setdefault(place.client, []).append(place.duration_s)
    assert len(durations_s) == 2 * len(plan.CASES)
    for clients in durations_s.values():
        assert clients.keys() == {*plan.PEERS, *plan.LIMITS, plan.OURS_NEW, plan.OURS_LEARNED}
        assert all(each == clients["fal"] for each in clients.values())
