"""The queue of training jobs: huey, in a SQLite file at home, in Redis where there are replicas.

A message only says "look at this project": what is wanted stands in the project's folder (`jobs.JobFolder`),
so that a message that is lost, or there twice, does no harm.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from huey import Huey, RedisHuey, SqliteHuey
from huey.consumer import Consumer
from huey.registry import Message
from huey.serializer import Serializer

from labeler_backend.errors import LabelerError
from labeler_backend.settings import ServerSettings

FILE = "queue.sqlite"
_NAME = "labeler"
_POLL = 1.0  # seconds between two looks at an empty queue
_CONNECT, _ANSWER = 3.0, 10.0  # seconds that a Redis gets


class _Json(Serializer):  # type: ignore[misc]
    """Messages as JSON: huey pickles them, and then whoever reaches the Redis could run code here."""

    def _serialize(self, data: Any) -> bytes:
        if not isinstance(data, Message):
            return json.dumps(data).encode()
        eta = data.eta.isoformat() if data.eta else None
        return json.dumps(data._replace(eta=eta)._asdict()).encode()

    def _deserialize(self, data: bytes) -> Any:
        found = json.loads(data)
        if not isinstance(found, dict):
            return found
        known = {name: value for name, value in found.items() if name in Message._fields}
        eta = known.get("eta")
        return Message(**known | {"eta": datetime.fromisoformat(eta) if eta else None})


class Queue:
    """Which projects to look at, and when. Safe to share between threads and processes."""

    def __init__(self, data_dir: Path, redis_url: str | None = None) -> None:
        """Opens the queue; Redis is reached only when it is used.

        Raises:
            LabelerError: the file cannot be opened, or the package for Redis is missing.
        """
        self._where = "The Redis at LABELER_REDIS_URL" if redis_url else str(data_dir / FILE)
        self._huey = _redis(redis_url) if redis_url else _sqlite(data_dir / FILE)
        self._work: Callable[[str], None] = lambda project: None
        self._task = self._huey.task(name="train")(self._run)

    @classmethod
    def of(cls, settings: ServerSettings) -> Queue:
        """The one that server and worker share."""
        url = settings.redis_url
        return cls(settings.data_dir, url.get_secret_value() if url else None)

    def put(self, project: str, delay: float = 0.0) -> None:
        """Has a worker look at `project` in `delay` seconds.

        Raises:
            LabelerError: the queue cannot be reached.
        """
        try:
            self._task.schedule(args=(project,), delay=max(delay, 0.0))
        except Exception as error:  # of sqlite3, redis, or the socket below it
            raise LabelerError(
                f"{self._where}, which holds the queue of trainings, cannot be used ({_said(error)}): mend "
                "that, then press Start Training."
            ) from error

    def consumer(self, work: Callable[[str], None]) -> Consumer:
        """What calls `work` with one project after another when its `run` is called."""
        self._work = work
        logging.getLogger("huey").setLevel(logging.WARNING)
        return Consumer(
            self._huey, workers=1, periodic=False, max_delay=_POLL, check_worker_health=True, backoff=1.5
        )

    def waiting(self) -> int:
        """How many messages there are.

        Raises:
            LabelerError: the queue cannot be reached.
        """
        try:
            return int(self._huey.pending_count()) + int(self._huey.scheduled_count())
        except Exception as error:
            raise LabelerError(f"{self._where} cannot be used ({_said(error)}).") from error

    def _run(self, project: str) -> None:
        self._work(project)


def _sqlite(path: Path) -> Huey:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return SqliteHuey(_NAME, filename=str(path), results=False, serializer=_Json())
    except Exception as error:
        raise LabelerError(
            f"{path}, the queue of trainings, cannot be used ({_said(error)}): move it away, or name another "
            "folder in LABELER_DATA_DIR."
        ) from error


def _redis(url: str) -> Huey:
    try:
        from redis import ConnectionPool
    except ImportError as error:
        raise LabelerError(
            "LABELER_REDIS_URL is set and its package is missing: pip install 'emergent-labeler[redis]'."
        ) from error
    try:
        pool = ConnectionPool.from_url(url, socket_connect_timeout=_CONNECT, socket_timeout=_ANSWER)
    except ValueError as error:
        raise LabelerError(
            "LABELER_REDIS_URL cannot be used: give one such as redis://host:6379/0."
        ) from error
    return RedisHuey(_NAME, connection_pool=pool, results=False, serializer=_Json())


def _said(error: Exception) -> str:
    """Its words, short; never the address of the Redis, which may hold a password."""
    return " ".join(str(error).split())[:200] or type(error).__name__
