"""The outputs of a comparison: an image, and a slider that needs no kernel."""

from __future__ import annotations

import base64
import html
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from nbconvert.preprocessors.sanitize import SanitizeHTML
from PIL import Image
from sample_images import noise

from mountsea_magic.images.comparison import FRAME_BYTES, compare
from mountsea_magic.images.contact_sheet import SHEET_BYTES
from mountsea_magic.notebook import comparison_output
from mountsea_magic.notebook.comparison_output import slider_html
from mountsea_magic.notebook.frontend import FrontEnd

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

HOSTILE = "\"><img src=x onerror='alert(1)'>"


def _displayed(monkeypatch: pytest.MonkeyPatch, **abilities: bool) -> list[Any]:
    """Display a comparison in a front end, and return its outputs: bundle and metadata."""
    shown: list[Any] = []
    monkeypatch.setattr(
        "IPython.display.display",
        lambda bundle, metadata=None, raw=False: shown.append((bundle, metadata)),
    )
    kind = dict.fromkeys(("notebook", "attended", "clicks", "late_outputs", "draws_png"), False)
    monkeypatch.setattr(comparison_output, "front_end", lambda _: FrontEnd(**kind | abilities))
    compare(noise("RGB", 900, 900), Image.new("L", (300, 200)))._ipython_display_()
    return shown


def test_a_notebook_gets_one_image_and_a_slider(monkeypatch: pytest.MonkeyPatch) -> None:
    """The image has its size and an alt text; both are small enough for git."""
    (bundle, metadata), (slider, _) = _displayed(monkeypatch, notebook=True, attended=True)
    assert set(bundle) == {"image/jpeg", "text/plain"}
    data = base64.b64decode(bundle["image/jpeg"])
    assert len(data) <= SHEET_BYTES
    with Image.open(io.BytesIO(data)) as image:
        described = metadata["image/jpeg"]
        assert image.size == (described["width"], described["height"])
    assert described["alt"] == "Two images side by side. before · 900×900. after · 300×200."
    assert set(slider) == {"text/html", "text/plain"} and slider["text/plain"] == ""
    assert len(slider["text/html"]) < 2 * FRAME_BYTES * 4 / 3 + 5_000


def test_an_unattended_notebook_gets_only_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can move a slider there."""
    ((bundle, _),) = _displayed(monkeypatch, notebook=True, attended=False)
    assert "image/jpeg" in bundle


def test_a_terminal_gets_what_it_can_draw(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A PNG image, or the repr."""
    ((bundle, _),) = _displayed(monkeypatch, attended=True, draws_png=True)
    assert base64.b64decode(bundle["image/png"])[:4] == b"\x89PNG"
    assert _displayed(monkeypatch, attended=True) == []
    assert capsys.readouterr().out == "<Comparison of before · 900×900 and after · 300×200>\n"


def test_a_cell_displays_a_comparison(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """As the value of a cell, by its own display."""
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    shell.user_ns["path"] = str(tmp_path / "a.png")
    shell.run_cell(
        "from mountsea_magic.images.comparison import compare\ncompare(path, path)"
    ).raise_error()  # type: ignore[no-untyped-call]  # IPython has no types
    assert "<Comparison of before · 8×8 and after · 8×8>" in capsys.readouterr().out


def test_the_slider_is_nothing_without_its_handlers() -> None:
    """A sanitizer leaves a transparent pixel, or its tag as text: no dead control."""
    made = slider_html(compare(Image.new("RGB", (8, 8)), Image.new("RGB", (8, 8))))
    held, end, pixel = re.findall(r"<[^>]*>", made)
    assert made == held + end + pixel
    assert held.startswith("<i hidden data-slider=") and end == "</i>"
    assert pixel.startswith('<img alt="" width="1" height="1" src="data:image/gif')
    sanitized = SanitizeHTML().sanitize_html_tags(made)
    assert sanitized.startswith("<i></i>&lt;img") and len(sanitized) < 400


def test_text_in_the_slider_is_escaped() -> None:
    """Labels are text in the HTML that its attribute holds."""
    pair = Image.new("RGB", (8, 8)), Image.new("RGB", (8, 8))
    made = slider_html(compare(*pair, labels=(HOSTILE, "")))
    (held,) = re.findall(r'data-slider="([^"]*)"', made)
    slider = html.unescape(held)
    assert re.findall(r"<(\w+)", slider) == ["div", "img", "img", "span", "span", "span", "input"]
    assert "onerror='alert" not in slider
    assert "and the second, in percent" in slider
