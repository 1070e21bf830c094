"""Key forms: what is an echo of a key, and what only looks a little like it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from echoes import FORMS, KEY, leaks
from hub_server import all_text_of

from mountsea_magic.runtime.key_patterns import KeyForms
from mountsea_magic.runtime.key_redaction import LOOK
from mountsea_magic.settings.secret import Secret


@pytest.mark.parametrize("name", FORMS)
def test_each_form_goes_and_what_is_around_it_stays(name: str) -> None:
    """However the key is spelled, in the midst of other words."""
    hidden = KeyForms(KEY).hide(f"before {FORMS[name]} behind")
    assert hidden.startswith("before ") and hidden.endswith(" behind") and "[key]" in hidden
    assert leaks(hidden) == []


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("mountsea", "Set MOUNTSEA_BASE_URL, or read the Mountsea Hub's page."),
        ("red-panda", "A red panda, a Red-Panda, and a redpanda."),
        ("redpanda", "a red panda by a red, panda-like bear"),
        ("12345678", "1234 5678, 12,345,678 or 1234-5678"),
        ("sk-login-1", "sk login 1"),
        (KEY, "sk-m0unt has 0123 of 456789, and sk-m0 is no key: https://m0untsea.example"),
        (KEY, "0123456789"),
        (KEY, f"{KEY[:9]}"),
        ("mountsea-classroom-of-2026-abc", "the Mountsea classroom of the year"),
        ("seven77", "seven77"),
        ("!!!!!!!!!", "No! No!! No!!!"),
    ],
)
def test_what_only_resembles_a_key_stays(key: str, text: str) -> None:
    """A key that is a word, or short, blots no sentence; nor does a little piece of a long one."""
    assert KeyForms(key).hide(text) == text


@pytest.mark.parametrize(
    ("key", "text", "hidden"),
    [
        ("mountsea", "key mountsea; %6dountsea; m\u200bountsea", "key [key]; [key]; [key]"),
        ("!!!!!!!!!", "no !!!!!!!!! here", "no [key] here"),
        ("classroom-2026", "the key classroom 2026 is used up", "the key [key] is used up"),
        (KEY, f"{KEY}{KEY}", "[key][key]"),
        (KEY, f"cut: {KEY[:14]}…", "cut: [key]…"),
        (KEY, f"cut: …{KEY[-12:-2]}", "cut: …[key]"),
        ('sk-a"b\\c-0123456789', r'{"k": "sk-a\"b\\c-0123456789"}', '{"k": "[key]"}'),
    ],
)
def test_an_echo_of_any_key_goes(key: str, text: str, hidden: str) -> None:
    """Also a word's, where it is that word letter by letter, and a long piece of a long one."""
    assert KeyForms(key).hide(text) == hidden


def test_a_piece_may_be_left_where_it_is_part_of_an_id() -> None:
    """A Hub may name tasks by how the account's key begins; all of a key is still an echo."""
    forms = KeyForms(KEY)
    assert forms.hide(f"{KEY[:20]}-task-7", pieces=False) == f"{KEY[:20]}-task-7"
    assert forms.hide(f"{KEY}-task-7", pieces=False) == "[key]-task-7"


def test_only_the_beginning_of_a_long_text_is_searched_for_all_forms(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is searched does not grow with the text; the key as it is goes from all of it."""
    searched: list[int] = []
    spans = KeyForms._spans

    def counted(self: KeyForms, text: str, pieces: bool) -> Iterator[tuple[int, int]]:
        searched.append(len(text))
        return spans(self, text, pieces)

    monkeypatch.setattr(KeyForms, "_spans", counted)
    hidden = KeyForms(KEY).hide("a dog " * 200_000 + KEY)
    assert hidden.endswith("a dog [key]") and searched == [LOOK]


def test_an_interrupt_while_a_key_is_sought_shows_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """The frames that compare a text with the key hold both."""

    def interrupt(self: KeyForms, folded: str, pieces: bool) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(KeyForms, "_is_in", interrupt)
    secret = Secret(KEY)
    with pytest.raises(KeyboardInterrupt) as caught:
        secret.redact_in(FORMS["between spaces"])
    assert caught.value.__context__ is None
    assert leaks(repr(KeyForms(KEY)) + all_text_of(caught.value)) == []
