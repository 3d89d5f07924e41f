"""What the HTTP app needs of the service behind it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from labeler_backend.server.protocol import Element, PredictRequest, SetupRequest, StatusReport, WebhookEvent

Answer = bytes | Element
"""One task's element of the answer to /predict; bytes are JSON, written already."""

HungUp = Callable[[], Awaitable[bool]]
"""Whether the client has gone and nobody reads the answer any more."""


class Backend(Protocol):
    """The service.

    Everything is called on the event loop and must not block it, but for `status`: it is called in a thread.
    """

    async def start(self) -> None:
        """Before the first request."""

    async def stop(self, grace: float) -> None:
        """Running calls of `predict` get `grace` seconds to answer with what is ready."""

    def setup(self, request: SetupRequest) -> str:
        """The model version, at once."""

    async def predict(self, request: PredictRequest, hung_up: HungUp) -> Sequence[Answer]:
        """One element per task, in their order."""

    def webhook(self, event: WebhookEvent) -> None:
        """Takes note; the work is done later."""

    def versions(self) -> list[str]:
        """Model versions that can be asked for."""

    def status(self) -> StatusReport:
        """What /status shows."""
