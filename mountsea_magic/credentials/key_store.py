"""Store API keys in the system keyring, or in a file if there is none."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from ..errors import ConfigurationError
from ..runtime.text import os_error_reason, sanitize
from ..settings.secret import Secret
from .key_file import KeyFile

SERVICE = "mountsea-magic"
"""The service name in the system keyring."""

T = TypeVar("T")


class KeyStore:
    """The keys that ``%mountsea login --save`` has stored, one for each Hub's base URL.

    A key is only sent to the Hub for which it was stored. If the keyring fails in any way, the file
    is used.

    Args:
        path: The file for machines without a keyring.

    Example:
        >>> KeyStore(Path("keys.json")).find("https://api.mountsea.ai")  # doctest: +SKIP
        (Secret('…'), 'the system keyring')
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = KeyFile(path)
        self._in_keyring: dict[str, Secret | None] = {}

    def find(self, base_url: str) -> tuple[Secret, str] | None:
        """Return the key for a Hub and where it is stored, or None.

        Raises:
            ConfigurationError: If another user may have created the key file.
        """
        if base_url not in self._in_keyring:
            self._in_keyring[base_url] = _find_in_keyring(base_url)
        key = self._in_keyring[base_url]
        if key is not None:
            return key, "the system keyring"
        key = self._file.read().get(base_url)
        return (key, str(self._path)) if key is not None else None

    def save(self, base_url: str, key: Secret) -> str:
        """Store a key for a Hub.

        Returns:
            Where it is stored, for display; also why not in the system keyring, if that failed.

        Raises:
            ConfigurationError: If it could not be stored.
        """
        failure = _save_in_keyring(base_url, key)
        if failure is None:
            self._in_keyring[base_url] = key
            return "the system keyring"
        error = self._file.change(base_url, key)
        if error is not None:
            raise ConfigurationError(
                f"Could not save the API key in {self._path}: {os_error_reason(error)}. "
                "It is in this kernel's memory only."
            ) from error
        self._in_keyring[base_url] = None
        if failure.reason:
            return f"{self._path}, because the system keyring can't be used ({failure.reason})"
        return str(self._path)

    def delete(self, base_url: str) -> str:
        """Delete the key for a Hub from the file and the keyring.

        Returns:
            A notice that the system keyring can't be used; otherwise empty.

        Raises:
            ConfigurationError: If the file can't be changed, or the keyring may still have the key.
        """
        self._in_keyring[base_url] = None
        error = self._file.change(base_url, None)
        keyring = _load()
        usable = keyring is not None and not isinstance(keyring, _Failure)
        deleted = _attempt(lambda: _delete(keyring, base_url)) if usable else None
        if error is not None:
            raise ConfigurationError(
                f"Could not remove the key from {self._path}: {os_error_reason(error)}. "
                "Delete that file yourself."
            ) from error
        if isinstance(keyring, _Failure):
            return (
                f"The system keyring can't be used ({keyring.reason}); a key that was saved in it "
                "before is still there."
            )
        if isinstance(deleted, _Failure):
            raise ConfigurationError(
                f"Could not delete the key from the system keyring ({deleted.reason}). Unlock the "
                "keyring and log out again."
            )
        return ""

    def notes(self) -> list[str]:
        """Return notices about the key file, as sentences; each is returned once."""
        return self._file.notes()


class _Failure:
    """Why a keyring was not used; the reason is empty if there is no keyring."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


def _attempt(work: Callable[[], T], *, quote: bool = False) -> T | _Failure:
    """Call a keyring; turn whatever it raises, even a panic of a Rust library, into a `_Failure`.

    The error is not chained, and quoted only if the keyring was not given the key yet: its message
    and frames may contain that.
    """
    try:
        return work()
    except KeyboardInterrupt:
        pass  # from the user, in the dialog for the keyring's password
    except BaseException as error:
        message = ""
        if quote:
            with contextlib.suppress(Exception):
                message = f": {sanitize(error, limit=120)}"
        return _Failure(sanitize(type(error).__name__) + message)
    raise KeyboardInterrupt


def _load() -> Any:
    """The keyring; None if there is none, a `_Failure` if it can't be loaded."""
    return _attempt(_keyring, quote=True)


def _find_in_keyring(base_url: str) -> Secret | None:
    keyring = _load()
    if keyring is None or isinstance(keyring, _Failure):
        return None
    found = _attempt(lambda: _get(keyring, base_url))
    return found if isinstance(found, Secret) else None


def _save_in_keyring(base_url: str, key: Secret) -> _Failure | None:
    """Store a key in the keyring; None on success."""
    keyring = _load()
    if keyring is None or isinstance(keyring, _Failure):
        return keyring or _Failure("")
    stored = _attempt(lambda: _set(keyring, base_url, key))
    if isinstance(stored, _Failure):
        return stored
    return None if stored else _Failure("it did not store the key")


def _keyring() -> Any:
    """The `keyring` package; None if it is not installed or has no usable backend."""
    try:
        import keyring
    except ModuleNotFoundError as error:
        if error.name == "keyring":
            return None
        raise
    import keyring.core

    return keyring if keyring.core.recommended(keyring.get_keyring()) else None


def _get(keyring: Any, base_url: str) -> Secret | None:
    """The key in the keyring; None for anything that is not a valid key."""
    found = keyring.get_password(SERVICE, base_url)
    key = Secret.read(found) if isinstance(found, str) else None
    return key if isinstance(key, Secret) else None


def _set(keyring: Any, base_url: str, key: Secret) -> bool:
    """Store the key and read it back: some backends accept it and store nothing."""
    keyring.set_password(SERVICE, base_url, key.reveal())
    return _get(keyring, base_url) == key


def _delete(keyring: Any, base_url: str) -> None:
    if keyring.get_password(SERVICE, base_url) is not None:
        keyring.delete_password(SERVICE, base_url)
