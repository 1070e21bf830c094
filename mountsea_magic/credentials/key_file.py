"""The key file, for machines without a keyring; only its owner can read it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import stat
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError, without_frames
from ..runtime.file_lock import file_lock
from ..runtime.private_files import open_regular, write_private
from ..runtime.text import os_error_reason
from ..settings.secret import Secret

MAX_BYTES = 2**20
"""The largest size of a valid key file, in bytes."""


class KeyFile:
    """A JSON file with a key for each Hub's base URL; several processes may change it at once.

    Args:
        path: The file, which may not exist yet.

    Example:
        >>> KeyFile(Path("no-such-folder/keys.json")).read()
        {}
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._notes: dict[str, bool] = {}

    def read(self) -> dict[str, Secret]:
        """Return the keys by base URL; none if the file is damaged or can't be read.

        Raises:
            ConfigurationError: If another user may have created the file.
        """
        try:
            entries = self._entries() or {}
            keys = {url: Secret.read(key) for url, key in entries.items() if isinstance(key, str)}
            return {url: key for url, key in keys.items() if isinstance(key, Secret)}
        except OSError as error:
            self._note(f"Could not read the key file {self.path}: {os_error_reason(error)}.")
            return {}
        except BaseException as error:
            raise without_frames(error) from None

    def change(self, base_url: str, key: Secret | None) -> OSError | None:
        """Set or delete a key; keys of other Hubs stay, even if other processes change them.

        Args:
            base_url: The Hub.
            key: Its key, or None to delete it.

        Returns:
            None, or the error, without its traceback, whose frames contain the keys.

        Raises:
            ConfigurationError: If another user may have created the file.
        """
        try:
            if key is None and not self.path.is_file() and not self.path.is_symlink():
                return None
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with file_lock(self.path.with_name(f"{self.path.name}.lock")):
                self._change(base_url, key)
        except OSError as error:
            return OSError(error.errno, os_error_reason(error))
        except BaseException as error:
            raise without_frames(error) from None
        return None

    def notes(self) -> list[str]:
        """Return notices about the file, as sentences; each is returned once."""
        new = [note for note, is_shown in self._notes.items() if not is_shown]
        self._notes |= dict.fromkeys(new, True)
        return new

    def _change(self, base_url: str, key: Secret | None) -> None:
        entries = self._entries()
        if key is None and not (entries and base_url in entries):
            return
        if entries is None:
            self._set_aside()
        entries = {url: entry for url, entry in (entries or {}).items() if url != base_url}
        if key is not None:
            entries[base_url] = key.reveal()
        if entries:
            write_private(self.path, json.dumps(entries).encode())
        else:
            self.path.unlink()

    def _entries(self) -> dict[str, Any] | None:
        """All entries of the file, including invalid ones; None if it is damaged."""
        content = self._content().strip()
        if not content:
            return {}
        try:
            entries = json.loads(content) if len(content) <= MAX_BYTES else None
        except (ValueError, RecursionError):
            entries = None
        if isinstance(entries, dict):
            return entries
        self._note(f"The key file {self.path} is damaged; its keys can't be read.")
        return None

    def _content(self) -> bytes:
        """Read the file, unless another user may have created it; restrict its mode."""
        try:
            found = os.lstat(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return b""
        if os.name == "posix" and _may_be_foreign(self.path, found):
            kind = "a symbolic link" if stat.S_ISLNK(found.st_mode) else "another user's file"
            raise ConfigurationError(
                f"The key file {self.path} is {kind} in a folder that others can write to, so it "
                "is not used. Delete it and save your key again: `%mountsea login --save`."
            )
        with open_regular(self.path) as file:
            if os.name == "posix":
                self._restrict(file.fileno())
            return file.read(MAX_BYTES + 1)

    def _restrict(self, descriptor: int) -> None:
        """Set mode 0600, and add a notice if others could read the file before."""
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        if not mode & 0o077:
            return
        with contextlib.suppress(OSError):  # another user's file, or a drive without modes
            os.fchmod(descriptor, 0o600)
        if os.fstat(descriptor).st_mode & 0o077:
            advice = (
                "its mode can't be changed. Set MOUNTSEA_HOME to a folder on a drive with file "
                "permissions."
            )
        else:
            advice = "its mode is 0600 now. If others use this machine, get a new key."
        self._note(
            f"The key file {self.path} was readable by other users (mode {mode:04o}); {advice}"
        )

    def _set_aside(self) -> None:
        """Rename a damaged file, so that its keys can be recovered by hand."""
        aside = self.path.with_name(f"{self.path.stem}.damaged-{secrets.token_hex(4)}.json")
        os.replace(self.path, aside)
        self._note(f"The damaged key file was renamed to {aside}.")

    def _note(self, note: str) -> None:
        self._notes.setdefault(note, False)


def _may_be_foreign(path: Path, found: os.stat_result) -> bool:
    """Whether another user may have created a file or link, in a folder they can write to."""
    folder = os.stat(path.parent)
    trusted = {os.geteuid(), 0}
    if os.geteuid() == 0:
        trusted.add(folder.st_uid)  # root in a container uses the folders of the container's user
    shared = folder.st_mode & 0o022 or folder.st_uid not in trusted
    return bool(shared and (stat.S_ISLNK(found.st_mode) or found.st_uid not in trusted))
