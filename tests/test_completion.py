"""TAB: what is offered on the magics' lines, in the function and through real kernels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hub_server import StandInHub, picture
from IPython.core.interactiveshell import InteractiveShell
from kernel_driver import Kernel, started_kernel

from mountsea_magic import session
from mountsea_magic.catalog import bundled_catalog
from mountsea_magic.completion import completions
from mountsea_magic.entries import Entry

IDS = list(bundled_catalog().models)
RATIOS = bundled_catalog().model("nano-banana").values("aspect_ratio")


@pytest.fixture
def shell(
    shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> InteractiveShell:
    """IPython in an empty folder, with pictures and other things among its variables."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    shell.user_ns |= {"raw_dog": picture(), "number": 7, "_hidden": picture()}
    return shell


def offered(shell: InteractiveShell, before: str, default: str = "nano-banana") -> list[str]:
    """Return what may stand at the end of a cell's first line."""
    found = completions(shell, before, 0, lambda: default)
    assert found is not None
    fragment, words = found
    assert before.endswith(fragment)
    return words


@pytest.mark.parametrize(
    ("before", "words"),
    [
        ("%%mountsea --asp", ["--aspect-ratio"]),
        ("%%mountsea --s", ["--seed", "--safety-tolerance", "--sync-mode", "--shrink", "--save"]),
        ("%%mountsea -a 1:1 --asp", []),
        ("%%mountsea --seed 7 --se", []),
        ("%%mountsea -i a.png --im", ["--image"]),
        ("%%mountsea -p a=1 --par", ["--param"]),
        ("%%mountsea -m gpt-image-2 --asp", []),
        ("%%mountsea --model=gpt-image-2 --asp", []),
        ("%%mountsea -a ", RATIOS),
        ("%%mountsea --aspect-ratio 16:", ["16:9"]),
        ("%%mountsea --aspect-ratio=16:", ["--aspect-ratio=16:9"]),
        ("%%mountsea --aspect-ratio=1", ["--aspect-ratio=16:9", "--aspect-ratio=1:1"]),
        ("%%mountsea -m nano-banana-2 --aspect-ratio 8", ["8:1"]),
        ("%%mountsea --num-images ", ["1", "2", "3", "4"]),
        ("%%mountsea --safety-tolerance ", ["1", "2", "3", "4", "5", "6"]),
        ("%%mountsea -f j", ["jpeg"]),
        ("%%mountsea -m ", IDS),
        ("%%mountsea -m gpt", ["gpt-image-2", "gpt-image-2-edit"]),
        ("%%mountsea --model=gpt-image-2-", ["--model=gpt-image-2-edit"]),
        ("%%mountsea -p ", []),
        ("%%mountsea -m nano-banana-pro -p res", ["resolution="]),
        ("%%mountsea --model=nano-banana-pro -p res", ["resolution="]),
        ("%%mountsea -m nano-banana-pro -p resolution=", [f"resolution={n}K" for n in (1, 2, 4)]),
        ("%%mountsea -m nano-banana-pro -p resolution=2", ["resolution=2K"]),
        ("%%mountsea -m nano-banana-2 -p thinking_level=h", ["thinking_level=high"]),
        (
            "%%mountsea -m nano-banana-pro -p enable_web_search=",
            ["enable_web_search=true", "enable_web_search=false"],
        ),
        (
            "%%mountsea -m gpt-image-2 -p image_size=square",
            ["image_size=square_hd", "image_size=square"],
        ),
        ("%%mountsea -m no-such-model -p ", []),
        ("%%mountsea -m nano-banana -m gpt-image-2 -p qual", ["quality="]),
        ("%%mountsea -i ", ["raw_dog"]),
        ("%%mountsea -o r", ["raw_dog"]),
        ("%%mountsea -o n", ["number"]),
        ("%%mountsea --seed ", []),
        ("%%mountsea --timeout ", []),
    ],
)
def test_what_a_cells_line_may_go_on_with(
    shell: InteractiveShell, before: str, words: list[str]
) -> None:
    """Options not given yet that the model has; after an option what the model takes there."""
    assert offered(shell, before) == words


def test_the_default_model_decides_where_none_is_named(shell: InteractiveShell) -> None:
    """Parameters are those of the model that the cell would use."""
    assert offered(shell, "%%mountsea -p qual", "gpt-image-2") == ["quality="]
    assert offered(shell, "%%mountsea -p qual", "nano-banana") == []


def test_files_and_folders_are_offered_after_image(shell: InteractiveShell) -> None:
    """Pictures and the ways to them, beside the variables; no other file, and nothing hidden."""
    for name in ("a.png", "b.JPG", "notes.txt", ".hidden.png", "sub/c.webp"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(b"")
    assert offered(shell, "%%mountsea -i ") == ["raw_dog", "a.png", "b.JPG", "sub/"]
    assert offered(shell, "%%mountsea -i sub/") == ["sub/c.webp"]
    assert offered(shell, "%%mountsea -i ./a") == ["./a.png"]
    assert offered(shell, f"%%mountsea -i {Path.cwd()}/a") == [f"{Path.cwd()}/a.png"]
    assert offered(shell, "%%mountsea -i nowhere/") == []
    assert offered(shell, "%%mountsea --save ") == ["sub/"]


@pytest.mark.parametrize(
    ("before", "words"),
    [
        ("%mountsea mo", ["models"]),
        (
            "%mountsea ",
            ["models", "demo", "login", "logout", "credits", "history", "show", "resume"],
        ),
        ("    %mountsea cre", ["credits"]),
        ("%mountsea models gpt", ["gpt-image-2", "gpt-image-2-edit"]),
        ("%mountsea models --", ["--refresh"]),
        ("%mountsea demo o", ["on", "off"]),
        ("%mountsea demo --", ["--if-no-key", "--fail"]),
        ("%mountsea demo --fail fl", ["flaky"]),
        ("%mountsea demo on --fail lost", ["lost-answer"]),
        ("%mountsea login ", ["--save"]),
        ("%mountsea nonsense ", []),
        ("%mountsea show ", []),
    ],
)
def test_what_a_command_may_go_on_with(
    shell: InteractiveShell, before: str, words: list[str]
) -> None:
    """The commands, then what each takes."""
    assert offered(shell, before) == words


def test_tasks_are_offered_open_ones_first_to_resume(shell: InteractiveShell) -> None:
    """`show` has the newest first, `resume` what is still open; an order without a task is none."""
    journal = session.CURRENT.journal(session.CURRENT.settings())
    for number, state in enumerate(("submitted", "failed", "uncertain"), start=1):
        task_id = None if state == "uncertain" else f"hub-{number}"
        journal.write(Entry(f"own-{number}", "demo:", task_id, state, created=float(number)))
    assert offered(shell, "%mountsea show hub") == ["hub-2", "hub-1"]
    assert offered(shell, "%mountsea resume ") == ["hub-1", "hub-2"]


@pytest.mark.parametrize(
    ("before", "line_number"),
    [
        ("a dog with --asp", 1),
        ("%%mountsea --asp", 1),
        ("%%mountsea", 0),
        ("%mountsea", 0),
        ("%%mountseas --asp", 0),
        ("%%time --asp", 0),
        ("print('%%mountsea --asp", 0),
        ("x = '%mountsea mo", 0),
        ("", 0),
    ],
)
def test_other_lines_are_left_alone(shell: InteractiveShell, before: str, line_number: int) -> None:
    """In a cell's body and on lines that are not ours there is nothing to say."""
    assert completions(shell, before, line_number) is None


@pytest.mark.parametrize("name", ["MOUNTSEA_BASE_URL", "MOUNTSEA_CREDITS_URL"])
def test_settings_that_make_no_sense_do_not_break_tab(
    shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The error is for the cell that is run; TAB says nothing."""
    monkeypatch.setenv(name, "not an address")
    assert offered(shell, "%%mountsea --asp") == []


# --- through kernels -------------------------------------------------------------------------


@pytest.fixture
def kernel(hub: StandInHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Kernel]:
    """A kernel in a folder with one picture, the extension loaded."""
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "photo.png").write_bytes(picture())
    monkeypatch.chdir(folder)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    with started_kernel() as started:
        assert started.run("%load_ext mountsea_magic").status == "ok"
        yield started


def tab(kernel: Kernel, code: str) -> list[str]:
    """Press TAB at the ‸ of a cell (at its end if it has none); return the lines that may come."""
    before, _, after = code.partition("‸")
    asked: Any = kernel.client.complete(before + after, len(before), reply=True, timeout=30)
    content = asked["content"]
    start, end = content["cursor_start"], content["cursor_end"]
    whole = before + after
    return [
        (whole[:start] + word + whole[end:]).split("\n")[before.count("\n")]
        for word in content["matches"]
    ]


@pytest.mark.kernel
def test_a_kernel_completes_our_lines_whole(kernel: Kernel, hub: StandInHub) -> None:
    """Each answer, put in place, is the line that is meant; nothing foreign is mixed in."""
    kernel.run("raw_dog, number = open('photo.png', 'rb').read(), 7")
    expected = {
        "%%mountsea --asp": ["%%mountsea --aspect-ratio"],
        "%%mountsea --asp‸\na dog": ["%%mountsea --aspect-ratio"],
        "%%mountsea --asp‸ -n 2\na dog": ["%%mountsea --aspect-ratio -n 2"],
        "%%mountsea --aspect-ratio 16:": ["%%mountsea --aspect-ratio 16:9"],
        "%%mountsea --aspect-ratio=16:‸\na dog": ["%%mountsea --aspect-ratio=16:9"],
        "%%mountsea --aspect-ratio=1": [f"%%mountsea --aspect-ratio={r}" for r in ("16:9", "1:1")],
        "%%mountsea -m gpt-image-2-": ["%%mountsea -m gpt-image-2-edit"],
        "%%mountsea -m nano-banana-pro -p res": ["%%mountsea -m nano-banana-pro -p resolution="],
        "%%mountsea -m nano-banana-pro -p resolution=2": [
            "%%mountsea -m nano-banana-pro -p resolution=2K"
        ],
        "%%mountsea -i ": ["%%mountsea -i raw_dog", "%%mountsea -i photo.png"],
        "%%mountsea -i ph": ["%%mountsea -i photo.png"],
        "%%mountsea -i ./ph": ["%%mountsea -i ./photo.png"],
        "%%mountsea -o raw": ["%%mountsea -o raw_dog"],
        "%mountsea his": ["%mountsea history"],
        "x = 1\n%mountsea demo --fail fl": ["%mountsea demo --fail flaky"],
        "%mountsea models gpt-image-2-": ["%mountsea models gpt-image-2-edit"],
    }
    assert {code: sorted(tab(kernel, code)) for code in expected} == {
        code: sorted(lines) for code, lines in expected.items()
    }
    kernel.run("%config MountseaMagics.model = 'gpt-image-2'")
    assert tab(kernel, "%%mountsea -p qual") == ["%%mountsea -p quality="]
    assert not hub.requests


@pytest.mark.kernel
def test_a_kernel_completes_the_tasks_of_the_journal(kernel: Kernel, hub: StandInHub) -> None:
    """An order's id is there to be shown and resumed, and asking for it reaches no Hub."""
    assert kernel.run("%%mountsea -q -o dog\na dog").status == "ok"
    seen = len(hub.requests)
    assert tab(kernel, "%mountsea show hub-") == ["%mountsea show hub-0001"]
    assert tab(kernel, "%mountsea resume hub-") == ["%mountsea resume hub-0001"]
    assert sorted(tab(kernel, "%%mountsea -m nano-banana-edit -i d")) == [
        "%%mountsea -m nano-banana-edit -i dog"
    ]
    assert len(hub.requests) == seen and len(hub.posts) == 1


@pytest.mark.kernel
def test_a_kernel_goes_on_completing_python(kernel: Kernel) -> None:
    """The cell's body and other cells are completed as if we were not there."""
    body = tab(kernel, "%%mountsea -n 2\na dog --asp")
    assert not any("--aspect-ratio" in line for line in body)
    assert not any("resume" in line for line in tab(kernel, "%%mountsea\n%mountsea resu"))
    assert "import sqlite3" in tab(kernel, "import sqli")
    kernel.run("a_long_name = 1")
    assert "a_long_name" in tab(kernel, "a_long_n")
    assert any(line == "%%mountsea" for line in tab(kernel, "%%mounts"))


@pytest.mark.kernel
def test_unloading_takes_the_matcher_out(kernel: Kernel) -> None:
    """Loading twice and reloading leave one matcher, unloading none."""
    count = "print(len(get_ipython().Completer.custom_matchers))"
    kernel.run("%load_ext mountsea_magic\n%reload_ext mountsea_magic\n%reload_ext mountsea_magic")
    assert kernel.run(count).text == "1\n"
    assert tab(kernel, "%%mountsea --asp") == ["%%mountsea --aspect-ratio"]
    kernel.run("%unload_ext mountsea_magic")
    assert kernel.run(count).text == "0\n"
    assert "%%mountsea --aspect-ratio" not in tab(kernel, "%%mountsea --asp")
    kernel.run("%load_ext mountsea_magic")
    assert tab(kernel, "%%mountsea --asp") == ["%%mountsea --aspect-ratio"]
