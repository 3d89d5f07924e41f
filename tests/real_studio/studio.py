"""A real Label Studio on loopback: SQLite, no network, a user and a token known in advance."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .client import Client
from .processes import Server, clean_environment, free_port, running

EMAIL, PASSWORD = "labeler@example.com", "correct-horse-1"
LEGACY_TOKEN = "0123456789abcdef0123456789abcdef01234567"
VALIDATION = "fflag_feat_utc_210_prediction_validation_15082025"


@dataclass(frozen=True)
class Studio:
    """A running Label Studio.

    Attributes:
        url: without a slash at the end.
        files: what it serves under /data/local-files/; a storage needs a folder below it.
        validation: whether it refuses predictions that do not fit the labelling config.
        data: its database.
        personal_token: of its one user, who may have only one.
    """

    url: str
    files: Path
    validation: bool
    data: Path
    personal_token: str

    def client(self) -> Client:
        """For the legacy token of its one user."""
        return Client(self.url, LEGACY_TOKEN)


@contextmanager
def label_studio(venv: Path, folder: Path, template: Path, *, validation: bool) -> Iterator[Studio]:
    """Start one in the empty `folder` from the migrated database in `template`."""
    data, files = folder / "data", folder / "files"
    shutil.copytree(template, data)
    files.mkdir()
    port = free_port()
    with running(_start(venv, data, files, port, validation, folder / "label-studio.log")):
        url = f"http://127.0.0.1:{port}"
        yield Studio(url, files, validation, data, Client(url, LEGACY_TOKEN).personal_token())


def make_template(venv: Path, template: Path) -> None:
    """A migrated database with its user, made once: the first start takes 25 s, the next ones 6 s."""
    if template.exists():
        return
    partial = template.with_name(f"{template.name}.{os.getpid()}.part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    log = partial.with_suffix(".log")
    with running(_start(venv, partial, partial, free_port(), False, log)):
        pass
    log.unlink()
    partial.rename(template)


def _start(venv: Path, data: Path, files: Path, port: int, validation: bool, log: Path) -> Server:
    url = f"http://127.0.0.1:{port}"
    settings = {
        "BASE_DATA_DIR": data,
        "USERNAME": EMAIL,
        "PASSWORD": PASSWORD,
        "USER_TOKEN": LEGACY_TOKEN,
        "ENABLE_LEGACY_API_TOKEN": "true",  # only heeded while the organization is made
        "DISABLE_SIGNUP_WITHOUT_LINK": "true",
        "LOCAL_FILES_SERVING_ENABLED": "true",
        "LOCAL_FILES_DOCUMENT_ROOT": files,
        # both, or a backend on a private address gets no predictions, or no events
        "ML_BLOCK_LOCAL_IP": "false",
        "SSRF_PROTECTION_ENABLED": "false",
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
        "WEBHOOK_TIMEOUT": "1.0",  # the default, spelled out: a slow /webhook must fail here
    }
    env = clean_environment() | {f"LABEL_STUDIO_{name}": str(value) for name, value in settings.items()}
    env |= {"DJANGO_DB": "sqlite", "SENTRY_DSN": "", "FRONTEND_SENTRY_DSN": ""}
    env[VALIDATION] = str(validation).lower()
    command = [str(venv / "bin" / "label-studio"), "start", "--no-browser"]
    command += ["--internal-host", "127.0.0.1", "--port", str(port), "--host", url]
    return Server(command, env, log, f"{url}/health")
