"""The key file: for machines without a keyring; only its owner can ever read it."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import stat
from pathlib import Path
from typing import Any

from ..errors import ConfigurationError, without_frames
from ..runtime.file_lock import file_lock
from ..settings.secret import Secret

MAX_BYTES = 2**20
"""A larger file is none of ours, in bytes."""


class KeyFile:
    """A JSON file with a key for each Hub's base URL; several processes may change it at once.

    Example:
        >>> KeyFile(Path("no-such-folder/keys.json")).read()
        {}
    """

    def __init__(self, path: Path) -> None:
        """Look at nothing yet.

        Args:
            path: Where it is.
        """
        self.path = path
        self._notes: dict[str, bool] = {}

    def read(self) -> dict[str, Secret]:
        """Return the keys; a file that makes no sense, or can't be read, holds none.

        Raises:
            ConfigurationError: If another user may have put the file there.
        """
        try:
            entries = self._entries() or {}
            read = {url: Secret.read(key) for url, key in entries.items() if isinstance(key, str)}
            return {url: key for url, key in read.items() if isinstance(key, Secret)}
        except OSError as error:
            self._note(f"The key file {self.path} can't be read: {error.strerror or error}.")
            return {}
        except BaseException as error:
            raise without_frames(error) from None

    def change(self, base_url: str, key: Secret | None) -> OSError | None:
        """Put a key in, or take it out; the other Hubs' keys stay, whoever changes them meanwhile.

        Args:
            base_url: The Hub.
            key: Its key, or None to forget it.

        Returns:
            Why it was not done, without its frames, which hold the keys; or None.

        Raises:
            ConfigurationError: If another user may have put the file there.
        """
        try:
            if key is None and not self.path.is_file() and not self.path.is_symlink():
                return None
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with file_lock(self.path.with_name(f"{self.path.name}.lock")):
                self._change(base_url, key)
        except OSError as error:
            return OSError(error.errno, error.strerror or str(error))
        except BaseException as error:
            raise without_frames(error) from None
        return None

    def notes(self) -> list[str]:
        """Return what there is to say of the file, a sentence each, each once in a process."""
        unsaid = [note for note, said in self._notes.items() if not said]
        self._notes |= dict.fromkeys(unsaid, True)
        return unsaid

    def _change(self, base_url: str, key: Secret | None) -> None:
        entries = self._entries()
        if key is None and not (entries and base_url in entries):
            return
        if entries is None:
            self._set_aside()
        entries = {url: kept for url, kept in (entries or {}).items() if url != base_url}
        if key is not None:
            entries[base_url] = key.reveal()
        if entries:
            self._write(entries)
        else:
            self.path.unlink()

    def _entries(self) -> dict[str, Any] | None:
        """All that is in it, also what is no key; None where that makes no sense."""
        content = self._content().strip()
        if not content:
            return {}
        try:
            entries = json.loads(content) if len(content) <= MAX_BYTES else None
        except (ValueError, RecursionError):
            entries = None
        if isinstance(entries, dict):
            return entries
        self._note(f"The key file {self.path} is damaged: its keys can't be read.")
        return None

    def _content(self) -> bytes:
        """Refuse what another user may have put there, and narrow what others can read."""
        try:
            seen = os.lstat(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return b""
        if os.name == "posix" and _may_be_foreign(self.path, seen):
            kind = "a symbolic link" if stat.S_ISLNK(seen.st_mode) else "another user's file"
            raise ConfigurationError(
                f"The key file {self.path} is {kind} in a folder that others can write to: it is "
                "not used. Delete it, and save your key again: `%mountsea login --save`."
            )
        if not stat.S_ISREG(os.stat(self.path).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        with self.path.open("rb") as file:
            if os.name == "posix":
                self._narrow(file.fileno())
            return file.read(MAX_BYTES + 1)

    def _narrow(self, descriptor: int) -> None:
        """Let only the owner read it, and say so: others may have read it before."""
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        if not mode & 0o077:
            return
        with contextlib.suppress(OSError):  # another's file, or a drive without modes
            os.fchmod(descriptor, 0o600)
        if os.fstat(descriptor).st_mode & 0o077:
            cure = "and that can't be changed: move it to a drive with file modes (MOUNTSEA_HOME)."
        else:
            cure = "it is 0600 now. If others use this machine, get a new key."
        self._note(f"Others could read the key file {self.path} (mode {mode:04o}); {cure}")

    def _set_aside(self) -> None:
        """Whoever can mend it finds its keys there."""
        kept = self.path.with_name(f"{self.path.stem}.damaged-{secrets.token_hex(4)}.json")
        os.replace(self.path, kept)
        self._note(f"The damaged key file was kept as {kept}.")

    def _write(self, entries: dict[str, Any]) -> None:
        """The mode is given as the file is made: it never has wider rights for an instant."""
        part = self.path.with_name(f".{secrets.token_hex(8)}.part")
        try:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                if os.name == "posix":
                    os.fchmod(descriptor, 0o600)  # a umask may take the owner's own rights
                json.dump(entries, file)
                file.flush()
                os.fsync(descriptor)
            os.replace(part, self.path)
        finally:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)

    def _note(self, note: str) -> None:
        self._notes.setdefault(note, False)


def _may_be_foreign(path: Path, seen: os.stat_result) -> bool:
    """Whether a file or link is in a folder where others could have put it, and not surely ours."""
    folder = os.stat(path.parent)
    trusted = {os.geteuid(), 0}
    if os.geteuid() == 0:
        trusted.add(folder.st_uid)  # a container's root works in the folders of its user
    shared = folder.st_mode & 0o022 or folder.st_uid not in trusted
    return bool(shared and (stat.S_ISLNK(seen.st_mode) or seen.st_uid not in trusted))
