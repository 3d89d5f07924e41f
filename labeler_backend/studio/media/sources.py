"""Where a task's media lies: what stands in the task → a local file, the bytes themselves, or a request."""

from __future__ import annotations

import base64
import binascii
import contextlib
import posixpath
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, unquote, unquote_to_bytes

import httpx

from labeler_backend.studio.media.types import Access, MediaError, MediaPolicy
from labeler_backend.studio.media.urls import base_url, origin, parse_http, shown

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")  # two letters or more: C:\ is a drive
_CLOUD = ("s3", "gs", "azure-blob")
# Paths that mean Label Studio where a task has them without a host. Others are files.
_SERVED = re.compile(
    r"/(data/upload/|data/local-files/?\?|storage-data/uploaded/?\?|(tasks|projects)/\d+/(presign|resolve)/\?)"
)


@dataclass(frozen=True, slots=True)
class Local:
    """A regular file below one of the media roots, links resolved."""

    path: Path


@dataclass(frozen=True, slots=True)
class Inline:
    """The media itself."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Remote:
    """A GET request.

    Attributes:
        url: absolute, http or https.
        own: the Label Studio's base URL where `url` is one of its own, else None.
        lasting: what lies there never changes.
        name: the task's URL as errors may show it.
    """

    url: httpx.URL
    own: httpx.URL | None
    lasting: bool
    name: str


Source = Local | Inline | Remote


def locate(url: str, access: Access | None, task_id: int | None, policy: MediaPolicy) -> Source:
    """Reads what stands in a task's data.

    Raises:
        MediaError: it is malformed, of a kind that is not fetched, or a file outside the media roots.
    """
    text, name = url.strip(), shown(url)
    match = _SCHEME.match(text)
    scheme = match.group(1).lower() if match else None
    if not text:
        raise MediaError(
            "A task has an empty address where its picture should be: import it again.", final=True
        )
    if scheme == "data":
        return Inline(_inline(text, policy.max_bytes, name))
    if scheme in _CLOUD:
        return _presigned(text, access, task_id, name)
    if scheme in ("http", "https"):
        return _absolute(text, access, policy, name)
    if scheme == "file":
        return Local(_file(_file_path(text, name), policy.media_roots, name))
    if scheme is not None:
        raise MediaError(
            f"{name} cannot be fetched, {scheme}: is not supported: use http(s), s3, gs, azure-blob or data.",
            final=True,
        )
    if text.startswith("//"):
        raise MediaError(f"{name} does not say how it is fetched: put http: or https: before it.", final=True)
    rest = _served(text, access)
    if rest is not None:
        return _own(rest, _needed(access, name), policy, name)
    return Local(_file(Path(text), policy.media_roots, name))


def _absolute(text: str, access: Access | None, policy: MediaPolicy, name: str) -> Source:
    url = parse_http(text, name)
    if access is None:
        return Remote(url, None, False, name)
    for base in _bases(access):
        prefix = base.raw_path.rstrip(b"/")
        if origin(url) == origin(base) and url.raw_path.startswith(prefix + b"/"):
            return _own(url.raw_path[len(prefix) :].decode("ascii"), access, policy, name)
    base = base_url(access.url)
    return Remote(url, base if origin(url) == origin(base) else None, False, name)


def _own(rest: str, access: Access, policy: MediaPolicy, name: str) -> Source:
    """A path below the Label Studio's base URL."""
    base = base_url(access.url)
    url = parse_http(str(base).rstrip("/") + rest, name)
    if rest.startswith("/data/local-files"):
        wanted = parse_qs(rest.partition("?")[2], keep_blank_values=True).get("d", [""])[-1]
        if posixpath.normpath(wanted).startswith("../"):  # to which Label Studio says 500: never a file
            raise MediaError(
                f"{name} leads out of Label Studio's folder: correct it in the task.", final=True
            )
        path = _below(wanted.lstrip("/"), policy.media_roots)
        if wanted and path is not None:
            return Local(path)
    return Remote(url, base, url.path.startswith(f"{base.path.rstrip('/')}/data/upload/"), name)


def _bases(access: Access) -> list[httpx.URL]:
    """Under which base URLs the server is known, its own first; an alias that is none is passed over."""
    bases = [base_url(access.url)]
    for alias in access.aliases:
        with contextlib.suppress(MediaError):
            bases.append(base_url(alias))
    return bases


def _served(text: str, access: Access | None) -> str | None:
    """What follows the base path in a path that Label Studio serves, else None."""
    for prefix in ("", *(base.path.rstrip("/") for base in (_bases(access) if access else ()))):
        if text.startswith(prefix) and _SERVED.match(text, len(prefix)):
            return text[len(prefix) :]
    return None


def _presigned(text: str, access: Access | None, task_id: int | None, name: str) -> Source:
    """As Label Studio's own front end asks for what lies in a bucket; it redirects, or passes it on."""
    access = _needed(access, name)
    if task_id is None:
        raise MediaError(
            f"{name} can only be fetched for a task with an id: send the task's id.", final=False
        )
    base = base_url(access.url)
    code = base64.urlsafe_b64encode(text.encode("utf-8", "replace")).decode()
    url = parse_http(f"{str(base).rstrip('/')}/tasks/{int(task_id)}/presign/?fileuri={code}", name)
    return Remote(url, base, False, name)


def _needed(access: Access | None, name: str) -> Access:
    if access is None:
        raise MediaError(
            f"{name} lies in a Label Studio whose address is not known here: set LABEL_STUDIO_URL.",
            final=False,
        )
    return access


def _inline(text: str, max_bytes: int, name: str) -> bytes:
    """The bytes of a data: URI (RFC 2397)."""
    head, comma, body = text.partition(",")
    if not comma:
        raise MediaError(f"{name} is malformed (no comma): correct it in the task.", final=True)
    if len(body) > 3 * max_bytes:  # longer than any spelling of so many bytes, before it is decoded
        raise too_large(name, max_bytes)
    data = unquote_to_bytes(body)
    if head.lower().endswith(";base64"):
        try:
            packed = b"".join(data.split()).rstrip(b"=")
            data = base64.b64decode(packed + b"=" * (-len(packed) % 4), validate=True)
        except (binascii.Error, ValueError):
            raise MediaError(f"{name} is malformed (base64): correct it in the task.", final=True) from None
    if len(data) > max_bytes:
        raise too_large(name, max_bytes)
    return data


def too_large(name: str, max_bytes: int) -> MediaError:
    """For what exceeds the policy's cap."""
    return MediaError(
        f"{name} is larger than {max_bytes / 1e6:g} MB: scale it down, or raise LABELER_MEDIA_MAX_MB.",
        final=True,
    )


def _file_path(text: str, name: str) -> Path:
    host, _, path = text[len("file:") :].removeprefix("//").partition("/")
    if host.lower() not in ("", "localhost"):
        raise MediaError(
            f"{name} names a file of another machine: use http(s) or a cloud storage.", final=True
        )
    return Path("/" + unquote(path.partition("?")[0].partition("#")[0]))


def _file(path: Path, roots: tuple[Path, ...], name: str) -> Path:
    """A local file that may be read. Of others it does not even say whether they are there."""
    found = _below(str(path), roots)
    if found is None:
        raise MediaError(
            f"{name} is not a file in a folder that may be read: move it into one of LABELER_MEDIA_ROOTS, or "
            "let Label Studio serve it.",
            final=True,
        )
    return found


def _below(path: str, roots: tuple[Path, ...]) -> Path | None:
    """The regular file `path` (absolute, or below a root) is after resolving links, if a root holds it."""
    for root in roots:
        try:
            base = root.resolve(strict=True)
            found = (base / path).resolve(strict=True)
            if found.is_relative_to(base) and found.is_file():
                return found
        except (OSError, RuntimeError, ValueError):  # missing, a loop of links, a NUL in the name
            continue
    return None
