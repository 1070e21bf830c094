"""Settings: the precedence of Hubs and keys, validation, and keys that are never shown."""

from __future__ import annotations

import copy
import json
import logging
import pickle
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from mountsea_magic.errors import ConfigurationError, InvalidRequest
from mountsea_magic.settings import (
    DEFAULT_BASE_URL,
    DEFAULT_CREDITS_URL,
    DEMO_URL,
    Secret,
    Settings,
    read_settings,
)

KEY = "sk-0123456789abcdef"


@pytest.mark.parametrize(
    "text",
    [
        repr(Secret(KEY)),
        str(Secret(KEY)),
        ascii(Secret(KEY)),
        format(Secret(KEY)),
        f"{Secret(KEY)}",
        f"{Secret(KEY)!r:>40}",
        "%s %r" % (Secret(KEY), Secret(KEY)),  # noqa: UP031  # printf-style formatting, too
        repr([Secret(KEY)]),
        repr({"key": Secret(KEY)}),
        repr(dir(Secret(KEY))),
        repr(read_settings({"MOUNTSEA_API_KEY": KEY})),
    ],
)
def test_no_conversion_to_text_shows_the_key(text: str) -> None:
    """Whichever function converts a key, or settings with a key."""
    assert KEY not in text


def test_logging_does_not_show_the_key(caplog: pytest.LogCaptureFixture) -> None:
    """Settings can be logged safely."""
    logging.getLogger("mine").warning("using %s", read_settings({"MOUNTSEA_API_KEY": KEY}))
    assert "using Settings" in caplog.text
    assert KEY not in caplog.text


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_key_cannot_be_pickled(protocol: int) -> None:
    """Nor settings with a key; the error does not contain it."""
    for holder in (Secret(KEY), read_settings({"MOUNTSEA_API_KEY": KEY})):
        with pytest.raises(TypeError) as caught:
            pickle.dumps(holder, protocol)
        assert KEY not in str(caught.value)


def test_vars_json_and_copies_of_a_key_raise() -> None:
    """The error does not contain the key."""
    for read in (vars, json.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError) as caught:
            read(Secret(KEY))
        assert KEY not in str(caught.value)


@pytest.mark.parametrize("pasted", [KEY, f" {KEY}", f"{KEY}\n", f"\t{KEY}\r\n"])
def test_white_space_around_a_key_is_removed(pasted: str) -> None:
    """It often comes with copy and paste."""
    assert Secret(pasted).reveal() == KEY


@pytest.mark.parametrize(
    "text", ["", " ", "\n", "sk 123", "sk\t123", "sk\n123", "sk-\x00", "sk-ü", "“sk-1”", "🔑"]
)
def test_a_key_that_is_not_valid_in_a_header_is_rejected(text: str) -> None:
    """An empty key, several words, or characters beyond ASCII; the error does not quote it."""
    with pytest.raises(ConfigurationError, match="Not a valid API key") as caught:
        Secret(text)
    if text.strip():
        assert text not in str(caught.value)


def test_keys_are_compared_by_value() -> None:
    """Equal keys have equal hashes, so that clients are shared; a key never equals a string."""
    assert Secret(KEY) == Secret(f" {KEY} ")
    assert hash(Secret(KEY)) == hash(Secret(KEY))
    assert Secret(KEY) != Secret("sk-other")
    assert Secret(KEY) != KEY


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        (KEY, f"bad key {KEY}", "bad key [key]"),
        (KEY, f"{KEY}{KEY}!", "[key][key]!"),
        (KEY, "nothing of it", "nothing of it"),
        (KEY, "", ""),
        ("a", "a dog and a cat", "a dog and a cat"),
        ("1234567", "1234567", "1234567"),
        ("12345678", "12345678", "[key]"),
    ],
)
def test_echoes_of_the_key_are_redacted(key: str, text: str, expected: str) -> None:
    """Keys under 8 characters are not redacted, since they occur in common words."""
    assert Secret(key).redact_in(text) == expected


def test_the_defaults_are_the_vendors_urls_without_a_key() -> None:
    """The demo Hub is never chosen silently."""
    settings = read_settings({})
    assert settings.base_url == DEFAULT_BASE_URL
    assert settings.credits_url == DEFAULT_CREDITS_URL
    assert (settings.key, settings.key_source) == (None, "none")
    assert not settings.is_demo


@pytest.mark.parametrize(
    ("login", "environment", "key", "source"),
    [
        (None, None, None, "none"),
        (None, "", None, "none"),
        (None, " \n", None, "none"),
        (None, "sk-env", "sk-env", "MOUNTSEA_API_KEY"),
        (None, " sk-env\n", "sk-env", "MOUNTSEA_API_KEY"),
        ("sk-login", None, "sk-login", "login (this kernel only)"),
        ("sk-login", "sk-env", "sk-login", "login (this kernel only)"),
        ("sk-login", "two words", "sk-login", "login (this kernel only)"),
    ],
)
def test_the_key_of_login_overrides_the_environment(
    login: str | None, environment: str | None, key: str | None, source: str
) -> None:
    """The settings say where the key comes from."""
    settings = read_settings(
        {} if environment is None else {"MOUNTSEA_API_KEY": environment},
        login=None if login is None else Secret(login),
    )
    assert (settings.key.reveal() if settings.key else None, settings.key_source) == (key, source)


class Store:
    """A key store with a key for the default Hub, which records its calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[Path, str]] = []

    def find(self, home: Path, hub: str) -> tuple[Secret, str] | None:
        """Return the key, for the default Hub only."""
        self.calls.append((home, hub))
        return (Secret("sk-stored"), "the store") if hub == DEFAULT_BASE_URL else None


@pytest.mark.parametrize(
    ("login", "environment", "key", "source"),
    [
        (None, "", "sk-stored", "the store"),
        (None, "sk-env", "sk-env", "MOUNTSEA_API_KEY"),
        ("sk-login", "", "sk-login", "login (this kernel only)"),
    ],
)
def test_a_stored_key_comes_last(
    login: str | None, environment: str, key: str, source: str
) -> None:
    """The store is asked only if there is no other key."""
    store = Store()
    settings = read_settings(
        {"MOUNTSEA_API_KEY": environment, "MOUNTSEA_HOME": "/mine"},
        login=None if login is None else Secret(login),
        stored=store.find,
    )
    assert (settings.key, settings.key_source) == (Secret(key), source)
    home = Path("/mine").absolute()
    assert store.calls == ([(home, DEFAULT_BASE_URL)] if key == "sk-stored" else [])


def test_a_stored_key_is_used_for_its_own_hub_only() -> None:
    """Not for another Hub; for the demo Hub the store is not even asked."""
    store = Store()
    assert read_settings({}, base_url="https://other.example", stored=store.find).key is None
    assert read_settings({}, base_url="demo:", stored=store.find).key is None
    assert [hub for _, hub in store.calls] == ["https://other.example"]


def test_with_if_no_key_a_stored_key_selects_the_real_hub() -> None:
    """`demo off` finds the stored key, too."""
    for environ, demo in (({"MOUNTSEA_DEMO": "if-no-key"}, None), ({}, "if-no-key")):
        settings = read_settings(environ, demo=demo, stored=Store().find)
        assert (settings.base_url, settings.key) == (DEFAULT_BASE_URL, Secret("sk-stored"))
    off = read_settings({"MOUNTSEA_BASE_URL": "demo:"}, demo="off", stored=Store().find)
    assert off.key == Secret("sk-stored")


def test_the_default_is_the_environment_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read on every call."""
    assert read_settings().key is None
    monkeypatch.setenv("MOUNTSEA_API_KEY", KEY)
    assert read_settings().key == Secret(KEY)


@pytest.mark.parametrize(
    ("key", "text", "is_rejected"),
    [
        (KEY, f'{{"prompt":"a dog {KEY}"}}', True),
        (KEY, '{"prompt":"a dog"}', False),
        ("", f"a dog {KEY}", False),
    ],
)
def test_a_request_with_the_key_is_rejected(key: str, text: str, is_rejected: bool) -> None:
    """It would be sent, journaled and shown; the error does not contain the key."""
    settings = read_settings({"MOUNTSEA_API_KEY": key})
    if not is_rejected:
        settings.refuse_key_in(text)
        return
    with pytest.raises(InvalidRequest, match="contains your API key") as caught:
        settings.refuse_key_in(text)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("argument", "environment", "base_url"),
    [
        (None, None, DEFAULT_BASE_URL),
        (None, "", DEFAULT_BASE_URL),
        (None, "  ", DEFAULT_BASE_URL),
        (None, "http://localhost:8000/", "http://localhost:8000"),
        (None, " https://hub.example/api// ", "https://hub.example/api"),
        (None, "http://[::1]:8000", "http://[::1]:8000"),
        (None, "demo:", DEMO_URL),
        ("https://mine.example", "https://hers.example", "https://mine.example"),
        ("https://mine.example", "nonsense", "https://mine.example"),
        ("demo:", "https://hers.example", DEMO_URL),
        ("", "https://hers.example", "https://hers.example"),
    ],
)
def test_the_base_url_of_the_argument_overrides_the_environment(
    argument: str | None, environment: str | None, base_url: str
) -> None:
    """The environment overrides the default; trailing slashes are removed."""
    environ = {} if environment is None else {"MOUNTSEA_BASE_URL": environment}
    assert read_settings(environ, base_url=argument).base_url == base_url


@pytest.mark.parametrize(
    ("written", "hub"),
    [
        ("https://api.mountsea.ai", DEFAULT_BASE_URL),
        ("HTTPS://API.MountSea.AI/", DEFAULT_BASE_URL),
        ("https://api.mountsea.ai.", DEFAULT_BASE_URL),
        ("https://api.mountsea.ai:443", DEFAULT_BASE_URL),
        ("http://api.mountsea.ai", DEFAULT_BASE_URL),
        ("http://api.mountsea.ai:80/", DEFAULT_BASE_URL),
        ("https://api.mountsea.ai/hub", DEFAULT_BASE_URL),
        ("https://api.mountsea.ai/v1/", DEFAULT_BASE_URL),
        ("https://api.mountsea.ai/hub/v1", DEFAULT_BASE_URL),
        ("https://api.mountsea.ai/hub/v1/image", DEFAULT_BASE_URL),
        ("https://api.mountsea.ai/hub/v1/models/nano-banana", DEFAULT_BASE_URL),
        ("https://api.mountsea.ai:8443", "https://api.mountsea.ai:8443"),
        ("https://Hub.Example:443/hub/v1//", "https://hub.example"),
        ("http://hub.example:80/hub/v1/tasks/hub-1", "http://hub.example"),
        ("http://hub.example:443/hub/v1/image/", "http://hub.example:443"),
        ("https://gate.example/Mountsea/hub/v1", "https://gate.example/Mountsea"),
        ("https://gate.example/hub", "https://gate.example/hub"),
        ("https://gate.example/v1", "https://gate.example/v1"),
        ("https://gate.example/hub/v10", "https://gate.example/hub/v10"),
        ("http://hub_1:8000", "http://hub_1:8000"),
        ("https://münchen.example", "https://münchen.example"),
        ("https://xn--mnchen-3ya.example", "https://xn--mnchen-3ya.example"),
        ("http://[fe80::1%eth0]:8000", "http://[fe80::1%eth0]:8000"),
        ("http://[::1]:80/hub/v1", "http://[::1]"),
        ("http://[FD00::1]:8000", "http://[fd00::1]:8000"),
        ("http://127.0.0.1:8000/hub/v1", "http://127.0.0.1:8000"),
    ],
)
def test_base_urls_are_normalized(written: str, hub: str) -> None:
    """The journal is looked up by them; paths of the API at their end are removed."""
    assert read_settings({"MOUNTSEA_BASE_URL": written}).base_url == hub
    assert read_settings({}, base_url=written).base_url == hub
    credits_url = read_settings({"MOUNTSEA_BASE_URL": written}).credits_url
    assert credits_url == (DEFAULT_CREDITS_URL if hub == DEFAULT_BASE_URL else None)


@pytest.mark.parametrize(
    ("pasted", "problem"),
    [
        (f'"{KEY}"', "in quotes"),
        (f"'{KEY}'", "in quotes"),
        (f"“{KEY}”", "in quotes"),
        (f"„{KEY}“", "in quotes"),
        (f"«{KEY}»", "in quotes"),
        (f"`{KEY}`", "in quotes"),
        (f'{KEY}"', "in quotes"),
        (f"Bearer {KEY}", "“Bearer”"),
        (f"bearer  {KEY}", "“Bearer”"),
        (f"Authorization: Bearer {KEY}", "“Bearer”"),
        ("Bearer", "“Bearer”"),
        (f"MOUNTSEA_API_KEY={KEY}", "name of a variable"),
        (f"export MOUNTSEA_API_KEY = {KEY}", "name of a variable"),
        (f"set MOUNTSEA_API_KEY={KEY}", "name of a variable"),
        (f"$env:MOUNTSEA_API_KEY={KEY}", "name of a variable"),
        (f"X-API-Key: {KEY}", "name of a variable"),
        (f"api_key={KEY}", "name of a variable"),
        ("$MOUNTSEA_API_KEY", "not replaced by its value"),
        ("${MOUNTSEA_API_KEY}", "not replaced by its value"),
        ("%MOUNTSEA_API_KEY%", "not replaced by its value"),
        ("{{ secrets.KEY }}", "not replaced by its value"),
        (f"<{KEY}>", "in brackets"),
        (f"[{KEY}]", "in brackets"),
        (f"{KEY}\u200b", "invalid character"),
        (f"\ufeff{KEY}", "invalid character"),
        ("sk-…", "invalid character"),
        ("your key here", "one word"),
        (f"{KEY} {KEY}", "one word"),
        (f"{KEY}\n{KEY}", "one word"),
    ],
)
def test_the_error_about_an_invalid_key_names_the_problem(pasted: str, problem: str) -> None:
    """It does not contain the key; an invalid key does not matter for the demo Hub."""
    with pytest.raises(ConfigurationError) as caught:
        read_settings({"MOUNTSEA_API_KEY": pasted})
    assert str(caught.value).startswith("MOUNTSEA_API_KEY: Not a valid API key")
    assert problem in str(caught.value) and KEY not in str(caught.value)
    assert isinstance(Secret.read(pasted), str)
    settings = read_settings({"MOUNTSEA_API_KEY": pasted}, demo="on")
    assert settings.is_demo and settings.key is None


@pytest.mark.parametrize(
    "key", [KEY, "key-abc=", "uuid:secret", "a1|b2", "bearer-abc", "KEYabc", "x", "abc.def_-~+/=="]
)
def test_an_unusual_key_is_accepted(key: str) -> None:
    """The vendor does not document the format of keys."""
    assert Secret.read(f" {key}\n") == Secret(key)


@pytest.mark.parametrize(
    "environ", [{"MOUNTSEA_BASE_URL": "nonsense"}, {"MOUNTSEA_CREDITS_URL": "nonsense"}]
)
def test_an_invalid_url_does_not_matter_for_the_demo(environ: dict[str, str]) -> None:
    """With `demo off` it is an error."""
    assert read_settings(environ, demo="on").is_demo
    with pytest.raises(ConfigurationError):
        read_settings(environ, demo="off")


def test_for_the_demo_the_store_is_not_asked() -> None:
    """A keyring may ask the user for a password."""
    store = Store()
    assert read_settings({}, demo="on", stored=store.find).key is None
    assert store.calls == []


@pytest.mark.parametrize(
    "url",
    [
        "api.mountsea.ai",
        "//api.mountsea.ai",
        "ftp://api.mountsea.ai",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https:",
        "https://",
        "https:///hub",
        "https:/api.mountsea.ai",
        "https://user@api.mountsea.ai",
        "https://user:word@api.mountsea.ai",
        "https://@api.mountsea.ai",
        "https://api.mountsea.ai?key=1",
        "https://api.mountsea.ai/#top",
        "https://api.mountsea.ai:0",
        "https://api.mountsea.ai:99999",
        "https://api.mountsea.ai:port",
        "https://[::1",
        *("https://xn--", "https://xn--zzzzzz99999/hub", "https://[v1.a]", "https://[::1]x"),
        *("https://[a.example]", "https://999.1.1.1", f"https://{'a' * 64}.example", "https://."),
        *("https://\u200d", "https://a\u200db.example", "https://\u2603.example", "https://\ud800"),
        *("https://a.example/\ud800", "https://a.example/\x7f", "https://a%00b", "https://a..b"),
        *(f"https://a.example:{'9' * 5000}", f"https://a.example/{'a' * 10_000}", "https://a\\b"),
        "demo",
        "demo:on",
        "Demo:",
    ],
)
@pytest.mark.parametrize("name", ["MOUNTSEA_BASE_URL", "MOUNTSEA_CREDITS_URL"])
def test_an_invalid_url_is_rejected(name: str, url: str) -> None:
    """The error names the variable, and does not contain a password."""
    with pytest.raises(ConfigurationError, match=f"^{name} must be an http") as caught:
        read_settings({name: url})
    assert len(str(caught.value)) < 200
    assert "word" not in str(caught.value).replace("password", "")


def test_an_invalid_base_url_of_the_argument_is_rejected() -> None:
    """The value of `%config` is validated like the environment's."""
    with pytest.raises(ConfigurationError):
        read_settings({}, base_url="nonsense")


@pytest.mark.parametrize(
    ("base_url", "credits_url", "expected"),
    [
        (None, None, DEFAULT_CREDITS_URL),
        (f"{DEFAULT_BASE_URL}/", None, DEFAULT_CREDITS_URL),
        ("https://hub.example", None, None),
        ("demo:", None, None),
        ("https://hub.example", "https://hub.example/credits", "https://hub.example/credits"),
        (None, "https://hub.example/credits", "https://hub.example/credits"),
        ("https://hub.example", " ", None),
    ],
)
def test_the_vendors_credits_endpoint_is_used_with_the_vendors_hub_only(
    base_url: str | None, credits_url: str | None, expected: str | None
) -> None:
    """Another Hub's key is never sent to the vendor's credits endpoint."""
    environ = {"MOUNTSEA_BASE_URL": base_url or "", "MOUNTSEA_CREDITS_URL": credits_url or ""}
    assert read_settings(environ).credits_url == expected


@pytest.mark.parametrize(
    ("command", "environment", "key", "is_demo"),
    [
        (None, "", "", False),
        ("on", "", "", True),
        ("on", "", KEY, True),
        ("off", "", "", False),
        ("off", "if-no-key", "", False),
        ("if-no-key", "", "", True),
        ("if-no-key", "", KEY, False),
        (None, "if-no-key", "", True),
        (None, " if-no-key ", "", True),
        (None, "if-no-key", KEY, False),
    ],
)
def test_when_the_demo_hub_is_used(
    command: str | None, environment: str, key: str, is_demo: bool
) -> None:
    """The command overrides the environment; `if-no-key` uses the real Hub if there is a key."""
    environ = {"MOUNTSEA_DEMO": environment, "MOUNTSEA_API_KEY": key}
    assert read_settings(environ, demo=command).is_demo is is_demo


def test_with_if_no_key_a_login_selects_the_real_hub() -> None:
    """The key of `%mountsea login` counts as a key."""
    settings = read_settings({"MOUNTSEA_DEMO": "if-no-key"}, login=Secret(KEY))
    assert settings.base_url == DEFAULT_BASE_URL


def test_demo_off_overrides_a_demo_base_url_of_the_environment() -> None:
    """`%mountsea demo off` selects the vendor's Hub, with its credits endpoint."""
    settings = read_settings({"MOUNTSEA_BASE_URL": "demo:"}, demo="off")
    assert (settings.base_url, settings.credits_url) == (DEFAULT_BASE_URL, DEFAULT_CREDITS_URL)


@pytest.mark.parametrize("value", ["yes", "1", "ON", "if_no_key", "\x1b[31m"])
def test_an_invalid_value_of_mountsea_demo_is_rejected(value: str) -> None:
    """A typo must not silently select the real, paid Hub."""
    with pytest.raises(ConfigurationError, match="if-no-key") as caught:
        read_settings({"MOUNTSEA_DEMO": value})
    assert "\x1b" not in str(caught.value)


def test_an_invalid_key_of_the_environment_is_rejected() -> None:
    """The error does not contain it."""
    with pytest.raises(ConfigurationError) as caught:
        read_settings({"MOUNTSEA_API_KEY": "sk-1 sk-2"})
    assert "sk-1" not in str(caught.value)


@pytest.mark.parametrize("how", ["command", "base URL"])
def test_a_placeholder_instead_of_a_key_does_not_matter_for_the_demo(how: str) -> None:
    """A class may have `your key here` in its environment, and needs no key for the demo Hub."""
    environ = {"MOUNTSEA_API_KEY": "your key here"}
    if how == "base URL":
        environ["MOUNTSEA_BASE_URL"] = "demo:"
    settings = read_settings(environ, demo="on" if how == "command" else None)
    assert settings.is_demo and settings.key is None
    with pytest.raises(ConfigurationError):
        read_settings(environ, demo="off")


def test_a_home_of_an_unknown_user_is_rejected() -> None:
    """The error names the variable."""
    with pytest.raises(ConfigurationError, match="MOUNTSEA_HOME is ~no-such-user/x"):
        read_settings({"MOUNTSEA_HOME": "~no-such-user/x"})


def test_the_key_is_redacted_in_an_error() -> None:
    """The message may quote the user's input; without a key it does not change."""
    for environ, message in (({"MOUNTSEA_API_KEY": KEY}, "no [key]"), ({}, f"no {KEY}")):
        error = InvalidRequest(f"no {KEY}", task_id="hub-1")
        read_settings(environ).redact_key_in(error)
        assert (str(error), error.task_id) == (message, "hub-1")


def test_the_key_is_not_sent_to_the_demo_hub() -> None:
    """Even if the user has a key."""
    settings = read_settings({"MOUNTSEA_BASE_URL": "demo:", "MOUNTSEA_API_KEY": KEY})
    assert settings.require_key() is None


def test_the_error_about_a_missing_key_names_the_alternatives() -> None:
    """It names login, the variable and the demo."""
    with pytest.raises(ConfigurationError) as caught:
        read_settings({}).require_key()
    for way in ("%mountsea login", "MOUNTSEA_API_KEY", "%mountsea demo"):
        assert way in str(caught.value)


def test_the_key_is_sent_to_the_real_hub() -> None:
    """`require_key` returns it."""
    assert read_settings({"MOUNTSEA_API_KEY": KEY}).require_key() == Secret(KEY)


def test_the_home_is_absolute_and_contains_originals_and_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative MOUNTSEA_HOME, or one with `~`, is made absolute; no folder is created."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert read_settings({"MOUNTSEA_HOME": "here"}).home == tmp_path / "here"
    assert read_settings({"MOUNTSEA_HOME": "~/there"}).home == tmp_path / "there"
    here = read_settings({"MOUNTSEA_HOME": "here"})
    assert here.originals == tmp_path / "here" / "originals"
    assert here.journal == tmp_path / "here" / "journal.sqlite"
    assert not (tmp_path / "here").exists()


@pytest.mark.parametrize("named", ["", "  "])
def test_the_default_home_is_the_platforms_user_data_folder(named: str) -> None:
    """An empty MOUNTSEA_HOME counts as not set."""
    home = read_settings({"MOUNTSEA_HOME": named}).home
    assert home.is_absolute()
    assert home.name == "mountsea-magic"


def test_settings_are_frozen_and_hashable() -> None:
    """Clients are shared between equal settings, so settings must not change."""
    first, second = (
        read_settings({"MOUNTSEA_API_KEY": KEY}),
        read_settings({"MOUNTSEA_API_KEY": KEY}),
    )
    assert first == second
    assert hash(first) == hash(second)
    with pytest.raises(FrozenInstanceError):
        first.base_url = "https://elsewhere.example"  # type: ignore[misc]  # that is the point
    assert isinstance(first, Settings)


@pytest.mark.parametrize(("text", "limit"), [("", None), ("0", 0), (" 20 ", 20), ("007", 7)])
def test_the_budget_is_a_whole_number_of_images(text: str, limit: int | None) -> None:
    """Without the variable there is none."""
    assert read_settings({"MOUNTSEA_BUDGET": text}).budget == limit


@pytest.mark.parametrize("text", ["-1", "1.5", "lots", "1e3", "1_000", "٣", "9" * 30, KEY])
def test_a_wrong_budget_is_a_configuration_error(text: str) -> None:
    """It names the variable, and does not quote it: it may be a mixed-up key."""
    with pytest.raises(ConfigurationError, match=r"^MOUNTSEA_BUDGET must be a whole") as caught:
        read_settings({"MOUNTSEA_BUDGET": text})
    assert text not in str(caught.value).replace("20", "")
    assert read_settings({"MOUNTSEA_BUDGET": text, "MOUNTSEA_DEMO": "on"}).budget is None
