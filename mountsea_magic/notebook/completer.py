"""The matcher for TAB completion; imports `completions` only when it is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.completer import CompletionContext, SimpleMatcherResult
    from IPython.core.interactiveshell import InteractiveShell


def install(shell: InteractiveShell, default_model: Any) -> Any:
    """Add the matcher to a shell's completer.

    Args:
        shell: The shell.
        default_model: Returns the default model of cells.

    Returns:
        The matcher, for `remove`; None before IPython 8.6, which has no matchers.
    """
    try:
        from IPython.core.completer import SimpleCompletion, context_matcher
    except ImportError:
        return None

    @context_matcher(identifier="mountsea")  # type: ignore[untyped-decorator]  # untyped
    def matcher(context: CompletionContext) -> SimpleMatcherResult:
        lines = context.full_text.split("\n")
        before = lines[context.cursor_line][: context.cursor_position]
        in_body = context.cursor_line > 0 and lines[0].startswith("%%")
        found = None
        if "%mountsea" in before and not in_body:
            from .completions import completions

            body = "\n".join(lines[1:])
            found = completions(shell, before, context.cursor_line, default_model, body)
        if found is None or not found[1]:
            return {"completions": [], "suppress": False}
        fragment, matches = found
        return {
            "completions": [SimpleCompletion(word, type="magic") for word in matches],
            "matched_fragment": fragment,
            "suppress": True,
        }

    shell.Completer.custom_matchers.append(matcher)
    return matcher


def remove(shell: InteractiveShell, matcher: Any) -> None:
    """Remove the matcher from a shell's completer.

    Args:
        shell: The shell.
        matcher: What `install` returned.
    """
    matchers = shell.Completer.custom_matchers
    if matcher in matchers:
        matchers.remove(matcher)
