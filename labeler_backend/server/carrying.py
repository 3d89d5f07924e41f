"""Videos whose objects are being followed: who goes first, who waits until when, what is kept.

Following a video takes longer than Label Studio waits. So each has a thread of its own that goes on when
nobody waits any more, one video after another; the model works for it frame by frame, in the turn that the
most urgent of those who wait gives it. The next request finds what is done.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from dataclasses import dataclass, field, replace

import torch

from labeler_backend.backbone.features import Features
from labeler_backend.errors import InputError
from labeler_backend.masks.rle import BoolMask
from labeler_backend.media import RGB
from labeler_backend.proposals.types import Proposal
from labeler_backend.server.following import Following, Found, Stopped, Wanted, from_json, to_json
from labeler_backend.server.live import Serving
from labeler_backend.server.pool import EXPRESS, Full, Urgency
from labeler_backend.server.proposing import Proposing, settle
from labeler_backend.store import Store
from labeler_backend.video.info import VideoInfo
from labeler_backend.video.tracks import Box

_HURRIED = 2  # videos at once that somebody waits for at the screen
_MOST = 500  # that are followed or wait for it
_REMEMBERED = 8  # results in memory, for a disk that is full
_LOOKING = 0.5  # seconds between two looks at how far it is

Told = Callable[[Wanted, Exception], None]
"""Hears of what went wrong with a video."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a video is.

    Attributes:
        wanted: what it is about.
        done, total: frames seen and to be seen; 0 until it has begun.
        running: whether it has.
        seconds_left: None where that cannot be told.
    """

    wanted: Wanted
    done: int
    total: int
    running: bool
    seconds_left: float | None


@dataclass
class _Job:
    """A video and those who wait for it.

    Attributes:
        asks: what each who waits says of its urgency.
        promised: whether somebody was told to come again.
    """

    following: Following
    asks: list[Callable[[], Urgency]] = field(default_factory=list)
    promised: bool = False
    thread: threading.Thread | None = None

    @property
    def urgency(self) -> Urgency:
        """Of the most urgent who waits."""
        return min((ask() for ask in list(self.asks)), default=Urgency.WARMING)


class Carrying:
    """Thread-safe, but for `found`, which is for one event loop."""

    def __init__(self, proposing: Proposing, store: Store, told: Told = lambda wanted, error: None) -> None:
        """`store` keeps what was found; `told` hears of failures that nobody waits for, and of notes."""
        self._proposing, self._store, self._told = proposing, store, told
        self._jobs: OrderedDict[str, _Job] = OrderedDict()
        self._remembered: OrderedDict[str, Found] = OrderedDict()
        self._lock = threading.Lock()
        self._closed = False

    def known(self, key: str) -> Found | None:
        """What was found before; reads a file."""
        with self._lock:
            if key in self._remembered:
                return self._remembered[key]
        data = self._store.read(key)
        if data is None:
            return None
        found = from_json(data)
        if found is None:
            self._store.discard(key)
        return found

    async def found(
        self, wanted: Wanted, urgency: Callable[[], Urgency], until: float, *, partly: bool
    ) -> Found | None:
        """What is in a video; None where it is not ready in time, and goes on.

        Args:
            wanted: what is to be followed.
            urgency: of who asks; may fall.
            until: monotonic time at which an answer is due. It comes earlier where that cannot be kept.
            partly: whether what is known by then is an answer, too.

        Raises:
            Full: too many videos wait.
            InputError: the video cannot be used.
            LabelerError: the model cannot be loaded.
        """
        job = self._join(wanted, urgency)
        over = asyncio.wrap_future(job.following.over)
        over.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may be left to ask
        try:
            while not job.following.over.done() and (left := until - time.monotonic()) > 0:
                needed = job.following.seconds_left()
                if not partly and needed is not None and needed > left:
                    break
                await asyncio.wait([over], timeout=min(left, _LOOKING))
            job.promised = True
        finally:
            self._leave(job, urgency)
        if job.following.over.done():
            return job.following.over.result()
        return job.following.so_far() if partly else None

    def progress(self) -> list[Progress]:
        """Of all that are followed or wait for it, those that run first."""
        with self._lock:
            jobs = list(self._jobs.values())
        told = [
            Progress(
                job.following.wanted,
                job.following.done,
                job.following.total,
                job.thread is not None,
                job.following.seconds_left(),
            )
            for job in jobs
        ]
        return sorted(told, key=lambda one: not one.running)

    def close(self, grace: float) -> None:
        """Begins nothing more, and gives what runs `grace` seconds to see that it is to end."""
        with self._lock:
            self._closed = True
            jobs = list(self._jobs.values())
        end = time.monotonic() + grace
        for job in jobs:
            job.following.stop()
        for job in jobs:
            if job.thread is not None:
                job.thread.join(max(0.0, end - time.monotonic()))

    def _join(self, wanted: Wanted, urgency: Callable[[], Urgency]) -> _Job:
        with self._lock:
            job = self._jobs.get(wanted.key)
            if job is None or job.following.failed:
                if self._closed or len(self._jobs) >= _MOST:
                    raise Full
                job = self._jobs[wanted.key] = _Job(Following(wanted))
            job.asks.append(urgency)
        self._begin()
        return job

    def _leave(self, job: _Job, urgency: Callable[[], Urgency]) -> None:
        with self._lock:
            job.asks.remove(urgency)
            if job.asks or job.promised:
                return
            job.following.stop()
            if job.thread is None:
                self._forget(job)

    def _begin(self) -> None:
        """Starts those whose turn it is: what somebody waits for at the screen, else one after another."""
        with self._lock:
            if self._closed:
                return
            running = [job for job in self._jobs.values() if job.thread is not None]
            for job in self._jobs.values():
                if job.thread is not None:
                    continue
                hurried = job.urgency <= EXPRESS
                if len(running) < (_HURRIED if hurried else 1):
                    name = f"video-{job.following.wanted.task}"
                    job.thread = threading.Thread(
                        target=self._run, args=(job, hurried), name=name, daemon=True
                    )
                    job.thread.start()
                    running.append(job)

    def _run(self, job: _Job, hurried: bool) -> None:
        settle(hurried, torch.get_num_threads())
        following = job.following
        following.run(_Turns(self._proposing, job))
        error = following.over.exception()
        if error is None:
            found = following.over.result()
            self._keep(following.wanted, found)
            if found.note:
                self._told(following.wanted, InputError(found.note))
        elif isinstance(error, Exception) and not isinstance(error, Stopped | Full) and not job.asks:
            self._told(following.wanted, error)
        with self._lock:
            self._forget(job)
        self._begin()

    def _forget(self, job: _Job) -> None:
        """To be called with the lock; another one may have taken its place."""
        key = job.following.wanted.key
        if self._jobs.get(key) is job:
            del self._jobs[key]

    def _keep(self, wanted: Wanted, found: Found) -> None:
        self._store.write(wanted.key, to_json(found))
        with self._lock:
            self._remembered[wanted.key] = found
            while len(self._remembered) > _REMEMBERED:
                self._remembered.popitem(last=False)


class _Turns:
    """The model for one video, in its turn among all that it is asked for."""

    def __init__(self, proposing: Proposing, job: _Job) -> None:
        self._proposing, self._job = proposing, job

    @property
    def patch(self) -> int:
        return self._proposing.labeler().patch

    def features(self, frame: RGB, size: int, info: VideoInfo) -> Features:
        """Kept for when somebody has corrected a box, where there is room for all of the video."""
        with _stoppable():
            labeler = self._proposing.labeler()
            kept = (
                labeler if labeler.caches(info.frame_count, info.size, size) else replace(labeler, cache=None)
            )
            return self._proposing.pool.call(self._job.urgency, lambda: kept.encode_frame(frame, size))

    def mask_in_box(self, image: RGB, box: Box) -> BoolMask:
        with _stoppable():
            labeler = self._proposing.labeler()
            return self._proposing.pool.call(self._job.urgency, lambda: labeler.mask_in_box(image, box))

    def objects(self, frame: RGB, least: float, most: int, serving: Serving) -> list[Proposal]:
        with _stoppable():
            return self._proposing.objects(frame, least, most, serving, self._job.urgency)


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """A pool that was closed means that the server ends."""
    try:
        yield
    except CancelledError as error:
        raise Stopped from error
