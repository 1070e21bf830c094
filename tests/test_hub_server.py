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
    with StandInHub() as hub, httpx.Client(base_url=hub.url, trust_env=False) as client:

        def submit(number: int) -> tuple[str, str]:
            body = {"input": {"prompt": f"dog {number}"}}
            return client.post("/hub/v1/image", json=body).json()["task_id"], f"dog {number}"

        with ThreadPoolExecutor(16) as threads:
            submitted = dict(threads.map(submit, range(200)))
        prompts = [seen.json["input"]["prompt"] for seen in hub.posts]
        assert [submitted[task_id] for task_id in hub.task_ids] == prompts
        assert len(prompts) == 200


def test_a_lasting_response_is_given_until_it_is_cleared() -> None:
    """An outage lasts as long as the test says, not for a number of polls."""
    with StandInHub() as hub, httpx.Client(base_url=hub.url, trust_env=False) as client:
        hub.looks.append(Reply(502, lasting=True))
        polls = [client.get("/hub/v1/tasks/x").status_code for _ in range(30)]
        hub.looks.clear()
        assert {*polls} == {502}
        assert client.get("/hub/v1/tasks/x").status_code == 404
