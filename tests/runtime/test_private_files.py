"""Private files: accessible to their owner only, and never on a path another user controls."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import sqlite3
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from hang import HANG_S
from hub_server import StandInHub, image
from IPython.core.interactiveshell import InteractiveShell

from mountsea_magic import generate
from mountsea_magic.demo.server.inputs import Inputs
from mountsea_magic.demo.server.tasks import TaskStore
from mountsea_magic.errors import ConfigurationError
from mountsea_magic.hub.model_cache import LiveModels, load, save
from mountsea_magic.images.files import GeneratedImage, part_file
from mountsea_magic.journal.database import JournalDatabase, JournalError
from mountsea_magic.runtime import private_files
from mountsea_magic.runtime.child_processes import ChildProcesses, inherited_demo
from mountsea_magic.runtime.private_files import (
    UntrustedPathError,
    check_path,
    new_file,
    private_file,
    private_folder,
    read_regular,
)
from mountsea_magic.session import Session

pytestmark = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="Windows has no modes")

ANOTHER_USER = 54321
HUB = "https://hub.example"


@contextmanager
def umask(mask: int) -> Iterator[None]:
    """Set the umask within a block."""
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def mode(path: Path) -> int:
    """Return the permissions of a file or folder."""
    return stat.S_IMODE(path.lstat().st_mode)


def modes(folder: Path) -> dict[str, int]:
    """Return the permissions of a folder and of everything in it."""
    return {str(path.relative_to(folder)): mode(path) for path in (folder, *folder.rglob("*"))}


def give(path: Path) -> Path:
    """Change the owner of a file to another user."""
    if os.geteuid() != 0:
        pytest.skip("only root can give files to another user")
    os.lchown(path, ANOTHER_USER, -1)
    return path


def outcome_of(work: Callable[[], Any]) -> Any:
    """Return what a function returns or raises; fail if it hangs."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append(work())
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(HANG_S)
    assert outcome, "it hangs"
    return outcome[0]


@pytest.mark.parametrize("mask", [0, 0o022, 0o077, 0o277, 0o777], ids=oct)
def test_all_files_are_private(
    hub: StandInHub, here: Session, home: Path, mask: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Journal, images, models, demo tasks and the demo choice for workers, whatever the umask."""
    if not mask:  # files are created with their mode, not changed to it
        for name in ("chmod", "fchmod"):
            monkeypatch.setattr(os, name, None)
    with umask(mask):
        assert generate("a dog")[0].bytes == image()
        save(home / "models", LiveModels(HUB, 7.0, {}))
        TaskStore(home / "demo").add("nano-banana-edit", {}, Inputs((image(),), None, (6, 4)))
        ChildProcesses().publish(home, demo="on", base_url=None)
        # while the journal is open, SQLite has files of its own next to it
        found_modes = JournalDatabase(home / "journal.sqlite").use(
            lambda db: (db.execute("UPDATE orders SET updated = 7"), modes(home))[1]
        )
    assert {"journal.sqlite-wal", "journal.sqlite-shm"} < set(found_modes)
    assert sum(name.endswith((".json", ".input", ".png")) for name in found_modes) == 5
    for name, found in found_modes.items():
        assert found == (0o700 if (home / name).is_dir() else 0o600), name


def test_missing_parent_folders_are_private_too(tmp_path: Path) -> None:
    """As the XDG specification requires; existing ones keep their mode."""
    with umask(0):
        (tmp_path / "there").mkdir()
        private_folder(tmp_path / "there" / "a" / "b", ours=True)
    assert modes(tmp_path / "there") == {".": 0o777, "a": 0o700, "a/b": 0o700}


def test_a_damaged_journal_is_set_aside_as_a_private_file(home: Path) -> None:
    """So is the new journal."""
    home.mkdir()
    with umask(0):
        (home / "journal.sqlite").write_bytes(b"garbage " * 1000)
        JournalDatabase(home / "journal.sqlite").use(lambda db: None)
    found = modes(home)
    assert found.pop(".") == 0o700
    assert len(found) == 3 and set(found.values()) == {0o600}


def test_files_of_older_versions_are_restricted(hub: StandInHub, here: Session, home: Path) -> None:
    """The data folder, the journal, SQLite files of a killed kernel, and the originals' folder."""
    generate("a dog")
    (home / "journal.sqlite-journal").touch()
    for path in (home, home / "originals"):
        path.chmod(0o775)
    for name in ("journal.sqlite", "journal.sqlite-journal"):
        (home / name).chmod(0o666)
    generate("a dog")
    found = modes(home)
    assert found["."] == found["originals"] == 0o700
    assert {mode for name, mode in found.items() if name.startswith("journal.")} == {0o600}


def test_a_folder_with_files_of_the_user_keeps_its_mode(
    hub: StandInHub, here: Session, home: Path
) -> None:
    """Others may need those files; our own files in it are private."""
    for name, rights in {"project": 0o755, "tmp": 0o1777}.items():
        folder = home / name
        folder.mkdir(parents=True)
        (folder / "index.html").write_text("mine")
        folder.chmod(rights)
        JournalDatabase(folder / "journal.sqlite").use(lambda db: None)
        part_file(folder / "originals")
        assert mode(folder) == rights
        assert mode(folder / "originals") == 0o700 and mode(folder / "journal.sqlite") == 0o600


def test_copies_have_the_default_permissions(
    hub: StandInHub, here: Session, tmp_path: Path
) -> None:
    """The user may save images to a folder that is shared with others."""
    with umask(0o022):
        dog = generate("a dog")
        dog.save(tmp_path / "mine")
        dog[0].save(tmp_path / "dog.png")
    assert set(modes(tmp_path / "mine").values()) == {0o755, 0o644}
    assert mode(tmp_path / "dog.png") == 0o644


def link(folder: Path, target: Path) -> Path:
    """A link in a world-writable folder, whoever owns it."""
    (folder / "data").symlink_to(target)
    return folder / "data"


def link_above(folder: Path, target: Path) -> Path:
    """A link as a parent of the path."""
    return link(folder, target) / "deep" / "home"


def link_through(folder: Path, target: Path) -> Path:
    """Our own link, whose target is a path through the world-writable folder."""
    (target.parent / "ours").symlink_to(link(folder, target))
    return target.parent / "ours"


def folder_of_another(folder: Path, target: Path) -> Path:
    """A folder that another user has created first."""
    (folder / "data").mkdir()
    (folder / "data").chmod(0o777)
    return give(folder / "data")


@pytest.mark.parametrize("sticky", [0, stat.S_ISVTX])
@pytest.mark.parametrize("attack", [link, link_above, link_through, folder_of_another])
def test_a_path_that_another_user_controls_is_rejected(
    hub: StandInHub,
    here: Session,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    attack: Callable[[Path, Path], Path],
    sticky: int,
) -> None:
    """The error says what to do, and is raised before anything is submitted or written."""
    shared, target = tmp_path / "shared", tmp_path / "target"
    for folder in (shared, target):
        folder.mkdir()
    shared.chmod(0o777 | sticky)
    home = attack(shared, target)
    monkeypatch.setenv("MOUNTSEA_HOME", str(home))
    with pytest.raises(ConfigurationError, match=r"MOUNTSEA_HOME is .*Set MOUNTSEA_HOME to"):
        generate("a dog")
    assert list(target.iterdir()) == [] and hub.requests == []
    with pytest.raises(UntrustedPathError):
        part_file(home / "originals")
    with pytest.raises(JournalError, match="in a folder that others can write"):
        JournalDatabase(home / "journal.sqlite").use(lambda db: None)


@pytest.mark.parametrize("rights", [0o777, 0o1777, 0o770], ids=oct)
def test_another_users_files_in_a_shared_home_are_not_used(
    home: Path, tmp_path: Path, rights: int
) -> None:
    """Neither a journal nor models that they created, nor their link to a file of ours."""
    victim, journal = tmp_path / "victim", home / "journal.sqlite"
    home.mkdir()
    victim.touch()
    home.chmod(rights)
    journal.symlink_to(victim)
    give(journal)
    with pytest.raises(JournalError, match="a link in a folder that others can write"):
        JournalDatabase(journal).use(lambda db: None)
    assert victim.read_bytes() == b"" and mode(home) == rights
    if rights & 0o002:
        journal.unlink()
        journal.touch()
        give(journal)
        with pytest.raises(JournalError, match=f"another user .{ANOTHER_USER}. in a folder"):
            JournalDatabase(journal).use(lambda db: None)
        save(home, LiveModels(HUB, 7.0, {}))
        give(next(home.glob("models-*")))
        assert load(home, HUB).date == 0.0


def test_the_users_own_links_are_followed(
    hub: StandInHub, here: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`~/.local` may link to another disk, and so may the originals' folder."""
    (tmp_path / "disk" / "images").mkdir(parents=True)
    (tmp_path / ".local").symlink_to("disk")
    (tmp_path / "disk" / "home").mkdir()
    (tmp_path / "disk" / "home" / "originals").symlink_to(tmp_path / "disk" / "images")
    tmp_path.chmod(0o775)
    monkeypatch.setenv("MOUNTSEA_HOME", str(tmp_path / ".local" / "home"))
    assert generate("a dog", seed=7)[0].path.resolve().parent == tmp_path / "disk" / "images"
    assert generate("a dog", seed=7).from_journal
    assert mode(tmp_path / "disk" / "images") == mode(tmp_path / "disk" / "home") == 0o700


@pytest.mark.parametrize("above", [0o775, 0o755])
def test_group_writable_folders_of_a_container_work(
    hub: StandInHub, here: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, above: int
) -> None:
    """On OpenShift the folders belong to another user of the same group; their mode stays."""
    folder = tmp_path / "home" / "share"
    folder.mkdir(parents=True)
    for path, rights in ((folder, 0o775), (folder.parent, above)):
        give(path).chmod(rights)
    monkeypatch.setenv("MOUNTSEA_HOME", str(folder))
    assert generate("a dog", seed=7)[0].path.parent == folder / "originals"
    assert generate("a dog", seed=7).from_journal
    assert (mode(folder), mode(folder / "originals")) == (0o775, 0o700)


def test_a_file_system_without_modes_or_owners_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There all files appear to be accessible to everyone and to belong to one user."""
    drive = tmp_path / "drive"
    drive.mkdir()
    drive.chmod(0o777)
    (drive / "home").mkdir()
    give(drive / "home").chmod(0o777)

    def refuse(*_: object) -> None:
        raise PermissionError("no modes here")

    def new(path: Path) -> Any:
        file = path.open("xb")
        os.lchown(path, ANOTHER_USER, -1)
        return file

    monkeypatch.setattr(private_files, "new_file", new)
    monkeypatch.setattr(os, "fchmod", refuse)
    private_folder(drive / "home" / "originals", ours=True)
    (drive / "home" / "originals").chmod(0o777)
    private_folder(drive / "home" / "originals", ours=True)
    check_path(drive / "home" / "originals")
    assert [path.name for path in drive.rglob("*")] == ["home", "originals"]


@pytest.mark.parametrize(
    ("error", "content"), [(PermissionError("no links"), b""), (FileExistsError(), b"theirs")]
)
def test_a_private_file_is_created_on_a_drive_without_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, content: bytes
) -> None:
    """Or by another kernel in the meantime, whose content stays; no partial file is left."""

    def link(source: Path, target: Path) -> None:
        if content:
            target.write_bytes(content)
            target.chmod(0o600)
        raise error

    monkeypatch.setattr(os, "link", link)
    path = tmp_path / "journal.sqlite"
    private_file(path)
    assert (mode(path), path.read_bytes()) == (0o600, content)
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_file_does_not_follow_a_link(tmp_path: Path) -> None:
    """The link's target is not created."""
    (tmp_path / "part").symlink_to(tmp_path / "victim")
    with pytest.raises(FileExistsError):
        new_file(tmp_path / "part")
    assert not (tmp_path / "victim").exists()


def test_the_temporary_folder_for_images_is_private(
    hub: StandInHub, here: Session, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is used if the originals' folder can't be; also with a umask without write permission."""
    home.mkdir()
    (home / "originals").write_text("in the way")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with umask(0o277), pytest.warns(RuntimeWarning, match="temporary folder"):
        dog = generate("a dog")
    assert dog[0].bytes == image()
    assert set(modes(dog[0].path.parent).values()) == {0o700, 0o600}


def test_a_pipe_or_device_in_place_of_a_file_does_not_block(home: Path) -> None:
    """Opening a pipe would hang, and reading a device may never end."""
    save(home / "models", LiveModels(HUB, 7.0, {}))
    task = TaskStore(home / "demo").add("nano-banana", {})
    (models,) = (home / "models").iterdir()
    for path in (models, home / "demo" / f"{task.task_id}.json", home / "journal.sqlite"):
        path.unlink(missing_ok=True)
        os.mkfifo(path)
    assert outcome_of(lambda: load(home / "models", HUB)).date == 0
    assert outcome_of(lambda: TaskStore(home / "demo").get(task.task_id)) is None
    error = outcome_of(lambda: JournalDatabase(home / "journal.sqlite").use(lambda db: None))
    assert isinstance(error, JournalError) and "not a regular file" in str(error)
    assert isinstance(outcome_of(lambda: read_regular(Path("/dev/zero"), 1000)), OSError)


def test_a_pipe_in_place_of_a_demo_choice_is_ignored(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So is a file that is far too large."""
    ChildProcesses().publish(home, demo="on", base_url=None)
    (path,) = (home / "demo" / "processes").iterdir()
    monkeypatch.setattr(
        "mountsea_magic.runtime.child_processes._ancestors", lambda pid: [(os.getpid(), 0.0)]
    )
    path.unlink()
    os.mkfifo(path)
    assert outcome_of(lambda: inherited_demo(home)) is None
    path.unlink()
    with path.open("wb") as file:
        file.truncate(2**40)
    assert outcome_of(lambda: inherited_demo(home)) is None


@pytest.mark.parametrize("kind", ["pipe", "device", "endless", "text", "sparse"])
def test_a_journal_row_with_another_path_does_not_show_that_file(tmp_path: Path, kind: str) -> None:
    """Not even with the right digest, which an attacker knows for a public file."""
    path, content = tmp_path / "file", b"root:x:0:0:root:/root:/bin/bash\n"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "sparse":
        with path.open("wb") as file:
            file.truncate(2**40)
    else:
        path.write_bytes(content)
    path = {"device": Path("/dev/tty"), "endless": Path("/dev/zero")}.get(kind, path)
    changed = GeneratedImage(path, "png", 64, 48, hashlib.sha256(content).hexdigest())
    assert outcome_of(changed.is_intact) is False


def test_reading_an_image_whose_path_is_a_pipe_does_not_block(tmp_path: Path) -> None:
    """Reading and saving it raise OSError; it is not intact."""
    os.mkfifo(tmp_path / "pipe")
    image = GeneratedImage(tmp_path / "pipe", "png", 64, 48, "ab" * 32)
    for work in (lambda: image.bytes, lambda: image.pil, lambda: image.save(tmp_path / "copy.png")):
        assert isinstance(outcome_of(work), OSError)
    assert asyncio.run(asyncio.to_thread(image.is_intact)) is False


def test_an_image_with_a_changed_path_is_downloaded_again(
    hub: StandInHub, here: Session, home: Path, shell: InteractiveShell, tmp_path: Path
) -> None:
    """The other file is not shown, a pipe does not block, and nothing is submitted."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"root:x:0:0:root:/root:/bin/bash\n")
    os.mkfifo(tmp_path / "pipe")
    dog = generate("a dog", seed=7)
    digest = hashlib.sha256(secret.read_bytes()).hexdigest()
    other: dict[str, Any] = {"path": str(secret), "format": "png", "width": 6, "height": 4}
    changes = (other, other | {"format": "svg+xml"}, other | {"path": str(tmp_path / "pipe")})
    for changed in changes:
        with closing(sqlite3.connect(home / "journal.sqlite", isolation_level=None)) as db:
            files = json.dumps([changed | {"sha256": digest}])
            db.execute("UPDATE orders SET files = ?", [files])
        printed = io.StringIO()
        with redirect_stdout(printed):
            shell.run_line_magic("mountsea", f"show {dog.task_id}")
        assert "root:x" not in printed.getvalue() and "resume" in printed.getvalue()
        again = generate("a dog", seed=7)
        assert again[0].bytes == image() and again[0].is_intact()
    assert len(hub.posts) == 1
