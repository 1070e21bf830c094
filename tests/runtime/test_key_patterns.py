"""Key forms: what is redacted as an echo of a key, and what is not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from echoes import FORMS, KEY, leaks
from hub_server import all_text_of

from mountsea_magic.runtime.key_patterns import KeyForms
from mountsea_magic.runtime.key_redaction import MAX_SEARCHED_CHARS
from mountsea_magic.settings.secret import Secret


@pytest.mark.parametrize("name", FORMS)
def test_each_form_is_redacted_and_the_text_around_it_stays(name: str) -> None:
    """However the key is encoded, between other words."""
    redacted = KeyForms(KEY).redact(f"before {FORMS[name]} behind")
    assert redacted.startswith("before ") and redacted.endswith(" behind") and "[key]" in redacted
    assert leaks(redacted) == []


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
def test_text_that_only_resembles_a_key_stays(key: str, text: str) -> None:
    """Nothing is redacted for a key that is a word or short, nor for a short piece of a key."""
    assert KeyForms(key).redact(text) == text


@pytest.mark.parametrize(
    ("key", "text", "redacted"),
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
def test_an_echo_of_any_key_is_redacted(key: str, text: str, redacted: str) -> None:
    """Also the exact letters of a key that is a word, and a long piece of a long key."""
    assert KeyForms(key).redact(text) == redacted


def test_pieces_can_be_left_in_ids() -> None:
    """A Hub's task ids may start with a piece of the key; the whole key is still redacted."""
    forms = KeyForms(KEY)
    assert forms.redact(f"{KEY[:20]}-task-7", pieces=False) == f"{KEY[:20]}-task-7"
    assert forms.redact(f"{KEY}-task-7", pieces=False) == "[key]-task-7"


def test_only_the_beginning_of_a_long_text_is_searched_for_all_forms(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The search is bounded; the literal key is redacted everywhere."""
    searched: list[int] = []
    spans = KeyForms._spans

    def counted(self: KeyForms, text: str, pieces: bool) -> Iterator[tuple[int, int]]:
        searched.append(len(text))
        return spans(self, text, pieces)

    monkeypatch.setattr(KeyForms, "_spans", counted)
    redacted = KeyForms(KEY).redact("a dog " * 200_000 + KEY)
    assert redacted.endswith("a dog [key]") and searched == [MAX_SEARCHED_CHARS]


def test_an_interrupt_during_the_search_exposes_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The frames of the search have the key in their variables."""

    def interrupt(self: KeyForms, folded: str, pieces: bool) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(KeyForms, "_is_in", interrupt)
    secret = Secret(KEY)
    with pytest.raises(KeyboardInterrupt) as caught:
        secret.redact_in(FORMS["between spaces"])
    assert caught.value.__context__ is None
    assert leaks(repr(KeyForms(KEY)) + all_text_of(caught.value)) == []
