"""What a project's work is kept under: a checked name, found again by its Label Studio or by an alias."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock

from labeler_backend.errors import LabelerError
from labeler_backend.files import write_bytes

FOLDER = "projects"
ALIASES = "aliases.json"

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")
_PORTS = {"http": 80, "https": 443}
_LOCK_SECONDS = 10.0


def project_folder(data_dir: Path, name: str) -> Path:
    """Where everything of a project stands; not made here.

    Args:
        data_dir: LABELER_DATA_DIR.
        name: letters, digits, `.`, `_` and `-`, at most 64 of them, the first not a dot.

    Raises:
        LabelerError: `name` has anything else in it, such as a way out of the folder.
    """
    return data_dir / FOLDER / checked(name)


def checked(name: str) -> str:
    """The same name.

    Raises:
        LabelerError: it could not be a folder's everywhere.
    """
    if not _NAME.fullmatch(name):
        raise LabelerError(
            f"{name!r} cannot be the name of a project: take letters, digits, '.', '_' and '-', at most 64, "
            "and no dot at the beginning."
        )
    return name


def studio_project(url: str, project_id: int | str) -> str:
    """The name of a Label Studio's project: 8 digits of its address, and its number there.

    Args:
        url: of the Label Studio; case, a port that goes without saying and slashes at the end do not matter.
        project_id: `1`, or `1.1795428142` as it names its projects to a backend.

    Raises:
        LabelerError: no address, or no number.
    """
    number = str(project_id).partition(".")[0]
    if not (number.isascii() and number.isdigit() and len(number) <= 18):
        raise LabelerError(f"{project_id!r} is no project of Label Studio: give the number in its address.")
    return f"{hashlib.sha256(_normalised(url).encode()).hexdigest()[:8]}-{int(number)}"


def set_alias(data_dir: Path, alias: str, name: str) -> None:
    """From now on `alias` means the project `name` (or what `name` is an alias of).

    Raises:
        LabelerError: one of them is no name of a project, a project of its own is called `alias`, or the file
            of aliases cannot be read or written.
    """
    path = data_dir / FOLDER / ALIASES
    if checked(alias) in names(data_dir):
        raise LabelerError(f"There is a project called {alias} already: take another alias for {name}.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{ALIASES}.lock"), timeout=_LOCK_SECONDS):
            known = aliases(data_dir)
            target = known.get(name, checked(name))
            if target == alias:
                raise LabelerError(f"{alias} cannot be an alias of itself: name the project it stands for.")
            write_bytes(path, json.dumps({**known, alias: target}, indent=1, sort_keys=True).encode())
    except OSError as error:
        raise LabelerError(
            f"{path} cannot be written ({error.strerror or error}): make room, or check its permissions."
        ) from error


def aliases(data_dir: Path) -> dict[str, str]:
    """Alias → name of a project.

    Raises:
        LabelerError: the file that holds them is damaged or cannot be read.
    """
    path = data_dir / FOLDER / ALIASES
    try:
        known = json.loads(path.read_bytes())
        return {checked(str(alias)): checked(str(name)) for alias, name in known.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError, LabelerError) as error:
        raise LabelerError(
            f"{path}, which holds the aliases of projects, cannot be read ({error}): mend or remove it."
        ) from error


def resolve(data_dir: Path, name_or_alias: str) -> str:
    """The project's name: what an alias stands for, else the name itself, whether there is one or not yet.

    Raises:
        LabelerError: no possible name, or the aliases cannot be read.
    """
    return aliases(data_dir).get(checked(name_or_alias), name_or_alias)


def names(data_dir: Path) -> list[str]:
    """The projects that have something stored, by name."""
    folder = data_dir / FOLDER
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and _NAME.fullmatch(path.name))


def _normalised(url: str) -> str:
    """Scheme, host, port and path; a login, which is nobody's business, left out."""
    try:
        parts = urlsplit(url.strip())
        scheme, host, port = parts.scheme.lower(), parts.hostname, parts.port
    except ValueError:
        scheme, host, port = "", None, None
    if scheme not in _PORTS or not host:
        raise LabelerError("A Label Studio's address has to be one such as http://localhost:8080.")
    port = _PORTS[scheme] if port is None else port
    return f"{scheme}://{host}:{port}{parts.path.rstrip('/')}"
