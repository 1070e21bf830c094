"""The stand-in Hub that other tests trust: what it records is what it answered."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from hub_server import Reply, StandInHub


@pytest.fixture
def eager_threads() -> Iterator[None]:
    """Let threads take turns as often as they can, so that races happen."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("eager_threads")
def test_each_of_many_submissions_at_once_gets_an_id_of_its_own() -> None:
    """The nth recorded submission is the nth task, however many arrive together."""
    with StandInHub() as hub:

        def submit(numbers: range) -> dict[str, str]:
            # a client a thread: httpcore's pool closes sockets of threads that share it
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


def test_a_lasting_response_is_given_until_it_is_cleared() -> None:
    """An outage lasts as long as the test says, not for a number of polls."""
    with StandInHub() as hub, httpx.Client(base_url=hub.url, trust_env=False) as client:
        hub.polls.append(Reply(502, lasting=True))
        polls = [client.get("/hub/v1/tasks/x").status_code for _ in range(30)]
        hub.polls.clear()
        assert {*polls} == {502}
        assert client.get("/hub/v1/tasks/x").status_code == 404
