r"""Text from outside, made inert: one function for each place where it may end up.

Whatever a Hub, an image host, a web page or a journal says is data. `sanitize` is for a line, in an
error, a log or a terminal; `printable` for several lines; `escape_html` for HTML and the Markdown
that nbconvert makes of it; `json_text` for JSON that is shown; `slug` for file names;
`is_pasteable` and `is_quotable` say what may be offered as input at all, in a hint, an example or
by TAB, since IPython runs what stands in ``{…}`` and after ``$`` on a magic's line.
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
"""The longest message of an error, in characters; of a cell with many prompts, each is a line."""

_INVISIBLE = (
    r"\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2028-\u202e"
    r"\u2060-\u206f\u2800\u3164\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff"
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""What has no width, turns the direction of writing, or separates lines, but the joiners."""

_MARK = r"[\u0300-\u036f\u0488\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"

# patterns are text, which `re` compiles once they are needed: `load_ext` is not to wait for them
_UNSAFE = rf"[\x00-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff{_INVISIBLE}]"
_UNSAFE_IN_LINES = rf"[\x00-\x08\x0e-\x1f\x7f-\x9f{_INVISIBLE}]"
_JOINER = r"[\u200c\u200d]"
"""Means something within emoji and between letters of Arabic or Indic scripts alone."""
_PILE = rf"({_MARK}{{4}}){_MARK}+"
"""No language has more than four marks on one letter; a pile of them covers the lines above."""

_WORD = r"(?:-?[0-9]|[A-Za-z_])[A-Za-z0-9._:/+@=,-]*"
_RUNS = r"[{}$`\\]"
_MARKDOWN = r"(?im)[\\`*\[\]{}|~^$!@]|(?<![^\W_])_|_(?![^\W_])|:(?=//)|(?<=\bwww)\.|^[#+=-]"


def sanitize(text: object, *, limit: int = 400) -> str:
    r"""Make text from outside safe to print: one line, no control characters, bounded.

    Args:
        text: What the Hub or the user said; ``str()`` of it is taken.
        limit: The longest result, in characters.

    Returns:
        The text without terminal escapes, bidirectional overrides and what can't be seen.

    Example:
        >>> sanitize("no\x1b[31m dogs\nallowed")
        'no[31m dogs allowed'
    """
    whole = _str(text)
    head = whole[: 20 * limit + 2 * MARGIN]  # megabytes are not worth a look
    line = " ".join(_clean(_UNSAFE, head).split())
    # here and nowhere else: an echo in pieces is whole once the text is clean, and not yet cut
    line = redact_key(line, is_cut=len(head) < len(whole))
    if len(line) > limit or len(head) < len(whole):
        return line[: limit - 1] + "…"
    return line


def remark(text: object, *, limit: int = 400) -> str:
    """Write what others say within a message of ours, where only our commands are in backticks.

    Args:
        text: ``str()`` of it is taken.
        limit: The longest result, in characters.

    Example:
        >>> remark("Failed: run `!sh fix`!")
        "Failed: run '!sh fix'!"
    """
    return sanitize(text, limit=limit).replace("`", "'")


def printable(text: object, *, limit: int = MAX_MESSAGE) -> str:
    r"""Make text of several lines safe to print: its line ends and tabs stay.

    Half characters stay too: a path may hold them, and `encodable` spells them.

    Args:
        text: ``str()`` of it is taken.
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
    """Escape text for HTML, also for HTML that nbconvert leaves in Markdown.

    A Markdown renderer looks into HTML for links, images and formulas, but not into entities.

    Args:
        text: ``str()`` of it is taken.

    Example:
        >>> escape_html("<b> & ![x](y)")
        '&lt;b&gt; &amp; &#33;&#91;x&#93;(y)'
    """
    import html  # its table of entities takes 6 ms

    escaped = html.escape(printable(text, limit=10 * MAX_MESSAGE))
    return re.sub(_MARKDOWN, lambda found: f"&#{ord(found[0])};", escaped)


def is_pasteable(word: object) -> bool:
    """Return whether a word may be offered as input: in a hint, an example or by TAB.

    Args:
        word: An id, a model, a parameter's name or its value.

    Returns:
        Whether it is one word of ASCII letters, digits and ``._:/+@=,-``, and no option: so it is
        nothing that IPython, a shell or argparse takes for more than itself.

    Example:
        >>> is_pasteable("hub-1"), is_pasteable("{quit()}"), is_pasteable("$HOME")
        (True, False, False)
    """
    return isinstance(word, str) and len(word) <= MAX_ID and re.fullmatch(_WORD, word) is not None


def is_quotable(text: object, *, limit: int = 2000) -> bool:
    r"""Return whether a text may be offered as input once it is quoted, or as a cell's body.

    Args:
        text: A value or a prompt.
        limit: The longest text, in characters.

    Example:
        >>> is_quotable("an oil painting"), is_quotable("{{ x }}"), is_quotable("a\n!ls")
        (True, False, False)
    """
    if not isinstance(text, str) or len(text) > limit or sanitize(text, limit=limit) != text:
        return False
    # a dash may begin an option, dashes alone are a separator, and the others are commands
    begins = re.match(r"[%!?@/,;~]|-(?![0-9])", text)
    return begins is None and re.search(_RUNS, text) is None


def quoted(word: object, *, limit: int = MAX_ID) -> str:
    """Write an id, a name or a value as text: what can't be pasted stands in quotes.

    Args:
        word: ``str()`` of it is taken.
        limit: The longest result, in characters, without the quotes.

    Example:
        >>> quoted("hub-1"), quoted("{quit()}")
        ('hub-1', '“{quit()}”')
    """
    text = remark(word, limit=limit)
    # what would be pasteable but for what can't be seen is another word
    return text if is_pasteable(text) and text == _str(word) else f"“{text}”"


def listed(words: Iterable[object], *, most: int = 40, limit: int = 60) -> str:
    """Write words as a list with commas: the first ones, where there are very many.

    What runs where it is typed stands in quotes.

    Args:
        words: The words; ``str()`` of each is taken.
        most: How many are written.
        limit: The longest word, in characters.

    Example:
        >>> listed(["a", "{b}"]), listed(range(1000), most=3)
        ('a, “{b}”', '0, 1, 2 and 997 more')
    """
    rest = iter(words)
    texts = [remark(word, limit=limit) for word in islice(rest, most)]
    written = ", ".join(text if is_quotable(text.lstrip("-")) else f"“{text}”" for text in texts)
    left = sum(1 for _ in rest)
    return f"{written} and {left:,} more" if left else written


def json_text(value: Any, *, indent: int | None = None) -> str:
    r"""Write JSON to be read by people: what can't be seen in it is spelled.

    Args:
        value: The value; what JSON does not know is written as its repr.
        indent: How far each level is indented; all in one line if left out.

    Example:
        >>> print(json_text({"prompt": "a\u202edog"}))
        {"prompt": "a\u202edog"}
    """
    text = json.dumps(value, ensure_ascii=False, indent=indent, default=repr)
    text = re.sub(_UNSAFE, lambda found: _spelled(found[0]), text)
    return re.sub(_JOINER, lambda found: found[0] if _joins(found) else _spelled(found[0]), text)


def slug(text: str, *, limit: int = 32) -> str:
    """Write the words of a text for a file name: only its ASCII letters and digits are used.

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
    """Whoever wrote the class, its `__str__` must not take an error's place."""
    if isinstance(text, str):
        return text
    try:
        return str(text)
    except Exception:  # a number of 5,000 digits, a bottomless list, or code of the user's own
        return type(text).__name__


def _clean(unsafe: str, text: str) -> str:
    """Joiners after the rest: what stood beside them may be gone."""
    text = re.sub(unsafe, "", text)
    if text.isascii():
        return text
    text = re.sub(_JOINER, lambda found: found[0] if _joins(found) else "", text)
    return re.sub(_PILE, r"\1", text)


def _joins(found: re.Match[str]) -> bool:
    """Whether letters or signs of a script that has joiners stand on both sides."""
    start, end = found.span()
    before, after = found.string[max(0, start - 1) : start], found.string[end : end + 1]
    return all(side > "\u05ff" and side not in "\u200c\u200d" for side in (before, after))


def _spelled(letter: str) -> str:
    """As JSON escapes it, in two halves beyond the 65,536th."""
    return json.dumps(letter)[1:-1]
