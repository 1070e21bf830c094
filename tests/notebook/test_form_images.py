"""The form's input images: uploads, variables, recent images, and what the model takes."""

from __future__ import annotations

import html
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import IPython.display
import ipywidgets
import numpy as np
import pytest
from forms import Screen, generate, make_form, message, put, registry, request_of, texts
from hub_server import StandInHub, image
from IPython.core.interactiveshell import InteractiveShell
from PIL import Image
from sample_images import encoded, noise, stored_image

from mountsea_magic.errors import InvalidRequest
from mountsea_magic.generation.handle import Generation
from mountsea_magic.images import inputs
from mountsea_magic.notebook.form import images as form_images
from mountsea_magic.notebook.form.form import Form
from mountsea_magic.notebook.form.images import uploaded_files, variables_with_images
from mountsea_magic.notebook.form.recent_images import recent_images
from mountsea_magic.session import current_session

EDIT = "nano-banana-edit"


@pytest.fixture(autouse=True)
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Screen]:
    """Record what is displayed; close the widgets of a test."""
    shown = Screen()
    monkeypatch.setattr(IPython.display, "display", shown.display)
    others = set(registry())
    yield shown
    for each in [each for key, each in registry().items() if key not in others]:
        each.close()


def upload(form: Form, *files: tuple[str, bytes]) -> None:
    """Upload files as the front end of the installed ipywidgets does."""
    control: Any = form.images._upload
    now = datetime.now(UTC)
    facts = [
        {"name": name, "type": "", "size": len(data), "last_modified": now} for name, data in files
    ]
    if int(ipywidgets.__version__.partition(".")[0]) >= 8:
        control.value = [
            {**each, "content": memoryview(data)}
            for each, (_, data) in zip(facts, files, strict=True)
        ]
    else:
        with control.hold_trait_notifications():
            control.metadata, control.data = facts, [data for _, data in files]
            control._counter += 1


def image_note(form: Form) -> str:
    """Return what stands below the input images, as HTML."""
    return str(form.images._note.value)


def test_uploads_become_variables_that_the_cell_uses(
    hub: StandInHub, shell: InteractiveShell
) -> None:
    """Under new names, of which none overwrites another; the same file can be chosen again."""
    shell.user_ns["upload_1"] = "mine"
    form = make_form(shell, EDIT)
    form.widgets.prompt.value = "make it winter"
    upload(form, ("a <b>.png", image()), ("b.jpg", image("jpeg", 1)))
    upload(form, ("a <b>.png", image()))
    assert form.images.words == ["upload_2", "upload_3", "upload_4"]
    assert shell.user_ns["upload_1"] == "mine" and shell.user_ns["upload_3"] == image("jpeg", 1)
    shown = texts(form.images.box)
    assert shown.count("<img src=") == 3 and 'alt="Input image upload_2"' in shown
    assert "a &lt;b&gt;.png" in shown and "<b>" not in shown
    form.images._list.children[2].children[1].click()
    assert form.images.words == ["upload_2", "upload_3"]
    assert form.widgets.cell.value.startswith(
        f"%%mountsea --model {EDIT} --image upload_2 --image upload_3"
    )
    assert generate(form, shell) is not None, message(form)
    (post,) = hub.posts
    assert len(post.json["input"]["image_urls"]) == 2
    assert request_of(form.widgets.cell.value, shell).body() == post.json


def test_a_wrong_upload_is_reported_beside_the_field(demo: None, shell: InteractiveShell) -> None:
    """Others of the same choice are taken; the next choice removes the message."""
    form = make_form(shell, EDIT)
    upload(form, ("notes<b>.txt", b"no image"), ("a.png", image()), ("half.png", image()[:200]))
    assert form.images.words == ["upload_1"]
    assert "it is not a readable image" in image_note(form) and "half.png" in image_note(form)
    assert "notes&lt;b&gt;.txt" in image_note(form) and 'role="alert"' in image_note(form)
    upload(form, ("b.png", image("png", 1)))
    assert "alert" not in image_note(form) and len(form.images.words) == 2


def test_a_large_upload_is_scaled_down(
    demo: None, shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the Hub takes it, in the form and in the cell."""
    for module in (form_images, inputs):
        monkeypatch.setattr(module, "UPLOAD_BYTES", 20_000)
    content = encoded(noise("RGB", 120, 100), "png")
    assert len(content) > 20_000
    form = make_form(shell, EDIT)
    upload(form, ("big.png", content))
    assert len(shell.user_ns["upload_1"]) <= 20_000 and "scaled down" in texts(form.images.box)


def test_the_number_of_images_is_limited(
    demo: None, shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the form."""
    monkeypatch.setattr(form_images, "MAX_IMAGES", 1)
    form = make_form(shell, EDIT)
    upload(form, ("a.png", image()), ("b.png", image("png", 1)))
    assert form.images.words == ["upload_1"] and "upload_2" not in shell.user_ns
    assert "at most 1 input images" in image_note(form)


@pytest.mark.parametrize(
    ("schema", "count", "is_problem"),
    [
        ({"type": "array", "minItems": 2}, 1, True),
        ({"type": "array", "maxItems": 2}, 3, True),
        ({"type": "array", "maxItems": 2}, 2, False),
        ({"type": "string"}, 2, True),
        ({"type": "string"}, 1, False),
        ({}, 3, False),
    ],
)
def test_limits_of_the_schema_are_shown(
    demo: None, shell: InteractiveShell, schema: dict[str, Any], count: int, is_problem: bool
) -> None:
    """At each change; a variable with several images counts as many."""
    form = make_form(shell, EDIT)
    model = form.model
    rules = dict(model.input_schema["properties"]) | {"image_urls": schema}
    form._choice._choose(replace(model, input_schema={**model.input_schema, "properties": rules}))
    shell.user_ns["pair"] = Generation(None, task_id="hub-1")
    for number in range(count):
        shell.user_ns[f"image_{number}"] = image("png", number)
        form.images.add(f"image_{number}")
    assert ("alert" in image_note(form)) is is_problem


def test_a_missing_image_is_reported_at_generate(hub: StandInHub, shell: InteractiveShell) -> None:
    """And one whose variable is gone by then."""
    form = make_form(shell, EDIT)
    form.widgets.prompt.value = "make it winter"
    assert "alert" not in image_note(form)
    assert generate(form, shell) is None and "requires input images" in image_note(form)
    upload(form, ("a.png", image()))
    assert "alert" not in image_note(form)
    del shell.user_ns["upload_1"]
    assert generate(form, shell) is None
    assert "upload_1: no such file or variable" in html.unescape(image_note(form))
    assert hub.posts == []


def test_variables_that_hold_an_image_are_offered(tmp_path: Path) -> None:
    """Not those with an underscore, except the last result."""
    stored = stored_image(tmp_path, noise("RGB", 8, 8))
    done = Generation(None, task_id="hub-1")
    done.images = (stored,)
    names = {
        "empty": Generation(None, task_id="hub-2"),
        "done": done,
        "_mountsea": done,
        "_done": done,
        "stored": stored,
        "pillow": Image.new("L", (2, 2)),
        "grey": np.zeros((2, 2)),
        "color": np.zeros((2, 2, 3)),
        "table": np.zeros((2, 2, 7)),
        "data": image(),
        "text": b"no image",
        "number": 7,
        "kind": Generation,
    }
    assert variables_with_images(names) == [
        *("_mountsea", "data", "color", "grey", "pillow", "stored", "done")
    ]


def test_a_module_that_is_being_imported_is_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another thread may be in the middle of it: the class is not there yet."""
    for name in ("numpy", "PIL.Image"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    assert variables_with_images({"dog": image(), "number": 7}) == ["dog"]


def test_a_variable_is_added_with_its_button(hub: StandInHub, shell: InteractiveShell) -> None:
    """Choosing alone adds nothing: with the arrow keys one passes others."""
    form = make_form(shell, EDIT)
    control = form.images._variable
    shell.user_ns["photo"] = Image.new("RGB", (8, 8), "teal")
    form._after_cell()
    assert [value for _, value in control.options] == ["", "photo"]
    control.value = "photo"
    assert form.images.words == []
    form.images._add.click()
    form.images._add.click()
    assert form.images.words == ["photo"]
    shell.user_ns["photo"] = Image.new("RGB", (0, 8))
    form.images._list.children[0].children[1].click()
    form.images._add.click()
    assert "no pixels" in image_note(form) and form.images.words == []


def test_a_recent_image_is_edited_by_the_sibling_of_the_model(
    hub: StandInHub, shell: InteractiveShell
) -> None:
    """Of the journal or of the results; the original is sent. A deleted one is not shown."""
    first = make_form(shell)
    first.widgets.prompt.value = "a <b>red</b> fox"
    done = generate(first, shell)
    assert done is not None
    first.close()
    (found,) = recent_images(current_session().settings())
    assert found.image.sha256 == done[0].sha256
    assert "a &lt;b&gt;red" in found.html and len(found.html) < 9000
    form = make_form(shell, "nano-banana-pro")
    form._recent.show([found])
    _, row = form._recent.box.children
    row.children[0].children[1].click()
    assert form.widgets.models.value == "nano-banana-pro-edit"
    assert form.images.words == [str(done[0].path)]
    form.widgets.prompt.value = "make it winter"
    edited = generate(form, shell)
    assert edited is not None, message(form)
    assert request_of(form.widgets.cell.value, shell).body() == hub.posts[-1].json
    result = form.results.box.children[0]
    result.children[0].children[0].children[1].click()
    assert form.images.words == [str(done[0].path), str(edited[0].path)]
    done[0].path.unlink()
    recent = recent_images(current_session().settings())
    assert [each.image.path for each in recent] == [edited[0].path]


def test_a_mask_is_read_at_generate(
    hub: StandInHub, shell: InteractiveShell, tmp_path: Path
) -> None:
    """A path or `@variable`; what is wrong with it is shown beside its field."""
    form = make_form(shell, "gpt-image-2-edit")
    form.widgets.prompt.value = "make it winter"
    upload(form, ("a.png", image()))
    assert "and the name of a variable" in form.fields["mask_url"]._note.value
    put(form, "mask_url", str(tmp_path / "mask.png"))
    assert "alert" not in form.fields["mask_url"]._note.value
    assert generate(form, shell) is None
    assert "mask url" in message(form) and "alert" in form.fields["mask_url"]._note.value
    (tmp_path / "mask.png").write_bytes(image("png", 2))
    assert generate(form, shell) is not None, message(form)
    assert request_of(form.widgets.cell.value, shell).body() == hub.posts[0].json
    put(form, "mask_url", "@upload_1")
    assert generate(form, shell) is not None, message(form)
    assert request_of(form.widgets.cell.value, shell).body() == hub.posts[1].json


def test_both_formats_of_uploads_are_read() -> None:
    """A sequence in ipywidgets 8, a mapping in 7."""
    eight = ({"name": "a.png", "size": 1, "content": memoryview(b"a")},)
    seven = {"a.png": {"metadata": {"name": "a.png", "size": 1}, "content": b"a"}}
    assert uploaded_files(eight) == uploaded_files(seven) == [("a.png", b"a")]
    assert uploaded_files(()) == uploaded_files({}) == []


def test_without_a_model_that_edits_the_error_says_so(demo: None, shell: InteractiveShell) -> None:
    """In the form."""
    from mountsea_magic.notebook.form.check import edit_model

    form = make_form(shell)
    with pytest.raises(InvalidRequest, match="No known model of this Hub edits images"):
        edit_model(form.model, {"nano-banana": form.model})
