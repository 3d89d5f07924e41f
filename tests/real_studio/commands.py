"""The product's commands as users run them: each a process of its own, with folders of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .backend import ROOT, SIZE
from .processes import clean_environment
from .studio import Studio


class Commands:
    """Runs `labeler …` with an environment that stays the same."""

    def __init__(
        self,
        folder: Path,
        cache: Path,
        studio: Studio | None = None,
        token: str | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """
        Args:
            folder: LABELER_DATA_DIR.
            cache: LABELER_CACHE_DIR, with the weights in it.
            studio: where LABEL_STUDIO_URL points to.
            token: LABEL_STUDIO_API_KEY.
            settings: further environment variables.
        """
        self.env = clean_environment() | {
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "LABELER_DATA_DIR": str(folder),
            "LABELER_CACHE_DIR": str(cache),
            "LABELER_DEVICE": "cpu",
            "LABELER_SIZE": str(SIZE),
            "HF_HUB_OFFLINE": "1",
            **({"LABEL_STUDIO_URL": studio.url} if studio else {}),
            **({"LABEL_STUDIO_API_KEY": token} if token else {}),
            **(settings or {}),
        }

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        """Begin; stdout and stderr are pipes."""
        return subprocess.Popen(
            [sys.executable, "-m", "labeler_backend.cli", *map(str, arguments)],
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: object, code: int = 0) -> str:
        """Until it ends, with this exit code → its stdout; both streams are shown where the code differs."""
        process = self.start(*arguments)
        try:
            out, err = process.communicate(timeout=180)
        finally:
            process.kill()
        assert process.returncode == code, f"{arguments}: {process.returncode}\n{out}\n{err}"
        assert "Traceback" not in err, err
        return out

    def json(self, *arguments: object, code: int = 0) -> Any:
        """The same with --json → what stdout holds, which has to be that and nothing else."""
        return json.loads(self.run(*arguments, "--json", code=code))
