"""TAB completion on the magics' lines."""

from __future__ import annotations

from pathlib import Path

import pytest
from hub_server import image
from IPython.core.interactiveshell import InteractiveShell

from mountsea_magic import session
from mountsea_magic.journal.entry import Entry
from mountsea_magic.notebook.completions import completions
from mountsea_magic.request.catalog import bundled_catalog

IDS = list(bundled_catalog().models)
RATIOS = bundled_catalog().model("nano-banana").values("aspect_ratio")


@pytest.fixture
def shell(
    shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> InteractiveShell:
    """Start IPython in an empty folder, with an image and other variables."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    shell.user_ns |= {"raw_dog": image(), "number": 7, "_hidden": image()}
    shell.user_ns |= {"seeds": range(3), "catalogue": [{"seed": 1}]}
    return shell


def offered(shell: InteractiveShell, before: str, default: str = "nano-banana") -> list[str]:
    """Return the completions at the end of a cell's first line."""
    found = completions(shell, before, 0, lambda: default)
    assert found is not None
    fragment, matches = found
    assert before.endswith(fragment)
    return matches


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
        ("%%mountsea --idem", ["--idempotency-key"]),
        ("%%mountsea --yes --y", []),
        ("%%mountsea --grid seed=1..3 --gr", ["--grid"]),
        ("%%mountsea --grid as", ["aspect_ratio="]),
        ("%%mountsea -g mod", ["model="]),
        ("%%mountsea -g im", []),
        ("%%mountsea -m nano-banana-edit -g image", ["image_urls=", "image="]),
        ("%%mountsea --grid=se", ["--grid=seed="]),
        ("%%mountsea --grid aspect_ratio=16:9,3:", [f"aspect_ratio=16:9,3:{n}" for n in (2, 4)]),
        ("%%mountsea --grid=output_format=p", ["--grid=output_format=png"]),
        ("%%mountsea --grid num_images=1,", [f"num_images=1,{n}" for n in range(1, 5)]),
        (
            "%%mountsea --grid model=gpt-image-2,gpt",
            [f"model=gpt-image-2,{name}" for name in ("gpt-image-2", "gpt-image-2-edit")],
        ),
        ("%%mountsea --grid seed=@", ["seed=@seeds", "seed=@catalogue"]),
        ("%%mountsea --grid seed=1,@s", ["seed=1,@seeds"]),
        ("%%mountsea -m nano-banana-edit --grid image=a.png,", ["image=a.png,raw_dog"]),
        ("%%mountsea --grid colour=", []),
        ("%%mountsea -m no-such-model --grid ", ["model="]),
        ("%%mountsea --table ", ["catalogue"]),
    ],
)
def test_completions_of_a_cell_line(shell: InteractiveShell, before: str, words: list[str]) -> None:
    """Options of the model that are not used yet; after an option its values."""
    assert offered(shell, before) == words


def test_names_of_the_prompts_are_offered_as_axes(shell: InteractiveShell) -> None:
    """Those that `{{ }}` use; none while an expression is incomplete."""
    for body, names in [
        ("a {{ animal }} at {{ time }}\n---\na {{ animal.name }}", ["animal=", "time="]),
        ("a {{ animal }} at {{ ti", []),
        ("", []),
    ]:
        found = completions(shell, "%%mountsea --grid ", 0, lambda: "gpt-image-2", body)
        assert found is not None
        assert [name for name in found[1] if name in ("animal=", "time=")] == names


def test_the_default_model_is_used_without_an_option(shell: InteractiveShell) -> None:
    """Its parameters are offered."""
    assert offered(shell, "%%mountsea -p qual", "gpt-image-2") == ["quality="]
    assert offered(shell, "%%mountsea -p qual", "nano-banana") == []


def test_files_and_folders_are_offered_after_image(shell: InteractiveShell) -> None:
    """Image files and folders, next to variables; no other and no hidden files."""
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
            [
                *("models", "demo", "login", "logout", "credits", "history", "show"),
                *("resume", "budget", "form"),
            ],
        ),
        ("    %mountsea cre", ["credits"]),
        ("%mountsea models gpt", ["gpt-image-2", "gpt-image-2-edit"]),
        ("%mountsea models --", ["--refresh"]),
        ("%mountsea demo o", ["on", "off"]),
        ("%mountsea demo --", ["--if-no-key", "--fail"]),
        ("%mountsea demo --fail fl", ["flaky"]),
        ("%mountsea demo on --fail lost", ["lost-answer"]),
        ("%mountsea login ", ["--save"]),
        ("%mountsea budget ", ["off"]),
        ("%mountsea form ", ["-m", "--model"]),
        ("%mountsea form -m gpt-image-2-", ["gpt-image-2-edit"]),
        ("%mountsea nonsense ", []),
        ("%mountsea show ", []),
    ],
)
def test_completions_of_a_command_line(
    shell: InteractiveShell, before: str, words: list[str]
) -> None:
    """The commands, then their arguments."""
    assert offered(shell, before) == words


def test_resume_offers_open_tasks_first(shell: InteractiveShell) -> None:
    """`show` offers the latest first; a submission without a task id is not offered."""
    journal = session.current_session().journal(session.current_session().settings())
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
def test_other_lines_have_no_completions(
    shell: InteractiveShell, before: str, line_number: int
) -> None:
    """The cell's body and lines of other magics or code."""
    assert completions(shell, before, line_number) is None


@pytest.mark.parametrize("name", ["MOUNTSEA_BASE_URL", "MOUNTSEA_CREDITS_URL"])
def test_invalid_settings_do_not_break_completion(
    shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """They raise when a cell runs; TAB offers nothing."""
    monkeypatch.setenv(name, "not a URL")
    assert offered(shell, "%%mountsea --asp") == []
