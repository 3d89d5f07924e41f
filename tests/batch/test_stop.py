"""kill -9, Ctrl-C: nothing is lost, nothing is done twice, nothing half-written stays."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from labeler_backend.batch.types import Summary
from tests.batch.conftest import write_pictures
from tests.batch.test_run import snapshot

ROOT = Path(__file__).parents[2]
N = 24

# Writes down every image that is proposed for, and takes its time, so that there is something to interrupt.
SCRIPT = """
import sys, time
from pathlib import Path
from labeler_backend import cli
from labeler_backend.cli import loading
from tests.batch.fakes import OtsuProposer

class Slow(OtsuProposer):
    def propose(self, image, features):
        time.sleep(0.05)
        with open(sys.argv.log, "a") as log:
            log.write("x")
        return super().propose(image, features)

class Arguments(list):
    log = sys.argv.pop(1)

sys.argv = Arguments(sys.argv)
loading.load_proposer = lambda *settings: Slow()
cli.main()
"""


def start(tmp_path: Path, *more: str) -> subprocess.Popen[str]:
    """`labeler masks` in a process of its own."""
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "log"), "masks", str(tmp_path / "in")]
    command += ["--out", str(tmp_path / "out"), "--batch-size", "2", *more]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def proposed(tmp_path: Path) -> int:
    """How many images have been proposed for, over all attempts."""
    log = tmp_path / "log"
    return log.stat().st_size if log.exists() else 0


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Until `condition`, or the process ends."""
    deadline = time.monotonic() + 60
    while not condition() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process.poll() is None, process.communicate()


def finished(out: Path) -> int:
    """Rows that a killed run has committed."""
    with closing(sqlite3.connect(out / ".labeler" / "state.sqlite")) as state:
        return int(state.execute("SELECT count(*) FROM images WHERE status = 'done'").fetchone()[0])


def test_kill_9_and_resume(tmp_path: Path, batch: Callable[..., Summary]) -> None:
    write_pictures(tmp_path / "in", N)
    kept = []
    for attempt in range(3):
        process = start(tmp_path, *(["--resume"] if attempt else []))
        goal = proposed(tmp_path) + 5
        wait_for(lambda goal=goal: proposed(tmp_path) >= goal, process)  # type: ignore[misc]
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        kept.append(finished(tmp_path / "out"))
        for mask in (tmp_path / "out" / "masks").glob("[!.]*"):
            Image.open(mask).load()
    assert kept == sorted(kept)
    assert kept[-1] > 6
    process = start(tmp_path, "--resume", "--json")
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    summary = json.loads(stdout)
    assert (summary["images"], summary["done"], summary["failed"]) == (N, N, 0)
    assert summary["now"] == N - kept[-1]  # nothing that was committed is done again
    assert proposed(tmp_path) <= N + 3 * 8  # what was on its way when killed, and no more
    batch(tmp_path / "in", out="straight")
    assert snapshot(tmp_path / "out") == snapshot(tmp_path / "straight")
    assert not list((tmp_path / "out").rglob("*.part"))


@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(tmp_path: Path, name: str) -> None:
    write_pictures(tmp_path / "in", N)
    process = start(tmp_path)
    wait_for(lambda: proposed(tmp_path) >= 4, process)
    process.send_signal(getattr(signal, name))
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (130, "")
    assert stderr.startswith("labeler: Stopped; ")
    assert f"of {N} images are finished" in stderr
    assert "--resume" in stderr
    assert stderr.count("\n") == 1
    before = proposed(tmp_path)
    assert finished(tmp_path / "out") == before < N  # whatever was begun was finished and kept
    process = start(tmp_path, "--resume")
    assert process.wait(120) == 0, process.communicate()
    assert proposed(tmp_path) == N
