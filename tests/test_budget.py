"""The budget and idempotency keys of the Python API, with a stand-in Hub over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from hub_server import KEY, RESET, StandInHub

from mountsea_magic import agenerate, agenerate_many, generate, generate_many
from mountsea_magic.errors import BudgetExceeded, InvalidRequest
from mountsea_magic.generation.handle import Generation
from mountsea_magic.session import Session

OVER = r"order 2 images, but 1 of the 5 allowed in 24 hours is left\. Nothing was sent"


@pytest.fixture
def limited(hub: StandInHub, here: Session, monkeypatch: pytest.MonkeyPatch) -> Session:
    """Return a session with a budget of five images."""
    monkeypatch.setenv("MOUNTSEA_BUDGET", "5")
    return here


def many(requests: Any, **options: Any) -> list[Generation]:
    """Return the generations of `agenerate_many`."""

    async def collect() -> list[Generation]:
        return [generation async for generation in agenerate_many(requests, **options)]

    return asyncio.run(collect())


def names(drawn: list[int]) -> Iterator[str]:
    """Yield prompts without end, and keep how many were drawn."""
    while True:
        drawn.append(len(drawn))
        yield f"dog {len(drawn)}"


@pytest.mark.parametrize(
    "call",
    [
        lambda: generate("a cat", num_images=2),
        lambda: asyncio.run(agenerate("a cat", num_images=2)),
        lambda: generate_many(["a cat", "a fox"]),
        lambda: generate_many(["a cat", "a fox"], background=True),
        lambda: many(["a cat", "a fox"]),
    ],
    ids=["generate", "agenerate", "generate_many", "in the background", "agenerate_many"],
)
def test_what_exceeds_the_budget_is_refused_whole(
    limited: Session, hub: StandInHub, call: Callable[[], Any]
) -> None:
    """Before anything is sent, with both numbers."""
    generate("a dog", num_images=4)
    with pytest.raises(BudgetExceeded, match=OVER):
        call()
    assert len(hub.posts) == 1 and limited.open == []
    generate("a cat")
    assert len(hub.posts) == 2


def test_a_retry_over_budget_is_refused_whole(limited: Session, hub: StandInHub) -> None:
    """Uncertain requests that are submitted anew count again."""
    hub.submits += [None, RESET, RESET]
    batch = generate_many(["a dog"] * 3, concurrency=1, batch="dogs")
    generate("a cat")
    with pytest.raises(BudgetExceeded, match=OVER):
        batch.retry_failed(uncertain=True)
    assert len(hub.posts) == 4 and len(batch.uncertain) == 2


def test_answers_from_the_journal_are_free(limited: Session, hub: StandInHub) -> None:
    """Of seeds, with `cache`, and under a key; `fresh` orders anew."""
    dogs = [{"prompt": "a dog", "seed": seed} for seed in range(5)]
    generate_many(dogs)
    assert len(generate_many(dogs).completed) == 5
    assert generate("a dog", seed=0).from_journal
    assert generate("a dog", seed=0, cache=True).from_journal
    assert len(many(dogs)) == 5
    with pytest.raises(BudgetExceeded, match="order 5 images, but 0"):
        generate_many(dogs, fresh=True)
    with pytest.raises(BudgetExceeded, match="order 1 image, but 0"):
        generate("a dog", seed=0, fresh=True)
    assert len(hub.posts) == 5


def test_a_durable_batch_goes_on_within_its_budget(limited: Session, hub: StandInHub) -> None:
    """What it has submitted counts once."""
    generate_many(["a dog"] * 4, batch="dogs")
    batch = generate_many(["a dog"] * 5, batch="dogs")
    assert len(batch.completed) == 5 and len(hub.posts) == 5
    assert len(generate_many(iter(["a dog"] * 5), batch="dogs").completed) == 5
    assert len(many(["a dog"] * 5, batch="dogs")) == 5
    with pytest.raises(BudgetExceeded):
        generate_many(["a dog"] * 6, batch="dogs")
    assert len(hub.posts) == 5


def test_an_iterator_stops_at_the_item_that_would_exceed_it(
    limited: Session, hub: StandInHub
) -> None:
    """The first five are completed, and no more are submitted, or drawn for long."""
    drawn: list[int] = []
    batch = generate_many(names(drawn), concurrency=2)
    assert (len(batch.completed), len(hub.posts)) == (5, 5)
    assert len(drawn) == len(batch) <= 5 + 4
    assert isinstance(batch.stopped_by, BudgetExceeded)
    assert [each.prompt for each in batch.completed] == [f"dog {number}" for number in range(1, 6)]
    refused = [each for each in batch if isinstance(each.error, BudgetExceeded)]
    assert 1 <= len(refused) <= 2  # as many as run at once
    assert {each.status for each in batch.failed if each not in refused} <= {"skipped"}
    with pytest.raises(BudgetExceeded, match=rf"order {len(refused)} images?, but 0 of the 5"):
        batch.retry_failed()


def test_an_async_iterator_stops_there_too(limited: Session, hub: StandInHub) -> None:
    """The loop ends by itself."""

    async def endless() -> AsyncIterator[str]:
        for name in names([]):
            yield name

    for requests in (endless(), names([])):
        ended = many(requests, concurrency=2, fresh=True)
        refused = [each for each in ended if isinstance(each.error, BudgetExceeded)]
        assert 1 <= len(refused) <= 2 and len(ended) <= 5 + 4
        assert len(hub.posts) == 5


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("", "idempotency_key is empty"),
        (" \t", "idempotency_key is empty"),
        ("k" * 201, "idempotency_key has 201 characters; at most 200"),
        ("a\nb", "must not contain control characters or line breaks"),
        ("a\u2028b", "must not contain control characters or line breaks"),
        ("a\ud83d", "must not contain control characters"),
        (42, r"idempotency_key must be text, such as 'poster-42' \(got int\)"),
        (f"my {KEY}", "contains your API key"),
    ],
)
def test_a_wrong_key_is_refused_before_anything_is_sent(
    here: Session, hub: StandInHub, key: Any, message: str
) -> None:
    """By `generate` and `agenerate`."""
    with pytest.raises(InvalidRequest, match=message) as caught:
        generate("a dog", idempotency_key=key)
    with pytest.raises(InvalidRequest, match=message):
        asyncio.run(agenerate("a dog", idempotency_key=key))
    assert KEY not in str(caught.value) and hub.requests == []


def test_a_key_is_used_for_the_generation(here: Session, hub: StandInHub) -> None:
    """A second call is answered from the journal."""
    first = generate("a dog", idempotency_key="poster-42 ü")
    second = asyncio.run(agenerate("a dog", idempotency_key="poster-42 ü"))
    assert first.idempotency_key == second.idempotency_key == "poster-42 ü"
    assert first.task_id == second.task_id and len(hub.posts) == 1
