"""Where an input lies, as a tuple, and the relative path its outputs are named after.

Every input has an address: ("file", "home", …) or ("s3", "bucket", "key", …). What all addresses of a run
begin with is its base; outputs lie under what follows it. So equal names in two folders stay apart, and no
input can name an output outside the output folder.
"""

from __future__ import annotations

import glob
import os
from pathlib import Path

Address = tuple[str, ...]

# How names that mean something to a file system are spelt below the output folder.
_SAFE = {".": "%2E", "..": "%2E%2E"}


def relative_path(uri: str, base: Address) -> str:
    """The path outputs are named after: what follows the base, `/` between parts, never leading outside."""
    parts = address(uri)[len(base) :]
    return "/".join(_SAFE.get(part, part) for part in parts) or "."


def address(uri: str) -> Address:
    """A path (made absolute) or URL → its parts, where it is kept first."""
    if is_url(uri):
        scheme, rest = uri.split("://", 1)
        return (scheme, *(part for part in rest.split("/") if part))
    path = Path(os.path.abspath(uri))
    drive = path.drive.strip(":\\/")
    return ("file", *([drive] if drive else []), *path.parts[1:])


def as_text(base: Address) -> str:
    """How a person writes it: `/home/me/photos`, `s3://bucket/photos`; empty for no base."""
    if not base:
        return ""
    scheme, *parts = base
    return ("/" if scheme == "file" else f"{scheme}://") + "/".join(parts)


def common_start(a: Address, b: Address) -> Address:
    """The parts both begin with."""
    shared = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        shared += 1
    return a[:shared]


def glob_root(pattern: str) -> str:
    """The folder of a pattern before its first wildcard."""
    parts = Path(pattern).parts
    fixed = next((i for i, part in enumerate(parts) if glob.has_magic(part)), len(parts) - 1)
    return str(Path(*parts[:fixed]))


def is_url(text: str) -> bool:
    """Does it name another file system than this machine's?"""
    return "://" in text
