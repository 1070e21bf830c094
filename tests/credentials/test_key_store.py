"""Stored keys: one for each Hub, in the system's keyring or in a file for its owner's eyes only."""

from __future__ import annotations

import json
import os
import stat
import sys
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
    """As the real package's error, from which all of its others are derived."""


class FakeKeyring(ModuleType):
    """What this package uses of `keyring`, with a switch for each way in which it fails.

    Attributes:
        kept: What is in it, by service and name.
        good: Whether there is a real backend.
        broken: The calls that fail, by name.
    """

    def __init__(self) -> None:
        """Begin with nothing in it."""
        super().__init__("keyring")
        self.__spec__ = ModuleSpec("keyring", None)
        self.kept: dict[tuple[str, str], str] = {}
        self.good = True
        self.broken: dict[str, Exception] = {}
        self.core = SimpleNamespace(recommended=lambda backend: self.good)
        self.errors = SimpleNamespace(KeyringError=KeyringError)

    def _fail(self, call: str) -> None:
        if call in self.broken:
            raise self.broken[call]

    def get_keyring(self) -> object:
        """Return the backend."""
        self._fail("get_keyring")
        return self

    def get_password(self, service: str, name: str) -> str | None:
        """Look a key up."""
        self._fail("get_password")
        return self.kept.get((service, name))

    def set_password(self, service: str, name: str, password: str) -> None:
        """Keep a key."""
        self._fail("set_password")
        self.kept[service, name] = password

    def delete_password(self, service: str, name: str) -> None:
        """Forget a key; as the real one, it minds if there is none."""
        self._fail("delete_password")
        if self.kept.pop((service, name), None) is None:
            raise KeyringError("no such password")


@pytest.fixture
def path(home: Path) -> Path:
    """Where the file is."""
    return home / "keys.json"


@pytest.fixture
def no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without the extra, whatever is installed here."""
    monkeypatch.setitem(sys.modules, "keyring", None)


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> FakeKeyring:
    """A machine with a keyring."""
    fake = FakeKeyring()
    for name, module in {
        "keyring": fake,
        "keyring.core": fake.core,
        "keyring.errors": fake.errors,
    }.items():
        monkeypatch.setitem(sys.modules, name, module)
    return fake


def found(path: Path, hub: str = HUB) -> tuple[str, str] | None:
    """Look a key up as another process would."""
    kept = KeyStore(path).find(hub)
    return (kept[0].reveal(), kept[1]) if kept is not None else None


@pytest.mark.usefixtures("no_keyring")
def test_without_a_keyring_a_key_is_kept_in_a_file(path: Path) -> None:
    """Its folder is made; the next process finds the key, and where it is."""
    assert found(path) is None
    assert not path.parent.exists()
    assert KeyStore(path).save(HUB, Secret(KEY)) == str(path)
    assert found(path) == (KEY, str(path))


@pytest.mark.usefixtures("no_keyring")
def test_each_hub_has_its_own_key(path: Path) -> None:
    """One Hub's key is never found for another, and forgetting one spares the other."""
    store = KeyStore(path)
    store.save(HUB, Secret(KEY))
    assert found(path, OTHER) is None
    store.save(OTHER, Secret(OTHER_KEY))
    assert (found(path), found(path, OTHER)) == ((KEY, str(path)), (OTHER_KEY, str(path)))
    store.forget(HUB)
    assert (found(path), found(path, OTHER)) == (None, (OTHER_KEY, str(path)))
    assert KEY not in path.read_text()


@pytest.mark.usefixtures("no_keyring")
def test_the_last_key_takes_the_file_with_it(path: Path) -> None:
    """Nothing is left behind, and forgetting what is not there is no error."""
    store = KeyStore(path)
    store.save(HUB, Secret(KEY))
    store.forget(HUB)
    store.forget(HUB)
    store.forget(OTHER)
    assert store.find(HUB) is None
    assert list(path.parent.iterdir()) == []


@pytest.mark.usefixtures("no_keyring")
def test_a_second_key_takes_the_place_of_the_first(path: Path) -> None:
    """Of the first nothing stays in the folder."""
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
    """Mode 0600 from the first instant on, whatever the umask and the file's past."""
    store = KeyStore(path)
    if before is not None:
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({OTHER: OTHER_KEY}))
        path.chmod(before)
    modes: list[int] = []
    real_open = os.open

    def watched(name: Path, flags: int, mode: int = 0o777) -> int:
        descriptor = real_open(name, flags, mode)
        modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        return descriptor

    old = os.umask(0)
    try:
        monkeypatch.setattr(os, "open", watched)
        store.save(HUB, Secret(KEY))
        store.forget(OTHER)
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
def test_a_file_that_makes_no_sense_holds_no_key(path: Path, content: bytes) -> None:
    """It stops nothing, and the next key that is saved mends it."""
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    store = KeyStore(path)
    assert store.find(HUB) is None
    store.forget(HUB)
    store.save(HUB, Secret(KEY))
    assert found(path) == (KEY, str(path))


@pytest.mark.usefixtures("no_keyring")
@pytest.mark.parametrize("obstacle", ["file for folder", "folder for file"])
def test_a_key_that_cant_be_kept_is_told_and_leaves_nothing(
    home: Path, path: Path, obstacle: str
) -> None:
    """The error says where, why, and that this kernel has the key; it never says the key."""
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


def test_a_keyring_goes_before_the_file(keyring: FakeKeyring, path: Path) -> None:
    """A key is stored there and nowhere else, under our name and the Hub's."""
    assert KeyStore(path).save(HUB, Secret(KEY)) == "the system keyring"
    assert keyring.kept == {(SERVICE, HUB): KEY}
    assert found(path) == (KEY, "the system keyring")
    assert found(path, OTHER) is None
    assert not path.exists()


def test_a_key_in_the_file_is_found_where_the_keyring_has_none(
    keyring: FakeKeyring, path: Path
) -> None:
    """Who installs a keyring later need not log in again; `forget` then looks in both places."""
    keyring.good = False
    KeyStore(path).save(HUB, Secret(KEY))
    keyring.good = True
    assert found(path) == (KEY, str(path))
    keyring.kept[SERVICE, HUB] = OTHER_KEY
    assert found(path) == (OTHER_KEY, "the system keyring")
    store = KeyStore(path)
    assert store.find(HUB) is not None
    store.forget(HUB)
    assert store.find(HUB) is None
    assert found(path) is None
    assert (keyring.kept, path.exists()) == ({}, False)


@pytest.mark.parametrize("stored", ["", "two words", "ключ"])
def test_nonsense_in_a_keyring_is_no_key(keyring: FakeKeyring, path: Path, stored: str) -> None:
    """What can't stand in a header is not tried."""
    keyring.kept[SERVICE, HUB] = stored
    assert found(path) is None


@pytest.mark.parametrize(
    "failure",
    [
        {"get_keyring": KeyringError("no backend")},
        {"get_keyring": RuntimeError("no recommended backend was available")},
    ],
    ids=["no backend", "none recommended"],
)
def test_a_keyring_that_is_none_gives_way_to_the_file(
    keyring: FakeKeyring, path: Path, failure: dict[str, Exception]
) -> None:
    """The file takes over: saved, found and forgotten."""
    keyring.broken = failure
    store = KeyStore(path)
    assert store.find(HUB) is None
    reason = f"{type(failure['get_keyring']).__name__}: {failure['get_keyring']}"
    where = f"{path}, since the system keyring can't be used ({reason})"
    assert store.save(HUB, Secret(KEY)) == where
    assert store.find(HUB) is not None
    assert found(path) == (KEY, str(path))
    assert f"The system keyring can't be used ({reason})" in store.forget(HUB)
    assert found(path) is None


@pytest.mark.parametrize(
    "error",
    [KeyringError(f"locked {KEY}"), OSError("dbus is gone"), RuntimeError("no loop")],
    ids=lambda error: type(error).__name__,
)
def test_a_keyring_that_is_locked_gives_way_until_logout(
    keyring: FakeKeyring, path: Path, error: Exception
) -> None:
    """A key is kept in the file; whether one is behind the lock no logout can say, so it fails."""
    keyring.broken = dict.fromkeys(("get_password", "set_password", "delete_password"), error)
    store = KeyStore(path)
    assert store.find(HUB) is None
    where = f"{path}, since the system keyring can't be used ({type(error).__name__})"
    assert store.save(HUB, Secret(KEY)) == where
    assert found(path) == (KEY, str(path))
    with pytest.raises(ConfigurationError, match="unlock it") as caught:
        store.forget(HUB)
    assert KEY not in all_text_of(caught.value)
    keyring.broken = {}
    store.forget(HUB)
    assert found(path) is None


def test_a_key_that_a_keyring_does_not_let_go_of_is_not_said_to_be_forgotten(
    keyring: FakeKeyring, path: Path
) -> None:
    """It would be found again by the next kernel."""
    store = KeyStore(path)
    store.save(HUB, Secret(KEY))
    keyring.broken = {"delete_password": KeyringError("locked")}
    with pytest.raises(ConfigurationError, match="unlock it"):
        store.forget(HUB)
    assert found(path) == (KEY, "the system keyring")
    keyring.broken = {}
    store.forget(HUB)
    assert (found(path), store.find(HUB), keyring.kept) == (None, None, {})


def test_a_keyring_is_asked_once_in_a_process(keyring: FakeKeyring, path: Path) -> None:
    """It may ask its owner for a password each time; the file may change between two cells."""
    keyring.kept[SERVICE, HUB] = KEY
    store = KeyStore(path)
    assert store.find(HUB) is not None
    keyring.broken = {"get_password": AssertionError("asked again")}
    kept = store.find(HUB)
    assert kept is not None and kept[0].reveal() == KEY


@pytest.mark.usefixtures("no_keyring")
def test_a_session_uses_the_key_of_its_hub_last(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Login, then environment, then what is stored for this Hub; the source is named."""
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
def test_nothing_that_shows_a_session_shows_a_stored_key(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither `repr` nor `vars` of what has read the key."""
    monkeypatch.setenv("MOUNTSEA_BASE_URL", HUB)
    session = Session()
    session.keys().save(HUB, Secret(KEY))
    settings = session.settings()
    shown = [repr(settings), repr(vars(session)), repr(vars(session.keys())), repr(session)]
    assert settings.key is not None
    assert KEY not in "\n".join(shown)


def test_nothing_that_shows_a_store_shows_a_key_of_the_keyring(
    keyring: FakeKeyring, path: Path
) -> None:
    """What it remembers of the keyring is as hidden as the rest."""
    keyring.kept[SERVICE, HUB] = KEY
    store = KeyStore(path)
    kept = store.find(HUB)
    assert kept is not None and kept[0].reveal() == KEY
    assert KEY not in repr(store) + repr(vars(store)) + repr(kept)
