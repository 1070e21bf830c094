"""Settings: which Hub, whose key, which folder; from arguments, login and the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from .errors import ConfigurationError, InvalidRequest, MountseaError, plain

DEFAULT_BASE_URL = "https://api.mountsea.ai"
"""The Hub's own address (documented by the vendor)."""

DEFAULT_CREDITS_URL = "https://dk.mountsea.ai/api-user/credits"
"""Where the vendor tells the credits (documented by the vendor; another host than the Hub's)."""

DEMO_URL = "demo:"
"""The base URL that stands for the embedded demo Hub."""

DEFAULT_TIMEOUT_S = 600.0
"""How long a task is waited for, in seconds."""

DEFAULT_PREVIEW_PX = 768
"""The longest side of a preview, in pixels."""

NO_KEY = "That is not a Mountsea key: a key is one word of printable ASCII characters."


class Secret:
    """An API key that no repr, ``vars()``, pickle or format shows.

    Example:
        >>> Secret("sk-123")
        Secret('…')
        >>> Secret("sk-123").reveal()
        'sk-123'
    """

    __slots__ = ("__text",)

    def __init__(self, text: str) -> None:
        """Keep the key, without the white space that a paste brings.

        Raises:
            ConfigurationError: If the key is empty or could not stand in an HTTP header.
        """
        # nothing here may show the text: a traceback with variables prints those of a failing line
        self.__text = text.strip()
        if not self.fits(self.__text):
            raise ConfigurationError(NO_KEY)

    @staticmethod
    def fits(text: str) -> bool:
        """Whether a text can be a key: one word that can stand in an HTTP header."""
        text = text.strip()
        return bool(text) and text.isascii() and text.isprintable() and " " not in text

    def reveal(self) -> str:
        """Return the key itself: for the header of a request, and for nothing else."""
        return self.__text

    def hide_in(self, text: str) -> str:
        """Return the text with the key blotted out, should the Hub echo it.

        Keys under 8 characters are left alone: they are no real keys, and common words hold them.

        Example:
            >>> Secret("sk-12345678").hide_in("bad key sk-12345678")
            'bad key [key]'
        """
        return text.replace(self.__text, "[key]") if len(self.__text) >= 8 else text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other.reveal() == self.__text

    def __hash__(self) -> int:
        return hash(self.__text)

    def __repr__(self) -> str:
        return "Secret('…')"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key is neither pickled nor copied to disk")


@dataclass(frozen=True, slots=True)
class Settings:
    """Where requests go, on whose account, and where files are kept.

    Attributes:
        base_url: The Hub, without a trailing slash, or ``demo:``.
        key: The API key, or None; the demo Hub is never given one.
        key_source: Where the key comes from, in words.
        credits_url: The whole address of the credits endpoint, or None if none is known.
        home: The folder of originals, journal, stored keys, models and the demo Hub's tasks.
    """

    base_url: str
    key: Secret | None
    key_source: str
    credits_url: str | None
    home: Path

    @property
    def is_demo(self) -> bool:
        """Whether the embedded demo Hub is meant."""
        return self.base_url == DEMO_URL

    @property
    def originals(self) -> Path:
        """The folder that keeps the pictures as they were received."""
        return self.home / "originals"

    @property
    def journal(self) -> Path:
        """The file that keeps every order."""
        return self.home / "journal.sqlite"

    def refuse_key_in(self, text: str) -> None:
        """Refuse a request that holds the key: it would be sent, written down and shown.

        Raises:
            InvalidRequest: If it does.
        """
        if self.key is not None and self.key.hide_in(text) != text:
            del text
            raise InvalidRequest(
                "The request holds your API key: take it out of the cell. Nothing was sent."
            )

    def hide_key_in(self, error: MountseaError) -> None:
        """Blot the key out of an error's message, which may quote what the user typed.

        Args:
            error: The error, changed in place.
        """
        if self.key is not None:
            error.args = tuple(self.key.hide_in(str(said)) for said in error.args)

    def require_key(self) -> Secret | None:
        """Return the key to send, None for the demo Hub.

        Raises:
            ConfigurationError: If the Hub needs a key and there is none; says how to get by.
        """
        if self.is_demo:
            return None
        if self.key is None:
            raise ConfigurationError(
                "There is no Mountsea key. Give one with `%mountsea login` or MOUNTSEA_API_KEY, "
                "or try the demo Hub without one: `%mountsea demo`."
            )
        return self.key


def read_settings(
    environ: Mapping[str, str] | None = None,
    *,
    base_url: str | None = None,
    login: Secret | None = None,
    demo: str | None = None,
    inherited: Callable[[Path], str | None] | None = None,
    stored: Callable[[Path, str], tuple[Secret, str] | None] | None = None,
) -> Settings:
    """Put the settings together; the earlier of argument, login, environment and store wins.

    Args:
        environ: Where the MOUNTSEA_* names are looked up; the process's environment if left out.
        base_url: The Hub's address, before the environment's.
        login: The key of ``%mountsea login``, before the environment's.
        demo: What ``%mountsea demo`` said: ``on``, ``off``, ``if-no-key`` or None (nothing).
        inherited: Finds what the process that started this one has said so, for a home.
        stored: Finds the key that is kept for a home and a Hub's address, and says where.

    Raises:
        ConfigurationError: If an address or the key makes no sense.

    Example:
        >>> read_settings({"MOUNTSEA_BASE_URL": "demo:"}).is_demo
        True
    """
    # A traceback may show the variables of a line that fails, so none of those may hold a key.
    if environ is None:
        fix_home()
        environ = os.environ
    named_url = environ.get("MOUNTSEA_BASE_URL", "").strip()
    credits_url = environ.get("MOUNTSEA_CREDITS_URL", "").strip() or None
    home = _home(environ.get("MOUNTSEA_HOME", "").strip())
    chosen = demo or environ.get("MOUNTSEA_DEMO", "").strip() or None
    if demo is None and chosen != "on" and inherited is not None:
        chosen = inherited(home) or chosen
    if chosen not in (None, "on", "off", "if-no-key"):
        raise ConfigurationError(
            f"MOUNTSEA_DEMO is {plain(chosen)!r}: it can be `if-no-key`, `on` or `off`."
        )
    named = _address(base_url or named_url or DEFAULT_BASE_URL)
    if credits_url is not None:
        _address(credits_url, name="MOUNTSEA_CREDITS_URL")
    elif named == DEFAULT_BASE_URL:
        credits_url = DEFAULT_CREDITS_URL
    if chosen == "off" and named == DEMO_URL:
        named, credits_url = DEFAULT_BASE_URL, credits_url or DEFAULT_CREDITS_URL
    key, source = login, "login (this kernel only)"
    given = environ.get("MOUNTSEA_API_KEY", "").strip()
    if key is None and given:
        if Secret.fits(given):
            key, source = Secret(given), "MOUNTSEA_API_KEY"
        elif chosen != "on" and named != DEMO_URL:
            raise ConfigurationError(f"MOUNTSEA_API_KEY: {NO_KEY}")
    if key is None:
        kept = stored(home, named) if stored is not None and named != DEMO_URL else None
        key, source = kept or (None, "none")
    if chosen == "on" or (chosen == "if-no-key" and key is None):
        named = DEMO_URL
    return Settings(named, key, source, credits_url, home)


def _address(text: str, *, name: str = "MOUNTSEA_BASE_URL") -> str:
    """A mistyped address must be refused here, before the key is sent to it."""
    text = text.strip()
    if text == DEMO_URL and name == "MOUNTSEA_BASE_URL":
        return text
    try:
        parts = urlsplit(text)
        fits = (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and parts.username is None
            and not re.search(r"[\s?#\x00-\x1f]", text)
            and (parts.port is None or parts.port > 0)
        )
    except ValueError:
        fits = False
    if not fits:
        raise ConfigurationError(
            f"{name} must be an http(s) address without user, query or fragment, such as "
            + (DEFAULT_CREDITS_URL if "CREDITS" in name else f"{DEFAULT_BASE_URL}, or demo:")
            + "."
        )
    return text.rstrip("/")


def fix_home() -> None:
    """Make a relative MOUNTSEA_HOME absolute, once, for this process and those that it starts.

    Else the journal would be another one after a change of the working folder, and what was
    paid for would be paid for again.
    """
    named = os.environ.get("MOUNTSEA_HOME", "").strip()
    if named and not named.startswith("~") and not os.path.isabs(named):
        with suppress(OSError):  # the working folder may be gone
            os.environ["MOUNTSEA_HOME"] = os.path.abspath(named)


def _home(named: str) -> Path:
    """One folder for all that is kept; platformdirs knows where each platform wants it."""
    if named:
        try:
            return Path(named).expanduser().absolute()
        except (OSError, RuntimeError) as error:
            message = plain(error).rstrip(".")
            raise ConfigurationError(f"MOUNTSEA_HOME is {plain(named)}: {message}.") from error
    import platformdirs

    cause: RuntimeError | None = None
    try:
        folder = platformdirs.user_data_path("mountsea-magic", appauthor=False)
    except RuntimeError as error:
        cause = error
    # an older platformdirs answers with a folder that is named "~"
    if cause is not None or not folder.is_absolute():
        raise ConfigurationError(
            "No data folder is known, since this user has no home folder (is HOME set?): set "
            "MOUNTSEA_HOME to a folder for the journal and the images."
        ) from cause
    return folder
