"""Runs a command that ends when its parent does, `kill -9` included: `python -m … COMMAND ARGUMENT…`.

The parent holds the other end of this process's stdin; when it is gone, stdin ends. A Label Studio left
behind would hold its port and its database.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from types import FrameType

GRACE = 15.0
"""Seconds that the command gets to stop after SIGTERM."""


def run(command: list[str]) -> int:
    """Runs `command` until it ends, a signal comes, or stdin does → its exit code."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)

    def stop(number: int, frame: FrameType | None) -> None:
        child.terminate()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    threading.Thread(target=_wait_for_parent, args=(child,), daemon=True).start()
    return child.wait()


def _wait_for_parent(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    child.terminate()
    try:
        child.wait(GRACE)
    except subprocess.TimeoutExpired:
        child.kill()


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
