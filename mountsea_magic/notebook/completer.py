"""How TAB reaches us: a matcher in the shell's completer, light enough to load with the magics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.completer import CompletionContext, SimpleMatcherResult
    from IPython.core.interactiveshell import InteractiveShell


def install(shell: InteractiveShell, default_model: Any) -> Any:
    """Add the matcher to a shell's completer.

    Args:
        shell: The shell.
        default_model: Gives the model of cells that name none.

    Returns:
        The matcher, for `remove`; None on an IPython too old for it (before 8.6).
    """
    try:
        from IPython.core.completer import SimpleCompletion, context_matcher
    except ImportError:
        return None

    @context_matcher(identifier="mountsea")  # type: ignore[untyped-decorator]  # it bears no types
    def matcher(context: CompletionContext) -> SimpleMatcherResult:
        lines = context.full_text.split("\n")
        before = lines[context.cursor_line][: context.cursor_position]
        in_body = context.cursor_line > 0 and lines[0].startswith("%%")
        found = None
        if "%mountsea" in before and not in_body:
            from .completions import completions

            found = completions(shell, before, context.cursor_line, default_model)
        if found is None or not found[1]:
            return {"completions": [], "suppress": False}
        fragment, words = found
        return {
            "completions": [SimpleCompletion(word, type="magic") for word in words],
            "matched_fragment": fragment,
            "suppress": True,
        }

    shell.Completer.custom_matchers.append(matcher)
    return matcher


def remove(shell: InteractiveShell, matcher: Any) -> None:
    """Take the matcher out again.

    Args:
        shell: The shell.
        matcher: What `install` returned.
    """
    matchers = shell.Completer.custom_matchers
    if matcher in matchers:
        matchers.remove(matcher)
