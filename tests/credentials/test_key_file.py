"""The key file: several processes, other users, and what is damaged lose and leak no key."""

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
    """Where the file is, in a folder of its own."""
    home.mkdir(mode=0o700)
    return home / "keys.json"


@pytest.fixture(autouse=True)
def no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without the extra, whatever is installed here."""
    monkeypatch.setitem(sys.modules, "keyring", None)


def mode_of(path: Path) -> int:
    """Return what the owner, the group and others may do."""
    return stat.S_IMODE(path.stat().st_mode)


def test_processes_that_log_in_at_once_lose_no_key(path: Path) -> None:
    """Each changes the file several times, and each key of each is there."""
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


def test_what_another_process_saves_meanwhile_stays(path: Path) -> None:
    """A store that has read the file long ago writes none of what it has read."""
    store = KeyStore(path)
    assert store.find(HUB) is None
    KeyStore(path).save(OTHER, Secret(OTHER_KEY))
    store.save(HUB, Secret(KEY))
    KeyStore(path).forget(HUB)
    assert {url: key.reveal() for url, key in KeyFile(path).read().items()} == {OTHER: OTHER_KEY}


@posix
@pytest.mark.parametrize("mode", [0o644, 0o660, 0o604, 0o777])
def test_a_file_that_others_can_read_is_narrowed_with_a_word(path: Path, mode: int) -> None:
    """The key is found all the same, and it is said once that others may have read it."""
    path.write_text(json.dumps({HUB: KEY}))
    path.chmod(mode)
    store = KeyStore(path)
    assert store.find(HUB) == (Secret(KEY), str(path))
    assert mode_of(path) == 0o600
    (note,) = store.notes()
    assert f"(mode {mode:04o})" in note and "get a new key" in note
    assert (store.find(HUB), store.notes()) == ((Secret(KEY), str(path)), [])


@posix
def test_a_drive_without_modes_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key is still found; that others can read it is said."""

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
def test_a_narrow_file_is_left_as_it_is(path: Path, mode: int) -> None:
    """Nothing is said of it."""
    path.write_text(json.dumps({HUB: KEY}))
    path.chmod(mode)
    store = KeyStore(path)
    assert store.find(HUB) is not None
    assert (mode_of(path), store.notes()) == (mode, [])


@posix
@pytest.mark.parametrize("folder_mode", [0o777, 0o1777, 0o770, 0o772])
def test_a_link_in_a_folder_of_others_is_not_followed(
    path: Path, tmp_path: Path, folder_mode: int
) -> None:
    """Neither read nor written through: someone else's key would pay, or a file be lost."""
    target = tmp_path / "target"
    target.write_text(json.dumps({HUB: KEY}))
    target.chmod(0o644)
    path.symlink_to(target)
    path.parent.chmod(folder_mode)
    store = KeyStore(path)
    for work in (
        lambda: store.find(HUB),
        lambda: store.save(HUB, Secret(OTHER_KEY)),
        lambda: store.forget(HUB),
    ):
        with pytest.raises(ConfigurationError, match="symbolic link in a folder that") as caught:
            work()
        assert str(path) in str(caught.value)
        assert not {KEY, OTHER_KEY} & set(all_text_of(caught.value).split("'"))
    assert (json.loads(target.read_text()), mode_of(target)) == ({HUB: KEY}, 0o644)


@posix
def test_ones_own_link_in_ones_own_folder_is_followed(path: Path, tmp_path: Path) -> None:
    """As who keeps such files under version control has it."""
    target = tmp_path / "target"
    target.write_text(json.dumps({HUB: KEY}))
    path.symlink_to(target)
    assert KeyStore(path).find(HUB) == (Secret(KEY), str(path))
    assert mode_of(target) == 0o600


@posix
def test_what_is_no_file_is_not_waited_for(path: Path) -> None:
    """A pipe would be read for ever."""
    os.mkfifo(path)
    store = KeyStore(path)
    assert store.find(HUB) is None
    assert "not a regular file" in store.notes()[0]
    with pytest.raises(ConfigurationError, match="not a regular file"):
        store.save(HUB, Secret(KEY))


@posix
def test_no_umask_widens_or_narrows_the_file(path: Path) -> None:
    """Nor does one that takes the owner's own rights."""
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
def test_a_damaged_file_is_kept_beside_the_new_one(path: Path, content: bytes) -> None:
    """Saving a key goes on, loses nothing, and says where the old file is."""
    path.write_bytes(content)
    path.chmod(0o600)
    store = KeyStore(path)
    assert store.find(HUB) is None
    assert "damaged" in store.notes()[0]
    store.forget(HUB)
    assert path.read_bytes() == content
    store.save(HUB, Secret(KEY))
    (kept,) = path.parent.glob("keys.damaged-*.json")
    assert str(kept) in store.notes()[0]
    assert (kept.read_bytes(), mode_of(kept)) == (content, 0o600)
    assert KeyStore(path).find(HUB) is not None


def test_an_entry_that_is_no_key_of_ours_stays(path: Path) -> None:
    """A newer version may have written it."""
    path.write_text(json.dumps({OTHER: {"key": OTHER_KEY, "since": 1}}))
    path.chmod(0o600)
    KeyStore(path).save(HUB, Secret(KEY))
    KeyStore(path).forget(HUB)
    assert json.loads(path.read_text()) == {OTHER: {"key": OTHER_KEY, "since": 1}}


@pytest.mark.parametrize("name", ["json.loads", "json.dump", "os.replace", "os.fsync"])
def test_an_interrupt_shows_no_key_and_loses_none(
    path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """In whatever step: the frames that hold the keys are taken from the error."""
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
def test_a_session_tells_of_a_wide_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a cell or a status line shows comes from the store of its folder."""
    path.write_text(json.dumps({HUB: KEY}))
    path.chmod(0o644)
    monkeypatch.setenv("MOUNTSEA_BASE_URL", HUB)
    session = Session()
    assert session.settings().key == Secret(KEY)
    assert "mode 0644" in session.keys().notes()[0]
