"""The command `models`: the list, the parameters of a model, and examples to paste."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from cells import DEFAULTS, composed
from hub_server import ReceivedRequest, Reply, StandInHub, json_reply
from IPython.core.interactiveshell import InteractiveShell
from kernel_driver import started_kernel
from own_session import reach

from mountsea_magic import session
from mountsea_magic.errors import HubUnavailable, InvalidRequest
from mountsea_magic.notebook.commands.dispatch import run_command
from mountsea_magic.notebook.commands.models import model_text, models_text
from mountsea_magic.notebook.options import spell_option
from mountsea_magic.request.catalog import bundled_catalog
from mountsea_magic.session import Session

IDS = list(bundled_catalog().models)
TEXT = {"type": "string"}
HOSTILE = '<script>alert("x")</script>\x1b[31m\u202e'


class ModelsHub(StandInHub):
    """A stand-in Hub that serves only the given models."""

    def __init__(self, served: Mapping[str, Mapping[str, Any]]) -> None:
        """Serve these models, by id: each a body for ``GET /hub/v1/models/{id}``."""
        super().__init__()
        self.served = dict(served)

    def _api_reply(self, seen: ReceivedRequest) -> Reply:
        """Respond to requests for models here, and to others in the stand-in."""
        place = seen.path.partition("?")[0].removeprefix("/hub/v1/models")
        if place == seen.path.partition("?")[0]:
            return super()._api_reply(seen)
        if not place:
            return json_reply({"data": [{"id": name} for name in self.served]})
        if (found := self.served.get(place.removeprefix("/"))) is None:
            return json_reply({"message": "no such model"}, 404)
        return json_reply(found)


def model_body(parameters: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Return the Hub's description of a model."""
    properties = {"prompt": TEXT, **parameters}
    schema = {"type": "object", "properties": properties, "required": ["prompt"]}
    return {"input_schema": schema, **more}


@pytest.fixture
def served(
    request: pytest.FixtureRequest, here: Session, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ModelsHub]:
    """Start a Hub with the models of the test, and point the environment to it."""
    with ModelsHub(request.param) as hub:
        reach(hub, monkeypatch)
        yield hub


def pasted(text: str) -> tuple[str, dict[str, Any]]:
    """Return model and input that the example cell at the end of a text would send."""
    line, _, body = text[text.rindex("%%mountsea") :].partition("\n")
    request = composed(line.removeprefix("%%mountsea"), body, session.current_session().settings())
    return request.model, dict(request.input)


@pytest.mark.parametrize("model_id", IDS)
def test_every_bundled_example_can_be_pasted(here: Session, model_id: str) -> None:
    """The cell sends exactly the catalog's example."""
    example = bundled_catalog().model(model_id).example
    assert pasted(model_text(model_id)) == (model_id, dict(example))


AWKWARD: dict[str, dict[str, Any]] = {
    "blanks": {"style": "oil painting"},
    "quotes": {"style": 'the painter\'s "blue"'},
    "empty": {"style": ""},
    "brackets": {"style": "[sic] (x) <y>"},
    "a switch that is on": {"sync_mode": True},
    "a switch that is off": {"sync_mode": False},
    "an object": {"image_size": {"width": 1024, "height": 768}},
    "a list": {"tags": ["a b", "c"]},
    "a negative number": {"seed": -5},
    "a path's signs": {"style": "a/b~c#d"},
}
KINDS = {
    "style": TEXT,
    "sync_mode": {"type": "boolean"},
    "image_size": {"type": "object"},
    "tags": {"type": "array"},
    "seed": {"type": "integer"},
}


@pytest.mark.parametrize(
    ("served", "given"),
    [
        ({"new": model_body(KINDS, example={"prompt": "a dog", **given})}, given)
        for given in AWKWARD.values()
    ],
    ids=list(AWKWARD),
    indirect=["served"],
)
def test_a_live_example_can_be_pasted(
    served: ModelsHub, shell: InteractiveShell, given: dict[str, Any]
) -> None:
    """The cell sends exactly the Hub's example."""
    run_command(shell, "models --refresh", DEFAULTS)
    assert pasted(model_text("new")) == ("new", {"prompt": "a dog", **given})
    assert not served.posts


@pytest.mark.parametrize("model_id", IDS)
def test_a_models_text_lists_all_parameters(here: Session, model_id: str) -> None:
    """Each with its option, description and values."""
    text, model = model_text(model_id), bundled_catalog().model(model_id)
    assert text.startswith(f"{model_id} · {model.name} · {model.vendor} · {model.mode}")
    for name, schema in model.parameters.items():
        assert re.search(rf"^  {re.escape(spell_option(name))} ", text, re.MULTILINE)
        assert schema["description"] in text
    assert ", ".join(model.values("output_format")) in text


@pytest.mark.parametrize(
    ("model_id", "line"),
    [
        ("nano-banana", "--num-images +integer 1 to 4; default 1"),
        ("nano-banana", '--safety-tolerance +one of 1, 2, 3, 4, 5, 6; default "4"'),
        ("nano-banana", "--sync-mode +boolean; default false"),
        ("nano-banana-pro", '-p resolution +one of 1K, 2K, 4K; default "1K"'),
        ("gpt-image-2", "-p image_size +one of square_hd, .*, or an object"),
        ("gpt-image-2-edit", "--image +.*, required"),
    ],
)
def test_types_ranges_and_defaults_are_shown(here: Session, model_id: str, line: str) -> None:
    """On the parameter's line."""
    assert re.search(rf"^  {line}", model_text(model_id), re.MULTILINE)


def test_the_list_contains_every_model_and_its_source(here: Session, home: Path) -> None:
    """Id, name, vendor, mode, summary and parameters."""
    text = models_text()
    assert text.startswith("Bundled with this package. `%mountsea models --refresh`")
    for model in bundled_catalog():
        assert f"{model.id}  ({model.name}, {model.vendor}, {model.mode})\n" in text
        assert f"    {model.summary}\n    {', '.join(model.parameters)}" in text
    assert not home.exists()


@pytest.mark.parametrize("served", [{}], indirect=True)
def test_an_unknown_model_raises_with_the_closest_id(
    served: ModelsHub, shell: InteractiveShell
) -> None:
    """Without a request."""
    with pytest.raises(InvalidRequest, match=r"Did you mean nano-banana.*--refresh"):
        run_command(shell, "models nano-bananna", DEFAULTS)
    assert not served.requests


NEW = {
    "comet-1": model_body(
        {"glow": {"type": "integer", "minimum": 1, "maximum": 3, "description": "How bright."}},
        display_name="Comet",
        vendor="Skyworks",
        description="Comets only.",
        example={"prompt": "a comet", "glow": 2},
    ),
    "gpt-image-2": model_body({"quality": {"type": "string", "enum": ["ok", "good"]}}),
}


@pytest.mark.parametrize("served", [NEW], indirect=True)
def test_refresh_updates_the_models_from_the_hub(
    served: ModelsHub, shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    """One request for the list and one per model; new models are added, missing ones marked."""
    run_command(shell, "models --refresh", DEFAULTS)
    text = capsys.readouterr().out
    paths = [seen.path for seen in served.requests]
    assert paths[0] == "/hub/v1/models?capability=image"
    assert sorted(paths[1:]) == ["/hub/v1/models/comet-1", "/hub/v1/models/gpt-image-2"]
    assert re.match(r"As reported by the Hub on \d{4}-\d\d-\d\d \d\d:\d\d\.\n", text)
    assert "comet-1  (Comet, Skyworks, text-to-image)\n    Comets only.\n    glow" in text
    assert text.count("(not listed by the Hub)") == len(IDS) - 1

    run_command(shell, "models comet-1", DEFAULTS)
    text = capsys.readouterr().out
    assert "-p glow  integer 1 to 3\n" in text and "How bright." in text
    assert pasted(text) == ("comet-1", {"prompt": "a comet", "glow": 2})
    assert "one of ok, good" in model_text("gpt-image-2")
    assert len(served.requests) == 3


@pytest.mark.parametrize("served", [NEW], indirect=True)
def test_refreshed_models_are_stored_on_disk(
    served: ModelsHub, here: Session, shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For this Hub only."""
    run_command(shell, "models --refresh", DEFAULTS)
    monkeypatch.setattr(session, "_current", Session())
    assert "How bright." in model_text("comet-1")
    monkeypatch.setenv("MOUNTSEA_BASE_URL", "demo:")
    with pytest.raises(InvalidRequest, match="Unknown model 'comet-1'"):
        model_text("comet-1")
    assert len(served.requests) == 3


def test_a_failed_refresh_keeps_the_models(
    here: Session, shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command raises."""
    monkeypatch.setenv("MOUNTSEA_BASE_URL", "demo:")
    here.clients.demo_fault = "offline"
    before = models_text()
    with pytest.raises(HubUnavailable):
        run_command(shell, "models --refresh", DEFAULTS)
    assert models_text() == before


CIRCLE = {"circle-1": model_body({"a": {"$ref": "#/properties/a"}}), "comet-1": model_body({})}


@pytest.mark.parametrize("served", [CIRCLE], indirect=True)
def test_an_unusable_schema_is_reported(
    served: ModelsHub, shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line above the models, all of which can be used."""
    run_command(shell, "models --refresh", DEFAULTS)
    text = capsys.readouterr().out
    note = "Note: the Hub's schema of circle-1 is not used: it refers to itself.\n"
    assert text.startswith(note)
    assert "nano-banana" in text and "comet-1" in text
    run_command(shell, "models", DEFAULTS)
    assert "Note" not in capsys.readouterr().out


EVIL = {
    "evil-1": model_body(
        {
            f"glow{HOSTILE}": {"type": "string", "enum": [HOSTILE], "description": HOSTILE},
            "deep": {"type": "string", "default": HOSTILE},
        },
        display_name=HOSTILE,
        vendor=HOSTILE,
        description=HOSTILE,
        mode=HOSTILE,
        example={"prompt": HOSTILE, "deep": HOSTILE},
    )
}


@pytest.mark.parametrize("served", [EVIL], indirect=True)
@pytest.mark.parametrize("line", ["models --refresh", "models evil-1 --refresh"])
def test_text_from_the_hub_is_sanitized(
    served: ModelsHub, shell: InteractiveShell, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    """No escape sequence or bidirectional override is printed."""
    run_command(shell, line, DEFAULTS)
    text = capsys.readouterr().out
    assert "evil-1" in text and "alert" in text
    assert not {"\x1b", "\u202e"} & set(text)


@pytest.mark.parametrize(
    "served",
    [
        {
            "evil-1": model_body(
                {"deep": TEXT}, example={"prompt": "a dog", "deep": "x\n%%sh\nreboot"}
            )
        }
    ],
    indirect=True,
)
def test_an_example_value_adds_no_line_to_the_cell(
    served: ModelsHub, shell: InteractiveShell
) -> None:
    """What follows the line would be the prompt, or executed."""
    run_command(shell, "models --refresh", DEFAULTS)
    cell = model_text("evil-1").rpartition("%%mountsea")[2]
    assert cell.split("\n")[1:] == ["a dog"]


@pytest.mark.parametrize(
    "served",
    [
        {"odd": model_body({"size": {"anyOf": [True, {"type": "integer"}]}})},
        {"odd": model_body({"size": {"type": ["string", "null"], "maximum": 0}})},
        {"odd": model_body({"size": {}}, example={"prompt": None})},
        {"odd": model_body({"size": {"enum": [None, 1.5, {"a": 1}]}}, example="none")},
    ],
    indirect=True,
)
def test_unusual_schemas_are_shown(
    served: ModelsHub, shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the list and in the model's own text."""
    run_command(shell, "models --refresh", DEFAULTS)
    run_command(shell, "models odd", DEFAULTS)
    text = capsys.readouterr().out
    assert "-p size" in text
    assert pasted(text)[1]["prompt"] not in ("", "None")


@pytest.mark.kernel
@pytest.mark.parametrize("served", [NEW | EVIL], indirect=True)
def test_a_notebook_shows_html_tables(served: ModelsHub) -> None:
    """With text as an alternative and everything escaped; `--help -m` includes the model."""
    with started_kernel() as kernel:
        loading = "%load_ext mountsea_magic\n%mountsea models"
        before = kernel.run(loading).html()
        assert before.count("<tr>") == 1 + len(IDS) and "<img" not in before
        assert not served.requests
        after = kernel.run("%mountsea models --refresh")
        assert after.html().count("<tr>") == 1 + len(IDS) + 2
        evil = kernel.run("%mountsea models evil-1")
        for run in (after, evil):
            assert "<script" not in run.html() and "&lt;script&gt;" in run.html()
            assert "evil-1" in run.outputs[0]["data"]["text/plain"]
            assert not {"\x1b", "\u202e"} & set("".join(run.outputs[0]["data"].values()))
        comet = kernel.run("%mountsea models comet-1").html()
        cell = html.unescape(comet[comet.index("<pre>") + 5 : comet.index("</pre>")])
        assert cell == "%%mountsea --model comet-1 -p glow=2\na comet"
        helped = kernel.run("%%mountsea --help -m comet-1\na comet").text
        assert "--aspect-ratio" in helped and "-p glow  integer 1 to 3" in helped
        failed = kernel.run("%mountsea models comet-2")
        assert failed.error == "InvalidRequest" and "comet-1" in failed.error_message
    assert not served.posts
