"""The key file: no key is lost or exposed by concurrent processes, other users or damage."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hub_server import KEY, OTHER_KEY, all_text_of

from mountsea_magic.credentials.key_file import MAX_BYTES, KeyFile
from mountsea_magic.credentials.key_store import KeyStore
from mountsea_magic.errors import ConfigurationError
from mountsea_magic.session import Session
from mountsea_magic.settings.secret import Secret

HUB, OTHER = "https://hub.example", "https://other.example"
SAVE = """
import os, sys
from pathlib import Path
from mountsea_magic.credentials.key_file import KeyFile
from mountsea_magic.settings.secret import Secret
file = KeyFile(Path(sys.argv[1]))
sys.stdin.readline()
for number in range(5):
    hub = f"https://hub-{sys.argv[2]}-{number}.example"
    assert file.change(hub, Secret("sk-0123456789abcdef")) is None
"""
posix = pytest.mark.skipif(os.name != "posix", reason="Windows has no file modes")


@pytest.fixture
def path(home: Path) -> Path:
    """The key file's path, in a new folder."""
    home.mkdir(mode=0o700)
    return home / "keys.json"


@pytest.fixture(autouse=True)
def no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `import keyring` fail, even if it is installed."""
    monkeypatch.setitem(sys.modules, "keyring", None)


def mode_of(path: Path) -> int:
    """Return the permissions of a file."""
    return stat.S_IMODE(path.stat().st_mode)


def test_processes_that_save_keys_at_once_lose_none(path: Path) -> None:
    """Each process saves several keys, and all of them are in the file."""
    quick = f"import sys; sys.path[:0] = {sys.path!r}\n{SAVE}"
    writers = [
        subprocess.Popen(
            [sys.executable, "-S", "-c", quick, str(path), str(number)],
            stdin=subprocess.PIPE,
        )
        for number in range(4)
    ]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write(b"\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate()
    assert [writer.returncode for writer in writers] == [0] * 4
    assert len(KeyFile(path).read()) == 20
    assert os.listdir(path.parent) == ["keys.json"]


def test_keys_that_another_process_has_saved_stay(path: Path) -> None:
    """A store reads the file again before it writes."""
    store = KeyStore(path)
    assert store.find(HUB) is None
    KeyStore(path).save(OTHER, Secret(OTHER_KEY))
    store.save(HUB, Secret(KEY))
    KeyStore(path).delete(HUB)
    assert {url: key.reveal() for url, key in KeyFile(path).read().items()} == {OTHER: OTHER_KEY}


@posix
@pytest.mark.parametrize("mode", [0o644, 0o660, 0o604, 0o777])
def test_a_file_that_others_can_read_is_restricted_with_a_notice(path: Path, mode: int) -> None:
    """The key is used; the notice that others may have read it is shown once."""
    path.write_text(json.dumps({HUB: KEY}))
    path.chmod(mode)
    store = KeyStore(path)
    assert store.find(HUB) == (Secret(KEY), str(path))
    assert mode_of(path) == 0o600
    (note,) = store.notes()
    assert f"(mode {mode:04o})" in note and "get a new key" in note
    assert (store.find(HUB), store.notes()) == ((Secret(KEY), str(path)), [])


@posix
def test_on_a_drive_without_modes_there_is_a_notice(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key is used; the notice says that others can read it."""

    def refuse(*_: object) -> None:
        raise PermissionError

    path.write_text(json.dumps({HUB: KEY}))
    path.chmod(0o644)
    monkeypatch.setattr(os, "fchmod", refuse)
    store = KeyStore(path)
    assert store.find(HUB) is not None
    assert "can't be changed" in store.notes()[0]


@posix
@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_private_file_is_not_changed(path: Path, mode: int) -> None:
    """There is no notice."""
    path.write_text(json.dumps({HUB: KEY}))
    path.chmod(mode)
    store = KeyStore(path)
    assert store.find(HUB) is not None
    assert (mode_of(path), store.notes()) == (mode, [])


@posix
@pytest.mark.parametrize("folder_mode", [0o777, 0o1777, 0o770, 0o772])
def test_a_link_in_a_folder_that_others_can_write_to_is_not_followed(
    path: Path, tmp_path: Path, folder_mode: int
) -> None:
    """Its target is neither read nor written."""
    target = tmp_path / "target"
    target.write_text(json.dumps({HUB: KEY}))
    target.chmod(0o644)
    path.symlink_to(target)
    path.parent.chmod(folder_mode)
    store = KeyStore(path)
    for work in (
        lambda: store.find(HUB),
        lambda: store.save(HUB, Secret(OTHER_KEY)),
        lambda: store.delete(HUB),
    ):
        with pytest.raises(ConfigurationError, match="symbolic link in a folder that") as caught:
            work()
        assert str(path) in str(caught.value)
        assert not {KEY, OTHER_KEY} & set(all_text_of(caught.value).split("'"))
    assert (json.loads(target.read_text()), mode_of(target)) == ({HUB: KEY}, 0o644)


@posix
def test_the_users_link_in_a_private_folder_is_followed(path: Path, tmp_path: Path) -> None:
    """Users who manage their dotfiles by links have one."""
    target = tmp_path / "target"
    target.write_text(json.dumps({HUB: KEY}))
    path.symlink_to(target)
    assert KeyStore(path).find(HUB) == (Secret(KEY), str(path))
    assert mode_of(target) == 0o600


@posix
def test_a_pipe_in_place_of_the_file_does_not_block(path: Path) -> None:
    """There is a notice, and saving a key fails."""
    os.mkfifo(path)
    store = KeyStore(path)
    assert store.find(HUB) is None
    assert "not a regular file" in store.notes()[0]
    with pytest.raises(ConfigurationError, match="not a regular file"):
        store.save(HUB, Secret(KEY))


def test_a_folder_in_place_of_the_file_is_reported_as_one(path: Path) -> None:
    """There is a notice, saving a key fails, and the folder stays."""
    path.mkdir()
    store = KeyStore(path)
    assert store.find(HUB) is None
    assert store.notes() == [f"Could not read the key file {path}: Is a directory."]
    with pytest.raises(ConfigurationError, match="Is a directory"):
        store.save(HUB, Secret(KEY))
    assert os.listdir(path.parent) == ["keys.json"] and path.is_dir()


@posix
def test_the_umask_does_not_change_the_files_mode(path: Path) -> None:
    """Not even one that removes the owner's permissions."""
    old = os.umask(0o277)
    try:
        KeyStore(path).save(HUB, Secret(KEY))
    finally:
        os.umask(old)
    assert mode_of(path) == 0o600
    assert KeyStore(path).find(HUB) is not None


@pytest.mark.parametrize(
    "content", [b"{", b"[]", b"\xff\xfe\x00", b"[" * 50_000, b'{"a": "' + b"x" * MAX_BYTES + b'"}']
)
def test_a_damaged_file_is_renamed_when_a_key_is_saved(path: Path, content: bytes) -> None:
    """Its content is unchanged, and a notice says where it is."""
    path.write_bytes(content)
    path.chmod(0o600)
    store = KeyStore(path)
    assert store.find(HUB) is None
    assert "damaged" in store.notes()[0]
    store.delete(HUB)
    assert path.read_bytes() == content
    store.save(HUB, Secret(KEY))
    (aside,) = path.parent.glob("keys.damaged-*.json")
    assert str(aside) in store.notes()[0]
    assert (aside.read_bytes(), mode_of(aside)) == (content, 0o600)
    assert KeyStore(path).find(HUB) is not None


def test_an_unknown_entry_stays(path: Path) -> None:
    """A newer version may have written it."""
    path.write_text(json.dumps({OTHER: {"key": OTHER_KEY, "since": 1}}))
    path.chmod(0o600)
    KeyStore(path).save(HUB, Secret(KEY))
    KeyStore(path).delete(HUB)
    assert json.loads(path.read_text()) == {OTHER: {"key": OTHER_KEY, "since": 1}}


@pytest.mark.parametrize("name", ["json.loads", "json.dumps", "os.replace", "os.fsync"])
def test_an_interrupt_exposes_and_loses_no_key(
    path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """In any step: the frames with the keys are dropped from the traceback."""
    KeyStore(path).save(OTHER, Secret(OTHER_KEY))

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(name, interrupt)
    with pytest.raises(KeyboardInterrupt) as caught:
        KeyStore(path).save(HUB, Secret(KEY))
    shown = all_text_of(caught.value)
    monkeypatch.undo()
    assert KEY not in shown and OTHER_KEY not in shown
    assert os.listdir(path.parent) == ["keys.json"]
    assert {url: key.reveal() for url, key in KeyFile(path).read().items()} == {OTHER: OTHER_KEY}


@posix
def test_a_session_has_the_notices_of_its_key_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cells and the status line show them."""
    path.write_text(json.dumps({HUB: KEY}))
    path.chmod(0o644)
    monkeypatch.setenv("MOUNTSEA_BASE_URL", HUB)
    session = Session()
    assert session.settings().key == Secret(KEY)
    assert "mode 0644" in session.keys().notes()[0]
