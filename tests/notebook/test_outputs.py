"""The outputs of a cell: final line, images and alt texts, with everything escaped."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import nbformat
import pytest
from hub_server import StandInHub, image
from IPython.core.interactiveshell import InteractiveShell
from kernel_driver import Kernel
from nbconvert.exporters import MarkdownExporter
from PIL import Image, ImageOps
from sample_images import noise, stored_image

from mountsea_magic.generation.events import Completed
from mountsea_magic.generation.handle import Generation
from mountsea_magic.images.files import check
from mountsea_magic.notebook.outputs import (
    SIDE_BY_SIDE,
    alt_text,
    ending_line,
    final_line,
    image_bundle,
    with_message,
)
from mountsea_magic.request.request import build_request

HOSTILE = '<img src=x onerror=alert(1)> $x^2$ & "quotes"'


def completed(folder: Path, prompt: str, count: int = 1, **facts: object) -> Generation:
    """Return the handle of a completed generation, with images on disk."""
    generation = Generation(build_request(prompt), task_id="hub-1")
    images = tuple(stored_image(folder, noise("RGB", 64, 48), name=f"p{n}") for n in range(count))
    generation.take(Completed(images, "", 12.34, "hub-1"))
    for name, value in facts.items():
        setattr(generation, name, value)
    return generation


def test_the_final_line_describes_result_and_files(tmp_path: Path) -> None:
    """Prompt, model, size, seconds and paths of the originals, as HTML and as text."""
    line = final_line(completed(tmp_path, "a dog"))
    for output in (line.html, line.text):
        for fact in ("“a dog”", "nano-banana", "64×48", "12.3 s", str(tmp_path / "p0.png")):
            assert fact in output
    assert SIDE_BY_SIDE not in line.html


def test_several_images_are_counted_and_shown_side_by_side(tmp_path: Path) -> None:
    """The style is part of the HTML line; the text has one path per line."""
    line = final_line(completed(tmp_path, "a dog", count=2))
    assert "2 × 64×48" in line.text and SIDE_BY_SIDE in line.html
    assert line.text.splitlines()[1:] == [f"  {tmp_path / name}" for name in ("p0.png", "p1.png")]


def test_markdown_export_contains_no_style_element(tmp_path: Path) -> None:
    """GitHub shows a style element in Markdown as text, and nbconvert keeps HTML there."""
    line = final_line(completed(tmp_path, "a dog", count=2)).html
    outputs = [
        nbformat.v4.new_output("display_data", {"text/html": html, "text/plain": ""})
        for html in (line, SIDE_BY_SIDE)
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(outputs=outputs)])
    body, _ = MarkdownExporter().from_notebook_node(notebook)
    assert "mountsea-row" in body
    assert "<style" not in body and "{" not in body


@pytest.mark.parametrize(
    ("fact", "words"),
    [
        ("is_demo", "demo Hub: drawn locally, not by the model, nothing charged"),
        ("from_journal", "from the journal, nothing charged"),
    ],
)
def test_the_final_line_tells_if_nothing_was_charged(tmp_path: Path, fact: str, words: str) -> None:
    """And only then."""
    assert words in final_line(completed(tmp_path, "a dog", **{fact: True})).text
    assert words not in final_line(completed(tmp_path, "a dog")).text


def test_text_from_outside_is_escaped_in_html(tmp_path: Path) -> None:
    """Prompt, task id and error; the text line is not escaped."""
    generation = completed(tmp_path, HOSTILE)
    generation.task_id = HOSTILE
    ending = ending_line(generation, "failed")
    for line in (final_line(generation), ending, with_message(ending, HOSTILE)):
        assert "<img" not in line.html and "&lt;img" in line.html
        assert "<img" in line.text


@pytest.mark.parametrize(
    ("facts", "count", "text"),
    [
        ({}, 1, "Generated image: a dog"),
        ({}, 2, "Generated image 1 of 2: a dog"),
        ({"is_demo": True}, 1, "Demo drawing: a dog"),
        ({"request": None}, 1, "Generated image: image of task hub-1"),
    ],
)
def test_alt_texts_describe_the_image(
    tmp_path: Path, facts: dict[str, object], count: int, text: str
) -> None:
    """By the prompt, or by the task without one."""
    assert alt_text(completed(tmp_path, "a dog", count, **facts), 1) == text


def test_an_image_is_a_mimebundle(tmp_path: Path) -> None:
    """The image, its path as text, and size and alt text as metadata."""
    generation = completed(tmp_path, "a dog")
    bundle, metadata = image_bundle(generation, generation[0], 1)
    assert set(bundle) == {"image/png", "text/plain"}
    assert bundle["text/plain"] == str(tmp_path / "p0.png")
    assert metadata == {"image/png": {"width": 64, "height": 48, "alt": "Generated image: a dog"}}


@pytest.mark.kernel
def test_an_image_displays_itself(hub: StandInHub, kernel: Kernel) -> None:
    """As the last expression of a cell, by `display` or as an update, with an alt text."""
    kernel.run("%%mountsea -n 2 -o dog\na black lab")
    for code, number in (("dog[0]", 0), ("dog.images[1]", 1), ("display(dog[1])", 1), ("_", 1)):
        run = kernel.run(code)
        ((kind, data, described),) = run.images()
        assert kind == "image/png" and base64.b64decode(data) == image(number=number), code
        assert described["width"] == 64 and described["height"] == 48
        assert "a-black-lab" in described["alt"]
        assert run.text == "" and len(run.outputs) == 1
    run = kernel.run("place = display('before', display_id=True)\nplace.update(dog[0])")
    assert len(run.outputs) == 1 and len(run.images()) == 1
    kernel.run("%config MountseaMagics.preview = 32")
    assert kernel.run("dog[0]").images()[0][2]["width"] == 32
    assert len(hub.posts) == 1


@pytest.mark.kernel
def test_a_missing_file_is_reported(hub: StandInHub, kernel: Kernel) -> None:
    """No traceback; the result names the command that downloads its images again."""
    kernel.run("%%mountsea -o dog\na dog")
    kernel.run("dog[0].path.unlink()")
    run = kernel.run("dog[0]")
    assert run.status == "ok" and "Could not display" in run.outputs[0]["data"]["text/plain"]
    run = kernel.run("dog")
    assert "`%mountsea resume hub-0001` downloads it again" in run.text and not run.images()


@pytest.mark.kernel
def test_an_image_without_a_preview_is_shown_by_its_path(hub: StandInHub, kernel: Kernel) -> None:
    """In its cell, by resume, show and from the journal, next to images with previews."""
    kernel.run(
        "%config MountseaMagics.preview = 32\nfrom mountsea_magic.images import previews\n"
        "render = previews._render\ndef fail(path, *more):\n"
        "    if '-2.' in path: raise MemoryError\n    return render(path, *more)\n"
        "previews._render = fail"
    )
    cell = "%%mountsea -n 2 -s 7 -o dogs\na dog"
    codes = (cell, cell, "dogs", "%mountsea resume hub-0001", "%mountsea show hub-0001")
    for code in codes:
        run = kernel.run(code)
        texts = [output["data"]["text/plain"] for output in run.outputs if "data" in output]
        (message,) = [text for text in texts if "No preview: MemoryError." in text]
        assert "-a-dog-" in message and run.status == "ok" and len(run.images()) == 1, code
    run = kernel.run("dogs[1]")
    assert "No preview" in run.outputs[0]["data"]["text/plain"]
    assert len(hub.posts) == 1


@pytest.mark.kernel
def test_the_other_images_are_shown_if_one_file_is_missing(hub: StandInHub, kernel: Kernel) -> None:
    """With a message about the missing one."""
    kernel.run("%%mountsea -n 2 -o dogs\na dog")
    kernel.run("dogs[0].path.unlink()")
    run = kernel.run("dogs")
    assert "downloads it again" in run.text and len(run.images()) == 1


def test_a_terminal_prints_an_images_path(
    hub: StandInHub, shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    """It draws no images; an ASCII terminal gets the path escaped."""
    shell.run_cell_magic("mountsea", "-q -o dog", "a dog")  # type: ignore[no-untyped-call]  # IPython is untyped
    shell.run_cell("dog[0]").raise_error()  # type: ignore[no-untyped-call]  # as above
    assert capsys.readouterr().out.endswith(f"{shell.user_ns['dog'][0].path}\n")


@pytest.mark.parametrize("preview_px", [0, 20, 768])
def test_a_rotated_photo_has_its_displayed_size(tmp_path: Path, preview_px: int) -> None:
    """Otherwise a front end would distort the upright image."""
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "original.jpg"
    noise("RGB", 64, 48).save(path, exif=exif)
    generation = completed(tmp_path, "a dog", preview_px=preview_px)
    generation.images = (check(path),)
    assert "48×64" in final_line(generation).text
    bundle, metadata = image_bundle(generation, generation[0], 1)
    size = (15, 20) if preview_px == 20 else (48, 64)
    assert (metadata["image/jpeg"]["width"], metadata["image/jpeg"]["height"]) == size
    with Image.open(io.BytesIO(base64.b64decode(bundle["image/jpeg"]))) as thumbnail:
        assert ImageOps.exif_transpose(thumbnail).size == size
