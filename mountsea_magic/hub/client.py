"""The Hub's HTTP client: submit, poll, list models, download."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, urlsplit

from ..errors import ConfigurationError, HubUnavailable
from ..request.catalog import Model
from ..request.request import ImageRequest
from ..runtime.httpx_import import httpx
from ..runtime.text import sanitize_inline
from ..settings import Secret
from .error_mapping import uncertain
from .exchange import Exchange
from .http_response import HubResponse
from .image_downloader import ImageDownloader
from .models import MODELS_PATH, read_model, read_model_ids
from .proxies import Network, read_network
from .response_body import Failure
from .responses import (
    SUBMIT_PATH,
    TASK_PATH,
    HubTask,
    ImageSource,
    read_credits,
    read_submission,
    read_task,
)

MAX_DOWNLOADS = 12
"""The most concurrent downloads: each has a socket and a file open."""


class HubClient:
    """The client of one Hub; use one for each event loop, so that connections are reused.

    It connects with the first request.

    Attributes:
        download_slots: Limits the concurrent downloads, including the check of each image.
        network_url: The Hub's URL; None for a Hub in this process, which no other one can reach.

    Args:
        base_url: The Hub's URL, without a trailing slash.
        key: The API key; it is sent to the base URL and the credits URL only.
        credits_url: The full URL of the credits endpoint.
        transport: Used in place of the network, if given.
        network: The proxies and certificates; read from the environment if left out.

    Raises:
        ConfigurationError: If the environment names a proxy or certificates for the Hub that can't
            be used. Raised here, before anything is journaled.

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
        if transport is None:
            network = network or read_network()
            url = urlsplit(base_url)
            network.require_proxy_for(url.scheme, url.hostname or "", url.port)
        self._base_url = base_url
        self.network_url = base_url if transport is None else None
        self._credits_url = credits_url
        self.download_slots = asyncio.Semaphore(MAX_DOWNLOADS)
        self._exchange = Exchange(key, transport, network)
        self._downloader = ImageDownloader(
            self._exchange.http,
            self.network_url,
            redact=self._exchange.redact,
            network=network,
            peers=self._exchange.peers,
        )

    async def submit(self, request: ImageRequest) -> str:
        """Submit a request; the POST is sent once, whatever happens.

        Returns:
            The task id.

        Raises:
            HubUnavailable: If the request never arrived.
            SubmissionUncertain: If it may have arrived, but no valid response came.
            MountseaError: If the Hub rejected it.
        """
        response = await self._exchange.request(
            "POST", self._base_url + SUBMIT_PATH, json=request.body(), submitting=True
        )
        if isinstance(response, HubResponse):
            return read_submission(response)
        if not response.maybe_sent:
            raise _unreachable(response) from response.cause
        why = f"no response arrived ({type(response.cause).__name__})"
        if isinstance(response.cause, httpx.DecodingError):
            why = f"the response could not be read ({response.cause})"
        raise uncertain(why) from response.cause

    async def task(self, task_id: str) -> HubTask:
        """Poll a task once.

        Raises:
            HubUnavailable: If no response of the Hub arrived; polling again is free.
            MountseaError: If the Hub rejected the request.
        """
        url = f"{self._base_url}{TASK_PATH}{_segment(task_id)}"
        return read_task(await self._get(url, with_images=True))

    async def model_ids(self) -> tuple[str, ...]:
        """Fetch the ids of the Hub's image models.

        Raises:
            MountseaError: If the Hub could not be reached or rejected the request.
        """
        url = f"{self._base_url}{MODELS_PATH}?capability=image"
        return read_model_ids(await self._get(url))

    async def model(
        self,
        model_id: str,
        bundled: Model | None = None,
        *,
        on_unusable: Callable[[str], None] | None = None,
    ) -> Model | None:
        """Fetch one model's schema.

        Args:
            model_id: The model.
            bundled: The bundled model, for fields that the Hub leaves out.
            on_unusable: Called with the reason, if its schema can't be used.

        Returns:
            The model, or None if the Hub does not know it or has no usable schema.

        Raises:
            MountseaError: If the Hub could not be reached or rejected the request.
        """
        response = await self._get(f"{self._base_url}{MODELS_PATH}/{_segment(model_id)}")
        if response.status == 404 and not response.is_foreign:
            return None
        return read_model(response, model_id, bundled, on_unusable=on_unusable)

    async def credits(self) -> float:
        """Fetch the number of credits that are left.

        Raises:
            ConfigurationError: If no credits endpoint is known for this Hub.
            MountseaError: If it could not be reached or rejected the request.
        """
        if self._credits_url is None:
            raise ConfigurationError(
                "No credits endpoint is known for this Hub: set MOUNTSEA_CREDITS_URL."
            )
        variable = "MOUNTSEA_CREDITS_URL"
        response = await self._get(self._credits_url, variable=variable, key_header="X-API-Key")
        return read_credits(response)

    async def download(self, source: ImageSource, part: Path) -> None:
        """Stream an image to a file; the key is never sent.

        Args:
            source: Where the image is.
            part: The file to write.

        Raises:
            BadImage: If it is larger than `MAX_BYTES`, or its inline form can't be decoded.
            HubUnavailable: If its host can't be reached, is forbidden, or returns an error; has the
                status code.
            OSError: If the file can't be written.
        """
        with part.open("wb") as file:
            await self.fetch(source, file)

    async def fetch(self, source: ImageSource, file: BinaryIO) -> None:
        """Stream an image to an open file; otherwise as `download`.

        Args:
            source: Where the image is.
            file: The file to write to.
        """
        await self._downloader.fetch(source, file)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._exchange.aclose()

    async def _get(
        self, url: str, *, variable: str = "MOUNTSEA_BASE_URL", **options: Any
    ) -> HubResponse:
        """Send a GET; raises if no response arrived. The variable is the one to check then."""
        response = await self._exchange.request("GET", url, **options)
        if isinstance(response, HubResponse):
            return response
        raise _unreachable(response, variable) from response.cause


def _segment(name: str) -> str:
    """Quote a path segment; dots too where they would change the path."""
    segment = quote(name, safe="", errors="replace")
    return segment.replace(".", "%2E") if segment in (".", "..") else segment


def _unreachable(failure: Failure, variable: str = "MOUNTSEA_BASE_URL") -> HubUnavailable:
    cause = failure.cause
    return HubUnavailable(
        failure.message
        or "The Hub could not be reached "
        f"({type(cause).__name__}: {sanitize_inline(cause, limit=200)}). "
        f"Check the network and {variable}, then run the cell again."
    )
