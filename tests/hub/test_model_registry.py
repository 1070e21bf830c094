"""The live catalogue: all models on demand, one where it lacks, quietly and once a minute."""

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


def said(**properties: Any) -> dict[str, Any]:
    """What a Hub says of a model with the given parameters."""
    return {"input_schema": {"type": "object", "properties": PROMPT | properties}}


def settings_of(hub: StandInHub, home: Path) -> Settings:
    """Lead to a stand-in."""
    return Settings(hub.url, Secret(KEY), "a test", None, home)


def refresh(here: Session, settings: Settings) -> LiveModels:
    """Ask for all models."""

    async def ask() -> LiveModels:
        return await here.registry.refresh(settings, here.clients.client(settings))

    return here.worker.run(ask())


def learn(here: Session, settings: Settings, model_id: str) -> None:
    """Ask for one model."""

    async def ask() -> None:
        await here.registry.learn(settings, here.clients.client(settings), model_id)

    here.worker.run(ask())


def test_refreshing_asks_for_the_list_and_for_each_model(here: Session, home: Path) -> None:
    """New models appear, known ones get their live schema, and the Hub's order is kept."""
    models: dict[str, Script] = {"new": said(mood={"type": "string"}), "nano-banana": said()}
    with StandInHub(models=models) as hub:
        settings = settings_of(hub, home)
        live = refresh(here, settings)
        asked = hub.models_seen
    assert asked[0] == "/hub/v1/models"
    assert sorted(asked[1:]) == ["/hub/v1/models/nano-banana", "/hub/v1/models/new"]
    assert live.listed == ("new", "nano-banana")
    catalog = here.registry.current(settings)
    assert set(catalog.model("new").parameters) == {"mood"}
    assert catalog.model("nano-banana").parameters == {}
    assert catalog.model("nano-banana").vendor == "Google"
    assert catalog.model("gpt-image-2").mark != "live"


def test_what_was_learned_is_there_for_the_next_process(here: Session, home: Path) -> None:
    """From disk, with its date, and without asking."""
    with StandInHub(models={"new": said()}) as hub:
        settings = settings_of(hub, home)
        live = refresh(here, settings)
        count = len(hub.requests)
        assert ModelRegistry().live(settings) == live
        assert "new" in ModelRegistry().current(settings).models
        assert len(hub.requests) == count
    assert live.date > 0


def test_each_hub_has_its_own_models(here: Session, home: Path) -> None:
    """What one Hub said does not hold for another, nor for the demo Hub."""
    with StandInHub(models={"a": said()}) as first, StandInHub(models={"b": said()}) as second:
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
def test_a_refresh_that_fails_says_so_and_changes_nothing(
    here: Session, home: Path, listing: Script
) -> None:
    """The user asked for it, so the error is told; what was known stays."""
    with StandInHub(listing=listing) as hub:
        settings = settings_of(hub, home)
        with pytest.raises(MountseaError):
            refresh(here, settings)
    assert here.registry.live(settings) == LiveModels(hub.url, 0.0, {})


def test_one_model_that_fails_does_not_hide_the_others(here: Session, home: Path) -> None:
    """A schema that can't be had is that model's trouble alone."""
    with StandInHub(models={"good": said(), "bad": BAD_GATEWAY}) as hub:
        settings = settings_of(hub, home)
        refresh(here, settings)
    assert {"good", "bad"} <= set(here.registry.current(settings).models)


def test_a_listed_model_without_a_schema_is_usable(here: Session, home: Path) -> None:
    """Its parameters are the Hub's to judge."""
    with StandInHub(models={"bare": None}) as hub:
        settings = settings_of(hub, home)
        refresh(here, settings)
    model = here.registry.current(settings).model("bare")
    assert model.takes("whatever") and model.mark == "live"


def test_a_mistyped_parameter_leaves_the_documented_rules(here: Session, home: Path) -> None:
    """The Hub lists the model but has no schema for it: what is bundled goes on holding."""
    with StandInHub(models={"nano-banana": None}) as hub:
        settings = settings_of(hub, home)
        refresh(here, settings)
        assert here.registry.lacks(settings, "nano-banana", ["sed"])
        learn(here, settings, "nano-banana")
        assert len(hub.models_seen) == 3
    model = here.registry.current(settings).model("nano-banana")
    assert model == bundled_catalog().model("nano-banana") and not model.takes("sed")


def test_a_model_that_lost_its_live_schema_keeps_the_last_one(here: Session, home: Path) -> None:
    """Half an answer takes nothing away."""
    with StandInHub(models={"new": said(mood={"type": "string"})}) as hub:
        settings = settings_of(hub, home)
        refresh(here, settings)
        hub.models["new"] = {"input_schema": None}
        refresh(here, settings)
    assert "mood" in here.registry.current(settings).model("new").parameters


def test_a_huge_list_is_not_asked_for_one_by_one(here: Session, home: Path) -> None:
    """All are listed, and a bounded number is looked at."""
    names = [f"m{number}" for number in range(MAX_MODELS + 10)]
    with StandInHub(listing={"data": names}) as hub:
        live = refresh(here, settings_of(hub, home))
        assert len(hub.models_seen) == 1 + MAX_MODELS
    assert live.listed == tuple(names)


@pytest.mark.parametrize(
    ("model_id", "parameters", "lacks"),
    [
        ("nano-banana", [], False),
        ("nano-banana", ["seed", "num_images"], False),
        ("nano-banana", ["seed", "mood"], True),
        ("new", [], True),
    ],
)
def test_only_unknown_names_are_asked_for(
    home: Path, model_id: str, parameters: list[str], lacks: bool
) -> None:
    """And only of a Hub that can be asked: one without a key is not."""
    settings = Settings("https://hub.example", Secret("sk-stand-in-1"), "a test", None, home)
    assert ModelRegistry().lacks(settings, model_id, parameters) is lacks
    assert not ModelRegistry().lacks(replace(settings, key=None), model_id, parameters)
    demo = replace(settings, base_url="demo:", key=None)
    assert ModelRegistry().lacks(demo, model_id, parameters) is lacks


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
def test_learning_is_quiet_and_not_repeated(
    here: Session, home: Path, listing: Script, model: Script
) -> None:
    """Whatever the Hub does, nothing is raised, and it is not asked again at once."""
    with StandInHub(models={"new": model}, listing=listing) as hub:
        settings = settings_of(hub, home)
        learn(here, settings, "new")
        assert len(hub.models_seen) >= 1
    assert not here.registry.lacks(settings, "new", [])
    assert not here.registry.lacks(settings, "new", ["mood"])


def test_a_minute_later_it_may_be_asked_again(
    here: Session, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model may have come since."""
    with StandInHub() as hub:
        settings = settings_of(hub, home)
        learn(here, settings, "new")
        assert not here.registry.lacks(settings, "new", [])
        monkeypatch.setattr(model_registry, "AGAIN_S", 0.0)
        assert here.registry.lacks(settings, "new", [])


def test_a_hub_that_does_not_answer_is_not_waited_for_long(
    here: Session, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cell goes on with what is known."""
    monkeypatch.setattr(model_registry, "QUIET_S", 0.5)
    with StandInHub(listing=SILENT) as hub:
        settings = settings_of(hub, home)
        learn(here, settings, "new")
        hub.wait_until(lambda: hub.models_seen == ["/hub/v1/models"])
    assert "new" not in here.registry.current(settings).models


def test_a_model_that_the_list_lacks_is_not_asked_for(here: Session, home: Path) -> None:
    """A slip costs one question."""
    with StandInHub(models={"other": said()}) as hub:
        settings = settings_of(hub, home)
        learn(here, settings, "nano-bananna")
        assert hub.models_seen == ["/hub/v1/models"]
    assert "nano-bananna" not in here.registry.current(settings).models


@pytest.mark.parametrize("model_id", ["a/b", "..", "a b?c#d", "ü🐕", "\ud83d", "\x1b[31m", "."])
def test_an_odd_name_stays_one_step_of_the_path(here: Session, home: Path, model_id: str) -> None:
    """Whatever was typed, no other address of the Hub is asked."""
    with StandInHub(listing={"data": ["nonsense", model_id]}) as hub:
        learn(here, settings_of(hub, home), model_id)
        paths = [seen.path for seen in hub.requests]
    assert len(paths) in (1, 2)
    assert all(path.partition("?")[0].startswith("/hub/v1/models") for path in paths)
    assert all(path.count("/") in (3, 4) for path in paths)


@pytest.mark.parametrize("keyword", ["$ref", "$dynamicRef", "$id"])
def test_nothing_that_a_schema_names_is_fetched(here: Session, home: Path, keyword: str) -> None:
    """Neither when it is learned, nor when a request is checked with it."""
    with StandInHub() as other, StandInHub() as hub:
        mood = {keyword: f"{other.url}/schema.json", "$schema": f"{other.url}/draft"}
        hub.models["new"] = said(mood=mood)
        settings = settings_of(hub, home)
        learn(here, settings, "new")
        catalog = here.registry.current(settings)
        build_request("a dog", model="new", parameters={"mood": "calm"}, catalog=catalog)
        assert other.requests == []
        assert other.url not in next((home / "models").iterdir()).read_text("utf-8")
    notices = here.registry.notices()
    assert [text for text in notices if "schema of new is not used" in text] == (
        [] if keyword == "$id" else notices
    )
    assert bool(notices) == (keyword != "$id") and here.registry.notices() == []


def test_a_schema_that_can_not_be_used_leaves_the_bundled_one(here: Session, home: Path) -> None:
    """A notice names it, and the other models are learned."""
    circle = said(mood={"$ref": "#/properties/mood"})
    models: dict[str, Script] = {"nano-banana": circle, "new": said(mood={"type": "string"})}
    with StandInHub(models=models) as hub:
        settings = settings_of(hub, home)
        refresh(here, settings)
    catalog = here.registry.current(settings)
    assert catalog.model("nano-banana") == bundled_catalog().model("nano-banana")
    assert set(catalog.model("new").parameters) == {"mood"}
    assert here.registry.notices() == [
        "the Hub's schema of nano-banana is not used: it refers to itself"
    ]


def test_a_list_without_end_is_cut_and_its_models_are_still_found(
    here: Session, home: Path
) -> None:
    """No more are kept than can be shown; one that is beyond is asked for by its name."""
    listing = {"data": [{"id": f"m{number}"} for number in range(20_000)]}
    with StandInHub(listing=listing, models={"m19999": said()}) as hub:
        settings = settings_of(hub, home)
        live = refresh(here, settings)
        assert len(live.listed) == MAX_LISTED and len(hub.models_seen) == 1 + MAX_MODELS
        assert any("the rest is left out" in text for text in here.registry.notices())
        learn(here, settings, "m19999")
    assert here.registry.current(settings).model("m19999").parameters == {}
    with pytest.raises(InvalidRequest) as caught:
        here.registry.current(settings).model("something else")
    assert len(str(caught.value)) < 1000
