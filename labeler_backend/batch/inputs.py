"""INPUT… → one image after another, each with the relative path its outputs are named after."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from labeler_backend.batch.addresses import Address, address, common_start, glob_root, is_url
from labeler_backend.errors import InputError
from labeler_backend.media import SUFFIXES, UNSUPPORTED_SUFFIXES

STATE_FILE = Path(".labeler") / "state.sqlite"
"""Where a run keeps its state, in its output folder; a folder that holds one is never read as input."""

_LISTED = SUFFIXES | UNSUPPORTED_SUFFIXES
_LISTS = frozenset({".txt", ".lst"})
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}


@dataclass(frozen=True, slots=True)
class Source:
    """One INPUT, checked: `kind` is file, folder, glob, list or url."""

    kind: str
    text: str


def check(inputs: Sequence[str], out: Path) -> list[Source]:
    """Looks at each INPUT before anything is started.

    Raises:
        InputError: one that does not exist, cannot be read, or is the output folder itself.
    """
    if not inputs:
        raise InputError("No INPUT was given: name images, folders, globs or a .txt list of them.")
    return [_check_one(text, out) for text in inputs]


def base(sources: Sequence[Source]) -> Address:
    """What the addresses of all inputs have in common; reads .txt lists through once."""
    common: Address | None = None
    for anchor in (a for source in sources for a in _anchors(source)):
        common = anchor if common is None else common_start(common, anchor)
    if common is None:
        raise InputError(f"{sources[0].text} lists no images: write one path per line.")
    return common


def walk(sources: Sequence[Source], out: Path) -> Iterator[str]:
    """Addresses to read, one by one and in a stable order; may repeat where inputs overlap."""
    for source in sources:
        if source.kind == "folder":
            yield from _walk_folder(source.text, out)
        elif source.kind == "glob":
            yield from _walk_glob(source.text, out)
        elif source.kind == "list":
            yield from _list_entries(Path(source.text))
        elif source.kind == "url":
            yield from _walk_url(source.text)
        else:
            yield source.text


def read(uri: str) -> bytes | Path:
    """What media can open: a local path as it is, anything else as its bytes.

    Raises:
        InputError: the file system behind the URL is not installed, refuses, or has no such file.
    """
    if not is_url(uri):
        return Path(uri)
    filesystem, path = _filesystem(uri)
    try:
        data: bytes = filesystem.cat_file(path)
    except FileNotFoundError as error:
        raise InputError(f"{uri} does not exist: check the name.") from error
    except Exception as error:  # every file system raises its own
        raise InputError(
            f"{uri} could not be read ({_short(error)}): check access and try --resume."
        ) from error
    return data


def _check_one(text: str, out: Path) -> Source:
    if is_url(text):
        _filesystem(text)
        return Source("url", text)
    path = Path(text).expanduser()
    if path.is_dir():
        _check_folder(path, out)
        return Source("folder", str(path))
    if path.exists():
        is_list = path.suffix.lower() in _LISTS
        return Source("list" if is_list else "file", str(path))
    if glob.has_magic(text):
        return Source("glob", str(path))
    raise InputError(f"{text} does not exist: check the name (a glob needs a match, a list ends in .txt).")


def _check_folder(path: Path, out: Path) -> None:
    inside, outputs = path.resolve(), out.resolve()
    if inside == outputs:
        raise InputError(f"{path} is both the input and --out: give --out a folder of its own.")
    if any(inside.is_relative_to(outputs / part) for part in ("masks", "overlays", ".labeler")):
        raise InputError(f"{path} holds what an earlier run wrote into --out: name the original images.")
    if not os.access(path, os.R_OK | os.X_OK):
        raise InputError(f"{path} may not be read: change its permissions (chmod u+rx).")


def _anchors(source: Source) -> Iterator[Address]:
    """Addresses whose common beginning is the source's base: a folder itself, each single file's parent."""
    if source.kind == "folder":
        yield address(source.text)
    elif source.kind == "glob":
        yield address(glob_root(source.text))
    elif source.kind == "list":
        yield from (address(entry)[:-1] for entry in _list_entries(Path(source.text)))
    elif source.kind == "url":
        yield _url_anchor(source.text)
    else:
        yield address(source.text)[:-1]


def _walk_folder(root: str, out: Path) -> Iterator[str]:
    """Images below `root`, sorted by name in each folder; hidden names and folders a run wrote are left out.

    Links to folders are not followed. A folder that may not be read is given like an image, so that it fails.
    """
    try:
        with os.scandir(root) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError:
        yield root
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            if not _is_output(entry.path, out):
                yield from _walk_folder(entry.path, out)
        elif _is_image_name(entry.name):
            yield entry.path


def _walk_glob(pattern: str, out: Path) -> Iterator[str]:
    @cache
    def inside_output(folder: Path) -> bool:
        return _is_output(str(folder), out) or (folder != folder.parent and inside_output(folder.parent))

    for path in sorted(glob.iglob(pattern, recursive=True)):
        if _is_image_name(path) and not os.path.isdir(path) and not inside_output(Path(path).parent):
            yield path


def _walk_url(url: str) -> Iterator[str]:
    """Images below a bucket's prefix, or what a glob in the URL matches, or the one file it names."""
    filesystem, path = _filesystem(url)
    try:
        if glob.has_magic(path):
            names: Iterable[str] = sorted(filesystem.glob(path))
        elif _is_image_name(path):
            yield url
            return
        else:
            names = _walk_remote(filesystem, path)
        yield from (filesystem.unstrip_protocol(name) for name in names if _is_image_name(name))
    except Exception as error:
        raise InputError(
            f"{url} could not be listed ({_short(error)}): check the name and your access."
        ) from error


def _walk_remote(filesystem: Any, root: str) -> Iterator[str]:
    for folder, folders, files in filesystem.walk(root, on_error="raise"):
        folders.sort()
        yield from (f"{folder.rstrip('/')}/{name}" for name in sorted(files) if not name.startswith("."))


def _list_entries(path: Path) -> Iterator[str]:
    """Entries of a .txt list, relative ones from the list's own folder; blank and # lines are skipped."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            for line in file:
                entry = line.strip()
                if entry and not entry.startswith("#"):
                    yield entry if is_url(entry) else os.path.join(path.parent, os.path.expanduser(entry))
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text: a list has one path per line.") from error
    except OSError as error:
        raise InputError(f"{path} may not be read ({error.strerror}): change its permissions.") from error


def _url_anchor(url: str) -> Address:
    parts = address(url)
    for i, part in enumerate(parts):
        if glob.has_magic(part):
            return parts[:i]
    return parts[:-1] if _is_image_name(url) else parts


def _is_image_name(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in _LISTED


def _is_output(folder: str, out: Path) -> bool:
    """Is it this run's output folder, or one that another run has written into?"""
    return os.path.realpath(folder) == os.path.realpath(out) or os.path.exists(
        os.path.join(folder, STATE_FILE)
    )


def _filesystem(url: str) -> tuple[Any, str]:
    import fsspec

    scheme = url.split("://", 1)[0]
    try:
        filesystem, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        extra = _EXTRAS.get(scheme)
        mend = f"pip install 'emergent-labeler[{extra}]'" if extra else _short(error)
        raise InputError(f"{url} needs a package that is not installed: {mend}") from error
    except ValueError as error:
        raise InputError(
            f"{url} has a scheme that is not known ({scheme}): use s3://, gs:// or a path."
        ) from error
    except Exception as error:
        raise InputError(
            f"{url} cannot be reached ({_short(error)}): check the name and your access."
        ) from error
    return filesystem, path


def _short(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:200]
