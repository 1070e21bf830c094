"""Stored keys: in the system's keyring, or in a file that only its owner can ever read."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from ..errors import ConfigurationError, sanitize
from ..settings.secret import Secret
from .key_file import KeyFile

SERVICE = "mountsea-magic"
"""What the system's keyring knows us by."""

T = TypeVar("T")


class KeyStore:
    """The keys that ``%mountsea login --save`` has kept, one for each Hub's base URL.

    A key goes to the Hub that it was given for, and to no other. A keyring that fails in any way is
    done without: there is the file.

    Example:
        >>> KeyStore(Path("keys.json")).find("https://api.mountsea.ai")  # doctest: +SKIP
        (Secret('…'), 'the system keyring')
    """

    def __init__(self, path: Path) -> None:
        """Look nowhere yet.

        Args:
            path: The file for machines without a keyring.
        """
        self._path = path
        self._file = KeyFile(path)
        self._ring: dict[str, Secret | None] = {}

    def find(self, base_url: str) -> tuple[Secret, str] | None:
        """Return the key for a Hub and where it is kept, or None.

        Raises:
            ConfigurationError: If another user may have put the key file there.
        """
        if base_url not in self._ring:
            self._ring[base_url] = _found(base_url)
        kept = self._ring[base_url]
        if kept is not None:
            return kept, "the system keyring"
        kept = self._file.read().get(base_url)
        return (kept, str(self._path)) if kept is not None else None

    def save(self, base_url: str, key: Secret) -> str:
        """Keep a key for a Hub.

        Returns:
            Where, in words; and why not in the system's keyring, where there is one that fails.

        Raises:
            ConfigurationError: If it could not be kept anywhere.
        """
        trouble = _kept(base_url, key)
        if trouble is None:
            self._ring[base_url] = key
            return "the system keyring"
        failure = self._file.change(base_url, key)
        if failure is not None:
            raise ConfigurationError(
                f"Could not save the API key in {self._path}: "
                f"{sanitize(failure.strerror or failure)}. It is in this kernel's memory."
            ) from failure
        self._ring[base_url] = None
        if trouble.reason:
            return f"{self._path}, since the system keyring can't be used ({trouble.reason})"
        return str(self._path)

    def forget(self, base_url: str) -> str:
        """Forget the key for a Hub, wherever it is.

        Returns:
            A sentence about a system keyring that can't be used at all, or an empty text.

        Raises:
            ConfigurationError: If the file can't be changed, or if the keyring may still have it.
        """
        self._ring[base_url] = None
        failure = self._file.change(base_url, None)
        keyring = _loaded()
        usable = keyring is not None and not isinstance(keyring, _Failure)
        erased = _attempt(lambda: _erase(keyring, base_url)) if usable else None
        if failure is not None:
            raise ConfigurationError(
                f"The key in {self._path} could not be removed: "
                f"{sanitize(failure.strerror or failure)}. Delete that file yourself."
            ) from failure
        if isinstance(keyring, _Failure):
            return (
                f"The system keyring can't be used ({keyring.reason}); a key that was saved in it "
                "before is still there."
            )
        if isinstance(erased, _Failure):
            raise ConfigurationError(
                f"Could not delete the key from the system keyring ({erased.reason}): unlock it, "
                "and log out again."
            )
        return ""

    def notes(self) -> list[str]:
        """Return what there is to say of the key file, a sentence each, each once in a process."""
        return self._file.notes()


class _Failure:
    """Why a keyring was not used, in a few words; in none where there is simply no keyring."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


def _attempt(work: Callable[[], T], *, quote: bool = False) -> T | _Failure:
    """Whatever a keyring raises, an ImportError or a panic of a Rust library too, is its own fault.

    Its error is not kept, nor quoted once it knows the key: its text and frames may hold that.
    """
    try:
        return work()
    except KeyboardInterrupt:
        pass  # by the user, whom a dialog asks for a password
    except BaseException as error:
        message = ""
        if quote:
            with contextlib.suppress(Exception):
                message = f": {sanitize(error, limit=120)}"
        return _Failure(sanitize(type(error).__name__) + message)
    raise KeyboardInterrupt


def _loaded() -> Any:
    """The keyring; None where there is none, and a `_Failure` where it can't be loaded."""
    return _attempt(_keyring, quote=True)


def _found(base_url: str) -> Secret | None:
    """The key that the keyring has."""
    keyring = _loaded()
    if keyring is None or isinstance(keyring, _Failure):
        return None
    found = _attempt(lambda: _ask(keyring, base_url))
    return found if isinstance(found, Secret) else None


def _kept(base_url: str, key: Secret) -> _Failure | None:
    """Put a key into the keyring; None if it is there."""
    keyring = _loaded()
    if keyring is None or isinstance(keyring, _Failure):
        return keyring or _Failure("")
    kept = _attempt(lambda: _tell(keyring, base_url, key))
    if isinstance(kept, _Failure):
        return kept
    return None if kept else _Failure("it did not keep the key")


def _keyring() -> Any:
    """The extra may be missing, and where it is not there may be no keyring behind it."""
    try:
        import keyring
    except ModuleNotFoundError as error:
        if error.name == "keyring":
            return None
        raise
    import keyring.core

    return keyring if keyring.core.recommended(keyring.get_keyring()) else None


def _ask(keyring: Any, base_url: str) -> Secret | None:
    """What is neither a key nor None is none."""
    found = keyring.get_password(SERVICE, base_url)
    key = Secret.read(found) if isinstance(found, str) else None
    return key if isinstance(key, Secret) else None


def _tell(keyring: Any, base_url: str, key: Secret) -> bool:
    """Whether the keyring has the key now: some take it and keep nothing."""
    keyring.set_password(SERVICE, base_url, key.reveal())
    return _ask(keyring, base_url) == key


def _erase(keyring: Any, base_url: str) -> None:
    """Delete the key, if there is one."""
    if keyring.get_password(SERVICE, base_url) is not None:
        keyring.delete_password(SERVICE, base_url)
