r"""Sanitize text from outside: one function for each place where it is shown.

Text of a Hub, an image host, a web page or a journal is untrusted. Use `sanitize` for one line, in
an error, a log or a terminal; `sanitize_inline` within a message of ours; `os_error_reason` for the
reason of an OSError; `printable` for several lines; `escape_html` for HTML, and the Markdown that
nbconvert makes of it; `json_text` for JSON that is shown; `slug` for file names. `is_pasteable` and
`is_quotable` decide what can be offered as input, in a hint, an example or a completion: IPython
expands ``{…}`` and ``$name`` on magic lines.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from itertools import islice
from typing import Any

from .key_redaction import MARGIN, redact_key

MAX_ID = 120
"""The longest id, name or value that is offered as input, in characters."""

MAX_MESSAGE = 20_000
"""The longest error message, in characters; a cell with many prompts has a line for each."""

_INVISIBLE = (
    r"\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2028-\u202e"
    r"\u2060-\u206f\u2800\u3164\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff"
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Characters without width, bidirectional controls and line separators, except the joiners."""

_MARK = r"[\u0300-\u036f\u0488\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"

# strings, compiled by `re` on first use, to keep `%load_ext` fast
_UNSAFE = rf"[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff{_INVISIBLE}]"
_UNSAFE_IN_LINES = rf"[\x00-\x08\x0e-\x1f\x7f-\x9f{_INVISIBLE}]"
_JOINER = r"[\u200c\u200d]"
"""Joiners: meaningful only within emoji and between letters of Arabic and Indic scripts."""
_PILE = rf"({_MARK}{{4}}){_MARK}+"
"""More than four combining marks on a letter: no language has them, and they cover other lines."""

_WORD = r"(?:-?[0-9]|[A-Za-z_])[A-Za-z0-9._:/+@=,-]*"
_RUNS = r"[{}$`\\]"
_MARKDOWN = r"(?im)[\\`*\[\]{}|~^$!@]|(?<![^\W_])_|_(?![^\W_])|:(?=//)|(?<=\bwww)\.|^[#+=-]"


def sanitize(text: object, *, limit: int = 400) -> str:
    r"""Make text from outside safe to print: one line, no control characters, bounded.

    Args:
        text: Text of the Hub or the user; other objects are converted with ``str()``.
        limit: The longest result, in characters.

    Returns:
        The text without terminal escapes, bidirectional overrides and invisible characters.

    Example:
        >>> sanitize("no\x1b[31m dogs\nallowed")
        'no[31m dogs allowed'
    """
    whole = _str(text)
    head = whole[: 20 * limit + 2 * MARGIN]  # bounds the work on megabytes of text
    line = " ".join(_clean(_UNSAFE, head).split())
    # after cleaning, which joins an interspersed echo of the key, and before truncating
    line = redact_key(line, is_cut=len(head) < len(whole))
    if len(line) > limit or len(head) < len(whole):
        return line[: limit - 1] + "…"
    return line


def sanitize_inline(text: object, *, limit: int = 400) -> str:
    """Sanitize text for use within a message of ours, where only our commands have backticks.

    Args:
        text: The text; other objects are converted with ``str()``.
        limit: The longest result, in characters.

    Example:
        >>> sanitize_inline("Failed: run `!sh fix`!")
        "Failed: run '!sh fix'!"
    """
    return sanitize(text, limit=limit).replace("`", "'")


def os_error_reason(error: Exception, *, limit: int = 400) -> str:
    """Return the reason of an OSError, without its number and path, sanitized.

    Args:
        error: The error; others, such as a `ValueError` for a path with a null character, are
            converted with ``str()``.
        limit: The longest result, in characters.

    Example:
        >>> os_error_reason(OSError(28, "No space left on device", "dog.png"))
        'No space left on device'
    """
    return sanitize(getattr(error, "strerror", None) or error, limit=limit)


def printable(text: object, *, limit: int = MAX_MESSAGE) -> str:
    r"""Make text of several lines safe to print; line ends and tabs stay.

    Lone surrogates stay too: a path may contain them, and `encodable` escapes them.

    Args:
        text: The text; other objects are converted with ``str()``.
        limit: The longest result, in characters.

    Example:
        >>> printable("no\x1b[2J dogs\rhere\n  at all")
        'no[2J dogs\nhere\n  at all'
    """
    whole = _str(text)
    if whole.isascii() and whole.isprintable() and len(whole) <= limit:
        return redact_key(whole)
    head = whole[: limit + 2 * MARGIN]
    lines = _clean(_UNSAFE_IN_LINES, re.sub(r"\r\n?|[\v\f]", "\n", head))
    lines = redact_key(lines, is_cut=len(head) < len(whole))
    return lines if len(whole) <= limit else lines[: limit - 1] + "…"


def escape_html(text: object) -> str:
    """Escape text for HTML, including HTML that nbconvert embeds in Markdown.

    Markdown renderers find links, images and formulas within HTML, but not in entities.

    Args:
        text: The text; other objects are converted with ``str()``.

    Example:
        >>> escape_html("<b> & ![x](y)")
        '&lt;b&gt; &amp; &#33;&#91;x&#93;(y)'
    """
    import html  # takes 6 ms, for its table of entities

    escaped = html.escape(printable(text, limit=10 * MAX_MESSAGE))
    return re.sub(_MARKDOWN, lambda found: f"&#{ord(found[0])};", escaped)


def is_pasteable(word: object) -> bool:
    """Return whether a word can be offered as input, in a hint, an example or a completion.

    Args:
        word: An id, a model, a parameter's name or its value.

    Returns:
        Whether it is one word of ASCII letters, digits and ``._:/+@=,-`` that does not look like an
        option: IPython, shells and argparse take it literally.

    Example:
        >>> is_pasteable("hub-1"), is_pasteable("{quit()}"), is_pasteable("$HOME")
        (True, False, False)
    """
    return isinstance(word, str) and len(word) <= MAX_ID and re.fullmatch(_WORD, word) is not None


def is_quotable(text: object, *, limit: int = 2000) -> bool:
    r"""Return whether a text can be offered as input in quotes, or as a cell's body.

    Args:
        text: A value or a prompt.
        limit: The longest text, in characters.

    Example:
        >>> is_quotable("an oil painting"), is_quotable("{{ x }}"), is_quotable("a\n!ls")
        (True, False, False)
    """
    if not isinstance(text, str) or len(text) > limit or sanitize(text, limit=limit) != text:
        return False
    # a dash may start an option, `---` separates prompts, and the others start commands
    begins = re.match(r"[%!?@/,;~]|-(?![0-9])", text)
    return begins is None and re.search(_RUNS, text) is None


def quoted(word: object, *, limit: int = MAX_ID) -> str:
    """Format an id, a name or a value; it is put in quotes if it is not safe to paste.

    Args:
        word: The word; other objects are converted with ``str()``.
        limit: The longest result, in characters, without the quotes.

    Example:
        >>> quoted("hub-1"), quoted("{quit()}")
        ('hub-1', '“{quit()}”')
    """
    text = sanitize_inline(word, limit=limit)
    # in quotes if sanitizing changed it: without its invisible characters it is another word
    return text if is_pasteable(text) and text == _str(word) else f"“{text}”"


def listed(words: Iterable[object], *, max_items: int = 40, limit: int = 60) -> str:
    """Format words as a comma-separated list; a very long list is cut, with a count of the rest.

    Words that would run code where they are pasted are put in quotes.

    Args:
        words: The words; other objects are converted with ``str()``.
        max_items: How many are shown.
        limit: The longest word, in characters.

    Example:
        >>> listed(["a", "{b}"]), listed(range(1000), max_items=3)
        ('a, “{b}”', '0, 1, 2 and 997 more')
    """
    rest = iter(words)
    texts = [sanitize_inline(word, limit=limit) for word in islice(rest, max_items)]
    shown = ", ".join(text if is_quotable(text.lstrip("-")) else f"“{text}”" for text in texts)
    left = sum(1 for _ in rest)
    return f"{shown} and {left:,} more" if left else shown


def counted(count: int, noun: str) -> str:
    """Return a number of things with the noun in its singular or plural.

    Example:
        >>> counted(1, "image"), counted(1200, "image")
        ('1 image', '1,200 images')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def json_text(value: Any, *, indent: int | None = None) -> str:
    r"""Format JSON for display, with invisible characters escaped.

    Args:
        value: The value; objects that are not JSON are formatted by `repr`.
        indent: The indentation of each level, in spaces; one line if left out.

    Example:
        >>> print(json_text({"prompt": "a\u202edog"}))
        {"prompt": "a\u202edog"}
    """
    text = json.dumps(value, ensure_ascii=False, indent=indent, default=repr)
    text = re.sub(_UNSAFE, lambda found: _escaped(found[0]), text)
    return re.sub(_JOINER, lambda found: found[0] if _joins(found) else _escaped(found[0]), text)


def slug(text: str, *, limit: int = 32) -> str:
    """Return a file name made of the ASCII letters and digits of a text.

    Args:
        text: The text.
        limit: The longest result, in characters.

    Example:
        >>> slug("A black lab: ../../etc/passwd")
        'a-black-lab-etc-passwd'
    """
    words = re.findall(r"[a-z0-9]+", text[:2000].lower().encode("ascii", "ignore").decode())
    return "-".join(words)[:limit].strip("-")


def _str(text: object) -> str:
    """As `str`, but a `__str__` that raises must not replace the error being reported."""
    if isinstance(text, str):
        return text
    try:
        return str(text)
    except Exception:  # an integer of 5,000 digits, a recursive list, or the user's own class
        return type(text).__name__


def _clean(unsafe: str, text: str) -> str:
    """Remove unsafe characters; joiners last, since their neighbours may have been removed."""
    text = re.sub(unsafe, "", text)
    if text.isascii():
        return text
    text = re.sub(_JOINER, lambda found: found[0] if _joins(found) else "", text)
    return re.sub(_PILE, r"\1", text)


def _joins(found: re.Match[str]) -> bool:
    """Whether both neighbours belong to scripts, or emoji, that use joiners."""
    start, end = found.span()
    before, after = found.string[max(0, start - 1) : start], found.string[end : end + 1]
    return all(side > "\u05ff" and side not in "\u200c\u200d" for side in (before, after))


def _escaped(character: str) -> str:
    r"""The JSON escape of a character, such as `\u200b`; a surrogate pair beyond U+FFFF."""
    return json.dumps(character)[1:-1]
