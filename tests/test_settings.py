"""The settings: which Hub and whose key, in which order; and the key that nothing shows."""

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
    "said",
    [
        repr(Secret(KEY)),
        str(Secret(KEY)),
        ascii(Secret(KEY)),
        format(Secret(KEY)),
        f"{Secret(KEY)}",
        f"{Secret(KEY)!r:>40}",
        "%s %r" % (Secret(KEY), Secret(KEY)),  # noqa: UP031  # this way of formatting, too
        repr([Secret(KEY)]),
        repr({"key": Secret(KEY)}),
        repr(dir(Secret(KEY))),
        repr(read_settings({"MOUNTSEA_API_KEY": KEY})),
    ],
)
def test_no_text_shows_the_key(said: str) -> None:
    """However a key is turned into text, the key is not in it."""
    assert KEY not in said


def test_logging_does_not_show_the_key(caplog: pytest.LogCaptureFixture) -> None:
    """A settings record that is logged in passing gives nothing away."""
    logging.getLogger("mine").warning("using %s", read_settings({"MOUNTSEA_API_KEY": KEY}))
    assert "using Settings" in caplog.text
    assert KEY not in caplog.text


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_the_key_is_not_pickled(protocol: int) -> None:
    """A pickle of a key, or of settings that hold one, is refused without naming it."""
    for holder in (Secret(KEY), read_settings({"MOUNTSEA_API_KEY": KEY})):
        with pytest.raises(TypeError) as caught:
            pickle.dumps(holder, protocol)
        assert KEY not in str(caught.value)


def test_the_key_is_not_had_by_vars_json_or_copies() -> None:
    """Generic tools that read or copy any object get nothing."""
    for read in (vars, json.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError) as caught:
            read(Secret(KEY))
        assert KEY not in str(caught.value)


@pytest.mark.parametrize("pasted", [KEY, f" {KEY}", f"{KEY}\n", f"\t{KEY}\r\n"])
def test_a_pasted_key_loses_its_white_space(pasted: str) -> None:
    """What a paste brings around a key is not part of it."""
    assert Secret(pasted).reveal() == KEY


@pytest.mark.parametrize(
    "text", ["", " ", "\n", "sk 123", "sk\t123", "sk\n123", "sk-\x00", "sk-ü", "“sk-1”", "🔑"]
)
def test_what_cannot_stand_in_a_header_is_no_key(text: str) -> None:
    """A key that is empty, of several words or not ASCII is refused, and not repeated."""
    with pytest.raises(ConfigurationError, match="Not a valid API key") as caught:
        Secret(text)
    if text.strip():
        assert text not in str(caught.value)


def test_keys_compare_by_what_they_hold() -> None:
    """Equal keys are equal and hash alike, so that clients are shared; text is never equal."""
    assert Secret(KEY) == Secret(f" {KEY} ")
    assert hash(Secret(KEY)) == hash(Secret(KEY))
    assert Secret(KEY) != Secret("sk-other")
    assert Secret(KEY) != KEY


@pytest.mark.parametrize(
    ("key", "text", "said"),
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
def test_a_key_is_blotted_out_of_what_the_hub_echoes(key: str, text: str, said: str) -> None:
    """Each echo of a key goes; a toy key, which common words may hold, is left alone."""
    assert Secret(key).redact_in(text) == said


def test_nothing_set_means_the_hub_without_a_key() -> None:
    """The defaults are the vendor's addresses; the demo Hub is never chosen silently."""
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
def test_the_key_of_login_wins_over_the_environment(
    login: str | None, environment: str | None, key: str | None, source: str
) -> None:
    """The first place that has a key gives it, and its name is told."""
    settings = read_settings(
        {} if environment is None else {"MOUNTSEA_API_KEY": environment},
        login=None if login is None else Secret(login),
    )
    assert (settings.key.reveal() if settings.key else None, settings.key_source) == (key, source)


class Store:
    """A store with one key for one Hub, which remembers what it was asked for."""

    def __init__(self) -> None:
        """Nothing was asked yet."""
        self.asked: list[tuple[Path, str]] = []

    def find(self, home: Path, hub: str) -> tuple[Secret, str] | None:
        """Give the key of the Hub that it is for."""
        self.asked.append((home, hub))
        return (Secret("sk-stored"), "a drawer") if hub == DEFAULT_BASE_URL else None


@pytest.mark.parametrize(
    ("login", "environment", "key", "source"),
    [
        (None, "", "sk-stored", "a drawer"),
        (None, "sk-env", "sk-env", "MOUNTSEA_API_KEY"),
        ("sk-login", "", "sk-login", "login (this kernel only)"),
    ],
)
def test_a_stored_key_comes_last(
    login: str | None, environment: str, key: str, source: str
) -> None:
    """It is asked for only where nothing else gives a key, and then its place is told."""
    store = Store()
    settings = read_settings(
        {"MOUNTSEA_API_KEY": environment, "MOUNTSEA_HOME": "/mine"},
        login=None if login is None else Secret(login),
        stored=store.find,
    )
    assert (settings.key, settings.key_source) == (Secret(key), source)
    home = Path("/mine").absolute()
    assert store.asked == ([(home, DEFAULT_BASE_URL)] if key == "sk-stored" else [])


def test_a_stored_key_goes_to_its_own_hub_only() -> None:
    """Another Hub gets none; the demo Hub is not even asked about."""
    store = Store()
    assert read_settings({}, base_url="https://other.example", stored=store.find).key is None
    assert read_settings({}, base_url="demo:", stored=store.find).key is None
    assert [hub for _, hub in store.asked] == ["https://other.example"]


def test_a_stored_key_leads_away_from_the_demo() -> None:
    """With `if-no-key` a stored key counts, and `demo off` finds the vendor's."""
    for environ, demo in (({"MOUNTSEA_DEMO": "if-no-key"}, None), ({}, "if-no-key")):
        settings = read_settings(environ, demo=demo, stored=Store().find)
        assert (settings.base_url, settings.key) == (DEFAULT_BASE_URL, Secret("sk-stored"))
    off = read_settings({"MOUNTSEA_BASE_URL": "demo:"}, demo="off", stored=Store().find)
    assert off.key == Secret("sk-stored")


def test_without_names_the_process_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment is read anew each time."""
    assert read_settings().key is None
    monkeypatch.setenv("MOUNTSEA_API_KEY", KEY)
    assert read_settings().key == Secret(KEY)


@pytest.mark.parametrize(
    ("key", "text", "refused"),
    [
        (KEY, f'{{"prompt":"a dog {KEY}"}}', True),
        (KEY, '{"prompt":"a dog"}', False),
        ("", f"a dog {KEY}", False),
    ],
)
def test_a_request_that_holds_the_key_is_refused(key: str, text: str, refused: bool) -> None:
    """It would be sent, written down and shown; the error does not show it either."""
    settings = read_settings({"MOUNTSEA_API_KEY": key})
    if not refused:
        settings.refuse_key_in(text)
        return
    with pytest.raises(InvalidRequest, match="contains your API key") as caught:
        settings.refuse_key_in(text)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("argument", "environment", "address"),
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
def test_the_address_of_the_argument_wins(
    argument: str | None, environment: str | None, address: str
) -> None:
    """The argument is before the environment, that before the default; slashes at its end go."""
    environ = {} if environment is None else {"MOUNTSEA_BASE_URL": environment}
    assert read_settings(environ, base_url=argument).base_url == address


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
def test_a_hub_is_one_text_however_it_is_written(written: str, hub: str) -> None:
    """Else a seed would be paid for twice; what is added to a base URL is no part of it."""
    assert read_settings({"MOUNTSEA_BASE_URL": written}).base_url == hub
    assert read_settings({}, base_url=written).base_url == hub
    credits_url = read_settings({"MOUNTSEA_BASE_URL": written}).credits_url
    assert credits_url == (DEFAULT_CREDITS_URL if hub == DEFAULT_BASE_URL else None)


@pytest.mark.parametrize(
    ("pasted", "what"),
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
def test_what_a_paste_brings_along_is_named(pasted: str, what: str) -> None:
    """In the environment as at a login; the key itself is never shown."""
    with pytest.raises(ConfigurationError) as caught:
        read_settings({"MOUNTSEA_API_KEY": pasted})
    assert str(caught.value).startswith("MOUNTSEA_API_KEY: Not a valid API key")
    assert what in str(caught.value) and KEY not in str(caught.value)
    assert isinstance(Secret.read(pasted), str)
    settings = read_settings({"MOUNTSEA_API_KEY": pasted}, demo="on")
    assert settings.is_demo and settings.key is None


@pytest.mark.parametrize(
    "key", [KEY, "key-abc=", "uuid:secret", "a1|b2", "bearer-abc", "KEYabc", "x", "abc.def_-~+/=="]
)
def test_an_unusual_key_is_one(key: str) -> None:
    """Nobody here knows how the vendor's keys look."""
    assert Secret.read(f" {key}\n") == Secret(key)


@pytest.mark.parametrize(
    "environ", [{"MOUNTSEA_BASE_URL": "nonsense"}, {"MOUNTSEA_CREDITS_URL": "nonsense"}]
)
def test_what_is_wrong_with_other_hubs_keeps_nobody_from_the_demo(environ: dict[str, str]) -> None:
    """But it is told of as soon as they are meant."""
    assert read_settings(environ, demo="on").is_demo
    with pytest.raises(ConfigurationError):
        read_settings(environ, demo="off")


def test_the_demo_asks_for_no_stored_key() -> None:
    """A keyring may want a password."""
    store = Store()
    assert read_settings({}, demo="on", stored=store.find).key is None
    assert store.asked == []


@pytest.mark.parametrize(
    "address",
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
def test_a_mistyped_address_is_refused(name: str, address: str) -> None:
    """No key is sent to what is not a plain http(s) address; the setting at fault is named."""
    with pytest.raises(ConfigurationError, match=f"^{name} must be an http") as caught:
        read_settings({name: address})
    assert len(str(caught.value)) < 200
    assert "word" not in str(caught.value).replace("password", "")


def test_a_wrong_address_of_the_argument_is_refused() -> None:
    """What `%config` says is checked like the environment."""
    with pytest.raises(ConfigurationError):
        read_settings({}, base_url="nonsense")


@pytest.mark.parametrize(
    ("base_url", "credits_url", "asked"),
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
def test_the_vendors_credits_endpoint_goes_with_the_vendors_hub(
    base_url: str | None, credits_url: str | None, asked: str | None
) -> None:
    """Another Hub's key is never sent to the vendor's credits endpoint."""
    environ = {"MOUNTSEA_BASE_URL": base_url or "", "MOUNTSEA_CREDITS_URL": credits_url or ""}
    assert read_settings(environ).credits_url == asked


@pytest.mark.parametrize(
    ("said", "environment", "key", "is_demo"),
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
def test_when_the_demo_hub_is_meant(
    said: str | None, environment: str, key: str, is_demo: bool
) -> None:
    """The command is before the environment; `if-no-key` gives way to a key."""
    environ = {"MOUNTSEA_DEMO": environment, "MOUNTSEA_API_KEY": key}
    assert read_settings(environ, demo=said).is_demo is is_demo


def test_a_later_login_leads_from_the_demo_to_the_hub() -> None:
    """With `if-no-key`, a key of login is enough to leave the demo Hub."""
    settings = read_settings({"MOUNTSEA_DEMO": "if-no-key"}, login=Secret(KEY))
    assert settings.base_url == DEFAULT_BASE_URL


def test_demo_off_leaves_the_demo_of_the_environment() -> None:
    """`%mountsea demo off` leads to the vendor's Hub, with its credits endpoint."""
    settings = read_settings({"MOUNTSEA_BASE_URL": "demo:"}, demo="off")
    assert (settings.base_url, settings.credits_url) == (DEFAULT_BASE_URL, DEFAULT_CREDITS_URL)


@pytest.mark.parametrize("word", ["yes", "1", "ON", "if_no_key", "\x1b[31m"])
def test_an_unknown_word_for_the_demo_is_refused(word: str) -> None:
    """A mistyped MOUNTSEA_DEMO must not end at the real, paid Hub in silence."""
    with pytest.raises(ConfigurationError, match="if-no-key") as caught:
        read_settings({"MOUNTSEA_DEMO": word})
    assert "\x1b" not in str(caught.value)


def test_a_key_of_the_environment_that_is_none_is_refused() -> None:
    """A broken key is told of, and not shown."""
    with pytest.raises(ConfigurationError) as caught:
        read_settings({"MOUNTSEA_API_KEY": "sk-1 sk-2"})
    assert "sk-1" not in str(caught.value)


@pytest.mark.parametrize("how", ["command", "address"])
def test_a_placeholder_for_a_key_keeps_nobody_from_the_demo(how: str) -> None:
    """A class has `your key here` in its environment, and needs no key for the demo Hub."""
    environ = {"MOUNTSEA_API_KEY": "your key here"}
    if how == "address":
        environ["MOUNTSEA_BASE_URL"] = "demo:"
    settings = read_settings(environ, demo="on" if how == "command" else None)
    assert settings.is_demo and settings.key is None
    with pytest.raises(ConfigurationError):
        read_settings(environ, demo="off")


def test_a_home_of_nobody_is_refused() -> None:
    """The variable is named; nothing is written elsewhere."""
    with pytest.raises(ConfigurationError, match="MOUNTSEA_HOME is ~no-such-user/x"):
        read_settings({"MOUNTSEA_HOME": "~no-such-user/x"})


def test_an_error_loses_the_key_that_it_quotes() -> None:
    """Whatever the user typed; without a key nothing is changed."""
    for environ, said in (({"MOUNTSEA_API_KEY": KEY}, "no [key]"), ({}, f"no {KEY}")):
        error = InvalidRequest(f"no {KEY}", task_id="hub-1")
        read_settings(environ).redact_key_in(error)
        assert (str(error), error.task_id) == (said, "hub-1")


def test_the_demo_hub_is_never_given_a_key() -> None:
    """Even a user who has a key sends none to the demo Hub."""
    settings = read_settings({"MOUNTSEA_BASE_URL": "demo:", "MOUNTSEA_API_KEY": KEY})
    assert settings.require_key() is None


def test_a_missing_key_names_the_ways_to_get_by() -> None:
    """Without a key the real Hub is not asked; login, the variable and the demo are named."""
    with pytest.raises(ConfigurationError) as caught:
        read_settings({}).require_key()
    for way in ("%mountsea login", "MOUNTSEA_API_KEY", "%mountsea demo"):
        assert way in str(caught.value)


def test_a_key_that_is_there_is_given() -> None:
    """The real Hub is given the key."""
    assert read_settings({"MOUNTSEA_API_KEY": KEY}).require_key() == Secret(KEY)


def test_the_home_is_absolute_and_holds_originals_and_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative or `~` folder of MOUNTSEA_HOME is fixed when it is read."""
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
def test_without_a_home_the_platform_names_one(named: str) -> None:
    """An empty MOUNTSEA_HOME is none; the platform's user data folder is then meant."""
    home = read_settings({"MOUNTSEA_HOME": named}).home
    assert home.is_absolute()
    assert home.name == "mountsea-magic"


def test_settings_are_frozen_and_hashable() -> None:
    """Settings name a client: equal settings share one, and none changes under it."""
    first, second = (
        read_settings({"MOUNTSEA_API_KEY": KEY}),
        read_settings({"MOUNTSEA_API_KEY": KEY}),
    )
    assert first == second
    assert hash(first) == hash(second)
    with pytest.raises(FrozenInstanceError):
        first.base_url = "https://elsewhere.example"  # type: ignore[misc]  # that is the point
    assert isinstance(first, Settings)
