"""Servers of other programs, started by tests and gone afterwards, whatever happens."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import httpx

# What a program needs to start at all. Everything else is left behind: Label Studio reads USERNAME, HOST,
# PORT, DEBUG and a hundred other generic names as its own settings.
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "SSL_CERT_FILE", "XDG_CACHE_HOME", "SYSTEMROOT")
_PR_SET_PDEATHSIG = 1


def clean_environment() -> dict[str, str]:
    """This process's environment, of which only what every program needs."""
    return {name: os.environ[name] for name in _KEPT if name in os.environ}


def free_port() -> int:
    """A port on 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class Server:
    """A program that answers GET `health` with 200 once it is up."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], log: Path, health: str) -> None:
        self.log = log
        self.health = health
        with log.open("ab") as stream:
            self.process = subprocess.Popen(
                list(command),
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,
            )

    def wait(self, seconds: float = 120) -> None:
        """Until it is up; raises AssertionError with the end of its log where that does not happen."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise AssertionError(f"ended with {self.process.returncode} at the start:\n{self.tail()}")
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(self.health, timeout=2).status_code == 200:
                    return
            time.sleep(0.1)
        raise AssertionError(f"{self.health} did not answer within {seconds:.0f} s:\n{self.tail()}")

    def tail(self, lines: int = 40) -> str:
        """The end of what it printed."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self, how: signal.Signals = signal.SIGTERM, grace: float = 15) -> int:
        """End it and everything it started; returns its exit code."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, how)
        try:
            self.process.wait(grace)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)
        return self.process.returncode


@contextlib.contextmanager
def running(server: Server) -> Iterator[Server]:
    """The server, up; stopped at the end of the block."""
    try:
        server.wait()
        yield server
    finally:
        server.stop()


def _die_with_parent() -> None:
    """A test run that is killed with -9 leaves no server behind (Linux)."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
