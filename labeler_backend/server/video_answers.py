"""A task's videos: what people drew in them, followed through, as regions."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from labeler_backend import __version__
from labeler_backend.errors import InputError
from labeler_backend.server.carrying import Carrying
from labeler_backend.server.following import Wanted
from labeler_backend.server.journal import Journal
from labeler_backend.server.live import Serving
from labeler_backend.server.pool import Urgency
from labeler_backend.studio.canvas import drawn_last
from labeler_backend.studio.media.types import Media
from labeler_backend.studio.video.clock import Clock
from labeler_backend.studio.video.drawn import Drawn, drawn_in
from labeler_backend.studio.video.tags import TrackTag
from labeler_backend.studio.video.tracked import Tracked, track_regions
from labeler_backend.video.info import VideoInfo, read_info

_INFOS = 1000  # kept in memory
_MARGIN = 1.0  # seconds before the deadline, to write the answer


class Asked(Protocol):
    """What is needed of a request."""

    project: str
    urgency: Urgency
    serving: Serving
    until: float
    context: Mapping[str, Any] | None


Fetch = Callable[[str], Awaitable[Media]]
Threaded = Callable[[object, Callable[[], Any]], Awaitable[Any]]
"""Runs something that reads files, once for all who ask for the same key."""


class NotReady(Exception):
    """It goes on, and asking again later finds it."""


class VideoAnswers:
    """For one event loop."""

    def __init__(self, carrying: Carrying, journal: Journal, model: str) -> None:
        """`model`: what follows them, as predictions without a head are stamped."""
        self._carrying, self._journal, self._model = carrying, journal, model
        self._infos: OrderedDict[str, VideoInfo] = OrderedDict()
        self._lock = threading.Lock()

    async def regions(
        self,
        asked: Asked,
        task: int,
        body: Mapping[str, Any],
        tag: TrackTag,
        fetch: Fetch,
        threaded: Threaded,
    ) -> list[dict[str, Any]]:
        """The tracks on one video of a task.

        Args:
            asked: the request.
            task: its number.
            body: the task, as it came.
            tag: where tracks go.
            fetch: gives the file behind an address.
            threaded: runs what reads files.

        Raises:
            NotReady: not within the time that the request has.
            InputError: the video cannot be had or used.
            LabelerError: the model cannot be loaded.
        """
        result, data = _result(asked, body), body["data"]
        if asked.context is not None and not result:
            return []
        media = await fetch(tag.video.address(data))
        info = await threaded(("info", media.sha256), lambda: self._info(media))
        clock = Clock.of(info, tag.video.shown_rate(data))
        self._check(asked, task, clock, tag)
        drawn = tuple(drawn_in(result, tag.name, tag.video.name, info.size, clock))
        if asked.context is not None and not drawn:
            return []
        wanted = _wanted(self._model, asked, task, media, tag, drawn)
        found = await threaded(("tracks", wanted.key), lambda: self._carrying.known(wanted.key))
        if found is None:
            found = await self._carrying.found(
                wanted, lambda: asked.urgency, asked.until - _MARGIN, partly=asked.context is not None
            )
        if found is None:
            raise NotReady
        objects = _as_drawn(found.objects, drawn)
        return list(track_regions(objects, tag, clock, info.size, whole=found.whole))

    def _info(self, media: Media) -> VideoInfo:
        """Raises: InputError, which calls the video as its task does."""
        with self._lock:
            known = self._infos.get(media.sha256)
        if known is None:
            known = _looked_at(media.path, media.name)
            with self._lock:
                self._infos[media.sha256] = known
                while len(self._infos) > _INFOS:
                    self._infos.popitem(last=False)
        return known

    def _check(self, asked: Asked, task: int, clock: Clock, tag: TrackTag) -> None:
        """Says where boxes would drift; they are answered all the same, where the editor shows them."""
        if not clock.agrees:
            reason = (
                f"The video of task {task} has {clock.frame_rate:g} frames per second, and frameRate in "
                f"<Video name={tag.video.name!r}> is {clock.shown_rate:g}: write the video's there, or the "
                "editor shows some frames twice or never."
            )
            self._journal.noted_video(asked.project, reason)


def _looked_at(path: Path, name: str) -> VideoInfo:
    try:
        return read_info(path)
    except InputError as error:
        raise InputError(str(error).replace(str(path), name)) from error


def _result(asked: Asked, body: Mapping[str, Any]) -> Sequence[Any]:
    """What is drawn: in the editor right now, or in the annotation or draft that was changed last."""
    if asked.context is not None:
        found = asked.context.get("result")
        return found if isinstance(found, list) else []
    return drawn_last(body)


def _as_drawn(objects: Sequence[Tracked], drawn: Sequence[Drawn]) -> list[Tracked]:
    """With what is said of them now: labels and ends have no part in how objects are followed."""
    said = {one.id: one for one in drawn}
    return [replace(one, drawn=said.get(one.drawn.id, one.drawn)) for one in objects]


def _wanted(
    model: str, asked: Asked, task: int, media: Media, tag: TrackTag, drawn: tuple[Drawn, ...]
) -> Wanted:
    boxes = [[one.id, sorted(one.boxes.items())] for one in drawn]
    about: list[Any] = [__version__, model, media.sha256, boxes]
    if not drawn:  # then a head has a part in it, and regions are named by task
        about += [asked.serving.key, task, tag.video.name, tag.max_proposals, tag.min_score]
    key = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
    return Wanted(
        key,
        asked.project,
        task,
        media,
        asked.serving,
        drawn,
        tag.video.name,
        tag.max_proposals,
        tag.min_score,
    )
