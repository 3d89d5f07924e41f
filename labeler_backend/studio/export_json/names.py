"""File names of pictures, from the addresses under which tasks hold them.

A name is a relative path that stays below whatever folder it is put in, on every system, and is unique
within a source. It keeps what tells pictures apart for the people who made them: the path below the bucket,
the host or the served folder.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import unicodedata
from collections.abc import Iterator
from itertools import count
from urllib.parse import parse_qs, unquote, urlsplit

_STORAGES = frozenset({"s3", "s3a", "gs", "azure-blob", "azure_blob", "az", "abfs", "hdfs", "redis"})
_UPLOAD = re.compile(r"/data/upload/(?:\d+/(?=.))?(.+)", re.DOTALL)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/?/?")
_UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"|?*\\\ud800-\udfff\u2028\u2029]')
_DRIVE = re.compile(r"[A-Za-z]:")
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\.|$)")
_MIME_SUFFIXES = {
    "jpeg": "jpg",
    "svg+xml": "svg",
    "tiff": "tif",
    "x-icon": "ico",
    "vnd.microsoft.icon": "ico",
}
_LONGEST_PART = 180  # bytes; file systems take 255, and writers add suffixes
_LONGEST_NAME = 900
_NESTED = 3


class Names:
    """Gives each picture of a source a name that no other has; grows with their number."""

    def __init__(self) -> None:
        self._files: set[str] = set()
        self._folders: set[str] = set()

    def take(self, uri: str | None, stem: str) -> str:
        """The name for the picture at `uri`; `stem` names those without one, and tells equal ones apart."""
        name = file_name(uri, stem)
        for candidate in _candidates(name, stem):
            key = _folded(candidate)
            folders = {key[:n] for n, letter in enumerate(key) if letter == "/"}
            if key not in self._files and key not in self._folders and not folders & self._files:
                self._files.add(key)
                self._folders |= folders
                return candidate
        raise AssertionError("there is always another number")


def file_name(uri: str | None, stem: str) -> str:
    """A relative path with forward slashes, from a picture's address; from `stem` where that has none."""
    return _safe(_path(uri, stem, _NESTED) if uri else "") or _safe(stem) or "picture"


def _path(uri: str, stem: str, nested: int) -> str:
    uri = uri.strip()
    if uri[:5].lower() == "data:":
        return f"{stem}.{_suffix(uri)}"
    scheme = uri.partition("://")[0].lower() if "://" in uri else ""
    if scheme in _STORAGES:  # keys are not encoded, and may hold question marks
        return uri.partition("://")[2].partition("/")[2]
    if not scheme and not uri.startswith("/") and not re.search(r"\?[^?]*=", uri):
        return uri
    try:
        parts = urlsplit(uri)
        query = parse_qs(parts.query, keep_blank_values=True)
    except ValueError:  # a host in broken brackets, too many fields
        return _SCHEME.sub("", uri).partition("?")[0]
    return _of_url(parts.path, query, stem, nested)


def _of_url(path: str, query: dict[str, list[str]], stem: str, nested: int) -> str:
    if "/data/local-files" in path and "d" in query:
        return query["d"][0]
    if "fileuri" in query and nested and re.search(r"/(resolve|presign)/?$", path):
        inner = _decoded(query["fileuri"][0])
        return _path(inner, stem, nested - 1) if inner else stem
    upload = _UPLOAD.search(path)
    return unquote(upload[1] if upload else path)


def _suffix(uri: str) -> str:
    """Of a data URI, by its type."""
    match = re.match(r"data:image/([a-z0-9.+-]{1,40})[;,]", uri[:64].lower())
    kind = match[1] if match else "png"
    return _MIME_SUFFIXES.get(kind, kind)


def _decoded(fileuri: str) -> str:
    """Label Studio hands the addresses of its storages through as URL-safe base64."""
    try:
        return base64.urlsafe_b64decode(fileuri + "=" * (-len(fileuri) % 4)).decode()
    except (binascii.Error, ValueError):
        return ""


def _safe(path: str) -> str:
    """Parts that name neither a folder above nor a drive nor anything a file system forbids."""
    parts = path.replace("\\", "/").split("/")
    kept = [part for part in parts if part.strip(". ") and not _DRIVE.fullmatch(part)]
    name = "/".join(_part(part) for part in kept)
    if len(name.encode()) <= _LONGEST_NAME:
        return name
    return f"{_digest(name)}/{_part(kept[-1])}"


def _part(part: str) -> str:
    clean = _UNSAFE.sub("_", part).strip(" ")
    clean = clean[:-1] + "_" if clean.endswith(".") else clean
    clean = f"_{clean}" if _RESERVED.match(clean) else clean
    if len(clean.encode()) <= _LONGEST_PART:
        return clean
    stem, suffix = _split(clean)
    room = _LONGEST_PART - 17 - len(suffix.encode())
    return f"{stem.encode()[:room].decode(errors='ignore').rstrip(' ')}-{_digest(clean)}{suffix}"


def _candidates(name: str, stem: str) -> Iterator[str]:
    yield name
    folder, slash, last = name.rpartition("/")
    first, suffix = _split(last)
    mark = _part(stem.replace("/", "_"))
    yield f"{folder}{slash}{first}-{mark}{suffix}"
    yield f"{mark}/{name}"  # also where one of its folders is a file
    yield from (f"{mark}-{n}/{name}" for n in count(2))


def _split(part: str) -> tuple[str, str]:
    """Stem and suffix; the suffix is short or none."""
    stem, dot, suffix = part.rpartition(".")
    return (stem, dot + suffix) if stem and len(suffix.encode()) <= 12 else (part, "")


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _folded(name: str) -> str:
    """What is the same to file systems that do not tell upper from lower case, or spellings of é."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
