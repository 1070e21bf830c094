"""Stored keys: in the system's keyring, or in a file that only its owner can ever read."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from .errors import ConfigurationError, plain
from .settings import Secret

SERVICE = "mountsea-magic"
"""What the system's keyring knows us by."""


class KeyStore:
    """The keys that ``%mountsea login --save`` has kept, one for each Hub's address.

    A key goes to the Hub that it was given for, and to no other.

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
        self._ring: dict[str, Secret | None] = {}

    def find(self, base_url: str) -> tuple[Secret, str] | None:
        """Return the key for a Hub and where it is kept, or None."""
        if base_url not in self._ring:
            keyring = _real_keyring()
            self._ring[base_url] = _ask(keyring, base_url) if keyring is not None else None
        kept = self._ring[base_url]
        if kept is not None:
            return kept, "the system keyring"
        kept = self._read().get(base_url)
        return (kept, str(self._path)) if kept is not None else None

    def save(self, base_url: str, key: Secret) -> str:
        """Keep a key for a Hub.

        Returns:
            Where, in words.

        Raises:
            ConfigurationError: If it could not be kept anywhere.
        """
        keyring = _real_keyring()
        if keyring is not None and _tell(keyring, base_url, key):
            self._ring[base_url] = key
            return "the system keyring"
        failure = self._write(self._read() | {base_url: key})
        if failure is not None:
            raise ConfigurationError(
                f"The key could not be kept in {self._path}: {plain(failure.strerror or failure)}. "
                "It is in this kernel's memory."
            ) from failure
        return str(self._path)

    def forget(self, base_url: str) -> None:
        """Forget the key for a Hub, wherever it is.

        Raises:
            ConfigurationError: If the file can't be changed.
        """
        self._ring[base_url] = None
        keys = self._read()
        failure = self._write(keys) if keys.pop(base_url, None) is not None else None
        keyring = _real_keyring()
        if keyring is not None and not _erase(keyring, base_url):
            raise ConfigurationError(
                "The system keyring does not let go of the key: unlock it, and log out again."
            )
        if failure is not None:
            raise ConfigurationError(
                f"The key in {self._path} could not be removed: "
                f"{plain(failure.strerror or failure)}. Delete that file yourself."
            ) from failure

    def _read(self) -> dict[str, Secret]:
        """A file that makes no sense holds no key."""
        try:
            keys = json.loads(self._path.read_text("utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        if not isinstance(keys, dict):
            return {}
        texts = {url: key for url, key in keys.items() if isinstance(key, str)}
        return {url: Secret(key) for url, key in texts.items() if Secret.fits(key)}

    def _write(self, keys: dict[str, Secret]) -> OSError | None:
        """The mode is given as the file is made: it never has wider rights for an instant.

        A failure is returned without its frames, which hold the keys.
        """
        part = self._path.with_name(f".{secrets.token_hex(8)}.part")
        try:
            if not keys:
                self._path.unlink()
                return None
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump({url: key.reveal() for url, key in keys.items()}, file)
            os.replace(part, self._path)
        except OSError as error:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            return OSError(error.errno, error.strerror)
        return None


def _real_keyring() -> ModuleType | None:
    """The extra may be missing, and where it is not there may be no keyring behind it."""
    if find_spec("keyring") is None:
        return None
    import keyring
    import keyring.core
    import keyring.errors

    try:
        return keyring if keyring.core.recommended(keyring.get_keyring()) else None
    except (keyring.errors.KeyringError, OSError, RuntimeError):
        return None


def _ask(keyring: Any, base_url: str) -> Secret | None:
    """A locked keyring has no key for us, and neither has one whose service is gone."""
    try:
        found: str | None = keyring.get_password(SERVICE, base_url)
    except (keyring.errors.KeyringError, OSError, RuntimeError):
        return None
    return Secret(found) if found and Secret.fits(found) else None


def _tell(keyring: Any, base_url: str, key: Secret) -> bool:
    """Whether the keyring took it; if not, there is the file."""
    try:
        keyring.set_password(SERVICE, base_url, key.reveal())
    except (keyring.errors.KeyringError, OSError, RuntimeError):
        return False
    return True


def _erase(keyring: Any, base_url: str) -> bool:
    """Whether the keyring has no such key any more."""
    try:
        if keyring.get_password(SERVICE, base_url) is not None:
            keyring.delete_password(SERVICE, base_url)
    except (keyring.errors.KeyringError, OSError, RuntimeError):
        return False
    return True
