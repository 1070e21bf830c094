"""Outputs of a cell: the final line, and each image as an ``image/*`` output."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import resume_hint
from ..hub.image_counts import describe_left_out
from ..images.files import GeneratedImage
from ..images.previews import NoPreview, Preview, preview
from ..request.request import ImageRequest
from ..runtime.printing import echo, encodable, stdout_encoding
from ..runtime.text import escape_html, printable, quoted, sanitize
from ..settings import DEFAULT_PREVIEW_PX
from .frontend import front_end
from .image_rows import SIDE_BY_SIDE as SIDE_BY_SIDE
from .progress import TEXT_ONLY, FinalLine

if TYPE_CHECKING:
    from IPython.display import DisplayHandle


DEMO_NOTE = "demo Hub: drawn locally, not by the model, nothing charged"
"""Says that images are no model's."""

Output = tuple[dict[str, str], dict[str, dict[str, Any]]]
"""A mimebundle and its metadata, as `IPython.display.display` takes them."""


class ShownGeneration(Protocol):
    """The attributes of a generation that its outputs show."""

    request: ImageRequest | None
    task_id: str | None
    status: str
    images: tuple[GeneratedImage, ...]
    elapsed_s: float | None
    is_demo: bool
    from_journal: bool
    left_out: int
    preview_px: int

    @property
    def prompt(self) -> str:
        """The prompt."""


def final_line(generation: ShownGeneration) -> FinalLine:
    """Return the line of a completed generation: prompt, model, size, seconds and files.

    Args:
        generation: A completed generation.
    """
    first, *others = generation.images
    files = escape_html(", ".join([_path(first), *(Path(_path(image)).name for image in others)]))
    summary = _summary(generation)
    line = f'<small class="{TEXT_ONLY}">{escape_html(summary)} · <code>{files}</code></small>'
    return FinalLine(
        html=line + (SIDE_BY_SIDE if len(generation.images) > 1 else ""),
        text="\n".join([summary, *(f"  {_path(image)}" for image in generation.images)]),
    )


def _path(image: GeneratedImage) -> str:
    """Return the path as valid text: file names can contain bytes that are not UTF-8."""
    return encodable(str(image.path), "utf-8")


def _summary(generation: ShownGeneration) -> str:
    """Summarize the request and its result in one line."""
    sizes = {f"{image.width}×{image.height}" for image in generation.images}
    size = " ".join(sorted(sizes))
    parts = [
        f"“{sanitize(generation.prompt, limit=60)}”" if generation.prompt else "",
        quoted(generation.request.model) if generation.request is not None else _task(generation),
        size if len(generation.images) == 1 else f"{len(generation.images)} × {size}",
        f"{generation.elapsed_s:.1f} s" if generation.elapsed_s is not None else "",
        DEMO_NOTE if generation.is_demo else "",
        "from the journal, nothing charged" if generation.from_journal else "",
        describe_left_out(generation.left_out),
    ]
    return " · ".join(filter(None, parts))


def ending_line(generation: ShownGeneration, reason: str) -> FinalLine:
    """Return the line of a generation that ended without images.

    Args:
        generation: The generation.
        reason: How it ended, such as ``interrupted``.
    """
    model = quoted(generation.request.model) if generation.request is not None else "resumed"
    text = f"{model} · {reason} · {_task(generation)}"
    return FinalLine(f'<small class="{TEXT_ONLY}">{escape_html(text)}</small>', text)


def with_message(line: FinalLine, message: str) -> FinalLine:
    """Add a message to the line of a cell that has ended, where it can't be raised any more.

    Args:
        line: The line.
        message: The message, such as an error of a background run.
    """
    block = f'<pre class="{TEXT_ONLY}">{escape_html(message)}</pre>'
    return FinalLine(line.html + block, f"{line.text}\n{printable(message)}")


def show(generation: ShownGeneration) -> None:
    """Display each image as a separate output; print the repr if there are none.

    Args:
        generation: The generation; its `preview_px` limits the size of the previews.
    """
    from IPython.core.getipython import get_ipython

    front = front_end(get_ipython())
    if not generation.images:
        echo(repr(generation))
    elif front.notebook or front.draws_png:
        try:
            ImageOutputs(generation, side_by_side=front.notebook, png=front.draws_png).fill()
        except OSError as error:
            hint = (
                f" {resume_hint(generation.task_id)} downloads it again."
                if generation.task_id
                else ""
            )
            echo(f"Could not display an image ({sanitize(error)}).{hint}")
    if generation.images and not front.notebook:
        echo("\n".join(_path(image) for image in generation.images))


def image_output(image: GeneratedImage) -> Output:
    """Return the mimebundle of one image that the user displays.

    Args:
        image: The image.

    Returns:
        The bundle, with the path as text, and its metadata. Only text in a terminal that draws no
        images, and for a file that can't be read.
    """
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    front = front_end(shell)
    if not (front.notebook or front.draws_png):
        return {"text/plain": encodable(_path(image), stdout_encoding())}, {}
    magics = shell.magics_manager.registry.get("MountseaMagics") if shell is not None else None
    longest_px = getattr(magics, "preview", DEFAULT_PREVIEW_PX)
    try:
        return _output(image, longest_px, f"Image {image.path.stem}", png=front.draws_png)
    except OSError as error:
        return {"text/plain": f"Could not display the image ({sanitize(error)})."}, {}


class ImageOutputs:
    """The image outputs of a generation in a cell.

    Args:
        generation: The generation.
        reserve: Reserve the outputs now, where outputs after the end of the cell would be lost or
            appear elsewhere.
        captioned: Show a summary of the request above the images.
        side_by_side: Show no caption, but put several images side by side.
        png: Show the images as PNG, the only format that terminals draw.

    Example:
        >>> from mountsea_magic.generation.handle import Generation
        >>> ImageOutputs(Generation(None, task_id="hub-1")).fill()
    """

    def __init__(
        self,
        generation: ShownGeneration,
        *,
        reserve: bool = False,
        captioned: bool = False,
        side_by_side: bool = False,
        png: bool = False,
    ) -> None:
        self._generation, self._captioned = generation, captioned
        self._side_by_side = side_by_side
        self._png = png
        count = generation.request.image_count if reserve and generation.request is not None else 0
        self._reserved = [self._reserve() for _ in range(count + captioned if count else 0)]
        self._filled: list[Output] = []

    def fill(self) -> None:
        """Show the images, or the path of one that has no preview.

        Raises:
            OSError: If a file can't be read; the other images are shown.
        """
        from IPython.display import display

        outputs, unreadable = self._outputs()
        if self._reserved:
            # use the reserved outputs only: a new one would appear in another cell
            missing = len(self._reserved) - len(outputs)
            self._filled = [*outputs, *[({"text/plain": "no image"}, {})] * missing]
            self.republish()
        else:
            for bundle, metadata in outputs:
                display(bundle, metadata=metadata, raw=True)  # type: ignore[no-untyped-call]  # IPython's display is untyped
        if unreadable is not None:
            raise unreadable

    def republish(self) -> None:
        """Send the reserved outputs again, while another cell runs.

        nbclient and papermill listen only while a cell runs, so updates between two cells do not
        reach the notebook that they write.
        """
        for handle, (bundle, metadata) in zip(self._reserved, self._filled, strict=False):
            handle.update(bundle, metadata=metadata, raw=True)  # type: ignore[no-untyped-call]  # as above

    def _outputs(self) -> tuple[list[Output], OSError | None]:
        """Return the outputs, with a caption if needed, and the error of an unreadable file."""
        images = self._generation.images
        outputs: list[Output] = []
        if self._captioned and images:
            caption = escape_html(_summary(self._generation))
            outputs.append(({"text/html": f'<small class="{TEXT_ONLY}">{caption}</small>'}, {}))
        elif self._side_by_side and len(images) > 1:
            outputs.append(({"text/html": SIDE_BY_SIDE, "text/plain": ""}, {}))
        unreadable = None
        for number, image in enumerate(images, start=1):
            try:
                outputs.append(image_bundle(self._generation, image, number, png=self._png))
            except OSError as error:
                unreadable = error
                outputs.append(({"text/plain": _path(image)}, {}))
        return outputs, unreadable

    def _reserve(self) -> DisplayHandle:
        """Display an empty output, to be updated later."""
        from IPython.display import display

        handle: DisplayHandle = display({"text/plain": ""}, raw=True, display_id=True)  # type: ignore[no-untyped-call]  # as above
        return handle


def image_bundle(
    generation: ShownGeneration, image: GeneratedImage, number: int, *, png: bool = False
) -> Output:
    """Return the mimebundle of one image, with its size and alt text as metadata.

    Args:
        generation: The generation.
        image: One of its images.
        number: The image's number, from 1.
        png: Whether it must be a PNG, whatever its size in bytes.

    Returns:
        The bundle, with the path as text, and its metadata.
    """
    return _output(image, generation.preview_px, alt_text(generation, number), png=png)


def _output(image: GeneratedImage, longest_px: int, alt: str, *, png: bool) -> Output:
    try:
        thumbnail = preview(image, longest_px, png=png)
    except NoPreview as error:
        return {"text/plain": f"{_path(image)}\nNo preview: {sanitize(error)}."}, {}
    return preview_output(thumbnail, _path(image), alt)


def preview_output(shown: Preview, text: str, alt: str) -> Output:
    """Return the mimebundle of an encoded image, with its size and alt text as metadata.

    Args:
        shown: The image.
        text: What front ends show that show no images.
        alt: The alt text.
    """
    bundle = {shown.mimetype: shown.base64, "text/plain": text}
    return bundle, {shown.mimetype: {"width": shown.width, "height": shown.height, "alt": alt}}


def image_element(shown: Preview, alt: str, attributes: str = "") -> str:
    """Return an HTML element that contains an encoded image.

    Args:
        shown: The image.
        alt: The alt text; it is escaped.
        attributes: Other attributes, such as its size on the page.
    """
    source = f"data:{shown.mimetype};base64,{shown.base64}"
    return f'<img src="{source}" alt="{escape_html(alt)}" {attributes}>'


def sized_element(shown: Preview, alt: str) -> str:
    """Return an HTML element that contains an encoded image, in its own size.

    Args:
        shown: The image.
        alt: The alt text; it is escaped.
    """
    return image_element(shown, alt, f'width="{shown.width}" height="{shown.height}"')


def alt_text(generation: ShownGeneration, number: int, *, limit: int = 300) -> str:
    """Return the alt text of an image: its prompt, or its task where the prompt is unknown.

    Args:
        generation: The generation.
        number: The image's number, from 1.
        limit: How much of the prompt it has, in characters.
    """
    description = sanitize(generation.prompt, limit=limit) or f"image of {_task(generation)}"
    kind = "Demo drawing" if generation.is_demo else "Generated image"
    position = f" {number} of {len(generation.images)}" if len(generation.images) > 1 else ""
    return f"{kind}{position}: {description}"


def _task(generation: ShownGeneration) -> str:
    return f"task {quoted(generation.task_id)}" if generation.task_id else "no task"
