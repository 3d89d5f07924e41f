"""`label-studio start …` for tests of `labeler up`: the fake, in a process of its own, its state in a file.

It makes the predictions itself, so that only its own side of the conversation is tested here.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import time
from pathlib import Path

from tests.studio.fake_studio import Backend, FakeStudio, running

KEPT = ("projects", "tasks", "predictions", "ml", "webhooks", "storages")


class Everywhere(dict[str, Backend]):
    """Whatever address is connected, a backend answers there."""

    def get(self, key: str, default: object = None) -> Backend:  # type: ignore[override]
        return Backend(os.environ["FAKE_VERSION"], os.environ.get("FAKE_LOGIN"))


def main() -> None:
    """Until SIGTERM."""
    state = Path(os.environ["LABEL_STUDIO_BASE_DATA_DIR"], "state.pickle")
    state.parent.mkdir(parents=True, exist_ok=True)
    port = int(sys.argv[sys.argv.index("--port") + 1])
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with running(port) as studio:
        _load(studio, state)
        studio.token = os.environ["LABEL_STUDIO_USER_TOKEN"]
        studio.backends = Everywhere()
        studio.files["/health"] = b'{"status": "UP"}'
        try:
            while True:
                time.sleep(1)
        except KeyboardInterrupt:
            state.write_bytes(pickle.dumps({name: getattr(studio, name) for name in KEPT}))


def _load(studio: FakeStudio, state: Path) -> None:
    if state.exists():
        for name, value in pickle.loads(state.read_bytes()).items():
            setattr(studio, name, value)


if __name__ == "__main__":
    main()
