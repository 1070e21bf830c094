"""The stand-in Hub of the other tests: its records match its responses."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from hub_server import Reply, StandInHub


@pytest.fixture
def frequent_thread_switches() -> Iterator[None]:
    """Switch threads as often as possible, to provoke races."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("frequent_thread_switches")
def test_concurrent_submissions_get_distinct_ids() -> None:
    """The nth recorded submission is the nth task, however many arrive concurrently."""
    with StandInHub() as hub:

        def submit(numbers: range) -> dict[str, str]:
            # one client per thread: httpcore's pool closes sockets of threads that share it
            with httpx.Client(base_url=hub.url, trust_env=False) as client:
                bodies = [{"input": {"prompt": f"dog {number}"}} for number in numbers]
                responses = [client.post("/hub/v1/image", json=body).json() for body in bodies]
            return {
                response["task_id"]: f"dog {number}"
                for response, number in zip(responses, numbers, strict=True)
            }

        submitted: dict[str, str] = {}
        with ThreadPoolExecutor(16) as threads:
            for part in threads.map(submit, [range(first, 200, 16) for first in range(16)]):
                submitted |= part
        prompts = [seen.json["input"]["prompt"] for seen in hub.posts]
        assert [submitted[task_id] for task_id in hub.task_ids] == prompts
        assert len(prompts) == 200


def test_lasting_reply_repeats_until_cleared() -> None:
    """A reply with `repeat=True` is the response to every poll until the test clears the script."""
    with StandInHub() as hub, httpx.Client(base_url=hub.url, trust_env=False) as client:
        hub.polls.append(Reply(502, repeat=True))
        polls = [client.get("/hub/v1/tasks/x").status_code for _ in range(30)]
        hub.polls.clear()
        assert {*polls} == {502}
        assert client.get("/hub/v1/tasks/x").status_code == 404
