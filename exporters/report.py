"""`export_report.json`: what could not be taken as it was, by task and region, with what was done."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import Any

from labeler_backend.files import replacing
from labeler_backend.records import Problem

REPORT = "export_report.json"
_FIRST = 10  # problems that are kept to be shown


class Report:
    """Gathers problems on disk, however many there are.

    Attributes:
        counts: how many, by what was done.
        first: the first few.
    """

    def __init__(self) -> None:
        """Empty."""
        self.counts: Counter[str] = Counter()
        self.first: list[Problem] = []
        self._spool = TemporaryFile()  # noqa: SIM115 closed by __exit__

    def __enter__(self) -> Report:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._spool.close()

    @property
    def total(self) -> int:
        """Problems so far."""
        return self.counts.total()

    def tell(self, problem: Problem) -> None:
        """Takes one problem: what readers and writers call."""
        if len(self.first) < _FIRST:
            self.first.append(problem)
        named = {field.name: getattr(problem, field.name) for field in fields(problem)}
        known = {key: value for key, value in named.items() if value is not None}
        separator = b",\n  " if self.total else b"\n  "
        self._spool.write(separator + json.dumps(known, ensure_ascii=False).encode("utf-8", "replace"))
        self.counts[problem.done] += 1

    def write(self, folder: Path, about: Mapping[str, Any]) -> None:
        """Writes the report into a folder, `about` first.

        Raises:
            OSError: the folder cannot be written, or the disk is full.
        """
        head = {**about, "problems_by_outcome": dict(self.counts)}
        with replacing(folder / REPORT) as part, part.open("wb") as file:
            text = json.dumps(head, ensure_ascii=False, indent=1)
            file.write(text.removesuffix("\n}").encode("utf-8", "replace") + b',\n "problems": [')
            self._spool.seek(0)
            shutil.copyfileobj(self._spool, file, 1 << 20)
            file.write(b"\n ]\n}\n")
