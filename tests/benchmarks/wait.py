"""Measure the wait, from ready at the server to the image in hand.

``python tests/benchmarks/wait.py`` prints the table.

All clients wait for tasks of the same durations, at the same time, and on the same server, which
speaks the protocol of each. The tasks only sleep, so many run at once, each by itself: the first
tasks of ours each in a process and data folder of its own, the others in a process for each case,
with a journal that has 25 tasks of each kind.

Polls are all requests but the submission and the download of the image, for all clients alike.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from batches import hub_process
from report import OURS, Figure, markdown_table
from wait_plan import (
    CASES,
    CHAIN_CASES,
    COLD,
    LIMITS,
    OURS_LEARNED,
    OURS_NEW,
    PEERS,
    RUN_S,
    Case,
    Place,
    Plan,
    to_json,
)

HERE = Path(__file__).parent
SECTION = "Wait"
DELAY, POLLS, PERCENT = "delay, ms", "polls", "delay, % of duration"

GOAL_FROM_S, GOAL_PERCENT, GOAL_POLLS = 8.0, 2.0, 12.0
"""From this duration on, ours that has learned may wait so long, with so many polls."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was measured of one task.

    Attributes:
        place: What it belongs to.
        delay_s: From ready at the server to the image in hand, in seconds.
        polls: How often the server was asked.
    """

    place: Place
    delay_s: float
    polls: int


class Outcomes:
    """The outcomes of all tasks.

    Args:
        outcomes: The outcomes.
    """

    def __init__(self, outcomes: Sequence[Outcome]) -> None:
        self._runs: dict[tuple[str, str], dict[int, list[Outcome]]] = {}
        for each in outcomes:
            if each.place.run >= 0:
                runs = self._runs.setdefault((each.place.case, each.place.client), {})
                runs.setdefault(each.place.run, []).append(each)

    def means(self, case: str, client: str, quantity: str) -> tuple[float, ...]:
        """Return the mean over the tasks of each run."""
        runs = self._runs[case, client]
        return tuple(
            statistics.fmean(_value(each, quantity) for each in runs[run]) for run in sorted(runs)
        )


def _value(outcome: Outcome, quantity: str) -> float:
    if quantity == POLLS:
        return outcome.polls
    if quantity == PERCENT:
        return 100 * outcome.delay_s / outcome.place.duration_s
    return 1000 * outcome.delay_s


def measure(runs: int = 7) -> list[Figure]:
    """Measure all clients at once.

    Args:
        runs: How many runs; one starts every 20 s, and the last one takes about a minute.

    Returns:
        The figures of all cases.

    Raises:
        ModuleNotFoundError: If a peer is not installed.
        RuntimeError: If a client failed.
    """
    for name in ("fal_client", "replicate", "openai"):
        if find_spec(name) is None:
            raise ModuleNotFoundError(f"{name} is missing: run `pip install --group bench`.")
    outcomes = Outcomes(_run(Plan(runs), runs))
    figures: list[Figure] = []
    for case in CASES:
        figures += _figures(case, outcomes, OURS_LEARNED, "learned")
        figures += _figures(case, outcomes, OURS_NEW, "first task")
    alone = [(COLD, OURS_NEW), *((chain.name, OURS_LEARNED) for chain in CHAIN_CASES)]
    for case_name, state in alone:
        for quantity in (DELAY, POLLS):
            values = outcomes.means(case_name, state, quantity)
            figures.append(Figure(SECTION, case_name, quantity, OURS, values))
    return figures


def _figures(case: Case, outcomes: Outcomes, state: str, label: str) -> Iterator[Figure]:
    """Yield the figures of one state of ours, beside its peers."""
    name = f"{case.name}, {label}"
    has_goal = state == OURS_LEARNED and (case.typical_s or 0.0) >= GOAL_FROM_S
    medians: dict[str, tuple[float, ...]] = {}
    for quantity in (DELAY, POLLS):
        for client in (state, *PEERS, *LIMITS):
            values = outcomes.means(case.name, client, quantity)
            medians[client] = (*medians.get(client, ()), statistics.median(values))
            goal = GOAL_POLLS if has_goal and client == state and quantity == POLLS else None
            shown = OURS if client == state else client
            yield Figure(SECTION, name, quantity, shown, values, goal)
    if has_goal:
        values = outcomes.means(case.name, state, PERCENT)
        yield Figure(SECTION, name, PERCENT, OURS, values, GOAL_PERCENT)
    better = [peer for peer in PEERS if _is_better(medians[peer], medians[state])]
    note = f"{', '.join(better)}: sooner with no more polls." if better else ""
    yield Figure(SECTION, name, "peers better on both", OURS, (float(len(better)),), 0.0, note)


def _is_better(peer: tuple[float, ...], ours: tuple[float, ...]) -> bool:
    """Whether a peer is not worse in delay and polls, and better in one of them."""
    return peer != ours and all(theirs <= own for theirs, own in zip(peer, ours, strict=True))


def _run(plan: Plan, runs: int) -> list[Outcome]:
    """Run all tasks of a plan.

    Raises:
        RuntimeError: If a client failed, or a task is missing.
    """
    with hub_process("peer_hub.py") as url:
        done = subprocess.run(
            [sys.executable, str(HERE / "wait_clients.py")],
            input=to_json(url, plan.groups),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=runs * RUN_S + 300,
        )
        with urllib.request.urlopen(f"{url}/tasks") as response:
            tasks = json.load(response)
    outcomes = []
    for line in done.stdout.splitlines():
        got = json.loads(line)
        place, task = plan.places[got["marker"]], tasks.get(got["marker"])
        if "error" in got:
            raise RuntimeError(f"{place.client} failed ({place.case}): {got['error']}")
        outcomes.append(Outcome(place, got["got_at"] - task["ready_at"], task["polls"]))
    if len(outcomes) != len(plan.places):
        raise RuntimeError(f"{len(plan.places) - len(outcomes)} of {len(plan.places)} are missing.")
    return outcomes


if __name__ == "__main__":
    print(markdown_table(measure()))
