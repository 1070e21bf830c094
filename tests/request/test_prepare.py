"""From the magic line to the request: JSON types are right, or nothing is submitted."""

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
from mountsea_magic.images.inputs import to_urls
from mountsea_magic.request import prepare as prepare_module
from mountsea_magic.request.catalog import bundled_catalog
from mountsea_magic.request.prepare import InputImages, prepare
from mountsea_magic.request.request import ImageRequest
from mountsea_magic.session import Session
from mountsea_magic.settings import Secret, Settings

PROMPT = {"prompt": {"type": "string"}}
URL = "https://a.example/dog.png"


def live_model(**properties: Any) -> dict[str, Any]:
    """Return a Hub's description of a model with these parameters."""
    schema = {"type": "object", "properties": PROMPT | properties, "required": ["prompt"]}
    return {"input_schema": schema}


def settings_of(home: Path, hub: StandInHub | None = None, *, key: bool = True) -> Settings:
    """Return settings for a stand-in Hub, or for a closed port."""
    url = hub.url if hub is not None else "http://127.0.0.1:9"
    return Settings(url, Secret(KEY) if key else None, "a test", None, home)


def build(line: str, settings: Settings, variables: dict[str, Any] | None = None) -> ImageRequest:
    """Return the request that a cell with this line would submit."""
    return composed(line, "a dog", settings, variables)


def refused(line: str, settings: Settings, variables: dict[str, Any] | None = None) -> str:
    """Return the error message for an invalid line."""
    with pytest.raises(InvalidRequest) as caught:
        build(line, settings, variables)
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
def test_a_valid_line_is_converted_to_the_right_types(
    here: Session,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    line: str,
    sent: dict[str, Any],
) -> None:
    """No request is sent, and nothing else is set."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dog.png").write_bytes(image())
    variables = {"dog": image(), "dogs": [image(), image("png", 1)]}
    with StandInHub() as hub:
        request = build(line, settings_of(home, hub), variables)
        assert hub.requests == []
    assert request.input == {"prompt": "a dog"} | sent
    assert {name: type(value) for name, value in request.input.items() if name != "prompt"} == {
        name: type(value) for name, value in sent.items()
    }


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("-n 9", ["--num-images must be at most 4 for nano-banana (got 9)."]),
        ("-n 0", ["--num-images must be at least 1 for nano-banana (got 0)."]),
        ("-n two", ["--num-images must be a whole number", "(got 'two')"]),
        ("-n 2.5", ["--num-images must be a whole number", "(got '2.5')"]),
        ("-n ''", ["--num-images"]),
        ("-n true", ["--num-images must be a whole number"]),
        ("-s x", ["--seed must be a whole number"]),
        ("-a 16:10", ["--aspect-ratio", "(got '16:10')", "16:9"]),
        ("-a auto", ["--aspect-ratio", "(got 'auto')"]),
        ("-f jpg", ["--output-format", "(got 'jpg')", "Did you mean jpeg"]),
        ("-f PNG", ["--output-format", "(got 'PNG')"]),
        ("--safety-tolerance 7", ["--safety-tolerance", "(got '7')"]),
        ("-p safety_tolerance=04", ["--safety-tolerance", "(got '04')"]),
        ("-p sync_mode=maybe", ["--sync-mode must be true or false"]),
        ("-p resolutoin=1K -m nano-banana-2", ["-p resolutoin", "Did you mean resolution?"]),
        ("-p resolution=2K", ["-p resolution is not a parameter of nano-banana"]),
        ("-m nano-banana-pro -p resolution=0.5K", ["-p resolution must be one of", "(got '0.5K')"]),
        (GPT + "-a 1:1", ["--aspect-ratio is not a parameter of gpt-image-2; it has image_size:"]),
        (GPT + "-p image_size=big", ["-p image_size", "(got 'big')", "square_hd"]),
        (GPT + '-p image_size={"width":1024}', ["-p image_size"]),
        (GPT + '-p image_size={"width":"a","height":1}', ["-p image_size"]),
        (GPT + "-p image_size={width:1024,height:768}", ["-p image_size"]),
        (GPT + "-p quality=best", ["-p quality must be one of", "(got 'best')"]),
        ("-n 9 -a 7:5 -p sede=1", ["--num-images", "--aspect-ratio", "-p sede"]),
        ("-p prompt=x", ["the prompt is the cell's body"]),
        ("-m nano-bananna", ["Unknown model 'nano-bananna'. Did you mean nano-banana"]),
        ("-m ''", ["Unknown model ''."]),
        ("-i " + URL, ["--image: nano-banana does not accept images.", "nano-banana-edit"]),
        (GPT + "-i " + URL, ["Use --model gpt-image-2-edit."]),
        ("-i nothing.png", ["Use --model nano-banana-edit."]),
        (EDIT, ["nano-banana-edit requires --image."]),
        (EDIT + "-i nothing.png", ["--image nothing.png: no such file"]),
        (EDIT + "-i dgo", ["Did you mean the variable dog?"]),
        (EDIT + "-i number", ["expected a path, URL, Pillow image, array or bytes (got int)"]),
        (EDIT + "-i dogs[5]", ["--image dogs[5]"]),
        (EDIT + f"-i {URL} -p image_urls={URL}", ["--image is given twice"]),
        (EDIT + "-p image_urls=[]", ["--image"]),
        (EDIT + "-p image_urls=[7]", ["--image"]),
        (EDIT + '-p image_urls=["x.png"]', ["--image"]),
        (EDIT + "-p image_urls=", ["--image"]),
        (EDIT + "-p image_urls=[x.png", ["--image"]),
        (GPT_EDIT + f"-i {URL} -p mask_url=@no.png", ["-p mask_url no.png: no such file"]),
        (GPT_EDIT + f"-i {URL} -p mask_url=@dogs", ["-p mask_url", "accepts only one image"]),
        ("--nun-images 2", ["Did you mean --num-images?"]),
        ("-n 2 -p num_images=3", ["--num-images is given twice"]),
    ],
)  # fmt: skip
def test_an_invalid_line_is_refused_without_a_submission(
    here: Session, home: Path, line: str, parts: list[str]
) -> None:
    """The message uses the user's spelling; the Hub is only asked about models."""
    variables = {"dog": image(), "dogs": [image(), image("png", 1)], "number": 7}
    with StandInHub() as hub:
        text = refused(line, settings_of(home, hub), variables)
        assert hub.posts == []
    for part in parts:
        assert part in text
    assert len(text.splitlines()) == (3 if len(parts) == 3 and "sede" in line else 1)


def test_a_new_model_is_found_at_the_hub(here: Session, home: Path) -> None:
    """It is looked up once, and its schema is used."""
    models: dict[str, Script] = {
        "new": live_model(mood={"enum": ["calm"]}, size={"type": "integer"})
    }
    with StandInHub(models=models) as hub:
        settings = settings_of(home, hub)
        request = build("-m new -p mood=calm -p size=7", settings)
        assert request.input == {"prompt": "a dog", "mood": "calm", "size": 7}
        assert "-p mood must be one of calm" in refused("-m new -p mood=wild", settings)
        assert hub.models_seen == ["/hub/v1/models", "/hub/v1/models/new"]
        assert hub.posts == []


def test_a_renamed_parameter_is_found_at_the_hub(here: Session, home: Path) -> None:
    """The new name is accepted, and the message for the old one has the new one."""
    with StandInHub(models={"nano-banana": live_model(image_count={"type": "integer"})}) as hub:
        settings = settings_of(home, hub)
        assert build("-p image_count=2", settings).input["image_count"] == 2
        text = refused("-n 2", settings)
        assert "--num-images is not a parameter" in text and "image_count" in text
        assert hub.models_seen == ["/hub/v1/models/nano-banana"]


def test_a_refresh_updates_the_range_of_a_parameter(here: Session, home: Path) -> None:
    """The live schema takes precedence over the bundled one."""
    narrow = live_model(num_images={"type": "integer", "minimum": 1, "maximum": 2})
    with StandInHub(models={"nano-banana": narrow}) as hub:
        settings = settings_of(home, hub)
        assert build("-n 3", settings).input["num_images"] == 3

        async def ask() -> None:
            await here.registry.refresh(settings, here.clients.client(settings))

        here.worker.run(ask())
        assert "--num-images must be at most 2" in refused("-n 3", settings)
        assert hub.posts == []


def test_an_invalid_value_sends_no_request(here: Session, home: Path) -> None:
    """Values are validated by the known schema."""
    with StandInHub() as hub:
        refused("-n 9 -a 7:5", settings_of(home, hub))
        assert hub.requests == []


@pytest.mark.parametrize("line", ["-m nano-bananna", "-p mood=calm"])
def test_without_a_key_no_request_is_sent(here: Session, home: Path, line: str) -> None:
    """The bundled catalog is used."""
    with StandInHub() as hub:
        refused(line, settings_of(home, hub, key=False))
        assert hub.requests == []


@pytest.mark.parametrize("line", ["-m nano-bananna", "-p mood=calm"])
def test_unknown_names_are_looked_up_once_a_minute(
    here: Session, home: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    """Running a cell with a typo many times sends one request."""
    with StandInHub() as hub:
        settings = settings_of(home, hub)
        for _ in range(3):
            refused(line, settings)
        assert len(hub.requests) == 1
        monkeypatch.setattr(model_registry, "REFETCH_INTERVAL_S", 0.0)
        refused(line, settings)
        assert len(hub.requests) == 2


@pytest.mark.parametrize("listing", [None, RESET], ids=["closed", "reset"])
def test_offline_a_similar_model_is_suggested(here: Session, home: Path, listing: Script) -> None:
    """The error is about the model, not about the network."""
    if listing is None:
        text = refused("-m nano-bananna", settings_of(home))
    else:
        with StandInHub(listing=listing) as hub:
            text = refused("-m nano-bananna", settings_of(home, hub))
    assert "Did you mean nano-banana" in text
    assert "%mountsea models --refresh" in text


def test_a_live_model_is_cached_for_the_next_process(
    here: Session, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also offline."""
    with StandInHub(models={"new": live_model()}) as hub:
        settings = settings_of(home, hub)
        build("-m new", settings)
    later = Session()
    later.worker = session.current_session().worker
    monkeypatch.setattr(session, "_current", later)
    assert build("-m new", settings).model == "new"


def test_live_models_belong_to_one_hub(here: Session, home: Path) -> None:
    """Each Hub has its own."""
    with StandInHub(models={"new": live_model()}) as first, StandInHub() as second:
        build("-m new", settings_of(home, first))
        refused("-m new", settings_of(home, second))
        assert second.models_seen == ["/hub/v1/models"]


@pytest.mark.parametrize("parameter", ["image_url", "images", "image"])
def test_images_are_set_in_the_models_image_parameter(
    here: Session, home: Path, parameter: str
) -> None:
    """A live model may have another name for it, and accept a single URL."""
    one = parameter in ("image_url", "image")
    schema = {"type": "string"} if one else {"type": "array", "items": {"type": "string"}}
    with StandInHub(models={"new": live_model(**{parameter: schema})}) as hub:
        settings = settings_of(home, hub)
        value = build("-m new -i dog", settings, {"dog": image()}).input[parameter]
        assert value == (data_uri(image()) if one else [data_uri(image())])
        if one:
            assert "accepts only one image (got 2)" in refused(
                f"-m new -i {URL} -i {URL}", settings
            )


def test_images_may_be_python_values(here: Session, home: Path) -> None:
    """As passed to `generate`."""
    images = {"image_urls": [image(), URL], "num_images": 2}
    prepared = prepare(bundled_catalog().model("nano-banana-edit"), images)
    first, second = prepared["image_urls"]
    assert base64.b64decode(first.partition(",")[2]) == image()
    assert (second, prepared["num_images"]) == (URL, 2)


def test_only_images_to_keep_are_converted_once(
    here: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of single requests of a batch may be millions, or change in place."""
    reads = []

    def read(value: Any, *, shrink: bool, label: str) -> list[str]:
        reads.append(value)
        return to_urls(value, shrink=shrink, label=label)

    monkeypatch.setattr(prepare_module, "to_urls", read)
    shared, own = [image()], image("png", 1)
    images = InputImages(keep=[shared])
    first = [images.urls(source, label="image") for source in (shared, own)]
    assert [images.urls(source, label="image") for source in (shared, own)] == first
    assert reads == [shared, own, own]
