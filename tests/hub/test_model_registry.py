"""The model registry: refresh all models, or fetch an unknown one at most once a minute."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hub_server import BAD_GATEWAY, KEY, RESET, SILENT, Script, StandInHub, json_reply

from mountsea_magic.errors import InvalidRequest, MountseaError
from mountsea_magic.hub import model_registry
from mountsea_magic.hub.model_cache import LiveModels
from mountsea_magic.hub.model_registry import MAX_MODELS, ModelRegistry
from mountsea_magic.hub.models import MAX_LISTED
from mountsea_magic.request.catalog import bundled_catalog
from mountsea_magic.request.request import build_request
from mountsea_magic.session import Session
from mountsea_magic.settings import Secret, Settings

PROMPT = {"prompt": {"type": "string"}}


def model_with(**properties: Any) -> dict[str, Any]:
    """Return a Hub's description of a model with the given parameters."""
    return {"input_schema": {"type": "object", "properties": PROMPT | properties}}


def settings_of(hub: StandInHub, home: Path) -> Settings:
    """Return settings for a stand-in."""
    return Settings(hub.url, Secret(KEY), "a test", None, home)


def refresh(here: Session, settings: Settings) -> LiveModels:
    """Fetch all models."""

    async def work() -> LiveModels:
        return await here.registry.refresh(settings, here.clients.client(settings))

    return here.worker.run(work())


def fetch_model(here: Session, settings: Settings, model_id: str) -> None:
    """Fetch one model."""

    async def work() -> None:
        await here.registry.fetch_model(settings, here.clients.client(settings), model_id)

    here.worker.run(work())


def test_a_refresh_fetches_the_list_and_each_model(here: Session, home: Path) -> None:
    """New models appear, known ones get their live schema, in the Hub's order."""
    models: dict[str, Script] = {
        "new": model_with(mood={"type": "string"}),
        "nano-banana": model_with(),
    }
    with StandInHub(models=models) as hub:
        settings = settings_of(hub, home)
        live = refresh(here, settings)
        requested = hub.models_seen
    assert requested[0] == "/hub/v1/models"
    assert sorted(requested[1:]) == ["/hub/v1/models/nano-banana", "/hub/v1/models/new"]
    assert live.listed == ("new", "nano-banana")
    catalog = here.registry.current(settings)
    assert set(catalog.model("new").parameters) == {"mood"}
    assert catalog.model("nano-banana").parameters == {}
    assert catalog.model("nano-banana").vendor == "Google"
    assert catalog.model("gpt-image-2").mark != "live"


def test_live_models_are_cached_for_the_next_process(here: Session, home: Path) -> None:
    """With their date; there is no further request."""
    with StandInHub(models={"new": model_with()}) as hub:
        settings = settings_of(hub, home)
        live = refresh(here, settings)
        count = len(hub.requests)
        assert ModelRegistry().live(settings) == live
        assert "new" in ModelRegistry().current(settings).models
        assert len(hub.requests) == count
    assert live.date > 0


def test_each_hub_has_its_own_models(here: Session, home: Path) -> None:
    """They do not apply to another Hub or the demo Hub."""
    with (
        StandInHub(models={"a": model_with()}) as first,
        StandInHub(models={"b": model_with()}) as second,
    ):
        both = [settings_of(hub, home) for hub in (first, second)]
        for settings in both:
            refresh(here, settings)
        found = [set(here.registry.current(settings).models) for settings in both]
    known = set(bundled_catalog().models)
    assert found == [known | {"a"}, known | {"b"}]
    demo = replace(both[0], base_url="demo:")
    assert set(here.registry.current(demo).models) == known


@pytest.mark.parametrize(
    "listing",
    [RESET, BAD_GATEWAY, json_reply({"message": "no"}, 401), json_reply({}, 404)],
    ids=["reset", "bad gateway", "key", "not found"],
)
def test_a_failed_refresh_raises_and_changes_nothing(
    here: Session, home: Path, listing: Script
) -> None:
    """The user requested it, so the error is raised; the known models stay."""
    with StandInHub(listing=listing) as hub:
        settings = settings_of(hub, home)
        with pytest.raises(MountseaError):
            refresh(here, settings)
    assert here.registry.live(settings) == LiveModels(hub.url, 0.0, {})


def test_one_model_that_fails_does_not_hide_the_others(here: Session, home: Path) -> None:
    """A schema that can't be fetched affects only its model."""
    with StandInHub(models={"good": model_with(), "bad": BAD_GATEWAY}) as hub:
        settings = settings_of(hub, home)
        refresh(here, settings)
    assert {"good", "bad"} <= set(here.registry.current(settings).models)


def test_a_listed_model_without_a_schema_is_usable(here: Session, home: Path) -> None:
    """The Hub validates its parameters."""
    with StandInHub(models={"bare": None}) as hub:
        settings = settings_of(hub, home)
        refresh(here, settings)
    model = here.registry.current(settings).model("bare")
    assert model.takes("whatever") and model.mark == "live"


def test_a_mistyped_parameter_does_not_replace_the_bundled_schema(
    here: Session, home: Path
) -> None:
    """If the Hub lists the model without a schema, the bundled one is still used."""
    with StandInHub(models={"nano-banana": None}) as hub:
        settings = settings_of(hub, home)
        refresh(here, settings)
        assert here.registry.should_fetch(settings, "nano-banana", ["sed"])
        fetch_model(here, settings, "nano-banana")
        assert len(hub.models_seen) == 3
    model = here.registry.current(settings).model("nano-banana")
    assert model == bundled_catalog().model("nano-banana") and not model.takes("sed")


def test_a_model_that_lost_its_live_schema_keeps_the_last_one(here: Session, home: Path) -> None:
    """An incomplete response removes nothing."""
    with StandInHub(models={"new": model_with(mood={"type": "string"})}) as hub:
        settings = settings_of(hub, home)
        refresh(here, settings)
        hub.models["new"] = {"input_schema": None}
        refresh(here, settings)
    assert "mood" in here.registry.current(settings).model("new").parameters


def test_only_some_models_of_a_huge_list_are_fetched(here: Session, home: Path) -> None:
    """But all of them are listed."""
    names = [f"m{number}" for number in range(MAX_MODELS + 10)]
    with StandInHub(listing={"data": names}) as hub:
        live = refresh(here, settings_of(hub, home))
        assert len(hub.models_seen) == 1 + MAX_MODELS
    assert live.listed == tuple(names)


@pytest.mark.parametrize(
    ("model_id", "parameters", "expected"),
    [
        ("nano-banana", [], False),
        ("nano-banana", ["seed", "num_images"], False),
        ("nano-banana", ["seed", "mood"], True),
        ("new", [], True),
    ],
)
def test_only_unknown_names_are_fetched(
    home: Path, model_id: str, parameters: list[str], expected: bool
) -> None:
    """And only with a key."""
    settings = Settings("https://hub.example", Secret("sk-stand-in-1"), "a test", None, home)
    assert ModelRegistry().should_fetch(settings, model_id, parameters) is expected
    assert not ModelRegistry().should_fetch(replace(settings, key=None), model_id, parameters)
    demo = replace(settings, base_url="demo:", key=None)
    assert ModelRegistry().should_fetch(demo, model_id, parameters) is expected


@pytest.mark.parametrize(
    ("listing", "model"),
    [
        (RESET, RESET),
        (BAD_GATEWAY, BAD_GATEWAY),
        (None, RESET),
        (json_reply({}, 401), json_reply({}, 401)),
        ({"data": "nonsense"}, json_reply({}, 404)),
    ],
    ids=["reset", "bad gateway", "half", "key", "nonsense"],
)
def test_a_failed_fetch_is_ignored_and_not_repeated(
    here: Session, home: Path, listing: Script, model: Script
) -> None:
    """Whatever the Hub does, nothing is raised, and there is no immediate second request."""
    with StandInHub(models={"new": model}, listing=listing) as hub:
        settings = settings_of(hub, home)
        fetch_model(here, settings, "new")
        assert len(hub.models_seen) >= 1
    assert not here.registry.should_fetch(settings, "new", [])
    assert not here.registry.should_fetch(settings, "new", ["mood"])


def test_a_minute_later_a_model_may_be_fetched_again(
    here: Session, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be new."""
    with StandInHub() as hub:
        settings = settings_of(hub, home)
        fetch_model(here, settings, "new")
        assert not here.registry.should_fetch(settings, "new", [])
        monkeypatch.setattr(model_registry, "REFETCH_INTERVAL_S", 0.0)
        assert here.registry.should_fetch(settings, "new", [])


def test_a_silent_hub_times_out(here: Session, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cell continues with the known models."""
    monkeypatch.setattr(model_registry, "FETCH_TIMEOUT_S", 0.5)
    with StandInHub(listing=SILENT) as hub:
        settings = settings_of(hub, home)
        fetch_model(here, settings, "new")
        hub.wait_until(lambda: hub.models_seen == ["/hub/v1/models"])
    assert "new" not in here.registry.current(settings).models


def test_a_model_that_is_not_in_the_list_is_not_fetched(here: Session, home: Path) -> None:
    """A typo costs one request."""
    with StandInHub(models={"other": model_with()}) as hub:
        settings = settings_of(hub, home)
        fetch_model(here, settings, "nano-bananna")
        assert hub.models_seen == ["/hub/v1/models"]
    assert "nano-bananna" not in here.registry.current(settings).models


@pytest.mark.parametrize("model_id", ["a/b", "..", "a b?c#d", "ü🐕", "\ud83d", "\x1b[31m", "."])
def test_an_odd_name_stays_one_path_segment(here: Session, home: Path, model_id: str) -> None:
    """Whatever was typed, no other URL of the Hub is requested."""
    with StandInHub(listing={"data": ["nonsense", model_id]}) as hub:
        fetch_model(here, settings_of(hub, home), model_id)
        paths = [seen.path for seen in hub.requests]
    assert len(paths) in (1, 2)
    assert all(path.partition("?")[0].startswith("/hub/v1/models") for path in paths)
    assert all(path.count("/") in (3, 4) for path in paths)


@pytest.mark.parametrize("keyword", ["$ref", "$dynamicRef", "$id"])
def test_references_of_a_schema_are_not_fetched(here: Session, home: Path, keyword: str) -> None:
    """Neither when the schema is fetched, nor when a request is validated with it."""
    with StandInHub() as other, StandInHub() as hub:
        mood = {keyword: f"{other.url}/schema.json", "$schema": f"{other.url}/draft"}
        hub.models["new"] = model_with(mood=mood)
        settings = settings_of(hub, home)
        fetch_model(here, settings, "new")
        catalog = here.registry.current(settings)
        build_request("a dog", model="new", parameters={"mood": "calm"}, catalog=catalog)
        assert other.requests == []
        assert other.url not in next((home / "models").iterdir()).read_text("utf-8")
    notices = here.registry.notices()
    assert [text for text in notices if "schema of new is not used" in text] == (
        [] if keyword == "$id" else notices
    )
    assert bool(notices) == (keyword != "$id") and here.registry.notices() == []


def test_an_unusable_schema_does_not_replace_the_bundled_one(here: Session, home: Path) -> None:
    """There is a notice, and the other models are updated."""
    circle = model_with(mood={"$ref": "#/properties/mood"})
    models: dict[str, Script] = {"nano-banana": circle, "new": model_with(mood={"type": "string"})}
    with StandInHub(models=models) as hub:
        settings = settings_of(hub, home)
        refresh(here, settings)
    catalog = here.registry.current(settings)
    assert catalog.model("nano-banana") == bundled_catalog().model("nano-banana")
    assert set(catalog.model("new").parameters) == {"mood"}
    assert here.registry.notices() == [
        "the Hub's schema of nano-banana is not used: it refers to itself"
    ]


def test_an_endless_list_is_truncated_and_its_models_are_still_found(
    here: Session, home: Path
) -> None:
    """The list is limited; a model beyond the limit is fetched by its id."""
    listing = {"data": [{"id": f"m{number}"} for number in range(20_000)]}
    with StandInHub(listing=listing, models={"m19999": model_with()}) as hub:
        settings = settings_of(hub, home)
        live = refresh(here, settings)
        assert len(live.listed) == MAX_LISTED and len(hub.models_seen) == 1 + MAX_MODELS
        assert any("the rest is ignored" in text for text in here.registry.notices())
        fetch_model(here, settings, "m19999")
    assert here.registry.current(settings).model("m19999").parameters == {}
    with pytest.raises(InvalidRequest) as caught:
        here.registry.current(settings).model("something else")
    assert len(str(caught.value)) < 1000
