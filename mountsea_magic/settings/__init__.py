"""Settings: which Hub, whose key, which folder; from arguments, login and the environment."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import ConfigurationError, InvalidRequest, MountseaError, sanitize, without_frames
from .home import data_folder, fix_home
from .hub_urls import DEFAULT_BASE_URL as DEFAULT_BASE_URL
from .hub_urls import DEFAULT_CREDITS_URL as DEFAULT_CREDITS_URL
from .hub_urls import DEMO_URL as DEMO_URL
from .hub_urls import read_base_url, read_credits_url
from .secret import NO_KEY as NO_KEY
from .secret import Secret as Secret

DEFAULT_TIMEOUT_S = 600.0
"""How long a task is waited for, in seconds."""

DEFAULT_PREVIEW_PX = 768
"""The longest side of a preview, in pixels."""


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
        """The folder that keeps the images as they were received."""
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
        if self.key is not None and self.key.redact_in(text, pieces=False) != text:
            del text
            raise InvalidRequest(
                "The request holds your API key: take it out of the cell. Nothing was sent."
            )

    def redact_key_in(self, error: MountseaError) -> None:
        """Blot the key out of an error's message, which may quote what the user typed.

        Args:
            error: The error, changed in place.
        """
        if self.key is not None:
            error.args = tuple(self.key.redact_in(str(said)) for said in error.args)

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
    if environ is None:
        fix_home()
    try:
        given = _Environment.read(environ)
        del environ
    except BaseException as error:
        # an interrupt hits any line, and the frames below hold the environment
        raise without_frames(error) from None
    home = data_folder(given.home)
    chosen = demo or given.demo or None
    if demo is None and chosen != "on" and inherited is not None:
        chosen = inherited(home) or chosen
    if chosen not in (None, "on", "off", "if-no-key"):
        raise ConfigurationError(
            f"MOUNTSEA_DEMO is {sanitize(chosen)!r}: it can be `if-no-key`, `on` or `off`."
        )
    # what is wrong with other Hubs' URLs keeps nobody from the demo
    try:
        named = DEMO_URL if chosen == "on" else read_base_url(base_url or given.base_url)
        if demo == "off" and named == DEMO_URL:
            named = DEFAULT_BASE_URL
        credits_url = DEFAULT_CREDITS_URL if named == DEFAULT_BASE_URL else None
        if given.credits_url and named != DEMO_URL:
            credits_url = read_credits_url(given.credits_url)
    except ConfigurationError as error:
        # who mixes the variables up, or follows the vendor's `?key=`, has the key in a URL
        raise without_frames(error) from None
    key, source = login, "login (this kernel only)"
    if key is None and isinstance(given.key, Secret):
        key, source = given.key, "MOUNTSEA_API_KEY"
    if key is None and given.key is not None and named != DEMO_URL:
        raise ConfigurationError(f"MOUNTSEA_API_KEY: {given.key}")
    if key is None:
        # the demo Hub needs no key, so that no keyring is asked, which may want a password
        kept = stored(home, named) if stored is not None and named != DEMO_URL else None
        key, source = kept or (None, "none")
    if chosen == "if-no-key" and key is None:
        named = DEMO_URL
    return Settings(named, key, source, credits_url, home)


@dataclass(frozen=True, slots=True)
class _Environment:
    """The variables that concern us, and nothing else: frames that raise may hold this."""

    base_url: str = field(repr=False)
    credits_url: str = field(repr=False)
    demo: str
    home: str
    key: Secret | str | None

    @classmethod
    def read(cls, environ: Mapping[str, str] | None) -> _Environment:
        """No local here but the given mapping may hold a value of the environment."""
        return cls(
            _variable(environ, "MOUNTSEA_BASE_URL") or DEFAULT_BASE_URL,
            _variable(environ, "MOUNTSEA_CREDITS_URL"),
            _variable(environ, "MOUNTSEA_DEMO"),
            _variable(environ, "MOUNTSEA_HOME"),
            Secret.read(_variable(environ, "MOUNTSEA_API_KEY"))
            if _variable(environ, "MOUNTSEA_API_KEY")
            else None,
        )


def _variable(environ: Mapping[str, str] | None, name: str) -> str:
    """One variable's value, without white space around it."""
    return (os.environ if environ is None else environ).get(name, "").strip()
