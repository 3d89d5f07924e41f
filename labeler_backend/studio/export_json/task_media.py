"""Which pictures and videos a task shows: by its labelling config, or by what its data looks like."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from labeler_backend.errors import InputError
from labeler_backend.studio.tags import ObjectTag, Tags
from labeler_backend.studio.task_data import addresses

Kind = Literal["image", "video"]

_VARIABLE = re.compile(r"\$([^\s,${}?&]+)")
_ADDRESS = re.compile(
    r"(?i)(https?|s3a?|gs|azure[-_]blob|abfs|hdfs|file)://.|/(data|tasks|projects)/.|data:image/"
)
_PICTURES = "jpg jpeg jpe jfif png gif bmp webp tif tiff svg avif heic heif jp2 ico ppm pgm"
_VIDEOS = "mp4 m4v mov avi mkv webm mpg mpeg ogv wmv flv ts 3gp"
_OTHERS = "wav mp3 ogg oga flac m4a aac opus txt csv tsv json html htm pdf md xml"
_SUFFIXES = {
    suffix: kind
    for kind, suffixes in (("image", _PICTURES), ("video", _VIDEOS), ("other", _OTHERS))
    for suffix in suffixes.split()
}


@dataclass(frozen=True, slots=True)
class Medium:
    """What one object tag shows.

    Attributes:
        to_name: the tag's name; empty where neither a region nor a config says it.
        kind: whether it is a picture (or several) or a video.
        uris: the addresses of its pages, in order; one unless it has several; empty where they are not known.
    """

    to_name: str
    kind: Kind
    uris: tuple[str, ...]


def media_of(
    data: Mapping[str, Any], used: Mapping[str, Kind], tags: Tags | None
) -> tuple[list[Medium], list[str]]:
    """A task's pictures and videos, and sentences on what could not be told.

    Args:
        data: the task's.
        used: what its regions lie on: name of the object tag → what it must be.
        tags: of the labelling config, where there is one.
    """
    media: list[Medium] = []
    reasons: list[str] = []
    for tag in tags.objects if tags else ():
        if tag.kind in ("image", "video"):
            media.append(_shown(data, tag, reasons))
    known = {medium.to_name for medium in media}
    unknown = {name: kind for name, kind in used.items() if name not in known}
    if unknown or not media:
        media += _guessed(data, unknown, reasons) if not media or unknown else ()
    return media, reasons


def unshown(data: Mapping[str, Any], media: Sequence[Medium]) -> list[str]:
    """Keys of the data that hold pictures which no medium shows."""
    shown = {uri for medium in media for uri in medium.uris}
    firsts = {key: found[0] for key, value in data.items() if (found := _texts(value))}
    return [key for key, uri in firsts.items() if uri not in shown and looks_like(uri) == "image"]


def frame_of(data: Mapping[str, Any]) -> tuple[str, int] | None:
    """Video and frame (from 0) that a task's picture is, in a project that labels videos frame by frame."""
    video, frame = data.get("video"), data.get("frame")
    if (
        isinstance(video, str)
        and video
        and isinstance(frame, int)
        and not isinstance(frame, bool)
        and frame >= 0
    ):
        return video, frame
    return None


def looks_like(value: object) -> str:
    """What an address seems to be of: `image`, `video`, `other` (a sound, a text), `address`; else empty."""
    if not isinstance(value, str) or (len(value) > 4096 and not value.startswith("data:image/")):
        return ""
    if value[:5].lower() == "data:":
        return "image" if value[:11].lower() == "data:image/" else "other"
    suffix = _suffix(value)
    if suffix in _SUFFIXES and not (" " in value.strip() and "\n" in value):
        return _SUFFIXES[suffix]
    return "address" if _ADDRESS.match(value) else ""


def _suffix(address: str) -> str:
    try:
        parts = urlsplit(address)
        path = parts.query if "/data/local-files" in parts.path else parts.path
    except ValueError:
        path = address
    return unquote(path).rpartition(".")[2].lower()


def _shown(data: Mapping[str, Any], tag: ObjectTag, reasons: list[str]) -> Medium:
    """By the config."""
    kind: Kind = "video" if tag.kind == "video" else "image"
    variable = _VARIABLE.fullmatch(tag.value or "")
    try:
        if variable:
            found = addresses(data, variable[1], f"<{tag.kind.title()} name={tag.name!r}>")
            return Medium(tag.name, kind, tuple(found if tag.many else found[:1]))
        filled = _VARIABLE.sub(lambda match: addresses(data, match[1], str(tag.name))[0], tag.value or "")
        return Medium(tag.name, kind, (filled,) if filled else ())
    except InputError as error:
        reasons.append(str(error))
        return Medium(tag.name, kind, ())


def _guessed(data: Mapping[str, Any], used: Mapping[str, Kind], reasons: list[str]) -> Iterator[Medium]:
    """Without a config: a key named like the object tag, else the only value that looks right."""
    texts = {key: found for key, value in data.items() if (found := _texts(value))}
    likes = {key: looks_like(found[0]) for key, found in texts.items()}
    if frame_of(data):
        likes["video"] = "other"
    if not used:
        medium = _unused(texts, likes)
        if medium is None:
            reasons.append("The task's data holds no picture and no video: only those are exported.")
        else:
            yield medium
        return
    named = {name: name for name in used if name in texts}
    order = list(data)
    # By the data: who drew first on which picture must not change the ids of pages.
    for name in sorted(used, key=lambda name: order.index(name) if name in named else len(order)):
        kind = used[name]
        key = named.get(name) or _only(texts, likes, kind, set(named.values()))
        if key is None:
            reasons.append(
                f"What the tag named {name!r} shows cannot be told from the task's data: "
                f"give the labelling config too."
            )
        yield Medium(name, kind, texts[key] if key else ())


def _unused(texts: Mapping[str, tuple[str, ...]], likes: Mapping[str, str]) -> Medium | None:
    """Of a task without regions."""
    for wanted, kind in (("image", "image"), ("video", "video"), ("address", "image")):
        keys = [key for key, like in likes.items() if like == wanted]
        if keys:
            key = "image" if "image" in keys else keys[0]
            return Medium("", "video" if kind == "video" else "image", texts[key])
    return None


def _only(
    texts: Mapping[str, tuple[str, ...]], likes: Mapping[str, str], kind: Kind, taken: set[str]
) -> str | None:
    """The only key that fits, the most telling signs first."""
    for fits in ((kind,), ("address",), ("",)):
        keys = [key for key in texts if key not in taken and likes[key] in fits]
        if keys:
            return keys[0] if len(keys) == 1 else None
    return None


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, str) and value.strip():
        return (value,)
    if isinstance(value, list) and value and all(isinstance(v, str) and v.strip() for v in value):
        return tuple(value)
    return ()
