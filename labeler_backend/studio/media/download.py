"""One file over HTTP: redirects by hand, each hop checked; the token stays with its server; caps hold."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import IO

import httpcore
import httpx

from labeler_backend.studio.media.addresses import SETTING as HOSTS_SETTING
from labeler_backend.studio.media.addresses import AllowedHosts, is_address, is_never, refusal
from labeler_backend.studio.media.cache import Validators
from labeler_backend.studio.media.connections import (
    FAILURES,
    AddressRefusedError,
    Connections,
    reason,
)
from labeler_backend.studio.media.sources import Remote, too_large
from labeler_backend.studio.media.types import MediaError, MediaPolicy
from labeler_backend.studio.media.urls import origin, parse_http
from labeler_backend.studio.tokens import SETTING as TOKEN_SETTING

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_GONE = frozenset({404, 410})
_MAX_HEADER = 1000  # characters; nobody's ETag is longer


class TokenRefusedError(MediaError):
    """Label Studio answered 401 to the token it was sent."""


class NotModified(Exception):
    """The server has what is known already."""


@dataclass(frozen=True, slots=True)
class Received:
    """A body that was written down."""

    sha256: str
    size: int
    validators: Validators


@dataclass(frozen=True, slots=True)
class _Hop:
    """One request of a chain: where to, with which Authorization, and whether Label Studio sent us there."""

    url: httpx.URL
    authorization: str | None
    vouched: bool = False


class Downloader:
    """Fetches over HTTP under a policy. Thread-safe."""

    def __init__(self, policy: MediaPolicy, connections: Connections) -> None:
        """Raises LabelerError where `policy.allowed_hosts` cannot be read."""
        self._policy = policy
        self._hosts = AllowedHosts.parse(policy.allowed_hosts)
        self._connections = connections

    def check(self, remote: Remote) -> None:
        """Is its host one that may be asked at all? Connects to nothing.

        Raises:
            MediaError: no; not final, the operator can allow it.
        """
        self._named(_Hop(remote.url, None), remote)

    def get(self, remote: Remote, authorization: str | None, known: Validators, into: IO[bytes]) -> Received:
        """Writes the body into a file.

        Takes as long as the server likes: call it within `time_limit`.

        Args:
            remote: what to fetch.
            authorization: for the Label Studio that `remote` is of, sent to no other server.
            known: of the copy that is there, empty for none.
            into: open for writing.

        Raises:
            MediaError: it could not be had.
            NotModified: the server has what `known` says.
            OSError: `into` could not be written.
        """
        hop = _Hop(remote.url, authorization if remote.own else None)
        for _ in range(self._policy.max_redirects + 1):
            done = self._request(hop, remote, known, into)
            if not isinstance(done, _Hop):
                return done
            hop = done
        raise MediaError(
            f"{remote.name} leads through more than {self._policy.max_redirects} redirects: put the "
            "address it ends at into the task.",
            final=False,
        )

    def _request(self, hop: _Hop, remote: Remote, known: Validators, into: IO[bytes]) -> Received | _Hop:
        named = self._named(hop, remote)
        headers = _headers(hop.authorization, known)
        try:
            with self._connections.open("GET", hop.url, headers, named=named) as response:
                if response.status in _REDIRECTS:
                    return _next(hop, response, remote)
                if response.status == 304 and known != Validators():
                    raise NotModified
                if response.status != 200:
                    raise _refused(response.status, hop, remote)
                return self._receive(response, remote.name, into)
        except AddressRefusedError as error:
            raise _address_refused(error, hop.url, remote.name) from None
        except FAILURES as error:
            raise MediaError(
                f"{remote.name} could not be fetched from {hop.url.host}: {reason(error)}; try again, and "
                "check that it can be reached from here.",
                final=False,
            ) from error

    def _named(self, hop: _Hop, remote: Remote) -> bool:
        """May the host be asked, and if so: also at a private address?"""
        _, host, port = origin(hop.url)
        if is_address(host) and is_never(host):  # before the list is named, which would not help
            never = AddressRefusedError(f"{host} is {refusal(host, named=True)}", never=True)
            raise _address_refused(never, hop.url, remote.name)
        if self._hosts.names(host, port) or (remote.own and origin(hop.url) == origin(remote.own)):
            return True
        if self._hosts.everyone or hop.vouched:
            return False
        verb = "lies on" if hop.url == remote.url else "leads to"
        where = _netloc(hop.url)
        raise MediaError(
            f"{remote.name} {verb} {where}, which is not asked for media: add {where} to {HOSTS_SETTING}.",
            final=False,
        )

    def _receive(self, response: httpcore.Response, name: str, into: IO[bytes]) -> Received:
        length, cap = _header(response, b"content-length"), self._policy.max_bytes
        if length is not None and length.isdigit() and int(length) > cap:
            raise too_large(name, cap)
        if (_header(response, b"content-encoding") or "identity").lower() != "identity":
            raise MediaError(
                f"{name} is sent compressed though that was not asked for: store it as it is.", final=True
            )
        digest, size = hashlib.sha256(), 0
        for chunk in response.iter_stream():
            size += len(chunk)
            if size > cap:
                raise too_large(name, cap)
            digest.update(chunk)
            into.write(chunk)
        validators = Validators(_header(response, b"etag"), _header(response, b"last-modified"))
        return Received(digest.hexdigest(), size, validators)


def _headers(authorization: str | None, known: Validators) -> dict[str, str]:
    headers = {
        "Accept": "image/*,video/*;q=0.9,*/*;q=0.5",
        "Authorization": authorization,
        "If-None-Match": known.etag,
        "If-Modified-Since": known.last_modified,
    }
    return {key: value for key, value in headers.items() if value is not None}


def _next(hop: _Hop, response: httpcore.Response, remote: Remote) -> _Hop:
    """Where a redirect leads. The token goes on only within one origin, and does not come back."""
    location = next((value for key, value in response.headers if key.lower() == b"location"), None)
    if not location:
        raise MediaError(
            f"{remote.name} is answered {response.status} by {hop.url.host} without saying where to: mend "
            "that server, or put the address itself into the task.",
            final=False,
        )
    try:
        target = str(hop.url.join(location.decode("utf-8", "replace")))
    except (httpx.InvalidURL, ValueError):
        raise MediaError(
            f"{remote.name} leads to a malformed address: mend that server.", final=True
        ) from None
    url = parse_http(target, remote.name)
    from_own = remote.own is not None and origin(hop.url) == origin(remote.own)
    stays = origin(url) == origin(hop.url)
    return _Hop(url, hop.authorization if stays else None, hop.vouched or from_own)


def _refused(status: int, hop: _Hop, remote: Remote) -> MediaError:
    """The error for a status that brings no body."""
    host, name = hop.url.host, remote.name
    own = remote.own is not None and origin(hop.url) == origin(remote.own)
    if status == 404 and own and _is_local_file(remote):
        return MediaError(
            f"{name} is not served by Label Studio (404): add a local storage that holds it under Settings > "
            "Cloud Storage of the project, or see whether the file is there.",
            final=False,
        )
    if status in _GONE:
        what = "Label Studio" if own else host
        return MediaError(
            f"{name} is not there, {what} answered {status}: import it again, or delete the task.", final=True
        )
    if status not in (401, 403):
        return MediaError(
            f"{name} could not be fetched, {host} answered {status}: try again later, or see its log.",
            final=False,
        )
    if own and hop.authorization:
        kind = TokenRefusedError if status == 401 else MediaError
        return kind(
            f"{name} is refused by Label Studio ({status}): set {TOKEN_SETTING} to a valid token of someone "
            f"who may see this project{_local_files_hint(remote)}.",
            final=False,
        )
    if own:
        return MediaError(
            f"{name} needs a token ({status}): set {TOKEN_SETTING} to one of Label Studio's.", final=False
        )
    if remote.own is not None and hop.url.host == remote.own.host:
        return MediaError(
            f"{name} is refused ({status}) after a redirect to {hop.url.scheme}://{_netloc(hop.url)}, "
            "which gets no token: set LABEL_STUDIO_URL to the address Label Studio really has.",
            final=False,
        )
    return MediaError(
        f"{name} is refused by {host} ({status}): make it readable without signing in, or reach it through a "
        "cloud storage of Label Studio.",
        final=False,
    )


def _local_files_hint(remote: Remote) -> str:
    return ", and LOCAL_FILES_SERVING_ENABLED=true for Label Studio" if _is_local_file(remote) else ""


def _is_local_file(remote: Remote) -> bool:
    return "/data/local-files" in remote.url.path


def _address_refused(error: AddressRefusedError, url: httpx.URL, name: str) -> MediaError:
    mend = (
        "put another address into the task"
        if error.never
        else f"where that is meant, add {_netloc(url)} to {HOSTS_SETTING}"
    )
    return MediaError(f"{name} is not fetched, as {error}: {mend}.", final=error.never)


def _netloc(url: httpx.URL) -> str:
    """Host and port as an entry of the list has them."""
    return url.netloc.decode("ascii")


def _header(response: httpcore.Response, wanted: bytes) -> str | None:
    """A header that is fit to be sent back, or None."""
    value = next((value for key, value in response.headers if key.lower() == wanted), None)
    text = value.decode("latin-1").strip() if value else ""
    return text if 0 < len(text) <= _MAX_HEADER and text.isascii() and text.isprintable() else None
