"""One task's answer: its media, what is seen in them, and that as regions; whatever goes wrong with it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from labeler_backend import __version__
from labeler_backend.errors import InputError, LabelerError
from labeler_backend.heads.errors import HeadError
from labeler_backend.proposals.propose import ProposalSettings
from labeler_backend.server.journal import Journal
from labeler_backend.server.live import Live, Serving
from labeler_backend.server.pool import Full, PriorityPool, Urgency
from labeler_backend.server.proposing import Proposing
from labeler_backend.store import Store
from labeler_backend.studio.config import AnswerTag, ImageTag, LabelingConfig
from labeler_backend.studio.media.store import MediaStore
from labeler_backend.studio.media.types import Access, Media, MediaError
from labeler_backend.studio.prediction import Prediction
from labeler_backend.studio.predictions import Page, answer_prompt, prediction

logger = logging.getLogger("labeler_backend")

Element = bytes
"""One task's answer as JSON: `PENDING` or a `Prediction`."""
PENDING: Element = b"[]"
"""Saves nothing, so that Label Studio asks again (its ml/models.py)."""

_FETCHING, _FETCHING_EXPRESS = 8, 4  # threads


@dataclass
class Ask:
    """One /predict request.

    Attributes:
        project: as Label Studio names it.
        config: its labelling config.
        access: the Label Studio it belongs to, where that is known.
        context: what was clicked, or None.
        urgency: falls when the request's deadline has passed.
        serving: what answers for the project.
        extra: the backend's extra params of the project.
    """

    project: str
    config: LabelingConfig
    access: Access | None
    context: Mapping[str, Any] | None
    urgency: Urgency
    serving: Serving
    extra: Mapping[str, Any] | str | None = None

    def __post_init__(self) -> None:
        self.fingerprint = _digest([self.config.xml, self.extra])


class Answering:
    """Answers task by task. Coroutines run in one event loop; what takes time runs in threads."""

    def __init__(
        self, proposing: Proposing, media: MediaStore, answers: Store, journal: Journal, live: Live
    ) -> None:
        """`answers` keeps whole answers by all they came of; `live` hears of heads that cannot answer."""
        self._live = live
        self._proposing, self._media, self._answers, self._journal = proposing, media, answers, journal
        self._fetching = PriorityPool(
            "fetch",
            threads=_FETCHING,
            express=_FETCHING_EXPRESS,
            capacity=10 * proposing.pool.capacity,
        )

    def close(self, grace: float) -> None:
        """Drops what waits and gives what runs `grace` seconds."""
        self._fetching.close(grace)

    async def element(self, ask: Ask, task: Any) -> Element:
        """The answer to a task as it came; `PENDING` where asking again may help."""
        try:
            element = await self._answer(ask, *_identified(task))
        except Full:
            return PENDING
        except Exception as error:
            return self._failed(ask, task, error)
        self._journal.finished()
        return element

    def _failed(self, ask: Ask, task: Any, error: Exception) -> Element:
        final = error.final if isinstance(error, MediaError) else isinstance(error, InputError)
        if isinstance(error, HeadError):
            self._live.refuse(ask.project, ask.serving, str(error))
        if not isinstance(error, LabelerError):
            logger.exception("A task of project %s could not be answered.", ask.project, exc_info=error)
        self._journal.failure(ask.project, task, error, final)
        return self._nothing(ask) if final else PENDING

    async def _answer(self, ask: Ask, task: int, data: Mapping[str, Any]) -> Element:
        tags = [(image, tag) for image in ask.config.images if (tag := ask.config.answer_for(image))]
        if not tags:
            return self._nothing(ask)
        media = {
            image.name: await self._fetched(ask, ask.config.pages(data, image), task) for image, _ in tags
        }
        contents = {name: [one.sha256 for one in pages] for name, pages in media.items()}
        serving = [ask.serving.version, ask.serving.key]
        key = _digest([serving, __version__, ask.fingerprint, task, contents])
        known = None if ask.context else await self._known(ask, key)
        answer = known or await self._computed(ask, task, tags, media, key)
        self._journal.answered(ask.project, task, answer, clicked=bool(ask.context))
        return answer

    async def _fetched(self, ask: Ask, urls: Sequence[str], task: int) -> list[Media]:
        def fetch(url: str) -> Callable[[], Media]:
            return lambda: self._media.fetch(url, ask.access, task)

        # the task is part of the key, as Label Studio signs an address for one task and may refuse another
        asked = (self._fetching.run((url, ask.access, task), ask.urgency, fetch(url)) for url in urls)
        return await asyncio.gather(*asked)

    async def _known(self, ask: Ask, key: str) -> Element | None:
        return await self._fetching.run(("answer", key), ask.urgency, lambda: self._kept(key))

    def _kept(self, key: str) -> Element | None:
        answer = self._answers.read(key)
        if answer is None:
            return None
        try:
            Prediction.model_validate_json(answer)
        except ValidationError:  # after a power cut; as it is, it would spoil the JSON of the whole batch
            self._answers.discard(key)
            return None
        return answer

    async def _computed(
        self,
        ask: Ask,
        task: int,
        tags: Sequence[tuple[ImageTag, AnswerTag]],
        media: Mapping[str, Sequence[Media]],
        key: str,
    ) -> Element:
        """A fresh answer. One that will be asked for again is kept under `key` before it is given."""
        pages = {image.name: await self._pages(ask, image, tag, media[image.name]) for image, tag in tags}

        def answer() -> Element:
            if ask.context:
                clicked = answer_prompt(task, ask.config, ask.context, pages, ask.serving.version)
                return clicked.model_dump_json().encode()
            made = prediction(task, ask.config, pages, ask.serving.version).model_dump_json().encode()
            self._answers.write(key, made)
            return made

        return await self._proposing.pool.run(object(), ask.urgency, answer)

    async def _pages(self, ask: Ask, image: ImageTag, tag: AnswerTag, media: Sequence[Media]) -> list[Page]:
        usual = ProposalSettings()
        settings = ProposalSettings(
            max(usual.max_proposals, tag.max_proposals), min(usual.min_score, tag.min_score)
        )
        see = self._proposing.see
        seen = await asyncio.gather(*(see(one, settings, ask.urgency, ask.serving) for one in media))
        return [
            Page(index if image.many else None, one.size, one.proposals, one.confidence)
            for index, one in enumerate(seen)
        ]

    def _nothing(self, ask: Ask) -> Element:
        """An answer that Label Studio keeps: there is nothing, or it can never work."""
        return Prediction(result=[], score=0.0, model_version=ask.serving.version).model_dump_json().encode()


def _identified(task: Any) -> tuple[int, Mapping[str, Any]]:
    """A task's id and data.

    Raises:
        InputError: it is none.
    """
    if not isinstance(task, dict):
        raise InputError(f"A task was {type(task).__name__} and not an object with id and data.")
    number, data = task.get("id"), task.get("data")
    if not isinstance(number, int) or isinstance(number, bool):
        raise InputError("A task came without a whole number as its id.")
    if not isinstance(data, dict):
        raise InputError(f"Task {number} came without data: import it again with the image's URL.")
    return number, data


def _digest(parts: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
