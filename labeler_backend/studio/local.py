"""A Label Studio and a backend of one's own on this machine, for `labeler up`."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import httpx
from filelock import FileLock, Timeout

from labeler_backend.errors import LabelerError
from labeler_backend.files import write_bytes
from labeler_backend.studio import guarded

VERSION = "1.23.2"
"""Of Label Studio: the one that all of this is tried with."""
EMAIL = "labeler@example.com"
DISK_BYTES = 1.5e9
"""What its virtual environment takes, about, and pip while it works."""

_HOST = "127.0.0.1"
_START_SECONDS = 300.0  # the first start migrates the database: 25 s on an idle laptop
_STOP_SECONDS = guarded.GRACE + 5.0
# Label Studio reads these as its own, also without a prefix.
_GENERIC = ("USERNAME", "PASSWORD", "USER_TOKEN", "HOST", "PORT", "DEBUG", "DJANGO_DB", "DATABASE_NAME")
_PYTHON = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")  # it has an environment of its own
_PREFIXES = ("LABEL_STUDIO_", "HEARTEX_", "DJANGO_", "POSTGRE_", "FF_", "FFLAG_")

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Login:
    """Made once, with the first start."""

    email: str
    password: str
    token: str


@dataclass(frozen=True, slots=True)
class Home:
    """Where all of it lies: one folder, which can be deleted to start over."""

    root: Path

    @property
    def venv(self) -> Path:
        """Label Studio's own virtual environment."""
        return self.root / "venv"

    @property
    def data(self) -> Path:
        """Its database and uploads."""
        return self.root / "data"

    @property
    def files(self) -> Path:
        """What it may serve as local files: links to folders of pictures."""
        return self.root / "files"

    def log(self, name: str) -> Path:
        """What a child process writes."""
        return self.root / f"{name}.log"


@contextmanager
def held(home: Home) -> Iterator[None]:
    """Only one `labeler up` per folder: two Label Studios would share a database.

    Raises:
        LabelerError: another one runs, or the folder cannot be written.
    """
    try:
        home.root.mkdir(parents=True, exist_ok=True)
        home.root.chmod(0o700)
        lock = FileLock(home.root / "up.lock", timeout=0)
        with lock:
            yield
    except Timeout as error:
        raise LabelerError(
            f"Another labeler up already runs with {home.root}: use that one, or set --data to another one."
        ) from error
    except PermissionError as error:
        raise LabelerError(f"{home.root} cannot be written: set --data to another folder.") from error


def login(home: Home) -> Login:
    """The login of this Label Studio; made once and kept where only this user can read it.

    Raises:
        LabelerError: the file is damaged.
    """
    path = home.root / "login.json"
    if path.exists():
        try:
            return Login(**json.loads(path.read_text()))
        except (ValueError, TypeError) as error:
            raise LabelerError(
                f"{path} is damaged: delete {home.root} to start over; pictures elsewhere are not touched."
            ) from error
    made = Login(EMAIL, secrets.token_urlsafe(12), secrets.token_hex(20))
    with os.fdopen(os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(asdict(made), file)
    os.replace(f"{path}.new", path)
    return made


def port(wanted: int | None, usual: int, option: str) -> int:
    """A free port: the one that was asked for, or the usual one or the next free after it.

    Raises:
        LabelerError: the one that was asked for is taken, or twenty in a row are.
    """
    if wanted is not None:
        if not is_free(wanted):
            raise LabelerError(f"Port {wanted} is taken by another program: give {option} another one.")
        return wanted
    for candidate in range(usual, min(usual + 20, 65536)):
        if is_free(candidate):
            return candidate
    raise LabelerError(f"The ports {usual} to {usual + 19} are all taken: give {option} a free one.")


def is_free(number: int) -> bool:
    """Can this machine's own address be listened on at this port, and does nobody answer there?"""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        if probe.connect_ex((_HOST, number)) == 0:
            return False
    with socket.socket() as probe:
        if sys.platform != "win32":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, number))
        except OSError:
            return False
    return True


def install(home: Home, say: Say, requirement: str = f"label-studio=={VERSION}") -> Path:
    """Label Studio in a virtual environment of its own; once → its command.

    Raises:
        LabelerError: no room, no `venv` module, or pip failed.
    """
    done = home.venv / f".{requirement.replace('==', '-').replace(os.sep, '_')}"
    command = script(home.venv, "label-studio")
    if done.exists() and command.exists():
        return command
    home.root.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(home.root).free
    if free < DISK_BYTES:
        raise LabelerError(
            f"{home.root} has {free / 1e9:.1f} GB free and Label Studio takes about "
            f"{DISK_BYTES / 1e9:.1f} GB: make room, or set --data to a folder on another disk."
        )
    say(f"Installing Label Studio {VERSION} into {home.venv}: about 1 GB, once, a minute or a few.")
    log = home.log("install")
    with open(log, "w") as file:
        _run([sys.executable, "-m", "venv", "--clear", str(home.venv)], file, _VENV_FAILED)
        pip = [str(script(home.venv, "python")), "-m", "pip", "install", "--disable-pip-version-check"]
        _watched([*pip, requirement], file, home.venv, say)
    write_bytes(done, b"")
    return command


_VENV_FAILED = (
    "A virtual environment could not be made: on Debian and Ubuntu, sudo apt install python3-venv; "
    "elsewhere see "
)


def script(venv: Path, name: str) -> Path:
    """A command of a virtual environment."""
    return venv / ("Scripts" if sys.platform == "win32" else "bin") / name


def _run(command: Sequence[str], log: IO[str], failed: str) -> None:
    if subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False).returncode:
        raise LabelerError(f"{failed}{log.name}.")


def _watched(command: Sequence[str], log: IO[str], venv: Path, say: Say) -> None:
    """pip, with a line now and then: it is silent for minutes where nobody looks at a terminal."""
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        while True:
            try:
                code = process.wait(10.0)
                break
            except subprocess.TimeoutExpired:
                say(f"  … {time.monotonic() - started:.0f} s, {_size(venv) / 1e6:.0f} MB")
    except BaseException:
        process.terminate()
        process.wait()
        raise
    if code:
        raise LabelerError(
            f"pip could not install Label Studio: {log.name} says why; once that is mended, run this again."
        )


def _size(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(place, name)).st_size
    return total


def studio_environment(home: Home, login: Login, url: str, base: Mapping[str, str]) -> dict[str, str]:
    """What Label Studio is started with; what it would take for its own by accident is left out."""
    kept = {
        name: value
        for name, value in base.items()
        if name.upper() not in (*_GENERIC, *_PYTHON) and not name.upper().startswith(_PREFIXES)
    }
    return {
        **kept,
        "LABEL_STUDIO_BASE_DATA_DIR": str(home.data),
        "DJANGO_DB": "sqlite",
        "LABEL_STUDIO_HOST": url,
        "LABEL_STUDIO_USERNAME": login.email,
        "LABEL_STUDIO_PASSWORD": login.password,
        "LABEL_STUDIO_USER_TOKEN": login.token,
        # Read when the first start makes the organization.
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
        "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(home.files),
        # It refuses backends, and webhooks to them, at private addresses unless both are off.
        "LABEL_STUDIO_ML_BLOCK_LOCAL_IP": "false",
        "LABEL_STUDIO_SSRF_PROTECTION_ENABLED": "false",
        # The score column shows what the connected backend predicted, however it is titled.
        "ff_front_dev_1682_model_version_dropdown_070622_short": "true",
        "LABEL_STUDIO_COLLECT_ANALYTICS": "false",
        "LABEL_STUDIO_LATEST_VERSION_CHECK": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
    }


def studio_command(executable: Path, number: int, url: str) -> list[str]:
    """How Label Studio is started, for this machine only."""
    return [
        *(str(executable), "start", "--no-browser"),
        *("--internal-host", _HOST, "--port", str(number), "--host", url),
    ]


def backend_environment(login: Login, url: str, base: Mapping[str, str]) -> dict[str, str]:
    """What the backend is started with."""
    return {**base, "LABEL_STUDIO_URL": url, "LABEL_STUDIO_API_KEY": login.token}


def backend_command(number: int, more: Sequence[str]) -> list[str]:
    """How the backend is started, for this machine only."""
    start = [sys.executable, "-m", "labeler_backend.cli", "serve", "--host", _HOST, "--port", str(number)]
    return [*start, *more]


class Children:
    """Processes that end with this one; a context manager that stops them, the last one first."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._running: list[tuple[str, subprocess.Popen[bytes]]] = []

    def __enter__(self) -> Children:
        return self

    def __exit__(self, *_: object) -> None:
        processes = [process for _name, process in reversed(self._running)]
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Starts a command; what it writes goes to `name`.log."""
        with open(self._home.log(name), "wb") as log:  # of this run only: they would grow for ever
            process = subprocess.Popen(
                [sys.executable, "-I", guarded.__file__, *command],  # needs nothing but Python itself
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for this process, which stops them in order
            )
        self._running.append((name, process))

    def wait_for(self, url: str, seconds: float = _START_SECONDS) -> None:
        """Until GET `url` answers 200.

        Raises:
            LabelerError: a child ended, or it took too long.
        """
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.check()
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(url, timeout=5.0, trust_env=False).is_success:
                    return
            time.sleep(0.5)
        raise LabelerError(f"{url} did not answer within {seconds:.0f} s: see the logs in {self._home.root}.")

    def check(self) -> None:
        """Do all still run?

        Raises:
            LabelerError: one ended; names its log and its last line.
        """
        for name, process in self._running:
            if process.poll() is not None:
                raise LabelerError(
                    f"{name} ended with code {process.returncode} ({_last_line(self._home.log(name))}): "
                    f"{self._home.log(name)} says more."
                )


def _last_line(path: Path) -> str:
    with contextlib.suppress(OSError):
        lines = path.read_bytes()[-4096:].decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "it wrote nothing")[:300]
    return "it wrote nothing"
