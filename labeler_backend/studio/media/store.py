"""A task's media as a file: fetched safely, once, and kept by content.

| in the task | is read |
|---|---|
| `/data/upload/…` | from Label Studio, with the token; kept for good |
| `/data/local-files/?d=…` | directly where it lies below a media root, else from Label Studio |
| an absolute URL of Label Studio, or of an alias | like the two above |
| `http(s)://…` elsewhere | where the host is allowed, without the token |
| `s3://…`, `gs://…`, `azure-blob://…` | through Label Studio, which signs the address or passes it on |
| `data:…` | from the task |
| `file://…`, a path | below a media root |
"""

from __future__ import annotations

import builtins
import hashlib
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import IO

from labeler_backend.settings import ServerSettings
from labeler_backend.store import Store
from labeler_backend.studio.media.cache import Kept, MediaCache, Validators
from labeler_backend.studio.media.connections import Connections, time_limit
from labeler_backend.studio.media.download import Downloader, NotModified, Received, TokenRefusedError
from labeler_backend.studio.media.sources import Inline, Local, Remote, locate, too_large
from labeler_backend.studio.media.types import Access, Media, MediaError, MediaPolicy
from labeler_backend.studio.media.urls import shown
from labeler_backend.studio.tokens import TokenError, Tokens

_CHUNK = 1 << 20


class MediaStore:
    """Fetches media and keeps it, size-capped. Thread-safe; processes may share the folder."""

    def __init__(
        self,
        cache: Store,
        policy: MediaPolicy,
        tokens: Tokens | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Keeps bodies in `cache`, and which URL gave which in a folder beside it; `clock`: Unix seconds.

        Raises:
            LabelerError: `policy.allowed_hosts` has an entry that is not a host.
        """
        connections = Connections(policy.connect_timeout)
        self._cache = MediaCache(cache, clock)
        self._policy = policy
        self._downloader = Downloader(policy, connections)
        self._tokens = tokens or Tokens(connections)
        self._lock = threading.Lock()
        self._running: dict[str, Future[Kept]] = {}
        self._hits = 0
        self._misses = 0

    @classmethod
    def of(cls, settings: ServerSettings) -> MediaStore:
        """The store that the backend and the commands of this machine share.

        Raises:
            LabelerError: `settings.allowed_hosts` has an entry that is not a host.
        """
        policy = MediaPolicy(
            allowed_hosts=settings.allowed_hosts,
            media_roots=settings.media_roots,
            max_bytes=int(settings.media_max_mb * 1e6),
            total_timeout=settings.media_timeout,
        )
        folder, most = settings.cache_dir / "media", int(settings.media_cache_gb * 1e9)
        return cls(Store(folder, most, ".media"), policy)

    @property
    def hits(self) -> int:
        """Fetches over HTTP that the cache answered, since the start."""
        return self._hits

    @property
    def misses(self) -> int:
        """Fetches over HTTP that asked a server."""
        return self._misses

    @property
    def bytes(self) -> int:
        """What is kept takes on disk."""
        return self._cache.bodies.bytes

    @property
    def max_bytes(self) -> int:
        """The most that is kept."""
        return self._cache.bodies.max_bytes

    def fetch(self, url: str, access: Access | None, task_id: int | None = None) -> Media:
        """The file behind what stands in a task's data; blocks until it is there.

        Those who ask for the same at the same time share one download.

        Args:
            url: as it stands in the task.
            access: the Label Studio of the task; None = unknown.
            task_id: needed for what lies in a bucket.

        Raises:
            MediaError: it cannot be had; `final` says whether asking again is pointless.
        """
        source = locate(url, access, task_id, self._policy)
        if isinstance(source, Local):
            return self._local(source.path, shown(url))
        if isinstance(source, Inline):
            kept = self._cache.body(source.data, shown(url))
        else:
            kept = self._remote(source, access.token if access and source.own else None)
        return Media(kept.path, kept.sha256, shown(url))

    def _local(self, path: Path, name: str) -> Media:
        digest, size = hashlib.sha256(), 0
        try:
            with open(path, "rb") as file:
                while chunk := file.read(_CHUNK):
                    digest.update(chunk)
                    size += len(chunk)
                    if size > self._policy.max_bytes:
                        raise too_large(name, self._policy.max_bytes)
        except OSError as error:
            raise MediaError(
                f"{name} could not be read ({error.strerror}): check its permissions and its disk.",
                final=False,
            ) from error
        return Media(path, digest.hexdigest(), name)

    def _remote(self, remote: Remote, token: str | None) -> Kept:
        self._downloader.check(remote)  # first, so that a host taken off the list gives nothing more
        key = _key(remote, token)
        fresh = self._cache.fresh(key, lasting=remote.lasting)
        with self._lock:
            self._hits += fresh is not None
            self._misses += fresh is None
        return fresh or self._shared(key, lambda: self._download(key, remote, token))

    def _download(self, key: str, remote: Remote, token: str | None) -> Kept:
        fresh = self._cache.fresh(key, lasting=remote.lasting)  # another thread may just have fetched it
        if fresh is not None:
            return fresh
        last = self._cache.last(key)
        with time_limit(self._policy.total_timeout), self._cache.incoming(remote.name) as file:
            try:
                received = self._get(remote, token, last.validators if last else Validators(), file)
            except NotModified:
                renewed = self._cache.renew(key)
                if renewed is not None:
                    return renewed
                received = self._get(remote, token, Validators(), file)  # deleted since we asked
            return self._cache.add(
                key, file, received.sha256, received.size, received.validators, remote.name
            )

    def _get(
        self, remote: Remote, token: str | None, known: Validators, into: IO[builtins.bytes]
    ) -> Received:
        try:
            return self._downloader.get(remote, self._authorization(remote, token), known, into)
        except TokenRefusedError:
            # an access token may end before its time, for one when the server's secret is changed
            if not token or not self._tokens.forget(_base(remote), token):
                raise
            return self._downloader.get(remote, self._authorization(remote, token), known, into)

    def _authorization(self, remote: Remote, token: str | None) -> str | None:
        if not token:
            return None
        try:
            return self._tokens.authorization(_base(remote), token)
        except TokenError as error:
            raise MediaError(f"{remote.name} could not be fetched: {error}", final=False) from error

    def _shared(self, key: str, work: Callable[[], Kept]) -> Kept:
        """Runs `work`, or waits for the thread that is at it for the same key; failures are shared, too."""
        mine: Future[Kept] = Future()
        with self._lock:
            running = self._running.setdefault(key, mine)
        if running is not mine:
            try:
                return running.result()
            except MediaError as error:  # the instance is the other thread's to raise
                raise MediaError(str(error), final=error.final) from error
        try:
            kept = work()
        except BaseException as error:
            self._finish(key).set_exception(error)
            raise
        self._finish(key).set_result(kept)
        return kept

    def _finish(self, key: str) -> Future[Kept]:
        with self._lock:
            return self._running.pop(key)


def _key(remote: Remote, token: str | None) -> str:
    """Of the index. The token is part of it: nobody gets what only another may see."""
    whose = hashlib.sha256(token.encode("utf-8", "replace")).hexdigest() if token else ""
    return hashlib.sha256(json.dumps([str(remote.url), whose]).encode()).hexdigest()


def _base(remote: Remote) -> str:
    return str(remote.own).rstrip("/")
