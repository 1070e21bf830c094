"""Stored keys: one for each Hub, in the system keyring or in a private file."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Mapping
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from hub_server import KEY, OTHER_KEY, all_text_of

from mountsea_magic.credentials.key_store import SERVICE, KeyStore
from mountsea_magic.errors import ConfigurationError
from mountsea_magic.session import Session
from mountsea_magic.settings import Secret

HUB, OTHER = "https://hub.example", "https://other.example"


class KeyringError(Exception):
    """As in the real package, where it is the base class of all errors."""


class FakeKeyring(ModuleType):
    """A stand-in for `keyring`, with configurable failures.

    Attributes:
        stored: The passwords, by service and name.
        is_recommended: Whether there is a usable backend.
        broken: The errors that functions raise, by name.
    """

    def __init__(self) -> None:
        super().__init__("keyring")
        self.__spec__ = ModuleSpec("keyring", None)
        self.stored: dict[tuple[str, str], str] = {}
        self.is_recommended = True
        self.broken: Mapping[str, BaseException] = {}
        self.core = SimpleNamespace(recommended=lambda backend: self.is_recommended)
        self.errors = SimpleNamespace(KeyringError=KeyringError)

    def _fail(self, call: str) -> None:
        if call in self.broken:
            raise self.broken[call]

    def get_keyring(self) -> object:
        """Return the backend."""
        self._fail("get_keyring")
        return self

    def get_password(self, service: str, name: str) -> str | None:
        """Return a password."""
        self._fail("get_password")
        return self.stored.get((service, name))

    def set_password(self, service: str, name: str, password: str) -> None:
        """Store a password."""
        self._fail("set_password")
        self.stored[service, name] = password

    def delete_password(self, service: str, name: str) -> None:
        """Delete a password; as the real package, raise if there is none."""
        self._fail("delete_password")
        if self.stored.pop((service, name), None) is None:
            raise KeyringError("no such password")


@pytest.fixture
def path(home: Path) -> Path:
    """The key file's path."""
    return home / "keys.json"


@pytest.fixture
def no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `import keyring` fail, even if it is installed."""
    monkeypatch.setitem(sys.modules, "keyring", None)


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> FakeKeyring:
    """Install a fake keyring."""
    fake = FakeKeyring()
    for name, module in {
        "keyring": fake,
        "keyring.core": fake.core,
        "keyring.errors": fake.errors,
    }.items():
        monkeypatch.setitem(sys.modules, name, module)
    return fake


def found(path: Path, hub: str = HUB) -> tuple[str, str] | None:
    """Return the key that another process finds, and where it is stored."""
    entry = KeyStore(path).find(hub)
    return (entry[0].reveal(), entry[1]) if entry is not None else None


@pytest.mark.usefixtures("no_keyring")
def test_without_a_keyring_a_key_is_stored_in_a_file(path: Path) -> None:
    """Its folder is created; another process finds the key there."""
    assert found(path) is None
    assert not path.parent.exists()
    assert KeyStore(path).save(HUB, Secret(KEY)) == str(path)
    assert found(path) == (KEY, str(path))


@pytest.mark.usefixtures("no_keyring")
def test_each_hub_has_its_own_key(path: Path) -> None:
    """A key is never found for another Hub, and deleting one does not affect the others."""
    store = KeyStore(path)
    store.save(HUB, Secret(KEY))
    assert found(path, OTHER) is None
    store.save(OTHER, Secret(OTHER_KEY))
    assert (found(path), found(path, OTHER)) == ((KEY, str(path)), (OTHER_KEY, str(path)))
    store.delete(HUB)
    assert (found(path), found(path, OTHER)) == (None, (OTHER_KEY, str(path)))
    assert KEY not in path.read_text()


@pytest.mark.usefixtures("no_keyring")
def test_deleting_the_last_key_deletes_the_file(path: Path) -> None:
    """Deleting a key that does not exist is not an error."""
    store = KeyStore(path)
    store.save(HUB, Secret(KEY))
    store.delete(HUB)
    store.delete(HUB)
    store.delete(OTHER)
    assert store.find(HUB) is None
    assert list(path.parent.iterdir()) == []


@pytest.mark.usefixtures("no_keyring")
def test_saving_replaces_the_key(path: Path) -> None:
    """No file in the folder contains the first key."""
    store = KeyStore(path)
    store.save(HUB, Secret(KEY))
    store.save(HUB, Secret(OTHER_KEY))
    assert found(path) == (OTHER_KEY, str(path))
    assert [file.read_text() for file in path.parent.iterdir()] == [json.dumps({HUB: OTHER_KEY})]


@pytest.mark.skipif(os.name != "posix", reason="Windows has no file modes")
@pytest.mark.usefixtures("no_keyring")
@pytest.mark.parametrize("before", [None, 0o666, 0o644, 0o400])
def test_the_file_never_has_wider_rights(
    path: Path, monkeypatch: pytest.MonkeyPatch, before: int | None
) -> None:
    """It is created with mode 0600, whatever the umask and the mode of an older file."""
    store = KeyStore(path)
    if before is not None:
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({OTHER: OTHER_KEY}))
        path.chmod(before)
    modes: list[int] = []
    real_open = os.open

    def recording_open(name: Path, flags: int, mode: int = 0o777) -> int:
        descriptor = real_open(name, flags, mode)
        if flags & os.O_CREAT:
            modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        return descriptor

    old = os.umask(0)
    try:
        monkeypatch.setattr(os, "open", recording_open)
        store.save(HUB, Secret(KEY))
        store.delete(OTHER)
    finally:
        monkeypatch.undo()
        os.umask(old)
    assert modes and set(modes) == {0o600}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["keys.json"]
    assert json.loads(path.read_text()) == {HUB: KEY}


@pytest.mark.usefixtures("no_keyring")
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe\x00",
        b"[]",
        b"null",
        json.dumps({HUB: 7}).encode(),
        json.dumps({HUB: ""}).encode(),
        json.dumps({HUB: "two words"}).encode(),
        json.dumps({HUB: {"key": KEY}}).encode(),
        json.dumps({HUB + "/": KEY}).encode(),
    ],
)
def test_a_file_with_invalid_content_has_no_key(path: Path, content: bytes) -> None:
    """It raises nothing, and saving a key works."""
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    store = KeyStore(path)
    assert store.find(HUB) is None
    store.delete(HUB)
    store.save(HUB, Secret(KEY))
    assert found(path) == (KEY, str(path))


@pytest.mark.usefixtures("no_keyring")
@pytest.mark.parametrize("obstacle", ["file for folder", "folder for file"])
def test_a_failure_to_save_is_an_error_and_leaves_no_files(
    home: Path, path: Path, obstacle: str
) -> None:
    """The error says where and why, and does not contain the key."""
    if obstacle == "file for folder":
        home.write_text("mine")
    else:
        path.mkdir(parents=True)
    with pytest.raises(ConfigurationError, match="Could not save the API key") as caught:
        KeyStore(path).save(HUB, Secret(KEY))
    assert str(path) in str(caught.value)
    assert KEY not in all_text_of(caught.value)
    assert [file for file in home.rglob("*") if file != path] == []
    assert KeyStore(path).find(HUB) is None


def test_a_keyring_is_preferred_to_the_file(keyring: FakeKeyring, path: Path) -> None:
    """The key is stored there only, under our service name and the Hub's URL."""
    assert KeyStore(path).save(HUB, Secret(KEY)) == "the system keyring"
    assert keyring.stored == {(SERVICE, HUB): KEY}
    assert found(path) == (KEY, "the system keyring")
    assert found(path, OTHER) is None
    assert not path.exists()


def test_a_key_in_the_file_is_found_if_the_keyring_has_none(
    keyring: FakeKeyring, path: Path
) -> None:
    """After installing a keyring no new login is needed; `delete` deletes from both."""
    keyring.is_recommended = False
    KeyStore(path).save(HUB, Secret(KEY))
    keyring.is_recommended = True
    assert found(path) == (KEY, str(path))
    keyring.stored[SERVICE, HUB] = OTHER_KEY
    assert found(path) == (OTHER_KEY, "the system keyring")
    store = KeyStore(path)
    assert store.find(HUB) is not None
    store.delete(HUB)
    assert store.find(HUB) is None
    assert found(path) is None
    assert (keyring.stored, path.exists()) == ({}, False)


@pytest.mark.parametrize("stored", ["", "two words", "ключ"])
def test_an_invalid_key_in_a_keyring_is_ignored(
    keyring: FakeKeyring, path: Path, stored: str
) -> None:
    """It could not be sent in a header."""
    keyring.stored[SERVICE, HUB] = stored
    assert found(path) is None


@pytest.mark.parametrize(
    "failure",
    [
        {"get_keyring": KeyringError("no backend")},
        {"get_keyring": RuntimeError("no recommended backend was available")},
    ],
    ids=["no backend", "none recommended"],
)
def test_without_a_keyring_backend_the_file_is_used(
    keyring: FakeKeyring, path: Path, failure: dict[str, Exception]
) -> None:
    """To save, find and delete the key."""
    keyring.broken = failure
    store = KeyStore(path)
    assert store.find(HUB) is None
    reason = f"{type(failure['get_keyring']).__name__}: {failure['get_keyring']}"
    where = f"{path}, because the system keyring can't be used ({reason})"
    assert store.save(HUB, Secret(KEY)) == where
    assert store.find(HUB) is not None
    assert found(path) == (KEY, str(path))
    assert f"The system keyring can't be used ({reason})" in store.delete(HUB)
    assert found(path) is None


@pytest.mark.parametrize(
    "error",
    [KeyringError(f"locked {KEY}"), OSError("dbus is gone"), RuntimeError("no loop")],
    ids=lambda error: type(error).__name__,
)
def test_with_a_locked_keyring_the_file_is_used_and_logout_fails(
    keyring: FakeKeyring, path: Path, error: Exception
) -> None:
    """The keyring may have a key that can't be deleted."""
    keyring.broken = dict.fromkeys(("get_password", "set_password", "delete_password"), error)
    store = KeyStore(path)
    assert store.find(HUB) is None
    where = f"{path}, because the system keyring can't be used ({type(error).__name__})"
    assert store.save(HUB, Secret(KEY)) == where
    assert found(path) == (KEY, str(path))
    with pytest.raises(ConfigurationError, match="Unlock the keyring") as caught:
        store.delete(HUB)
    assert KEY not in all_text_of(caught.value)
    keyring.broken = {}
    store.delete(HUB)
    assert found(path) is None


def test_logout_fails_if_the_keyring_does_not_delete_the_key(
    keyring: FakeKeyring, path: Path
) -> None:
    """The next kernel would find it again."""
    store = KeyStore(path)
    store.save(HUB, Secret(KEY))
    keyring.broken = {"delete_password": KeyringError("locked")}
    with pytest.raises(ConfigurationError, match="Unlock the keyring"):
        store.delete(HUB)
    assert found(path) == (KEY, "the system keyring")
    keyring.broken = {}
    store.delete(HUB)
    assert (found(path), store.find(HUB), keyring.stored) == (None, None, {})


def test_a_keyring_is_asked_once_in_a_process(keyring: FakeKeyring, path: Path) -> None:
    """It may ask the user for a password each time."""
    keyring.stored[SERVICE, HUB] = KEY
    store = KeyStore(path)
    assert store.find(HUB) is not None
    keyring.broken = {"get_password": AssertionError("asked again")}
    entry = store.find(HUB)
    assert entry is not None and entry[0].reveal() == KEY


@pytest.mark.usefixtures("no_keyring")
def test_a_session_uses_login_then_environment_then_the_stored_key(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The settings say where the key comes from."""
    monkeypatch.setenv("MOUNTSEA_BASE_URL", HUB)
    session = Session()
    session.keys().save(HUB, Secret(KEY))

    def key() -> tuple[str | None, str]:
        settings = session.settings()
        return settings.key.reveal() if settings.key else None, settings.key_source

    assert key() == (KEY, str(home / "keys.json"))
    monkeypatch.setenv("MOUNTSEA_API_KEY", OTHER_KEY)
    assert key() == (OTHER_KEY, "MOUNTSEA_API_KEY")
    session.login = Secret("sk-typed-in-11223344")
    assert key() == ("sk-typed-in-11223344", "login (this kernel only)")
    session.login = None
    monkeypatch.delenv("MOUNTSEA_API_KEY")
    monkeypatch.setenv("MOUNTSEA_BASE_URL", OTHER)
    assert key() == (None, "none")
    monkeypatch.setenv("MOUNTSEA_BASE_URL", "demo:")
    assert key() == (None, "none")


@pytest.mark.usefixtures("no_keyring")
def test_repr_and_vars_of_a_session_do_not_show_a_stored_key(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor those of its settings and its key store."""
    monkeypatch.setenv("MOUNTSEA_BASE_URL", HUB)
    session = Session()
    session.keys().save(HUB, Secret(KEY))
    settings = session.settings()
    shown = [repr(settings), repr(vars(session)), repr(vars(session.keys())), repr(session)]
    assert settings.key is not None
    assert KEY not in "\n".join(shown)


def test_repr_and_vars_of_a_store_do_not_show_a_key_of_the_keyring(
    keyring: FakeKeyring, path: Path
) -> None:
    """The cached key is a `Secret`."""
    keyring.stored[SERVICE, HUB] = KEY
    store = KeyStore(path)
    entry = store.find(HUB)
    assert entry is not None and entry[0].reveal() == KEY
    assert KEY not in repr(store) + repr(vars(store)) + repr(entry)


@pytest.mark.parametrize("call", ["get_keyring", "get_password"])
def test_an_interrupt_in_the_keyrings_dialog_stops_the_cell(
    keyring: FakeKeyring, path: Path, call: str
) -> None:
    """It does not count as a failure of the keyring, after which the file is read."""
    keyring.broken = {call: KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        KeyStore(path).find(HUB)


def test_a_keyring_that_lacks_a_dependency_is_named(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is used, and `save` says why."""
    (tmp_path / "keyring.py").write_text("import dependency_of_keyring")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "keyring", raising=False)
    where = KeyStore(path).save(HUB, Secret(KEY))
    assert "the system keyring can't be used (ModuleNotFoundError: No module named" in where
    assert found(path) == (KEY, str(path))


@pytest.mark.usefixtures("no_keyring")
def test_logout_fails_if_the_file_cant_be_changed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user is asked to delete it, since the key is still there."""
    store = KeyStore(path)
    store.save(HUB, Secret(KEY))

    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(ConfigurationError, match="Delete that file yourself") as caught:
        store.delete(HUB)
    assert KEY not in all_text_of(caught.value) and found(path) == (KEY, str(path))
