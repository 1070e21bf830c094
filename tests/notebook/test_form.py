"""The form with real ipywidgets, against the demo Hub and a stand-in that counts submissions."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import IPython.display
import pytest
from forms import (
    APP,
    Screen,
    await_end,
    generate,
    make_form,
    message,
    note,
    put,
    registry,
    request_of,
    texts,
)
from hub_server import KEY, StandInHub, json_reply
from IPython.core.interactiveshell import InteractiveShell

import mountsea_magic
from mountsea_magic.generation.handle import Generation
from mountsea_magic.notebook.form import form as form_module
from mountsea_magic.notebook.form import results as form_results
from mountsea_magic.notebook.form import run as form_run
from mountsea_magic.notebook.form.open_forms import OPEN_FORMS
from mountsea_magic.notebook.form.run import FormRun
from mountsea_magic.request.catalog import bundled_catalog
from mountsea_magic.session import current_session

MODELS = list(bundled_catalog().models)


@pytest.fixture(autouse=True)
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Screen]:
    """Record what is displayed; afterwards no widget may be left."""
    shown = Screen()
    monkeypatch.setattr(IPython.display, "display", shown.display)
    monkeypatch.setattr(form_module, "REFRESH_S", 20.0)
    others = set(registry())
    yield shown
    OPEN_FORMS.close_all()
    for each in [each for key, each in registry().items() if key not in others]:
        each.close()


@pytest.mark.parametrize("model", MODELS)
def test_every_parameter_has_a_field_and_nothing_is_sent_by_itself(
    demo: None, shell: InteractiveShell, model: str
) -> None:
    """The cell has the model alone; label, option and description are shown."""
    form = make_form(shell, model)
    known = bundled_catalog().model(model)
    assert list(form.fields) == [name for name in known.parameters if name != "image_urls"]
    assert form.widgets.cell.value == f"%%mountsea --model {model}\n"
    shown = texts(form.widgets.root)
    assert "The random seed" in shown or "seed" not in known.parameters
    for name, field in form.fields.items():
        assert field.controls[0].description == name.replace("_", " ")
        assert "mountsea-problem" not in note(form, name)


CHANGES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (
        "nano-banana",
        {"aspect_ratio": "16:9", "seed": "7", "num_images": 2, "safety_tolerance": "6"},
        {"aspect_ratio": "16:9", "seed": 7, "num_images": 2, "safety_tolerance": "6"},
    ),
    (
        "nano-banana-2",
        {"limit_generations": True, "enable_web_search": True, "thinking_level": "high"},
        {"limit_generations": True, "enable_web_search": True, "thinking_level": "high"},
    ),
    (
        "gpt-image-2",
        {"image_size": "square", "quality": "low"},
        {"image_size": "square", "quality": "low"},
    ),
]


@pytest.mark.parametrize(("model", "filled", "sent"), CHANGES, ids=[each[0] for each in CHANGES])
def test_only_what_was_changed_is_sent_and_the_cell_sends_the_same(
    hub: StandInHub,
    shell: InteractiveShell,
    model: str,
    filled: dict[str, Any],
    sent: dict[str, Any],
) -> None:
    """The body at the Hub is that of the cell, which is in step with every change."""
    form = make_form(shell, model)
    form.widgets.prompt.value = "a {{ red }} fox\n---\nin $snow"
    for name, value in filled.items():
        put(form, name, value)
        assert name.replace("_", "-") in form.widgets.cell.value.replace("_", "-")
    assert generate(form, shell) is not None, message(form)
    assert 'role="status"' in message(form) and "Done: " in message(form)
    (post,) = hub.posts
    assert post.json == {
        "model": model,
        "input": {"prompt": "a {{ red }} fox\n---\nin $snow", **sent},
    }
    assert request_of(form.widgets.cell.value, shell).body() == post.json


def test_a_size_of_ones_own_has_a_field_for_each_side(
    hub: StandInHub, shell: InteractiveShell
) -> None:
    """They appear with "custom"; what is wrong with one of them is shown beside them."""
    form = make_form(shell, "gpt-image-2")
    form.widgets.prompt.value = "a red fox"
    size: Any = form.fields["image_size"]
    assert size._box.layout.display == "none"
    put(form, "image_size", "custom")
    assert size._box.layout.display == ""
    width, height = (part.controls[0] for part in size._parts)
    width.value = "wide"
    shown = note(form, "image_size")
    assert "width must be a whole number for gpt-image-2" in shown and "requires height" in shown
    width.value, height.value = "1024", "512"
    assert "mountsea-problem" not in note(form, "image_size")
    assert generate(form, shell) is not None
    assert hub.posts[0].json["input"]["image_size"] == {"width": 1024, "height": 512}
    assert request_of(form.widgets.cell.value, shell).body() == hub.posts[0].json


def test_wrong_input_is_shown_beside_its_field_and_nothing_is_sent(
    hub: StandInHub, shell: InteractiveShell
) -> None:
    """At the change and at Generate, as an alert, with a summary next to the button."""
    form = make_form(shell)
    form.widgets.prompt.value = "a red fox"
    put(form, "seed", "<b>abc")
    problem = "seed must be a whole number"
    assert problem in note(form, "seed") and 'role="alert"' in note(form, "seed")
    assert "<b>abc" not in texts(form.widgets.root)
    assert message(form) == ""
    assert generate(form, shell) is None
    assert "Nothing was sent: seed must be a whole number" in message(form)
    put(form, "seed", "7")
    assert "mountsea-problem" not in note(form, "seed") and message(form) == ""
    assert hub.posts == []


def test_an_empty_prompt_is_reported_at_generate(hub: StandInHub, shell: InteractiveShell) -> None:
    """Not before: the user has not changed it yet."""
    form = make_form(shell)
    put(form, "seed", "7")
    assert "prompt is empty" not in texts(form.widgets.root)
    form.widgets.generate.click()
    assert texts(form.widgets.root).count("The prompt is empty") == 2 and hub.posts == []
    form.widgets.prompt.value = "a red fox"
    assert "prompt is empty" not in form.widgets._prompt_note.value


def test_a_double_click_submits_once(
    hub: StandInHub, shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also from several threads at once, and when the first result is there at once."""
    monkeypatch.setattr(form_module, "DOUBLE_CLICK_S", 600.0)
    form = make_form(shell)
    form.widgets.prompt.value = "a red fox"
    clicks = [threading.Thread(target=form.widgets.generate.click) for _ in range(4)]
    for click in clicks:
        click.start()
    for click in clicks:
        click.join()
    await_end(shell.user_ns["_mountsea"])
    form.widgets.generate.click()
    assert len(hub.posts) == 1 and len(form.results.generations) == 1
    assert generate(form, shell) is not None
    assert len(hub.posts) == 2


def test_cancel_stops_the_wait_and_names_the_task(hub: StandInHub, shell: InteractiveShell) -> None:
    """Generate is off while it runs, and Cancel afterwards."""
    hub.ready_after_polls = 10**6
    form = make_form(shell)
    form.widgets.prompt.value = "a red fox"
    form.widgets.generate.click()
    hub.wait_until(lambda: len(hub.polls_seen) >= 1)
    assert form.widgets.generate.disabled and not form.widgets.cancel.disabled
    form.widgets.cancel.click()
    await_end(shell.user_ns["_mountsea"])
    (task_id,) = hub.task_ids
    assert "interrupted" in message(form) and f"%mountsea resume {task_id}" in message(form)
    assert not form.widgets.generate.disabled and form.widgets.cancel.disabled
    assert form.widgets._progress.children == () and form.run is None


def test_a_failed_task_is_shown_with_its_id(hub: StandInHub, shell: InteractiveShell) -> None:
    """In the words of a cell's error; the form can be used again."""
    hub.ending = "failed"
    form = make_form(shell)
    form.widgets.prompt.value = "a red fox"
    handle = generate(form, shell)
    assert handle is not None and "TaskFailed" in message(form)
    assert str(handle.task_id) in message(form) and "Nothing was charged" in message(form)
    hub.ending = "completed"
    assert generate(form, shell) is not None and "Done: 1 image, shown below." in message(form)
    assert len(form.results.generations) == 1


@pytest.mark.parametrize("trouble", ["key", "budget", "bug"])
def test_errors_of_a_click_are_shown_in_the_form(
    hub: StandInHub, shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    """A callback's exceptions would vanish into the kernel's log."""
    expected = {"key": "No API key found", "budget": "Over budget", "bug": "Unexpected error"}
    if trouble == "key":
        monkeypatch.delenv("MOUNTSEA_API_KEY")
    elif trouble == "budget":
        current_session().budget.command = 0
    else:
        monkeypatch.setattr(form_module, "FormRun", lambda *_, **__: 1 / 0)
    form = make_form(shell)
    form.widgets.prompt.value = "a red fox"
    form.widgets.generate.click()
    assert expected[trouble] in message(form) and hub.posts == []
    assert not form.widgets.generate.disabled and form.widgets.cancel.disabled


def test_a_large_order_needs_a_second_click(hub: StandInHub, shell: InteractiveShell) -> None:
    """As a cell asks."""
    form = make_form(shell, confirm_above=1)
    form.widgets.prompt.value = "a red fox"
    put(form, "num_images", 2)
    assert generate(form, shell) is None
    assert "This orders 2 images. Click Generate again" in message(form) and hub.posts == []
    assert generate(form, shell) is not None and len(hub.posts) == 1


def test_a_number_out_of_bounds_is_told_and_not_changed(
    hub: StandInHub, shell: InteractiveShell
) -> None:
    """Nor is half an image rounded: nothing is ordered that the user has not typed."""
    form = make_form(shell)
    form.widgets.prompt.value = "a dog"
    for number, words in ((9, "at most 4"), (0, "at least 1"), (2.5, "a whole number")):
        put(form, "num_images", number)
        assert words in note(form, "num_images") and "alert" in note(form, "num_images")
        assert generate(form, shell) is None and hub.posts == []
    put(form, "num_images", 2)
    assert "alert" not in note(form, "num_images") and generate(form, shell) is not None
    assert hub.posts[0].json["input"] == {"prompt": "a dog", "num_images": 2}


def test_values_stay_when_another_model_takes_them(demo: None, shell: InteractiveShell) -> None:
    """The prompt too; what only the first model takes comes back with it."""
    form = make_form(shell)
    form.widgets.prompt.value = "a red fox"
    for name, value in {"aspect_ratio": "16:9", "seed": "7", "num_images": 3}.items():
        put(form, name, value)
    first = form.widgets.cell.value
    form.widgets.models.value = "gpt-image-2"
    assert form.widgets.cell.value == "%%mountsea --model gpt-image-2 --num-images 3\na red fox"
    form.widgets.models.value = "nano-banana"
    assert form.widgets.cell.value == first
    form.widgets.models.value = "nano-banana-2"
    put(form, "aspect_ratio", "8:1")
    form.widgets.models.value = "nano-banana"
    assert "8:1" not in form.widgets.cell.value and "--seed 7" in form.widgets.cell.value


def test_images_appear_newest_first_with_alt_text(
    demo: None, shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each in a figure with the line of a cell; the oldest are only named."""
    monkeypatch.setattr(form_results, "MAX_RESULTS", 2)
    form = make_form(shell, "gpt-image-2")
    put(form, "image_size", "custom")
    for part in form.fields["image_size"]._parts:  # type: ignore[attr-defined]  # as above
        part.controls[0].value = "64"
    for prompt in ("a red fox", "a <b>snowy</b> forest", "a lake"):
        form.widgets.prompt.value = prompt
        put(form, "num_images", 2 if prompt == "a lake" else 1)
        assert generate(form, shell) is not None, message(form)
    newest, older, named = form.results.box.children
    lake = [texts(child) for child in (newest, older)]
    assert lake[0].count("<figure><img") == 2
    assert 'alt="Demo drawing 2 of 2: a lake"' in lake[0]
    assert 'alt="Demo drawing: a &lt;b&gt;snowy&lt;/b&gt; forest"' in lake[1]
    assert "nothing charged" in lake[1] and "<b>" not in lake[1]
    assert "1 older result" in named.value and "a red fox" in named.value
    assert shell.user_ns["_mountsea"] is form.results.generations[-1]


def test_the_heading_follows_the_hub(hub: StandInHub, shell: InteractiveShell) -> None:
    """It says that it is the demo, as of the next cell or click on Generate."""
    form = make_form(shell)
    assert hub.url.partition("://")[2].partition(":")[0] in form.widgets.heading.value
    assert "Demo" not in form.widgets.heading.value
    current_session().use_demo("on")
    form.widgets.generate.click()
    assert "Demo Hub" in form.widgets.heading.value
    assert "nothing charged" in form.widgets.heading.value
    form.show()
    current_session().use_demo("off")
    shell.events.trigger("post_run_cell", None)
    assert "Demo" not in form.widgets.heading.value


def test_a_closed_form_leaves_a_note_an_image_and_no_widget(
    demo: None, shell: InteractiveShell, screen: Screen
) -> None:
    """The note has the last cell; the image is one output."""
    others = set(registry())
    form = make_form(shell)
    form.show()
    assert "application/vnd.jupyter.widget-view+json" in screen.outputs[0]
    form.widgets.prompt.value = "a red <fox>"
    assert generate(form, shell) is not None
    form.widgets.close.click()
    shown, reserved = screen.outputs
    assert list(shown) == ["text/html", "text/plain"] and "image/jpeg" in reserved
    assert "%%mountsea --model nano-banana\na red <fox>" in shown["text/plain"]
    assert "a red &lt;fox&gt;" in shown["text/html"]
    assert set(registry()) == others
    form.close()
    form.widgets.generate.click()
    assert len(form.results.generations) == 1


def test_several_results_become_one_contact_sheet(
    hub: StandInHub, shell: InteractiveShell, screen: Screen
) -> None:
    """Of at most 400 kB."""
    form = make_form(shell)
    form.show()
    for prompt in ("a red fox", "a lake"):
        form.widgets.prompt.value = prompt
        assert generate(form, shell) is not None
    form.close()
    _, sheet = screen.outputs
    assert len(hub.posts) == 2 and len(sheet["image/jpeg"]) * 3 / 4 <= 400_000


def test_close_leaves_a_task_that_runs_to_be_resumed(
    hub: StandInHub, shell: InteractiveShell, screen: Screen
) -> None:
    """The note names it."""
    hub.ready_after_polls = 10**6
    form = make_form(shell)
    form.show()
    form.widgets.prompt.value = "a red fox"
    form.widgets.generate.click()
    hub.wait_until(lambda: len(hub.polls_seen) >= 1)
    form.widgets.close.click()
    assert f"%mountsea resume {hub.task_ids[0]}" in screen.outputs[0]["text/plain"]
    await_end(shell.user_ns["_mountsea"])
    assert "text/plain" in screen.outputs[1] and len(screen.outputs) == 2


def test_forms_end_with_the_extension_and_with_a_new_form_of_their_cell(
    demo: None, shell: InteractiveShell, screen: Screen
) -> None:
    """Others are independent."""
    first, second, third = (make_form(shell) for _ in range(3))
    first.show("a")
    second.show("b")
    third.show("a")
    assert (first.closed, second.closed, third.closed) == (True, False, False)
    second.widgets.prompt.value = "a lake"
    assert third.widgets.prompt.value == ""
    mountsea_magic.unload_ipython_extension(shell)
    assert second.closed and third.closed
    assert not any("application/vnd.jupyter.widget-view+json" in each for each in screen.outputs)


def test_the_users_changes_of_the_cell_are_reverted(demo: None, shell: InteractiveShell) -> None:
    """At the next change of a field."""
    form = make_form(shell)
    form.widgets.cell.value = "something else"
    form.widgets.prompt.value = "a lake"
    assert form.widgets.cell.value == "%%mountsea --model nano-banana\na lake"


def test_the_key_is_not_shown_in_the_cell(hub: StandInHub, shell: InteractiveShell) -> None:
    """Nor sent."""
    form = make_form(shell)
    form.widgets.prompt.value = f"a dog {KEY}"
    assert KEY not in form.widgets.cell.value and "API key" in form.widgets.cell.value
    form.widgets.generate.click()
    assert "API key" in message(form) and KEY not in message(form) and hub.posts == []


def test_an_app_offers_no_variable_and_reads_no_path(
    demo: None, shell: InteractiveShell, screen: Screen
) -> None:
    """Visitors of voila may be strangers; outputs can't be updated there, so nothing is closed."""
    form = make_form(shell, "gpt-image-2-edit", APP)
    form.show()
    assert len(screen.outputs) == 1
    form.widgets.prompt.value = "a red fox"
    put(form, "mask_url", "/etc/passwd")
    assert "mask url must be a URL" in note(form, "mask_url")
    labels = [getattr(each, "description", "") for each in registry().values()]
    assert "or a variable" not in [
        each.description for each in form.images.box.children[2].children
    ]
    assert "Generate" in labels
    form.widgets.dispose()


def test_a_new_model_of_the_hub_has_a_form(hub: StandInHub, shell: InteractiveShell) -> None:
    """Without code: the list is refreshed when the form opens, and what is filled in stays."""
    form = make_form(shell)
    form.widgets.prompt.value = "a comet"
    put(form, "aspect_ratio", "16:9")
    prompt = {"type": "string"}
    glow = {"type": "integer", "minimum": 1, "maximum": 3, "default": 1, "description": "Light."}
    ratio = {"enum": ["1:1", "16:9"]}
    for name, parameter, rule in (
        ("comet-1", "glow", glow),
        ("nano-banana", "aspect_ratio", ratio),
    ):
        rules = {"prompt": prompt, parameter: rule}
        schema = {"type": "object", "properties": rules, "required": ["prompt"]}
        hub.models[name] = {"input_schema": schema, "display_name": f"The <b>{name}"}
    form.show()
    assert list(form.fields) == ["aspect_ratio"]
    assert form.widgets.cell.value == "%%mountsea --model nano-banana --aspect-ratio 16:9\na comet"
    form.widgets.models.value = "comet-1"
    put(form, "glow", 3)
    assert "Light. 1 to 3." in note(form, "glow")
    assert generate(form, shell) is not None, message(form)
    assert hub.posts[0].json == {"model": "comet-1", "input": {"prompt": "a comet", "glow": 3}}


def test_a_failed_refresh_is_a_small_note(hub: StandInHub, shell: InteractiveShell) -> None:
    """The form works with the models that are known."""
    hub.listing = json_reply({"message": "no models <b>today"}, 500, repeat=True)
    form = make_form(shell)
    form.show()
    assert "could not be updated" in form.widgets.heading.value
    assert "<b>today" not in form.widgets.heading.value
    form.widgets.prompt.value = "a red fox"
    assert generate(form, shell) is not None, message(form)


def test_parameters_beyond_the_limit_are_named(
    demo: None, shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With how to set them."""
    monkeypatch.setattr(form_module, "MAX_FIELDS", 3)
    form = make_form(shell)
    assert len(form.fields) == 3
    assert "output&#95;format" in form.widgets.model_note.value.replace("_", "&#95;")
    assert "-p NAME=VALUE" in form.widgets.model_note.value.replace("&#45;", "-")


def test_why_there_is_no_cell_is_shown_in_its_place(demo: None, shell: InteractiveShell) -> None:
    """It can be submitted all the same."""
    form = make_form(shell)
    rules = {"prompt": {"type": "string"}, "a=b": {"type": "string"}}
    schema = {"type": "object", "properties": rules}
    form._choice._choose(replace(form.model, input_schema=schema))
    put(form, "a=b", "1")
    assert form.widgets.cell.value.startswith("This can't be written as a cell.")


@pytest.mark.parametrize(
    ("prompt", "values"),
    [
        ("a {{ fox }} in $HOME\n---\nand 'a' \"lake\"", {"text": 'it\'s {x} $y "z" \\'}),
        ("  indented\n\n\n%%time", {"text": "-x", "any": '{"a": [1, "{b}"]}'}),
        ("ünïcode 🦊", {"text": " padded ", "any": '"7"', "flag": "false"}),
        ("a fox", {"text": "null", "any": "7", "flag": "true"}),
    ],
)
def test_the_cell_run_as_it_stands_submits_the_same(
    hub: StandInHub, shell: InteractiveShell, prompt: str, values: dict[str, str]
) -> None:
    """Through IPython's expansion of the line, for any text."""
    rules = {
        "prompt": {"type": "string"},
        "text": {"type": "string"},
        "any": {},
        "flag": {"type": "boolean"},
    }
    hub.models["comet-1"] = {"input_schema": {"type": "object", "properties": rules}}
    form = make_form(shell)
    form.show()
    form.widgets.models.value = "comet-1"
    form.widgets.prompt.value = prompt
    for name, value in values.items():
        put(form, name, value)
    assert generate(form, shell) is not None, message(form)
    ran = shell.run_cell(form.widgets.cell.value)  # type: ignore[no-untyped-call]  # IPython has no annotation here
    ran.raise_error()
    first, second = hub.posts
    assert first.json == second.json
    assert first.json["input"]["prompt"] == prompt.lstrip("\n")


def test_the_progress_line_is_updated_as_rarely_as_a_cells(
    demo: None, shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three changes a second: each costs some milliseconds of CPU."""
    settings = current_session().settings()
    run = FormRun(Generation(None, task_id="hub-1"), settings, timeout_s=1.0, on_end=print)
    now, changes = 0.0, 0

    def tick() -> int:
        nonlocal changes
        changes += 2
        return 2

    monkeypatch.setattr(run.row, "tick", tick)
    monkeypatch.setattr(form_run, "time", SimpleNamespace(monotonic=lambda: now))
    for step in range(100):
        now = step * 0.2
        run._tick()
    assert 20 <= changes <= 3 * now + 2
