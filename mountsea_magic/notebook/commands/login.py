"""The commands ``login`` and ``logout``: store and remove the API key."""

from __future__ import annotations

import getpass

from ...errors import ConfigurationError, without_frames
from ...session import current_session
from ...settings import Secret


def login(save: bool) -> str:
    """Ask for an API key and store it; return a message.

    The key is read by `getpass`: the value of a widget would be saved in the notebook.

    Args:
        save: Whether to store it in the system keyring or a file, too.

    Raises:
        ConfigurationError: If the front end can't ask, or the input is not a valid key.
    """
    try:
        # no local variable for the input: a traceback can show the locals of a frame
        key = Secret.read(getpass.getpass("Mountsea API key: "))
    except (EOFError, RuntimeError) as error:
        raise ConfigurationError(
            "This front end can't ask for a key: set MOUNTSEA_API_KEY before the kernel starts."
        ) from error
    except KeyboardInterrupt as error:
        raise without_frames(error) from None
    if isinstance(key, str):
        raise ConfigurationError(key)
    session = current_session()
    session.login = key
    location, notes = "this kernel's memory", list[str]()
    if save:
        hub = session.real_hub()
        store = session.keys()
        location = f"{store.save(hub, session.login)}, for {hub}"
        notes = store.notes()
    return " ".join([f"API key stored in {location}.", *notes, _hub_line()])


def logout() -> str:
    """Remove the API key of `login`; return a message that names the key used from now on."""
    current_session().login = None
    store = current_session().keys()
    trouble = store.delete(current_session().real_hub())
    return " ".join(filter(None, ["API key removed.", trouble, *store.notes(), key_line()]))


def key_line() -> str:
    """Return where the key comes from, never the key itself."""
    settings = current_session().settings()
    unused = ", not used by the demo Hub" if settings.is_demo and settings.key else ""
    return f"key: {settings.key_source}{unused}"


def _hub_line() -> str:
    """Name the Hub, since a login has no effect while the demo Hub is on."""
    settings = current_session().settings()
    if settings.is_demo:
        return "The demo Hub is still on; `%mountsea demo off` switches to the real Hub."
    return f"The Hub is {settings.base_url}."
