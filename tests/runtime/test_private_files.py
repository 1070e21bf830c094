"""Private files: made for their owner alone, never through what another user has laid there."""

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
    NotOurs,
    check_way,
    new_file,
    private_folder,
    read_plain,
)
from mountsea_magic.session import Session

pytestmark = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="Windows has no modes")

ANOTHER_USER = 54321
HUB = "https://hub.example"


@contextmanager
def umask(mask: int) -> Iterator[None]:
    """Have another umask for a while."""
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def mode(path: Path) -> int:
    """Return the rights of a file or folder."""
    return stat.S_IMODE(path.lstat().st_mode)


def modes(folder: Path) -> dict[str, int]:
    """Return the rights of all that is in a folder, and its own."""
    return {str(path.relative_to(folder)): mode(path) for path in (folder, *folder.rglob("*"))}


def give(path: Path) -> Path:
    """Let a file belong to another user."""
    if os.geteuid() != 0:
        pytest.skip("only root can give files to another user")
    os.lchown(path, ANOTHER_USER, -1)
    return path


def ends(work: Callable[[], Any]) -> Any:
    """Return what some work returns or raises, if it ends at all."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append(work())
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(20)
    assert outcome, "it hangs"
    return outcome[0]


@pytest.mark.parametrize("mask", [0, 0o022, 0o077, 0o277, 0o777], ids=oct)
def test_all_that_is_kept_is_for_its_owner_alone(
    hub: StandInHub, here: Session, home: Path, mask: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Journal, images, models, the demo's tasks and what it tells workers, whatever the umask."""
    if not mask:  # nothing is made wider first and changed then
        for name in ("chmod", "fchmod"):
            monkeypatch.setattr(os, name, None)
    with umask(mask):
        assert generate("a dog")[0].bytes == image()
        save(home / "models", LiveModels(HUB, 7.0, {}))
        TaskStore(home / "demo").add("nano-banana-edit", {}, Inputs((image(),), None, (6, 4)))
        ChildProcesses().publish(home, demo="on", base_url=None)
        # SQLite makes its own files beside the journal, which are there while it is open
        beside = JournalDatabase(home / "journal.sqlite").use(
            lambda db: (db.execute("UPDATE orders SET updated = 7"), modes(home))[1]
        )
    assert {"journal.sqlite-wal", "journal.sqlite-shm"} < set(beside)
    assert sum(name.endswith((".json", ".input", ".png")) for name in beside) == 5
    for name, found in beside.items():
        assert found == (0o700 if (home / name).is_dir() else 0o600), name


def test_folders_above_that_are_missing_are_private_too(tmp_path: Path) -> None:
    """As the XDG specification wants it; those that are there keep their mode."""
    with umask(0):
        (tmp_path / "there").mkdir()
        private_folder(tmp_path / "there" / "a" / "b", ours=True)
    assert modes(tmp_path / "there") == {".": 0o777, "a": 0o700, "a/b": 0o700}


def test_a_damaged_journal_is_set_aside_for_its_owner_alone(home: Path) -> None:
    """It may be saved by whoever can read damaged files, but by nobody else."""
    home.mkdir()
    with umask(0):
        (home / "journal.sqlite").write_bytes(b"garbage " * 1000)
        JournalDatabase(home / "journal.sqlite").use(lambda db: None)
    kept = modes(home)
    assert kept.pop(".") == 0o700
    assert len(kept) == 3 and set(kept.values()) == {0o600}


def test_what_an_older_version_made_is_narrowed(hub: StandInHub, here: Session, home: Path) -> None:
    """The folder, the journal with what a killed kernel left beside it, and the images' folder."""
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


def test_a_folder_of_the_users_keeps_its_mode(hub: StandInHub, here: Session, home: Path) -> None:
    """What else is in it may be for others; our own files in it are not."""
    for name, rights in {"project": 0o755, "tmp": 0o1777}.items():
        folder = home / name
        folder.mkdir(parents=True)
        (folder / "index.html").write_text("mine")
        folder.chmod(rights)
        JournalDatabase(folder / "journal.sqlite").use(lambda db: None)
        part_file(folder / "originals")
        assert mode(folder) == rights
        assert mode(folder / "originals") == 0o700 and mode(folder / "journal.sqlite") == 0o600


def test_copies_have_the_rights_of_the_users_other_files(
    hub: StandInHub, here: Session, tmp_path: Path
) -> None:
    """A folder that the user names is the user's own, often one that others shall see."""
    with umask(0o022):
        dog = generate("a dog")
        dog.save(tmp_path / "mine")
        dog[0].save(tmp_path / "dog.png")
    assert set(modes(tmp_path / "mine").values()) == {0o755, 0o644}
    assert mode(tmp_path / "dog.png") == 0o644


def link(folder: Path, target: Path) -> Path:
    """A link in a folder that all can write; whose it is does not matter."""
    (folder / "data").symlink_to(target)
    return folder / "data"


def link_above(folder: Path, target: Path) -> Path:
    """A link further up."""
    return link(folder, target) / "deep" / "home"


def links_way(folder: Path, target: Path) -> Path:
    """A link of ours that leads through the folder of all."""
    (target.parent / "ours").symlink_to(link(folder, target))
    return target.parent / "ours"


def folder_of_another(folder: Path, target: Path) -> Path:
    """A folder that another user has made before us."""
    (folder / "data").mkdir()
    (folder / "data").chmod(0o777)
    return give(folder / "data")


@pytest.mark.parametrize("sticky", [0, stat.S_ISVTX])
@pytest.mark.parametrize("lay", [link, link_above, links_way, folder_of_another])
def test_nothing_is_kept_where_another_user_leads_us(
    hub: StandInHub,
    here: Session,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    lay: Callable[[Path, Path], Path],
    sticky: int,
) -> None:
    """The error names the cure, and comes before anything is submitted or written."""
    shared, target = tmp_path / "shared", tmp_path / "target"
    for folder in (shared, target):
        folder.mkdir()
    shared.chmod(0o777 | sticky)
    home = lay(shared, target)
    monkeypatch.setenv("MOUNTSEA_HOME", str(home))
    with pytest.raises(ConfigurationError, match=r"MOUNTSEA_HOME is .*Set MOUNTSEA_HOME to"):
        generate("a dog")
    assert list(target.iterdir()) == [] and hub.requests == []
    with pytest.raises(NotOurs):
        part_file(home / "originals")
    with pytest.raises(JournalError, match="in a folder that others can write"):
        JournalDatabase(home / "journal.sqlite").use(lambda db: None)


@pytest.mark.parametrize("rights", [0o777, 0o1777, 0o770], ids=oct)
def test_another_users_files_in_a_home_that_others_can_write_are_not_used(
    home: Path, tmp_path: Path, rights: int
) -> None:
    """Neither a journal or models that they have begun, nor their link to a file of ours."""
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


def test_a_link_of_the_users_own_goes_on_working(
    hub: StandInHub, here: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`~/.local` may be on another disk, and so may the images be."""
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
def test_a_container_whose_folders_belong_to_another_user_works(
    hub: StandInHub, here: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, above: int
) -> None:
    """On OpenShift the user is one of the folders' group; their mode is not ours to change."""
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
    """There everything seems to be for all, and to belong to one user."""
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
    check_way(drive / "home" / "originals")
    assert [path.name for path in drive.rglob("*")] == ["home", "originals"]


def test_a_part_file_follows_no_link(tmp_path: Path) -> None:
    """Not even one that somebody has laid under its name."""
    (tmp_path / "part").symlink_to(tmp_path / "victim")
    with pytest.raises(FileExistsError):
        new_file(tmp_path / "part")
    assert not (tmp_path / "victim").exists()


def test_the_temporary_folder_of_a_full_disk_is_private(
    hub: StandInHub, here: Session, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also under an umask that leaves even its owner no right to write."""
    home.mkdir()
    (home / "originals").write_text("in the way")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with umask(0o277), pytest.warns(RuntimeWarning, match="temporary folder"):
        dog = generate("a dog")
    assert dog[0].bytes == image()
    assert set(modes(dog[0].path.parent).values()) == {0o700, 0o600}


def test_a_pipe_or_a_device_in_a_files_place_stops_nothing(home: Path) -> None:
    """A pipe would hang whoever opens it, and a device never end."""
    save(home / "models", LiveModels(HUB, 7.0, {}))
    task = TaskStore(home / "demo").add("nano-banana", {})
    (models,) = (home / "models").iterdir()
    for path in (models, home / "demo" / f"{task.task_id}.json", home / "journal.sqlite"):
        path.unlink(missing_ok=True)
        os.mkfifo(path)
    assert ends(lambda: load(home / "models", HUB)).date == 0
    assert ends(lambda: TaskStore(home / "demo").get(task.task_id)) is None
    trouble = ends(lambda: JournalDatabase(home / "journal.sqlite").use(lambda db: None))
    assert isinstance(trouble, JournalError) and "not a plain file" in str(trouble)
    assert isinstance(ends(lambda: read_plain(Path("/dev/zero"), 1000)), OSError)


def test_a_pipe_says_nothing_about_the_demo_hub(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does a file that is far larger than ours."""
    ChildProcesses().publish(home, demo="on", base_url=None)
    (path,) = (home / "demo" / "processes").iterdir()
    monkeypatch.setattr(
        "mountsea_magic.runtime.child_processes._ancestors", lambda pid: [(os.getpid(), 0.0)]
    )
    path.unlink()
    os.mkfifo(path)
    assert ends(lambda: inherited_demo(home)) is None
    path.unlink()
    with path.open("wb") as file:
        file.truncate(2**40)
    assert ends(lambda: inherited_demo(home)) is None


@pytest.mark.parametrize("kind", ["pipe", "device", "endless", "text", "sparse"])
def test_a_journal_that_names_another_file_shows_nothing_of_it(tmp_path: Path, kind: str) -> None:
    """Whoever changed the row knows the digest of a public file, too."""
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
    assert ends(changed.is_intact) is False


def test_the_demo_follows_no_journal_row_into_a_pipe(tmp_path: Path) -> None:
    """Nor do the bytes of an image that are asked for."""
    os.mkfifo(tmp_path / "pipe")
    image = GeneratedImage(tmp_path / "pipe", "png", 64, 48, "ab" * 32)
    for work in (lambda: image.bytes, lambda: image.pil, lambda: image.save(tmp_path / "copy.png")):
        assert isinstance(ends(work), OSError)
    assert asyncio.run(asyncio.to_thread(image.is_intact)) is False


def test_a_changed_row_shows_no_other_file_and_costs_nothing(
    hub: StandInHub, here: Session, home: Path, shell: InteractiveShell, tmp_path: Path
) -> None:
    """Neither does it open a pipe: the image is fetched from its task once more."""
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
