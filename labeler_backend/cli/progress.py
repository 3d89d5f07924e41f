"""The bar a person watches."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from labeler_backend.batch.state import Counts


class Count(Protocol):
    """Shows how far something is."""

    def __call__(self, done: int, of: int | None = ...) -> None:
        """`done` of `of`."""


@contextmanager
def progress_bar(quiet: bool) -> Iterator[Callable[[Counts], None]]:
    """A bar on a terminal; nothing elsewhere."""
    if quiet or not sys.stderr.isatty():
        yield lambda counts: None
        return
    from labeler_backend.batch.progress import bar

    with bar() as show:
        yield show


@contextmanager
def counter(what: str, total: int | None, quiet: bool) -> Iterator[Count]:
    """A bar (or only a count, where the total is unknown) on a terminal; nothing elsewhere.

    What it yields is given how many are done, and of how many where only that tells.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda done, of=None: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done, of=total: progress.update(task, completed=done, total=of)


@contextmanager
def shares(what: str, quiet: bool) -> Iterator[Callable[[float, str], None]]:
    """A bar on a terminal, given the share done, in [0, 1], and what is being done; nothing elsewhere."""
    if quiet or not sys.stderr.isatty():
        yield lambda share, doing: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[doing]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(what, total=1.0, doing="")
        yield lambda share, doing: progress.update(task, completed=share, doing=doing)
