"""What a picture is called in Label Studio, and which files of a folder may be meant."""

from __future__ import annotations

import re
import unicodedata
from itertools import takewhile
from urllib.parse import parse_qs, unquote, urlsplit

from labeler_backend.records import Record, VideoRecord

LONG = 60
"""Characters of a name; Label Studio cuts the paths of uploads, prefix and folders included, to a hundred."""

_PREFIX = re.compile(r"[0-9a-f]{8}-(?=.)")  # what Label Studio puts before the name of an upload
_CUT = re.compile(r"[0-9a-f]{8}-(.+)_[A-Za-z0-9]{7}((?:\.[^.]*)*)")


def names_of(record: Record | VideoRecord) -> list[str]:
    """What its file may be called, the likeliest first; relative."""
    given = [record.file_name, *_path_in(record.uri or "")]
    whole = [re.sub(r"^/+|^[A-Za-z]:/", "", name.replace("\\", "/")) for name in given]
    uploads = [_PREFIX.sub("", base(name), count=1) for name in whole if _PREFIX.match(base(name))]
    unquoted = [unquote(name) for name in whole[:1] if "%" in name]
    return [name for name in dict.fromkeys(whole + unquoted + uploads) if base(name)]


def _path_in(uri: str) -> list[str]:
    """The path that an address holds, Label Studio's for local files too; none in what is no address."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return []
    if parts.scheme == "data":  # the picture itself
        return []
    return [*parse_qs(parts.query).get("d", ())[:1], unquote(parts.path)]


def rank(asked: str, candidate: str) -> tuple[tuple[bool, int, bool], ...]:
    """How well two paths agree, from the name upwards: exactly, then the more and more leniently."""
    ranks = []
    for same in (str, _folded, sanitised):
        a, b = ([same(part) for part in reversed(path.split("/"))] for path in (asked, candidate))
        agreeing = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False)))
        ranks.append((a == b, agreeing, agreeing == len(b)))
    return tuple(ranks)


def base(name: str) -> str:
    """The last part of a path."""
    return name.rpartition("/")[2]


def _folded(name: str) -> str:
    """The same for names that differ in case or in the form of their accents (macOS takes them apart)."""
    return name if name.isascii() and name.islower() else unicodedata.normalize("NFC", name).casefold()


def sanitised(name: str) -> str:
    """As Django's get_valid_filename, which names uploads: blanks become underscores, and what is neither
    a letter, a digit, nor one of `-_.` goes. Accents go too, as they do where they stand apart."""
    apart = name if name.isascii() else unicodedata.normalize("NFD", name)
    return re.sub(r"[^-\w.]", "", apart.casefold().replace(" ", "_"))


def cut_upload(name: str) -> tuple[str, str] | None:
    """How the sanitised name of an upload begins and ends, where it may have been too long: Label Studio cuts
    such a one and puts seven characters of its own at the cut."""
    match = _CUT.fullmatch(base(name)) if len(base(name)) > LONG else None
    return (sanitised(match[1]), sanitised(match[2])) if match else None
