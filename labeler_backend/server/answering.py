"""One task's answer: its media, what is seen in them, and that as regions; whatever goes wrong with it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from labeler_backend import __version__
from labeler_backend.errors import InputError, LabelerError
from labeler_backend.heads.errors import HeadError
from labeler_backend.server.carrying import Carrying
from labeler_backend.server.clicking import Clicking
from labeler_backend.server.following import Stopped, Wanted
from labeler_backend.server.journal import Journal
from labeler_backend.server.live import Live, Serving
from labeler_backend.server.pool import Full, PriorityPool, Urgency
from labeler_backend.server.proposing import Proposing
from labeler_backend.server.remembering import Remembering
from labeler_backend.server.video_answers import NotReady, VideoAnswers
from labeler_backend.store import Store
from labeler_backend.studio.config import AnswerTag, ImageTag, LabelingConfig
from labeler_backend.studio.media.store import MediaStore
from labeler_backend.studio.media.types import Access, Media, MediaError
from labeler_backend.studio.prediction import Prediction
from labeler_backend.studio.predictions import Page, prediction
from labeler_backend.studio.showing import asked
from labeler_backend.studio.video.drawn import drawn_on

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
        until: monotonic time at which the request is answered with what is ready.
    """

    project: str
    config: LabelingConfig
    access: Access | None
    context: Mapping[str, Any] | None
    urgency: Urgency
    serving: Serving
    extra: Mapping[str, Any] | str | None = None
    until: float = float("inf")

    def __post_init__(self) -> None:
        self.fingerprint = _digest([self.config.xml, self.extra])


class Answering:
    """Answers task by task. Coroutines run in one event loop; what takes time runs in threads."""

    def __init__(
        self,
        proposing: Proposing,
        media: MediaStore,
        answers: Store,
        clicks: Store,
        journal: Journal,
        live: Live,
    ) -> None:
        """Args:
        proposing: what sees.
        media: gives the files.
        answers: keeps whole answers by all they came of.
        clicks: keeps the last answers to clicks, for all replicas.
        journal: hears what was done and what failed.
        live: hears of heads that cannot answer.
        """
        self._live = live
        self.carrying = Carrying(proposing, answers, self._told)
        self._clicking = Clicking(proposing, Remembering(clicks), journal)
        self._videos = VideoAnswers(self.carrying, journal, live.base)
        self._proposing, self._media, self._answers, self._journal = proposing, media, answers, journal
        self._fetching = PriorityPool(
            "fetch",
            threads=_FETCHING,
            express=_FETCHING_EXPRESS,
            capacity=10 * proposing.pool.capacity,
        )

    def close(self, grace: float) -> None:
        """Drops what waits and gives what runs `grace` seconds."""
        self.carrying.close(grace)
        self._fetching.close(grace)

    async def element(self, ask: Ask, task: Any) -> Element:
        """The answer to a task as it came; `PENDING` where asking again may help."""
        try:
            element = await self._answer(ask, _identified(task), task)
        except (Full, NotReady, Stopped):
            return PENDING
        except Exception as error:
            return self._failed(ask, task, error)
        self._journal.finished()
        return element

    def _failed(self, ask: Ask, task: Any, error: Exception) -> Element:
        final = _is_final(error)
        if isinstance(error, HeadError):
            self._live.refuse(ask.project, ask.serving, str(error))
        if not isinstance(error, LabelerError):
            logger.exception("A task of project %s could not be answered.", ask.project, exc_info=error)
        self._journal.failure(ask.project, task, error, final)
        return self._nothing(ask) if final else PENDING

    def _told(self, wanted: Wanted, error: Exception) -> None:
        """Of a video that nobody waits for any more."""
        if not isinstance(error, LabelerError):
            logger.exception("A video of project %s could not be followed.", wanted.project, exc_info=error)
        self._journal.failure(wanted.project, {"id": wanted.task}, error, _is_final(error))

    async def _answer(self, ask: Ask, task: int, body: Mapping[str, Any]) -> Element:
        tags = [(image, tag) for image in ask.config.images if (tag := ask.config.answer_for(image))]
        tracks = await self._tracks(ask, task, body)
        if tracks is None:
            if not tags:
                return self._nothing(ask)
            answer = await (
                self._clicked(ask, task, body)
                if ask.context
                else self._pictures(ask, task, body["data"], tags)
            )
        elif tags and not ask.context:
            answer = _joined(await self._pictures(ask, task, body["data"], tags), tracks)
        else:
            answer = tracks.model_dump_json().encode()
        self._journal.answered(ask.project, task, answer, clicked=bool(ask.context))
        return answer

    async def _tracks(self, ask: Ask, task: int, body: Mapping[str, Any]) -> Prediction | None:
        """What is followed in the task's videos; None where nothing is asked of them."""
        asked = [tag for tag in ask.config.tracks if ask.context is None or drawn_on(ask.context, tag.video)]
        if not asked:
            return None

        async def threaded(key: object, work: Callable[[], Any]) -> Any:
            return await self._fetching.run(key, ask.urgency, work)

        regions: list[dict[str, Any]] = []
        for tag in asked:
            regions += await self._videos.regions(ask, task, body, tag, self._fetch(ask, task), threaded)
        return prediction(task, ask.config, {}, ask.serving.version, regions)

    async def _clicked(self, ask: Ask, task: int, body: Mapping[str, Any]) -> Element:
        found = await self._clicking.answer(ask, task, body, self._fetch(ask, task))
        return found.model_dump_json().encode()

    def _fetch(self, ask: Ask, task: int) -> Callable[[str], Awaitable[Media]]:
        """Gives the file behind an address of a task."""

        async def fetch(url: str) -> Media:
            [media] = await self._fetched(ask, [url], task)
            return media

        return fetch

    async def _pictures(
        self, ask: Ask, task: int, data: Mapping[str, Any], tags: Sequence[tuple[ImageTag, AnswerTag]]
    ) -> Element:
        """What is seen in the task's pictures."""
        media = {
            image.name: await self._fetched(ask, ask.config.pages(data, image), task) for image, _ in tags
        }
        contents = {name: [one.sha256 for one in pages] for name, pages in media.items()}
        serving = [ask.serving.version, ask.serving.key]
        key = _digest([serving, __version__, ask.fingerprint, task, contents])
        known = await self._known(ask, key)
        return known or await self._computed(ask, task, tags, media, key)

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
            made = prediction(task, ask.config, pages, ask.serving.version).model_dump_json().encode()
            self._answers.write(key, made)
            return made

        return await self._proposing.pool.run(object(), ask.urgency, answer)

    async def _pages(self, ask: Ask, image: ImageTag, tag: AnswerTag, media: Sequence[Media]) -> list[Page]:
        settings = asked([tag], learned=ask.serving.head is not None)
        see = self._proposing.see
        seen = await asyncio.gather(*(see(one, settings, ask.urgency, ask.serving) for one in media))
        return [
            Page(index if image.many else None, one.size, one.proposals, one.confidence)
            for index, one in enumerate(seen)
        ]

    def _nothing(self, ask: Ask) -> Element:
        """An answer that Label Studio keeps: there is nothing, or it can never work."""
        return Prediction(result=[], score=0.0, model_version=ask.serving.version).model_dump_json().encode()


def _identified(task: Any) -> int:
    """A task's id, where it also has data.

    Raises:
        InputError: it has none.
    """
    if not isinstance(task, dict):
        raise InputError(f"A task was {type(task).__name__} and not an object with id and data.")
    number = task.get("id")
    if not isinstance(number, int) or isinstance(number, bool):
        raise InputError("A task came without a whole number as its id.")
    if not isinstance(task.get("data"), dict):
        raise InputError(f"Task {number} came without data: import it again with the address of its media.")
    return number


def _is_final(error: Exception) -> bool:
    """Whether trying again is pointless."""
    return error.final if isinstance(error, MediaError) else isinstance(error, InputError)


def _joined(pictures: Element, tracks: Prediction) -> Element:
    """One answer of both; it is as sure as the less sure one."""
    found = Prediction.model_validate_json(pictures)
    found.result += tracks.result
    found.score = min(found.score, tracks.score)
    return found.model_dump_json().encode()


def _digest(parts: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
