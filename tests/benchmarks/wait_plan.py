"""Which tasks the clients of the benchmark of the wait run, how long each takes, and when."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import count
from typing import Any

from peer_hub import marker

OURS_NEW, OURS_LEARNED = "ours, first task", "ours, learned"
PEERS = ("fal", "replicate", "openai", "httpx 1 s", "httpx 5 s")
LIMITS = ("limit: one round trip", "limit: replicate Prefer: wait")

EARLIER_TASKS = 25
"""How many tasks of each kind are in the journal of ours that has learned."""

RUN_S = 20.0
"""How many seconds after the one before a run starts; its tasks start at random in that time.

More runs at once would load the processors, and the delays would be those of the clients' queue.
"""

CHAINS = 3
"""How many chains of each sort run at the same time."""

Draw = Callable[[random.Random], float]
"""Draws how long a task takes, in seconds."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One task of one client.

    Attributes:
        marker: The task, for `peer_hub.PeerHub`.
        start_s: When it is submitted, in seconds after the start of the benchmark.
        model: The model, for ours.
        parameters: The model's parameters, for ours.
    """

    marker: str
    start_s: float
    model: str = "nano-banana"
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Earlier:
    """Tasks that are in the journal before the first trial.

    Attributes:
        model: The model.
        parameters: Its parameters.
        durations_s: How long each took, in seconds, oldest first.
    """

    model: str
    parameters: Mapping[str, Any]
    durations_s: Sequence[float]


@dataclass(frozen=True, slots=True)
class Group:
    """The tasks of one process.

    Attributes:
        client: A key of `wait_clients.CLIENTS`.
        path: What follows the server's URL in the Hub's base URL.
        trials: The tasks.
        earlier: What is in the journal, for ours.
        in_a_row: Whether each task is submitted when the one before has ended.
        is_cold: Whether the process has not imported what a generation needs.
    """

    client: str
    path: str
    trials: Sequence[Trial]
    earlier: Sequence[Earlier] = ()
    in_a_row: bool = False
    is_cold: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """Tasks that take about equally long.

    Attributes:
        draw: How long they take.
        model: The model, for ours.
        parameters: Its parameters, for ours.
    """

    draw: Draw
    model: str = "nano-banana"
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def earlier(self, rng: random.Random) -> Earlier:
        """Return the tasks that ours has learned from."""
        durations_s = [self.draw(rng) for _ in range(EARLIER_TASKS)]
        return Earlier(self.model, self.parameters, durations_s)


@dataclass(frozen=True, slots=True)
class Case:
    """What is measured of all clients.

    Attributes:
        name: Its name in the table.
        kinds: The kinds of the tasks of one run, one for each task.
        typical_s: How long a task takes, if all take about equally long.
    """

    name: str
    kinds: Sequence[Kind]
    typical_s: float | None = None


@dataclass(frozen=True, slots=True)
class Chain:
    """Tasks of ours in a row, which learns from them by itself.

    Attributes:
        name: Its name in the table.
        skip: How many tasks precede those that are measured.
        path: What follows the server's URL in the Hub's base URL.
        earlier_s: About how long the tasks took that are in the journal, or None for an empty one.
    """

    name: str
    skip: int
    path: str = ""
    earlier_s: float | None = None


def around(seconds: float) -> Draw:
    """Return durations of so many seconds, ± 20 %."""
    return lambda rng: seconds * rng.uniform(0.8, 1.2)


def long_tailed(rng: random.Random) -> float:
    """Draw from a log-normal distribution with a median of 6 s, whose outliers take 4 times."""
    hung = 4 if rng.random() < 0.05 else 1
    return min(hung * math.exp(rng.gauss(math.log(6), 0.7)), 50.0)


MIX_OF_KINDS = (
    Kind(around(4.0)),
    Kind(around(7.0), "nano-banana-pro", {"resolution": "2K"}),
    Kind(around(11.0), "gpt-image-2", {"quality": "high"}),
    Kind(around(18.0), "nano-banana-2", {"resolution": "4K"}),
)

CASES = (
    *(
        Case(f"{seconds:g} s ± 20 %", (Kind(around(seconds)),) * 3, seconds)
        for seconds in (0.3, 1, 3, 8, 15, 30)
    ),
    Case("long-tailed, median 6 s", (Kind(long_tailed),) * 4),
    Case("four kinds, 4 to 18 s", MIX_OF_KINDS),
)

CHAIN_S = 3.0
"""About how long the tasks of the chains take, in seconds."""

CHAIN_CASES = (
    Chain("3 s ± 20 %, after 20 tasks of its own", 20),
    Chain("3 s ± 20 %, after 20 tasks of its own, Hub without elapsed_ms", 20, "/silent"),
    Chain("3 s ± 20 %, from the 11th task after 25 of 6 s", 10, earlier_s=2 * CHAIN_S),
)


COLD = "3 s ± 20 %, first task of a process, imports included"
"""The case of a process that imports what it needs when it needs it, also when a task is ready."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a task belongs to.

    Attributes:
        case: The case or chain.
        client: The client; of ours also its state.
        run: The number of the run, from 0.
        duration_s: How long the task takes, in seconds.
    """

    case: str
    client: str
    run: int
    duration_s: float


class Plan:
    """All tasks.

    Attributes:
        groups: The tasks of each process.
        places: What each task belongs to, by its marker.

    Args:
        runs: How many runs are measured.
    """

    def __init__(self, runs: int) -> None:
        self.groups: list[Group] = []
        self.places: dict[str, Place] = {}
        self._rng, self._numbers = random.Random(16), count(1)
        peers: dict[str, list[Trial]] = {client: [] for client in (*PEERS, *LIMITS)}
        for case in CASES:
            durations_s = [[kind.draw(self._rng) for kind in case.kinds] for _ in range(runs)]
            for client, trials in peers.items():
                trials += self._trials(case, client, durations_s)
            learned = tuple(self._trials(case, OURS_LEARNED, durations_s))
            earlier = tuple(self._earlier(case.kinds))
            self.groups.append(Group("ours", "", learned, earlier))
            for trial in self._trials(case, OURS_NEW, durations_s):
                self.groups.append(Group("ours", "", (trial,)))
        self.groups += [Group(client, "", trials) for client, trials in peers.items()]
        for chain in CHAIN_CASES:
            self.groups += [self._chain(chain, runs) for _ in range(CHAINS)]
        cold = Case(COLD, [Kind(around(CHAIN_S))])
        durations_s = [[kind.draw(self._rng) for kind in cold.kinds] for _ in range(runs)]
        for trial in self._trials(cold, OURS_NEW, durations_s):
            self.groups.append(Group("ours", "", (trial,), is_cold=True))

    def _trials(
        self, case: Case, client: str, durations_s: Sequence[Sequence[float]]
    ) -> Iterator[Trial]:
        """Yield the tasks of a client, which are as long as those of the others."""
        for run, of_run in enumerate(durations_s):
            for kind, seconds in zip(case.kinds, of_run, strict=True):
                start_s = RUN_S * (run + self._rng.random())
                name = self._place(Place(case.name, client, run, seconds))
                yield Trial(name, start_s, kind.model, kind.parameters)

    def _earlier(self, kinds: Sequence[Kind]) -> Iterator[Earlier]:
        seen = set()
        for kind in kinds:
            if (key := (kind.model, *kind.parameters.items())) not in seen:
                seen.add(key)
                yield kind.earlier(self._rng)

    def _chain(self, chain: Chain, runs: int) -> Group:
        trials, draw = [], around(CHAIN_S)
        for number in range(chain.skip + runs):
            place = Place(chain.name, OURS_LEARNED, number - chain.skip, draw(self._rng))
            trials.append(Trial(self._place(place), self._rng.random()))
        earlier = () if chain.earlier_s is None else self._earlier([Kind(around(chain.earlier_s))])
        return Group("ours", chain.path, trials, tuple(earlier), in_a_row=True)

    def _place(self, place: Place) -> str:
        name = marker(next(self._numbers), place.duration_s)
        self.places[name] = place
        return name


def to_json(url: str, groups: Sequence[Group]) -> str:
    """Return the server's URL and the groups as one line, for `wait_clients`."""
    return json.dumps({"url": url, "groups": [asdict(group) for group in groups]}) + "\n"


def from_json(text: str) -> tuple[str, list[Group]]:
    """Return what `to_json` was given."""
    read = json.loads(text)
    groups = [
        Group(
            **group
            | {
                "trials": [Trial(**trial) for trial in group["trials"]],
                "earlier": [Earlier(**earlier) for earlier in group["earlier"]],
            }
        )
        for group in read["groups"]
    ]
    return read["url"], groups
