"""The history in a notebook: a table with thumbnails, small, readable and safe."""

from __future__ import annotations

import base64
import io
import json
import os
import queue
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import IPython.display
import nbformat
import pytest
from hang import HANG_S
from hub_server import StandInHub
from IPython.core.interactiveshell import InteractiveShell
from kernel_driver import Kernel
from nbconvert import MarkdownExporter
from PIL import Image
from sample_images import noise, stored_image

from mountsea_magic.errors import Interrupted
from mountsea_magic.generation.history import History, history_of
from mountsea_magic.images.files import GeneratedImage
from mountsea_magic.images.previews import Preview
from mountsea_magic.images.thumbnail_cache import cached_thumbnail
from mountsea_magic.journal.entry import Entry
from mountsea_magic.notebook import gallery, thumbnail_maker
from mountsea_magic.notebook.commands import tasks
from mountsea_magic.notebook.frontend import FrontEnd
from mountsea_magic.notebook.gallery import MAX_ROWS, show_history
from mountsea_magic.notebook.gallery_table import ago
from mountsea_magic.request.request import ImageRequest
from mountsea_magic.session import Session

HUB = "https://hub.example"
HOSTILE = (
    "<img src=x onerror=alert(1)>\"'</td></table><style>*{}</style>\n\n    code ![a](b) $x$ `!ls`"
)
MAX_BYTES = 1_200_000
"""The largest output that 200 rows may have, as the interface says."""

pytestmark = pytest.mark.usefixtures("here")


class Tags(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.found.append((tag, {name: value or "" for name, value in attrs}))
        self.text += " "

    def handle_data(self, data: str) -> None:
        """Note a text."""
        self.text += data

    def named(self, tag: str) -> list[dict[str, str]]:
        """Return the attributes of each tag of a kind."""
        return [attributes for name, attributes in self.found if name == tag]


@dataclass
class Notebook:
    """A front end: what it shows, and each update."""

    shown: list[dict[str, str]] = field(default_factory=list)
    updates: queue.SimpleQueue[dict[str, str]] = field(default_factory=queue.SimpleQueue)
    can_update: bool = False

    def display(self, bundle: dict[str, str], *, raw: bool, display_id: bool | None) -> Notebook:
        """Show an output."""
        assert raw
        self.can_update = bool(display_id)
        self.shown.append(bundle)
        return self

    def update(self, bundle: dict[str, str], *, raw: bool) -> None:
        """Replace the output."""
        assert raw and self.can_update
        self.updates.put(bundle)

    @property
    def html(self) -> str:
        """The only output."""
        (bundle,) = self.shown
        return bundle["text/html"]

    def final(self) -> str:
        """Wait for the update that completes the output, and return it."""
        until = time.monotonic() + HANG_S
        while True:
            html = self.updates.get(timeout=max(0.1, until - time.monotonic()))["text/html"]
            if "loading" not in html:
                return html


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Notebook:
    """Let the gallery show its table in a notebook that someone watches."""
    shown = Notebook()
    monkeypatch.setattr(IPython.display, "display", shown.display)
    use(monkeypatch)
    return shown


def use(monkeypatch: pytest.MonkeyPatch, **changes: bool) -> None:
    """Choose the capabilities of the front end."""
    front = FrontEnd(
        notebook=True, attended=True, clicks=True, late_outputs=True, draws_png=False, updates=True
    )
    for module in (gallery, tasks):
        monkeypatch.setattr(module, "front_end", lambda shell: replace(front, **changes))


def entry_of(
    prompt: str, *images: GeneratedImage, number: int = 0, hub: str = HUB, **changes: Any
) -> Entry:
    """Return the entry of a completed task."""
    entry = Entry.begin(hub, ImageRequest("nano-banana", {"prompt": prompt}))
    known: dict[str, Any] = {
        "task_id": f"hub-{number}",
        "status": "completed",
        "files": images,
        "elapsed_s": 2.5,
    }
    return replace(entry, **(known | changes))


def plain(folder: Path, name: str = "plain", size: tuple[int, int] = (160, 90)) -> GeneratedImage:
    """Write an image of one color; each name has another."""
    color = tuple(name.encode().ljust(3)[-3:])
    return stored_image(folder, Image.new("RGB", size, color), name=name)


def show(*entries: Entry) -> History:
    """Show entries."""
    history = history_of(entries)
    show_history(history)
    return history


def thumbnails_in(html: str) -> list[Image.Image]:
    """Decode the thumbnails."""
    found: list[Image.Image] = []
    for attributes in Tags(html).named("img"):
        kind, _, data = attributes["src"].partition(";base64,")
        assert kind in ("data:image/webp", "data:image/jpeg")
        image = Image.open(io.BytesIO(base64.b64decode(data, validate=True)))
        image.load()
        found.append(image)
    return found


def test_a_row_has_all_that_is_known(notebook: Notebook, tmp_path: Path) -> None:
    """Thumbnail with alt text, prompt, model, time, seconds, status and the whole task id."""
    when = time.time() - 200
    show(entry_of("a black lab", plain(tmp_path), number=12345678901234567890, created=when))
    tags = Tags(notebook.html)
    (image,) = tags.named("img")
    assert image["alt"] == "Generated image: a black lab"
    assert (image["width"], image["height"]) == ("96", "54")
    local = time.strftime("%Y-%m-%d %H:%M", time.localtime(when))
    for words in ("a black lab", "nano-banana", local, "3 min ago", "2.5", "completed"):
        assert words in tags.text
    assert "demo" not in tags.text
    (code,) = tags.named("code")
    assert "user-select:all" in code["style"] and "hub-12345678901234567890" in tags.text
    assert [each["scope"] for each in tags.named("th")] == ["col"] * 7


def test_the_text_is_that_of_a_terminal(notebook: Notebook, tmp_path: Path) -> None:
    """Where HTML is not shown nothing is lost."""
    history = show(entry_of("a dog", plain(tmp_path)), entry_of("a cat", hub="demo:"))
    assert notebook.shown[0]["text/plain"] == str(history)
    assert "demo" in Tags(notebook.html).text


def test_lines_are_printed_without_a_notebook(
    monkeypatch: pytest.MonkeyPatch, notebook: Notebook, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a terminal, and for an empty history."""
    use(monkeypatch, notebook=False)
    history = show(entry_of("a dog"))
    assert capsys.readouterr().out == f"{history}\n" and notebook.shown == []
    use(monkeypatch)
    show()
    assert capsys.readouterr().out == "<History 0 submissions>\n" and notebook.shown == []


def test_the_first_four_images_are_shown_and_the_others_counted(
    notebook: Notebook, tmp_path: Path
) -> None:
    """Each with its number in the alt text."""
    images = [plain(tmp_path, f"{n}") for n in range(6)]
    show(entry_of("two", *images[:2]), entry_of("four", *images[:4]), entry_of("six", *images))
    tags = Tags(notebook.html)
    alts = [image["alt"] for image in tags.named("img")]
    assert alts[:2] == ["Generated image 1 of 2: two", "Generated image 2 of 2: two"]
    assert len(alts) == 10 and alts[-1] == "Generated image 4 of 6: six"
    assert tags.text.count("+") == 1 and "+2" in tags.text


def test_a_file_that_is_gone_says_so_in_its_place(
    notebook: Notebook, tmp_path: Path, home: Path
) -> None:
    """With the command that fetches it again; the other images of the row are shown."""
    images = [plain(tmp_path, f"{n}") for n in range(3)]
    cached_thumbnail(images[1], home / "thumbnails")
    images[1].path.unlink()
    show(entry_of("three", *images), entry_of("a dog", images[0], number=1))
    tags = Tags(notebook.html)
    assert len(tags.named("img")) == 3 and tags.text.count("file is gone") == 1
    assert "%mountsea resume hub-0" in tags.text and "resume hub-1" not in tags.text


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: path.write_bytes(b"x"), "the file was changed"),
        (lambda path: path.symlink_to("/dev/zero"), "file is gone"),
        (os.mkfifo, "file is gone"),
        (os.mkdir, "file is gone"),
    ],
    ids=["changed", "a device", "a pipe", "a folder"],
)
def test_a_damaged_file_hides_no_other(
    notebook: Notebook, tmp_path: Path, damage: Callable[[Path], object], words: str
) -> None:
    """Its place says what is wrong."""
    good, bad = plain(tmp_path, "good"), plain(tmp_path, "bad")
    bad.path.unlink()
    damage(bad.path)
    show(entry_of("two", good, bad), entry_of("one", good))
    assert len(thumbnails_in(notebook.html)) == 2 and words in Tags(notebook.html).text


def test_text_from_outside_is_inert(notebook: Notebook, tmp_path: Path) -> None:
    """Prompt, model, status, error and task id of a hostile Hub add no tag and no attribute."""
    hostile = entry_of(HOSTILE, plain(tmp_path), task_id=HOSTILE, status=HOSTILE)
    failed = entry_of(HOSTILE, task_id=HOSTILE, status="failed", error=HOSTILE)
    gone = entry_of(HOSTILE, plain(tmp_path, "gone"), task_id=HOSTILE)
    gone.files[0].path.unlink()
    show(*(replace(entry, model=HOSTILE) for entry in (hostile, failed, gone)))
    html, tags = notebook.html, Tags(notebook.html)
    allowed = {
        *("div", "table", "thead", "tbody", "tr", "th", "td", "img", "span", "br", "small", "code"),
    }
    assert {tag for tag, _ in tags.found} <= allowed
    assert not any(name.startswith("on") for _, given in tags.found for name in given)
    assert len(tags.named("img")) == 1 and len(tags.named("td")) == 21
    assert re.search(r"[`$\[\]{}*]", re.sub(r'style="[^"]*"', "", html)) is None
    assert "\n\n" not in html and not any(line.startswith(" ") for line in html.splitlines())


def test_markdown_export_keeps_the_table(notebook: Notebook, tmp_path: Path) -> None:
    """GitHub shows a style element in Markdown as text: there is none, and no blank line."""
    show(entry_of(HOSTILE, plain(tmp_path)), entry_of("a cat"))
    output = nbformat.v4.new_output("display_data", notebook.shown[0])
    cells = [nbformat.v4.new_code_cell(outputs=[output])]
    body, _ = MarkdownExporter().from_notebook_node(nbformat.v4.new_notebook(cells=cells))
    assert notebook.html in body and "<style" not in body


def luminance(color: str) -> float:
    """Return the relative luminance of a color, by WCAG."""
    parts = [int(color[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize(
    "status",
    [
        *(
            "completed",
            "failed",
            "timeout",
            "uncertain",
            "refused",
            "unsent",
            "queued",
            "submitted",
        ),
        "a new status",
    ],
)
def test_each_status_is_a_word_on_a_color_of_its_own(notebook: Notebook, status: str) -> None:
    """White on a dark color in light and dark themes: the contrast is at least 4.5."""
    show(entry_of("a dog", status=status))
    chips = [tag for tag in Tags(notebook.html).named("span") if "background" in tag["style"]]
    (background,) = [re.findall("background:(#[0-9a-f]{6})", chip["style"])[0] for chip in chips]
    assert "color:#fff" in chips[0]["style"] and status in Tags(notebook.html).text
    assert 1.05 / (luminance(background) + 0.05) >= 4.5


def test_other_colors_are_those_of_the_theme(notebook: Notebook) -> None:
    """With a fallback where there is no JupyterLab."""
    show(entry_of("a dog"))
    styles = [given.get("style", "") for _, given in Tags(notebook.html).found]
    colors = re.findall(r"(?<![-\w])color:([^;]+)", ";".join(styles))
    assert set(colors) == {"var(--jp-content-font-color1,inherit)", "#fff"}


def test_a_reason_is_shown_below_the_prompt(notebook: Notebook) -> None:
    """Shortened: `%mountsea show` has all of it."""
    show(entry_of("a dog", status="failed", error="no dogs " * 200))
    assert "no dogs no dogs" in Tags(notebook.html).text and len(notebook.html) < 4000


@pytest.mark.parametrize("per_row", [1, 4])
def test_200_rows_stay_below_the_limit(
    notebook: Notebook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, per_row: int, home: Path
) -> None:
    """Even of noise, with hostile prompts; more rows are counted, not shown."""
    image = stored_image(tmp_path, noise("RGB", 200, 200))
    folder = home / "thumbnails"

    def make(_: object, folder: Path, *, max_bytes: int) -> Preview:
        return cached_thumbnail(image, folder, max_bytes=max_bytes)

    monkeypatch.setattr(thumbnail_maker, "find_cached_thumbnail", make)
    entries = [
        entry_of(
            HOSTILE * 20,
            *(replace(image, sha256=f"{4 * n + k:064x}") for k in range(per_row)),
            number=n,
            error=HOSTILE * 20,
        )
        for n in range(MAX_ROWS + 5)
    ]
    show(*entries)
    tags = Tags(notebook.html)
    output = nbformat.v4.new_output("display_data", notebook.shown[0])
    assert len(json.dumps(output, indent=1, ensure_ascii=False).encode()) <= MAX_BYTES
    assert len(tags.named("img")) >= per_row * MAX_ROWS / 2 and len(tags.named("tr")) == 201
    assert "5 more are not shown here" in tags.text
    assert "5 more are not shown here" in notebook.shown[0]["text/plain"]
    assert len(list(folder.iterdir())) <= 2


def test_few_rows_have_whole_thumbnails(notebook: Notebook, tmp_path: Path) -> None:
    """The limit of 6,000 bytes is used where few images are shown."""
    image = stored_image(tmp_path, noise("RGB", 200, 200))
    show(*(entry_of("a dog", image, number=n) for n in range(20)))
    assert [image.size for image in thumbnails_in(notebook.html)] == [(96, 96)] * 20


@dataclass
class Gate:
    """Makes no thumbnail before it is opened."""

    opened: threading.Event = field(default_factory=threading.Event)
    made: int = 0

    def make(self, image: GeneratedImage, folder: Path, *, max_bytes: int) -> Preview:
        """Make a thumbnail, once the gate is open."""
        assert self.opened.wait(HANG_S)
        self.made += 1
        return cached_thumbnail(image, folder, max_bytes=max_bytes)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    """Hold the thumbnails that are not kept; the table waits only a moment."""
    gate = Gate()
    monkeypatch.setattr(thumbnail_maker, "cached_thumbnail", gate.make)
    monkeypatch.setattr(gallery, "WAIT_S", 0.05)
    monkeypatch.setattr(gallery, "UPDATE_S", 0.05)
    return gate


def test_thumbnails_that_take_long_are_filled_in(
    notebook: Notebook, gate: Gate, tmp_path: Path, home: Path
) -> None:
    """The table is shown at once with words in their place; those that are kept are there."""
    kept, *new = [plain(tmp_path, f"{n}") for n in range(5)]
    cached_thumbnail(kept, home / "thumbnails")
    show(entry_of("a dog", kept), entry_of("four", *new))
    assert len(thumbnails_in(notebook.html)) == 1 and Tags(notebook.html).text.count("loading") == 4
    gate.opened.set()
    assert len(thumbnails_in(notebook.final())) == 5 and gate.made == 4


def test_where_no_output_can_be_updated_words_stay(
    monkeypatch: pytest.MonkeyPatch, notebook: Notebook, gate: Gate, tmp_path: Path, home: Path
) -> None:
    """They say what to do: the thumbnails are made meanwhile, for the next time."""
    use(monkeypatch, updates=False)
    image = plain(tmp_path)
    show(entry_of("a dog", image))
    assert "run it again" in Tags(notebook.html).text and not notebook.can_update
    gate.opened.set()
    folder = home / "thumbnails"
    until = time.monotonic() + HANG_S
    while not (folder / image.sha256).exists() and time.monotonic() < until:
        time.sleep(0.01)
    notebook.shown.clear()
    show(entry_of("a dog", image))
    assert len(thumbnails_in(notebook.html)) == 1 and gate.made == 1


def test_an_unattended_runner_gets_all_thumbnails(
    monkeypatch: pytest.MonkeyPatch, notebook: Notebook, gate: Gate, tmp_path: Path
) -> None:
    """What is there when the cell ends is what nbclient saves."""
    use(monkeypatch, attended=False, late_outputs=False)
    opener = threading.Timer(0.3, gate.opened.set)
    opener.start()
    show(*(entry_of("a dog", plain(tmp_path, f"{n}"), number=n) for n in range(5)))
    opener.join()
    assert len(thumbnails_in(notebook.html)) == 5 and not notebook.can_update


def test_an_interrupt_stops_cleanly(
    monkeypatch: pytest.MonkeyPatch, notebook: Notebook, gate: Gate, tmp_path: Path
) -> None:
    """With a short error; nothing is shown, and the thumbnails that wait are not made."""

    def interrupt(maker: object, timeout_s: float) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(thumbnail_maker.ThumbnailMaker, "wait", interrupt)
    with pytest.raises(Interrupted, match="Stopped"):
        show(*(entry_of("a dog", plain(tmp_path, f"{n}"), number=n) for n in range(50)))
    gate.opened.set()
    for thread in threading.enumerate():
        if thread.name == "mountsea-thumbnails":
            thread.join(HANG_S)
    assert notebook.shown == [] and gate.made <= 3


def test_a_maker_that_fails_leaves_none_waiting(
    monkeypatch: pytest.MonkeyPatch, notebook: Notebook, tmp_path: Path
) -> None:
    """Whatever is raised, the table is shown."""

    def fail(*_: object, **__: object) -> Preview:
        raise RuntimeError("no memory")

    monkeypatch.setattr(thumbnail_maker, "cached_thumbnail", fail)
    show(entry_of("a dog", plain(tmp_path)))
    assert "RuntimeError" in Tags(notebook.html).text


def test_the_command_shows_the_table(
    here: Session, shell: InteractiveShell, notebook: Notebook, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the problems of the journal below it."""
    journal = here.journal(here.settings())
    journal.write(entry_of("a dog"))
    journal._report("the journal is on fire")
    shell.run_line_magic("mountsea", "history DOG")
    assert "Note: the journal is on fire." in Tags(notebook.html).text
    shell.run_line_magic("mountsea", "history cat")
    assert capsys.readouterr().out == "No submissions in the journal that match 'cat'.\n"
    assert len(notebook.shown) == 1


@pytest.mark.kernel
@pytest.mark.parametrize("attended", [True, False], ids=["JupyterLab", "nbclient"])
def test_a_kernel_shows_and_completes_the_table(
    hub: StandInHub, kernel: Kernel, attended: bool
) -> None:
    """By an update of the same output, or at once where that would be lost."""
    assert kernel.run("%%mountsea\na dog").status == "ok"
    kernel.run("from mountsea_magic.notebook import gallery\ngallery.WAIT_S = 0.0")
    run = kernel.run("%mountsea history", attended=attended)
    assert run.status == "ok" and len(run.outputs) == 1 and run.text == ""
    kernel.follow(run, lambda: "<img" in run.html(), "the thumbnail is in the table")
    updates = [each for each in run.messages if each["msg_type"] == "update_display_data"]
    assert bool(updates) is attended and len(run.outputs) == 1
    assert len(hub.posts) == 1


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        *((-60, "just now"), (59, "just now"), (60, "1 min ago"), (3599, "59 min ago")),
        *((3600, "1 h ago"), (86_399, "23 h ago"), (86_400, "1 day ago")),
        (400 * 86_400, "400 days ago"),
    ],
)
def test_the_time_since_then_is_in_one_unit(seconds: float, words: str) -> None:
    """A clock that was wrong says nothing odd."""
    assert ago(seconds) == words


@pytest.mark.kernel
def test_a_history_shows_itself_in_a_kernel(hub: StandInHub, kernel: Kernel) -> None:
    """As the command does, whichever part of it is the last line of a cell."""
    assert kernel.run("%%mountsea\na dog").status == "ok"
    run = kernel.run("import mountsea_magic as mm\nmm.history('DOG')[:1]", attended=False)
    assert len(run.outputs) == 1 and "<img" in run.html()
    assert run.outputs[0]["data"]["text/plain"].endswith("“a dog”")
