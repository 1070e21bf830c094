"""The client: the only room that speaks HTTP with the Hub; `delivery` does with image hosts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from ..errors import ConfigurationError, HubUnavailable
from ..request.catalog import Model
from ..request.request import ImageRequest
from ..runtime.text import sanitize_inline
from ..settings import Secret
from .downloads import ImageDownloader
from .error_mapping import HubResponse, uncertain
from .exchange import Exchange
from .models import MODELS_PATH, read_model, read_model_ids
from .proxies import Network, read_network
from .response_body import Failure
from .responses import (
    SUBMIT_PATH,
    TASK_PATH,
    ImageSource,
    TaskState,
    read_credits,
    read_submission,
    read_task,
)

MAX_DOWNLOADS = 12
"""How many images are downloaded at once: each has a socket and a file open."""


class HubClient:
    """Submits, asks, and downloads; one for each event loop, so that connections are reused.

    Attributes:
        download_slots: One of them is held while an image is downloaded and checked.

    Example:
        >>> async def first_status(client: HubClient, request: ImageRequest) -> str:
        ...     return (await client.task(await client.submit(request))).status
    """

    def __init__(
        self,
        base_url: str,
        key: Secret | None = None,
        *,
        credits_url: str | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        network: Network | None = None,
    ) -> None:
        """Open nothing yet: the first request connects.

        Args:
            base_url: The Hub's address, without a trailing slash.
            key: The API key; it goes to the base URL and to the credits URL, nowhere else.
            credits_url: The whole address of the credits endpoint.
            transport: What carries the requests in place of the network.
            network: The proxies and certificates; what the environment says if left out.

        Raises:
            ConfigurationError: If the environment names a proxy or certificates for the Hub that
                can't be used. Raised here, so before anything is journaled.
        """
        if transport is None:
            network = network or read_network()
            url = urlsplit(base_url)
            network.require_proxy_for(url.scheme, url.hostname or "", url.port)
        self._base_url = base_url
        self._credits_url = credits_url
        self.download_slots = asyncio.Semaphore(MAX_DOWNLOADS)
        self._exchange = Exchange(key, transport, network)
        self._delivery = ImageDownloader(
            self._exchange.http,
            base_url if transport is None else None,
            redact=self._exchange.redact,
            network=network,
            peers=self._exchange.peers,
        )

    async def submit(self, request: ImageRequest) -> str:
        """Order images; the order is sent once, whatever happens.

        Returns:
            The task's id.

        Raises:
            HubUnavailable: If the order never arrived.
            SubmissionUncertain: If it may have arrived, but no answer says so.
            MountseaError: If the Hub refused it.
        """
        answer = await self._ask("POST", SUBMIT_PATH, json=request.body(), submitting=True)
        if isinstance(answer, HubResponse):
            return read_submission(answer)
        if not answer.maybe_sent:
            raise _unreachable(answer) from answer.cause
        why = f"no answer came back ({type(answer.cause).__name__})"
        if isinstance(answer.cause, httpx.DecodingError):
            why = f"its answer can't be read ({answer.cause})"
        raise uncertain(why) from answer.cause

    async def task(self, task_id: str) -> TaskState:
        """Ask for the state of a task.

        Raises:
            HubUnavailable: If no answer of the Hub's came back; asking again is free.
            MountseaError: If the Hub refused to say.
        """
        answer = await self._ask("GET", TASK_PATH + _segment(task_id), with_images=True)
        if isinstance(answer, HubResponse):
            return read_task(answer)
        raise _unreachable(answer) from answer.cause

    async def model_ids(self) -> tuple[str, ...]:
        """Ask which image models there are.

        Raises:
            MountseaError: If the Hub could not be reached or refused.
        """
        answer = await self._ask("GET", f"{MODELS_PATH}?capability=image")
        if isinstance(answer, HubResponse):
            return read_model_ids(answer)
        raise _unreachable(answer) from answer.cause

    async def model(
        self,
        model_id: str,
        bundled: Model | None = None,
        *,
        on_unusable: Callable[[str], None] | None = None,
    ) -> Model | None:
        """Ask for one model's schema.

        Args:
            model_id: The model.
            bundled: What is known of it already, for what the Hub leaves out.
            on_unusable: Called with the reason, if its schema can't be used.

        Returns:
            The model, or None if the Hub does not know it or says nothing that can be used.

        Raises:
            MountseaError: If the Hub could not be reached or refused.
        """
        answer = await self._ask("GET", f"{MODELS_PATH}/{_segment(model_id)}")
        if not isinstance(answer, HubResponse):
            raise _unreachable(answer) from answer.cause
        unknown = answer.status == 404 and not answer.is_foreign
        if unknown:
            return None
        return read_model(answer, model_id, bundled, on_unusable=on_unusable)

    async def credits(self) -> float:
        """Ask how many credits are left.

        Raises:
            ConfigurationError: If no credits endpoint is known for this Hub.
            MountseaError: If it could not be reached or refused.
        """
        if self._credits_url is None:
            raise ConfigurationError(
                "No credits endpoint is known for this Hub: set MOUNTSEA_CREDITS_URL."
            )
        answer = await self._exchange.request("GET", self._credits_url, key_header="X-API-Key")
        if isinstance(answer, HubResponse):
            return read_credits(answer)
        raise _unreachable(answer, "MOUNTSEA_CREDITS_URL") from answer.cause

    async def download(self, source: ImageSource, part: Path) -> None:
        """Write an image's bytes to a file as they come; the key is never sent along.

        Args:
            source: Where the image is.
            part: The file to fill.

        Raises:
            BadPicture: If it is larger than `MAX_BYTES`, or its inline form can't be read.
            HubUnavailable: If its host can't be reached, may not be asked, or refuses; bears the
                status code.
            OSError: If the file can't be written.
        """
        with part.open("wb") as file:
            await self._delivery.fetch(source, file)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._exchange.aclose()

    async def _ask(self, method: str, path: str, **more: Any) -> HubResponse | Failure:
        """Send a request to the Hub's own endpoints."""
        return await self._exchange.request(method, self._base_url + path, **more)


def _segment(name: str) -> str:
    """One step of a path, whatever stands in it; two dots would be a way up."""
    step = quote(name, safe="", errors="replace")
    return step.replace(".", "%2E") if step in (".", "..") else step


def _unreachable(failure: Failure, variable: str = "MOUNTSEA_BASE_URL") -> HubUnavailable:
    """One sentence for every way in which a network fails."""
    cause = failure.cause
    return HubUnavailable(
        failure.message
        or "The Hub could not be reached "
        f"({type(cause).__name__}: {sanitize_inline(cause, limit=200)}). "
        f"Check the network and {variable}, then run the cell again."
    )
