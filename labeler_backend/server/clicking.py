"""A click, from its request to its answer: one page of one task, and what was answered just before."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from labeler_backend.media import RGB
from labeler_backend.server.journal import Journal
from labeler_backend.server.live import Serving
from labeler_backend.server.pool import Urgency
from labeler_backend.server.proposing import Proposing
from labeler_backend.server.remembering import Remembering
from labeler_backend.studio.clicks import Clicked, answer_click
from labeler_backend.studio.config import LabelingConfig
from labeler_backend.studio.media.types import Media
from labeler_backend.studio.prediction import Prediction
from labeler_backend.studio.prompting import read_pointing
from labeler_backend.studio.refining import Click


class Asked(Protocol):
    """What is needed of a request."""

    project: str
    config: LabelingConfig
    context: Mapping[str, Any] | None
    urgency: Urgency
    serving: Serving


Fetch = Callable[[str], Awaitable[Media]]


class Clicking:
    """Answers prompts. Coroutines run in one event loop; what takes time runs in the model's threads."""

    def __init__(self, proposing: Proposing, remembering: Remembering, journal: Journal) -> None:
        """`remembering` knows the last answers; `journal` hears what of a prompt could not be used."""
        self._proposing, self._remembering, self._journal = proposing, remembering, journal

    async def answer(self, asked: Asked, task: int, body: Mapping[str, Any], fetch: Fetch) -> Prediction:
        """The answer; without a region where nothing was asked, or nothing of it can be used.

        Args:
            asked: the request.
            task: its number.
            body: the task, as it came.
            fetch: gives the file behind an address.

        Raises:
            As `Proposing.see`, and what `fetch` raises.
        """
        config, version = asked.config, asked.serving.version
        pointing, notes = read_pointing(asked.context or {}, config.images, config.prompts)
        found = Prediction(result=[], score=0.0, model_version=version)
        if pointing is not None:
            pages = config.pages(body["data"], pointing.image)
            if pointing.page >= len(pages):
                notes.append(
                    f"Page {pointing.page + 1} was clicked, and there are {len(pages)}: reload the task."
                )
            else:
                media = await fetch(pages[pointing.page])
                place = [asked.project, task, pointing.image.name, pointing.page]

                def answered(image: RGB, click: Click) -> tuple[Prediction, list[str]]:
                    known = self._remembering.answers(place, pointing.ids)
                    clicked = Clicked(body, config, pointing, version, known)
                    given, more = answer_click(clicked, (image.shape[0], image.shape[1]), click)
                    self._remembering.keep(place, pointing.ids, given.result)
                    return given, more

                found, more = await self._proposing.clicked(media, asked.urgency, answered)
                notes += more
        for note in notes:
            self._journal.noted_click(asked.project, task, note)
        return found
