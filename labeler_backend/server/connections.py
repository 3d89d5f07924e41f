"""Which Label Studio a project belongs to: said only by /setup, needed after a restart by everything else."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from labeler_backend.errors import LabelerError
from labeler_backend.files import replacing
from labeler_backend.projects import studio_project
from labeler_backend.settings import ServerSettings
from labeler_backend.studio.client import Studio, StudioError
from labeler_backend.studio.media.types import Access, MediaError
from labeler_backend.studio.media.urls import base_url

logger = logging.getLogger("labeler_backend")

FILE = "connections.json"
_PROJECTS = 1000


@dataclass(frozen=True, slots=True)
class Connection:
    """What /setup said of one project.

    Attributes:
        hostname: base URL of Label Studio as it calls itself.
        token: of the project's creator; of no use where legacy tokens are switched off.
        extra_params: as typed into the Model page.
    """

    hostname: str = ""
    token: str = field(default="", repr=False)
    extra_params: Mapping[str, Any] | str | None = None


_KEPT: TypeAdapter[dict[str, Connection]] = TypeAdapter(dict[str, Connection])


class Connections:
    """By project (`1.1795428142`); kept in a file that only this user may read."""

    def __init__(self, path: Path, studio_url: str | None, api_key: str | None) -> None:
        """`studio_url` and `api_key` are the operator's own words, which win over what /setup says."""
        self._path = path
        self._url, self._key = (studio_url or "").rstrip("/"), api_key
        if api_key and not studio_url:
            logger.warning(
                "LABEL_STUDIO_API_KEY is not used: nothing says whose it is, so set LABEL_STUDIO_URL, too."
            )
        self._known = _read(path)
        self._writing = threading.Lock()

    @classmethod
    def of_settings(cls, settings: ServerSettings) -> Connections:
        """As the server keeps them."""
        secret = settings.label_studio_api_key
        key = secret.get_secret_value() if secret else None
        return cls(settings.data_dir / FILE, settings.label_studio_url, key)

    def name(self, project: str) -> str | None:
        """What the project is kept under (see `projects`); None where its Label Studio is not known."""
        url = usable(self.of(project).hostname) or self._url
        try:
            return studio_project(url, project) if url else None
        except LabelerError:  # anybody who may ask names projects as he likes
            return None

    def remember(self, project: str, connection: Connection) -> bool:
        """Whether that is news, and `save` is to be called."""
        if self._known.get(project) == connection:
            return False
        known = {name: one for name, one in self._known.items() if name != project}
        # in a new dict, as other threads read this one; bounded, as whoever calls /setup names the project
        self._known = dict([*known.items(), (project, connection)][-_PROJECTS:])
        return True

    def save(self) -> None:
        """Writes the file; a disk that is full or read-only costs the memory of a restart, no more."""
        with self._writing:
            try:
                with replacing(self._path) as part, open(part, "w", opener=_private) as file:
                    json.dump({name: asdict(one) for name, one in self._known.items()}, file)
            except OSError as error:
                logger.warning("%s cannot be written (%s).", self._path, error.strerror or error)

    def projects(self) -> list[str]:
        """All that /setup has told of."""
        return list(self._known)

    def of(self, project: str) -> Connection:
        """What is known of a project; empty where nothing is."""
        return self._known.get(project, Connection())

    def access(self, project: str) -> Access | None:
        """Where this project's media are, and with which token.

        The operator's token goes only to the operator's URL, and a token from /setup only there or, where the
        operator names none, to the host that came with it: whoever can call /setup must not be able to have
        either sent elsewhere.
        """
        said = self.of(project)
        hostname = usable(said.hostname)
        if self._url:
            aliases = (hostname,) if hostname and hostname != self._url else ()
            return Access(self._url, self._key or said.token or None, aliases)
        return Access(hostname, said.token or None) if hostname else None


@contextmanager
def logged_in(access: Access) -> Iterator[Studio]:
    """Label Studio, with sentences that name what a server's operator can set.

    Raises:
        LabelerError: no token, or one that it refuses.
    """
    hint = "set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY for the backend, of a user who may see the project"
    if not access.token:
        raise LabelerError(f"No token for {access.url} is known: {hint}.")
    try:
        with Studio(access.url, access.token) as studio:
            yield studio
    except StudioError as error:
        if error.status not in (401, 403):
            raise
        raise StudioError(
            f"{access.url} refuses the token that it gave itself: {hint}.", error.status
        ) from error


def usable(hostname: str) -> str:
    """What /setup gave, without a slash at its end; empty where it is no base URL."""
    try:
        base_url(hostname)
    except MediaError:
        return ""
    return hostname.rstrip("/")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _read(path: Path) -> dict[str, Connection]:
    try:
        return _KEPT.validate_json(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValidationError) as error:
        # not in its own words: those of a ValidationError hold what it read, tokens among it
        why = type(error).__name__
        logger.warning("%s is damaged (%s): Label Studio fills it again at its next /setup.", path, why)
        return {}
