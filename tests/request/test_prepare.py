"""From the line to the request: right JSON types, or a refusal and not a single order."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from cells import composed
from hub_server import KEY, RESET, Script, StandInHub, data_uri, image

from mountsea_magic import session
from mountsea_magic.errors import InvalidRequest
from mountsea_magic.hub import model_registry
from mountsea_magic.request.catalog import bundled_catalog
from mountsea_magic.request.prepare import prepare
from mountsea_magic.request.request import ImageRequest
from mountsea_magic.session import Session
from mountsea_magic.settings import Secret, Settings

PROMPT = {"prompt": {"type": "string"}}
URL = "https://a.example/dog.png"


def said(**properties: Any) -> dict[str, Any]:
    """What a Hub says of a model with the given parameters."""
    schema = {"type": "object", "properties": PROMPT | properties, "required": ["prompt"]}
    return {"input_schema": schema}


def settings_of(home: Path, hub: StandInHub | None = None, *, key: bool = True) -> Settings:
    """Lead to a stand-in, or to where nobody is."""
    url = hub.url if hub is not None else "http://127.0.0.1:9"
    return Settings(url, Secret(KEY) if key else None, "a test", None, home)


def order(line: str, settings: Settings, variables: dict[str, Any] | None = None) -> ImageRequest:
    """What a cell with this line would send."""
    return composed(line, "a dog", settings, variables)


def refused(line: str, settings: Settings, variables: dict[str, Any] | None = None) -> str:
    """Return what is said of a line that must be refused."""
    with pytest.raises(InvalidRequest) as caught:
        order(line, settings, variables)
    return str(caught.value)


GPT, EDIT, GPT_EDIT = "-m gpt-image-2 ", "-m nano-banana-edit ", "-m gpt-image-2-edit "
SIZE = {"width": 1024, "height": 768}


@pytest.mark.parametrize(
    ("line", "sent"),
    [
        ("", {}),
        ("-n 2", {"num_images": 2}),
        ("--num-images=4", {"num_images": 4}),
        ("-n 1 -s -7", {"num_images": 1, "seed": -7}),
        ("-p seed=7", {"seed": 7}),
        ("-p num-images=3", {"num_images": 3}),
        ("-a 16:9", {"aspect_ratio": "16:9"}),
        ("-f webp", {"output_format": "webp"}),
        ("--safety-tolerance 4", {"safety_tolerance": "4"}),
        ("-p safety_tolerance=4", {"safety_tolerance": "4"}),
        ("--sync-mode", {"sync_mode": True}),
        ("-p sync_mode=false", {"sync_mode": False}),
        ("-p sync_mode=True", {"sync_mode": True}),
        ("-p limit_generations=on", {"limit_generations": True}),
        ("--limit-generations -q --raw", {"limit_generations": True}),
        ("-m nano-banana-2 -p resolution=0.5K", {"resolution": "0.5K"}),
        ("-m nano-banana-2 -a auto -p thinking-level=high", {"aspect_ratio": "auto",
                                                            "thinking_level": "high"}),
        ("-m nano-banana-pro -p enable_web_search=yes", {"enable_web_search": True}),
        (GPT + "-p image_size=square", {"image_size": "square"}),
        (GPT + '-p image_size={"width":1024,"height":768}', {"image_size": SIZE}),
        (GPT + '-p image_size={"width": 1024, "height": 768}', {"image_size": SIZE}),
        (GPT + """-p 'image_size={"width":1024,"height":768}'""", {"image_size": SIZE}),
        (GPT + """-p image_size='{"width": 1024, "height": 768}'""", {"image_size": SIZE}),
        (GPT + "-p quality=low -n 3", {"quality": "low", "num_images": 3}),
        (EDIT + f"-i {URL}", {"image_urls": [URL]}),
        (EDIT + f"-i {URL} -i https://b.example", {"image_urls": [URL, "https://b.example"]}),
        (EDIT + f"-p image_urls={URL}", {"image_urls": [URL]}),
        (EDIT + f'-p image_urls=["{URL}"]', {"image_urls": [URL]}),
        (EDIT + "-i dog", {"image_urls": [data_uri(image())]}),
        (EDIT + "-i dogs[1] -i dog -n 2", {"num_images": 2,
            "image_urls": [data_uri(image("png", 1)), data_uri(image())]}),
        (EDIT + "-p image_urls=@dog.png", {"image_urls": [data_uri(image())]}),
        (GPT_EDIT + f"-i {URL} -p mask_url=@dog.png", {"image_urls": [URL],
                                                      "mask_url": data_uri(image())}),
        (GPT_EDIT + f"-i {URL} -p mask_url=https://m.example", {"image_urls": [URL],
                                                               "mask_url": "https://m.example"}),
        (GPT_EDIT + f"-i {URL} -p mask_url=@dog", {"image_urls": [URL],
                                                  "mask_url": data_uri(image())}),
    ],
)  # fmt: skip
def test_a_right_line_is_sent_with_the_right_types(
    here: Session,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    line: str,
    sent: dict[str, Any],
) -> None:
    """Nobody is asked, nothing else is set."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dog.png").write_bytes(image())
    variables = {"dog": image(), "dogs": [image(), image("png", 1)]}
    with StandInHub() as hub:
        request = order(line, settings_of(home, hub), variables)
        assert hub.requests == []
    assert request.input == {"prompt": "a dog"} | sent
    assert {name: type(value) for name, value in request.input.items() if name != "prompt"} == {
        name: type(value) for name, value in sent.items()
    }


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("-n 9", ["--num-images 9: at most 4 for nano-banana"]),
        ("-n 0", ["--num-images 0: at least 1 for nano-banana"]),
        ("-n two", ["--num-images two: a whole number"]),
        ("-n 2.5", ["--num-images 2.5: a whole number"]),
        ("-n ''", ["--num-images"]),
        ("-n true", ["--num-images true: a whole number"]),
        ("-s x", ["--seed x: a whole number"]),
        ("-a 16:10", ["--aspect-ratio 16:10", "16:9"]),
        ("-a auto", ["--aspect-ratio auto"]),
        ("-f jpg", ["--output-format jpg", "Did you mean jpeg"]),
        ("-f PNG", ["--output-format PNG"]),
        ("--safety-tolerance 7", ["--safety-tolerance 7"]),
        ("-p safety_tolerance=04", ["--safety-tolerance 04"]),
        ("-p sync_mode=maybe", ["--sync-mode maybe: true or false"]),
        ("-p resolutoin=1K -m nano-banana-2", ["-p resolutoin", "Did you mean resolution?"]),
        ("-p resolution=2K", ["-p resolution is not a parameter of nano-banana"]),
        ("-m nano-banana-pro -p resolution=0.5K", ["-p resolution 0.5K"]),
        (GPT + "-a 1:1", ["--aspect-ratio is not a parameter of gpt-image-2; it has image_size:"]),
        (GPT + "-p image_size=big", ["-p image_size big", "square_hd"]),
        (GPT + '-p image_size={"width":1024}', ["-p image_size"]),
        (GPT + '-p image_size={"width":"a","height":1}', ["-p image_size"]),
        (GPT + "-p image_size={width:1024,height:768}", ["-p image_size"]),
        (GPT + "-p quality=best", ["-p quality best"]),
        ("-n 9 -a 7:5 -p sede=1", ["--num-images 9", "--aspect-ratio 7:5", "-p sede"]),
        ("-p prompt=x", ["the prompt is the cell's body"]),
        ("-m nano-bananna", ["--model nano-bananna", "Did you mean nano-banana"]),
        ("-m ''", ["there is no such model"]),
        ("-i " + URL, ["--image: nano-banana takes no images. Use --model nano-banana-edit."]),
        (GPT + "-i " + URL, ["Use --model gpt-image-2-edit."]),
        ("-i nothing.png", ["Use --model nano-banana-edit."]),
        (EDIT, ["nano-banana-edit needs --image"]),
        (EDIT + "-i nothing.png", ["--image nothing.png: there is no such file"]),
        (EDIT + "-i dgo", ["Did you mean the variable dog?"]),
        (EDIT + "-i number", ["a int is no image"]),
        (EDIT + "-i dogs[5]", ["--image dogs[5]"]),
        (EDIT + f"-i {URL} -p image_urls={URL}", ["--image is given twice"]),
        (EDIT + "-p image_urls=[]", ["--image"]),
        (EDIT + "-p image_urls=[7]", ["--image"]),
        (EDIT + '-p image_urls=["x.png"]', ["--image"]),
        (EDIT + "-p image_urls=", ["--image"]),
        (GPT_EDIT + f"-i {URL} -p mask_url=@no.png", ["-p mask_url no.png: there is no such file"]),
        (GPT_EDIT + f"-i {URL} -p mask_url=@dogs", ["-p mask_url", "takes one image, not 2"]),
        ("--nun-images 2", ["Did you mean --num-images?"]),
        ("-n 2 -p num_images=3", ["--num-images is given twice"]),
    ],
)  # fmt: skip
def test_a_wrong_line_is_refused_without_an_order(
    here: Session, home: Path, line: str, words: list[str]
) -> None:
    """In the user's words; the Hub is asked at most what it knows."""
    variables = {"dog": image(), "dogs": [image(), image("png", 1)], "number": 7}
    with StandInHub() as hub:
        text = refused(line, settings_of(home, hub), variables)
        assert hub.posts == []
    for word in words:
        assert word in text
    assert len(text.splitlines()) == (3 if len(words) == 3 and "sede" in line else 1)


def test_a_new_model_is_usable_at_once(here: Session, home: Path) -> None:
    """It is asked for quietly and once, and its schema is obeyed."""
    models: dict[str, Script] = {"new": said(mood={"enum": ["calm"]}, size={"type": "integer"})}
    with StandInHub(models=models) as hub:
        settings = settings_of(home, hub)
        request = order("-m new -p mood=calm -p size=7", settings)
        assert request.input == {"prompt": "a dog", "mood": "calm", "size": 7}
        assert "-p mood wild" in refused("-m new -p mood=wild", settings)
        assert hub.models_seen == ["/hub/v1/models", "/hub/v1/models/new"]
        assert hub.posts == []


def test_a_renamed_parameter_is_learned(here: Session, home: Path) -> None:
    """The new name goes through, and the old one is then refused with the new one named."""
    with StandInHub(models={"nano-banana": said(image_count={"type": "integer"})}) as hub:
        settings = settings_of(home, hub)
        assert order("-p image_count=2", settings).input["image_count"] == 2
        text = refused("-n 2", settings)
        assert "--num-images is not a parameter" in text and "image_count" in text
        assert hub.models_seen == ["/hub/v1/models/nano-banana"]


def test_a_narrower_range_holds_after_a_refresh(here: Session, home: Path) -> None:
    """What the Hub says now goes before what is bundled."""
    narrow = said(num_images={"type": "integer", "minimum": 1, "maximum": 2})
    with StandInHub(models={"nano-banana": narrow}) as hub:
        settings = settings_of(home, hub)
        assert order("-n 3", settings).input["num_images"] == 3

        async def ask() -> None:
            await here.registry.refresh(settings, here.clients.client(settings))

        here.worker.run(ask())
        assert "--num-images 3: at most 2" in refused("-n 3", settings)
        assert hub.posts == []


def test_wrong_values_ask_nothing(here: Session, home: Path) -> None:
    """A value is judged by the schema that is at hand."""
    with StandInHub() as hub:
        refused("-n 9 -a 7:5", settings_of(home, hub))
        assert hub.requests == []


@pytest.mark.parametrize("line", ["-m nano-bananna", "-p mood=calm"])
def test_without_a_key_nothing_is_asked(here: Session, home: Path, line: str) -> None:
    """The refusal is that of the bundled catalogue."""
    with StandInHub() as hub:
        refused(line, settings_of(home, hub, key=False))
        assert hub.requests == []


@pytest.mark.parametrize("line", ["-m nano-bananna", "-p mood=calm"])
def test_unknown_names_are_asked_for_once_a_minute(
    here: Session, home: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    """A cell that is run again and again with a slip does not bother the Hub."""
    with StandInHub() as hub:
        settings = settings_of(home, hub)
        for _ in range(3):
            refused(line, settings)
        assert len(hub.requests) == 1
        monkeypatch.setattr(model_registry, "REFETCH_INTERVAL_S", 0.0)
        refused(line, settings)
        assert len(hub.requests) == 2


@pytest.mark.parametrize("listing", [None, RESET], ids=["closed", "reset"])
def test_offline_the_nearest_is_named_and_the_cure(
    here: Session, home: Path, listing: Script
) -> None:
    """An error of the request: the network is not the user's slip."""
    if listing is None:
        text = refused("-m nano-bananna", settings_of(home))
    else:
        with StandInHub(listing=listing) as hub:
            text = refused("-m nano-bananna", settings_of(home, hub))
    assert "Did you mean nano-banana" in text
    assert "%mountsea models --refresh" in text


def test_what_was_learned_serves_the_next_process(
    here: Session, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Offline too."""
    with StandInHub(models={"new": said()}) as hub:
        settings = settings_of(home, hub)
        order("-m new", settings)
    later = Session()
    later.worker = session.current_session().worker
    monkeypatch.setattr(session, "_current", later)
    assert order("-m new", settings).model == "new"


def test_a_model_of_one_hub_is_none_of_another(here: Session, home: Path) -> None:
    """Each Hub is asked for itself."""
    with StandInHub(models={"new": said()}) as first, StandInHub() as second:
        order("-m new", settings_of(home, first))
        refused("-m new", settings_of(home, second))
        assert second.models_seen == ["/hub/v1/models"]


@pytest.mark.parametrize("place", ["image_url", "images", "image"])
def test_images_go_where_the_model_takes_them(here: Session, home: Path, place: str) -> None:
    """A live model may name its parameter otherwise, and want one address."""
    one = place in ("image_url", "image")
    schema = {"type": "string"} if one else {"type": "array", "items": {"type": "string"}}
    with StandInHub(models={"new": said(**{place: schema})}) as hub:
        settings = settings_of(home, hub)
        found = order("-m new -i dog", settings, {"dog": image()}).input[place]
        assert found == (data_uri(image()) if one else [data_uri(image())])
        if one:
            assert "takes one image, not 2" in refused(f"-m new -i {URL} -i {URL}", settings)


def test_python_values_are_taken_as_they_are(here: Session, home: Path) -> None:
    """From `generate`, images come as values, not as words."""
    images = {"image_urls": [image(), URL], "num_images": 2}
    given = prepare(bundled_catalog().model("nano-banana-edit"), images)
    first, second = given["image_urls"]
    assert base64.b64decode(first.partition(",")[2]) == image()
    assert (second, given["num_images"]) == (URL, 2)
