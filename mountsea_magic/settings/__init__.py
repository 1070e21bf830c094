"""Settings: Hub, API key and data folder, from arguments, login and the environment."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..defaults import DEFAULT_CONCURRENCY as DEFAULT_CONCURRENCY
from ..defaults import DEFAULT_CONFIRM_ABOVE as DEFAULT_CONFIRM_ABOVE
from ..defaults import DEFAULT_POLLS_PER_S as DEFAULT_POLLS_PER_S
from ..defaults import DEFAULT_PREVIEW_PX as DEFAULT_PREVIEW_PX
from ..defaults import DEFAULT_TIMEOUT_S as DEFAULT_TIMEOUT_S
from ..defaults import MAX_BUDGET as MAX_BUDGET
from ..errors import ConfigurationError, InvalidRequest, MountseaError, without_frames
from ..runtime.text import sanitize
from .home import data_folder, make_home_absolute
from .hub_urls import DEFAULT_BASE_URL as DEFAULT_BASE_URL
from .hub_urls import DEFAULT_CREDITS_URL as DEFAULT_CREDITS_URL
from .hub_urls import DEMO_URL as DEMO_URL
from .hub_urls import read_base_url, read_credits_url
from .secret import Secret as Secret


@dataclass(frozen=True, slots=True)
class Settings:
    """The Hub, the API key and the data folder.

    Attributes:
        base_url: The Hub's base URL, without a trailing slash, or ``demo:``.
        key: The API key, or None; it is never sent to the demo Hub.
        key_source: Where the key comes from, for display.
        credits_url: The full URL of the credits endpoint, or None if unknown.
        home: The folder of originals, thumbnails, journal, stored keys, models and the demo Hub's
            tasks.
        budget: How many images MOUNTSEA_BUDGET allows in 24 hours, or None for any number.
    """

    base_url: str
    key: Secret | None
    key_source: str
    credits_url: str | None
    home: Path
    budget: int | None = None

    @property
    def is_demo(self) -> bool:
        """Whether this is the embedded demo Hub."""
        return self.base_url == DEMO_URL

    @property
    def originals(self) -> Path:
        """The folder of the images as they were received."""
        return self.home / "originals"

    @property
    def thumbnails(self) -> Path:
        """The folder of the thumbnails that are kept; they can be made again."""
        return self.home / "thumbnails"

    @property
    def journal(self) -> Path:
        """The file of the journal."""
        return self.home / "journal.sqlite"

    def refuse_key_in(self, text: str) -> None:
        """Reject a request that contains the key: it would be sent, journaled and shown.

        Raises:
            InvalidRequest: If the text contains the key.
        """
        if self.key is not None and self.key.redact_in(text, pieces=False) != text:
            del text
            raise InvalidRequest(
                "The request contains your API key: remove it from the cell. Nothing was sent."
            )

    def redact_key_in(self, error: MountseaError) -> None:
        """Redact the key in an error's message, which may quote the user's input.

        Args:
            error: The error, changed in place.
        """
        if self.key is not None:
            error.args = tuple(self.key.redact_in(str(message)) for message in error.args)

    def require_key(self) -> Secret | None:
        """Return the key to send, or None for the demo Hub.

        Raises:
            ConfigurationError: If the Hub needs a key and there is none.
        """
        if self.is_demo:
            return None
        if self.key is None:
            raise ConfigurationError(
                "No API key found. Set one with `%mountsea login` or MOUNTSEA_API_KEY, or try the "
                "demo Hub without one: `%mountsea demo`."
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
    """Read the settings, in this order: argument, login, environment, stored key.

    Args:
        environ: The MOUNTSEA_* variables; the process's environment if left out.
        base_url: The Hub's base URL, which overrides the environment's.
        login: The key of ``%mountsea login``, which overrides the environment's.
        demo: The choice of ``%mountsea demo``: ``on``, ``off``, ``if-no-key``, or None without one.
        inherited: Returns the choice of the parent process, for a data folder.
        stored: Returns the stored key for a data folder and a base URL, and where it is stored.

    Raises:
        ConfigurationError: If a URL, the key or the budget is invalid.

    Example:
        >>> read_settings({"MOUNTSEA_BASE_URL": "demo:"}).is_demo
        True
    """
    if environ is None:
        make_home_absolute()
    try:
        given = _Environment.read(environ)
        del environ
    except BaseException as error:
        # for example an interrupt; the frames of `read` may have values of the environment
        raise without_frames(error) from None
    home = data_folder(given.home)
    chosen = demo or given.demo or None
    if demo is None and chosen != "on" and inherited is not None:
        chosen = inherited(home) or chosen
    if chosen not in (None, "on", "off", "if-no-key"):
        raise ConfigurationError(
            f"MOUNTSEA_DEMO is {sanitize(chosen)!r}; it must be `if-no-key`, `on` or `off`."
        )
    # with the demo Hub the URLs are not read, so that an invalid one does not matter
    try:
        hub = DEMO_URL if chosen == "on" else read_base_url(base_url or given.base_url)
        if demo == "off" and hub == DEMO_URL:
            hub = DEFAULT_BASE_URL
        credits_url = DEFAULT_CREDITS_URL if hub == DEFAULT_BASE_URL else None
        if given.credits_url and hub != DEMO_URL:
            credits_url = read_credits_url(given.credits_url)
    except ConfigurationError as error:
        # the frames have the URL, which may contain the key: mixed-up variables, or `?key=`
        raise without_frames(error) from None
    key, source = login, "login (this kernel only)"
    if key is None and isinstance(given.key, Secret):
        key, source = given.key, "MOUNTSEA_API_KEY"
    if key is None and given.key is not None and hub != DEMO_URL:
        raise ConfigurationError(f"MOUNTSEA_API_KEY: {given.key}")
    if key is None:
        # not for the demo Hub: it needs no key, and the keyring may ask for a password
        found = stored(home, hub) if stored is not None and hub != DEMO_URL else None
        key, source = found or (None, "none")
    if chosen == "if-no-key" and key is None:
        hub = DEMO_URL
    budget = _read_budget(given.budget) if given.budget and hub != DEMO_URL else None
    return Settings(hub, key, source, credits_url, home, budget)


@dataclass(frozen=True, slots=True)
class _Environment:
    """The values of our variables, and no others, since a traceback may show them."""

    base_url: str = field(repr=False)
    budget: str = field(repr=False)
    credits_url: str = field(repr=False)
    demo: str
    home: str
    key: Secret | str | None

    @classmethod
    def read(cls, environ: Mapping[str, str] | None) -> _Environment:
        """Read the variables, with no locals that have their values: tracebacks print locals."""
        return cls(
            _variable(environ, "MOUNTSEA_BASE_URL") or DEFAULT_BASE_URL,
            _variable(environ, "MOUNTSEA_BUDGET"),
            _variable(environ, "MOUNTSEA_CREDITS_URL"),
            _variable(environ, "MOUNTSEA_DEMO"),
            _variable(environ, "MOUNTSEA_HOME"),
            Secret.read(_variable(environ, "MOUNTSEA_API_KEY"))
            if _variable(environ, "MOUNTSEA_API_KEY")
            else None,
        )


def _read_budget(text: str) -> int:
    """Read MOUNTSEA_BUDGET; the error does not quote it, since it may be a mixed-up key."""
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and int(text) <= MAX_BUDGET):
        del text
        raise ConfigurationError(
            "MOUNTSEA_BUDGET must be a whole number of images, such as 20; it limits how many are "
            "ordered in 24 hours."
        )
    return int(text)


def _variable(environ: Mapping[str, str] | None, name: str) -> str:
    """A variable's value, stripped; empty if it is not set."""
    return (os.environ if environ is None else environ).get(name, "").strip()
