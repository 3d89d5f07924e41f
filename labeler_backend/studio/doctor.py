"""What may keep this machine, the backend and Label Studio from working together, and how to mend it."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import httpx

from labeler_backend import __version__
from labeler_backend.errors import LabelerError
from labeler_backend.settings import ServerSettings
from labeler_backend.studio.client import Studio
from labeler_backend.studio.connect import BasicAuth

State = Literal["ok", "wrong", "skipped"]

_TIMEOUT = 5.0  # seconds; Label Studio itself gives /health one
_LITTLE_DISK = 2e9  # bytes


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        state: `ok`; `wrong` = something will not work until it is mended; `skipped` = not looked at, or worth
            knowing without being wrong.
        detail: what was found.
        mend: what to do; empty where nothing is to be done.
    """

    name: str
    state: State
    detail: str
    mend: str = ""

    def json(self) -> dict[str, str]:
        """What `--json` prints."""
        return asdict(self)


@dataclass
class Patient:
    """What is examined, and what earlier checks found out for later ones.

    Attributes:
        studio: None where no URL or no token is known.
        project: number in Label Studio.
        backend: its URL; where it was not given and the project has one backend, that one's.
        auth: the login of the backend.
        open_media: makes the store that task media are fetched with.
        answered: whether Label Studio accepted the token.
        row: the project, as Label Studio has it.
        backends: the project's ML backends, as Label Studio has them.
    """

    settings: ServerSettings
    studio: Studio | None = None
    project: int | None = None
    backend: str | None = None
    auth: BasicAuth | None = None
    open_media: Callable[[], Any] | None = None
    answered: bool = False
    row: dict[str, Any] | None = None
    backends: list[dict[str, Any]] = field(default_factory=list)


Look = Callable[[Patient], Iterator[Check]]


def examine(patient: Patient, looks: Sequence[tuple[str, Look]] | None = None) -> Iterator[Check]:
    """All checks, each as soon as it is known; one that breaks counts as wrong, and the rest go on."""
    if looks is None:
        from labeler_backend.studio.checkup import LOOKS

        looks = (*MACHINE, *LOOKS)
    for name, look in looks:
        try:
            yield from look(patient)
        except LabelerError as error:
            yield Check(name, "wrong", *_split(str(error)))
        except Exception as error:
            yield Check(
                name, "wrong", f"this check broke ({type(error).__name__}: {error})", "Please report it."
            )


def _split(sentence: str) -> tuple[str, str]:
    """`What and where: the mend.` → both parts."""
    what, colon, mend = " ".join(sentence.split()).rpartition(": ")
    return (what, mend[:1].upper() + mend[1:]) if colon else (sentence, "")


def machine(patient: Patient) -> Iterator[Check]:
    """Python, torch and what it computes on."""
    import torch

    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no CUDA device"
    yield Check(
        "Python",
        "ok",
        f"{platform.python_version()}, emergent-labeler {__version__}, torch {torch.__version__}, {device}",
    )
    wanted = patient.settings.device
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        yield Check(
            "device",
            "wrong",
            f"LABELER_DEVICE is {wanted}, and torch sees no CUDA device",
            "Install a CUDA build of torch, or set LABELER_DEVICE=auto.",
        )


def weights(patient: Patient) -> Iterator[Check]:
    """Whether the model is on this machine."""
    from labeler_backend.backbone.weights import list_models

    name = patient.settings.model
    known = {status.spec.name: status for status in list_models()}
    if name not in known:
        here = Path(name).expanduser().is_dir()
        yield Check("weights", "ok" if here else "skipped", f"{name}{'' if here else ' (not looked for)'}")
    elif known[name].size_bytes > 0:
        yield Check("weights", "ok", f"{name}, {known[name].size_bytes / 1e6:.0f} MB in {known[name].folder}")
    else:
        fetch = f"The first use fetches it; to do it now: labeler models fetch {name}"
        yield Check("weights", "skipped", f"{name} is not on this machine yet", fetch)


def folders(patient: Patient) -> Iterator[Check]:
    """Whether what has to be written can be."""
    settings = patient.settings
    for name, folder in (("cache", settings.cache_dir), ("data", settings.data_dir)):
        yield _folder(f"{name} folder", folder, f"LABELER_{name.upper()}_DIR")


def _folder(name: str, folder: Path, variable: str) -> Check:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            free = shutil.disk_usage(folder).free
    except OSError as error:
        problem = f"{folder} cannot be written ({error.strerror or error})"
        return Check(name, "wrong", problem, f"Change its permissions, or set {variable} to another folder.")
    if free < _LITTLE_DISK:
        little = f"{folder}: {free / 1e9:.1f} GB free"
        return Check(name, "wrong", little, f"Make room, or set {variable} to a folder on another disk.")
    return Check(name, "ok", f"{folder}, {free / 1e9:.0f} GB free")


def environment(patient: Patient) -> Iterator[Check]:
    """Variables that Label Studio, started from this shell, would take for its own."""
    taken = [name for name in ("USERNAME", "PASSWORD", "HOST", "PORT", "DEBUG") if os.environ.get(name)]
    if taken and patient.studio is None:
        yield Check(
            "environment",
            "skipped",
            f"{', '.join(taken)} {'is' if len(taken) == 1 else 'are'} set, and Label Studio reads such names",
            "Start Label Studio without them (`labeler up` removes them).",
        )


def backend(patient: Patient) -> Iterator[Check]:
    """Whether the backend answers from here, to whom, with which version, and how it fares."""
    url = patient.backend
    if url is None:
        yield Check("backend", "skipped", "no address given", "Give --backend to have it looked at.")
        return
    auth = (patient.auth.user, patient.auth.password) if patient.auth else None
    with httpx.Client(base_url=url, timeout=_TIMEOUT, trust_env=False, auth=auth) as client:
        try:
            health = client.get("/health")
            versions = client.get("/versions")
        except httpx.HTTPError as error:
            why = " ".join(str(error).split()) or type(error).__name__
            yield Check(
                "backend",
                "wrong",
                f"{url} cannot be reached from here ({why})",
                "Start it (`labeler serve`), or check the address.",
            )
            return
        yield from _backend_answers(patient, url, health, versions)
        yield from _backend_fares(client)


def _backend_answers(
    patient: Patient, url: str, health: httpx.Response, versions: httpx.Response
) -> Iterator[Check]:
    if 401 in (health.status_code, versions.status_code):
        given = "refuses the login" if patient.auth else "asks for a login"
        mend = "Give --basic-auth with its LABELER_BASIC_AUTH_USER and LABELER_BASIC_AUTH_PASS."
        yield Check("backend", "wrong", f"{url} {given}", mend)
        return
    try:
        known = versions.json()["versions"]
        version = known[-1] if known else "unknown"
    except (ValueError, KeyError, TypeError):
        detail = f"{url} answers (health {health.status_code}), but not as an ML backend"
        yield Check("backend", "wrong", detail, "Check the address.")
        return
    if not health.is_success:
        yield Check("backend", "wrong", f"{url}/health answers {health.status_code}", "Look at its log.")
        return
    yield Check("backend", "ok", f"{url}, model version {version}")


def _backend_fares(client: httpx.Client) -> Iterator[Check]:
    """From its own status; another product's backend has none."""
    try:
        answer = client.get("/status.json")
        report = answer.json() if answer.is_success else None
    except (httpx.HTTPError, ValueError):
        report = None
    if not isinstance(report, dict) or "model" not in report:
        return
    model = report["model"]
    if model["state"] == "failed":
        yield Check("model", "wrong", f"{model['name']} did not load", model["problem"] or "Look at its log.")
    else:
        where = f" on {model['device']}" if model.get("device") else ""
        yield Check("model", "ok", f"{model['name']} is {model['state']}{where}")
    if failures := report.get("failures"):
        last = failures[0]
        task = f"task {last['task']}: " if last.get("task") else ""
        yield Check(
            "last failure",
            "skipped",
            f"{task}{last['reason']}",
            f"All of them stand on {str(client.base_url).rstrip('/')}/status",
        )


MACHINE: tuple[tuple[str, Look], ...] = (
    ("Python", machine),
    ("weights", weights),
    ("folders", folders),
    ("environment", environment),
)
