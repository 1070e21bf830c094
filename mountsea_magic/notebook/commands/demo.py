"""The command ``demo``: switch the embedded demo Hub on or off, or simulate network faults."""

from __future__ import annotations

from ...errors import InvalidRequest
from ...session import current_session


def demo(state: str | None, if_no_key: bool, fault: str | None) -> str:
    """Switch the demo Hub; return a message that names the Hub used from now on.

    Args:
        state: ``on`` or ``off``; None means ``on``, unless only a fault is set.
        if_no_key: Use the demo Hub only while no key is set.
        fault: The network fault to simulate; ``none`` ends it.

    Raises:
        InvalidRequest: If the arguments contradict each other, or the fault is unknown.
    """
    if if_no_key and state is not None:
        raise InvalidRequest(f"%mountsea demo: '{state}' and --if-no-key can't be combined.")
    if fault is not None and state is None and not if_no_key:
        if not current_session().settings().is_demo:
            raise InvalidRequest("--fail needs the demo Hub: run `%mountsea demo` first.")
        return f"The demo's network: {current_session().clients.break_demo(fault)}."
    if fault is not None:
        current_session().clients.break_demo(fault)
    current_session().use_demo("if-no-key" if if_no_key else state or "on")
    settings = current_session().settings()
    if settings.is_demo:
        return (
            "The demo Hub draws the images locally: no model, no key, no network, nothing "
            "charged. `%mountsea demo off` switches to the real Hub."
        )
    return f"The Hub is {settings.base_url}; key: {settings.key_source}."
