"""The bar a person watches."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from labeler_backend.batch.state import Counts
    from labeler_backend.track.types import Progress as FramesDone


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


@contextmanager
def frames_bar(quiet: bool) -> Iterator[tuple[Callable[[FramesDone], None], Callable[[int, int], None]]]:
    """Bars for a video on a terminal, with frames per second and what is left; nothing elsewhere.

    What it yields is told how far the masks are, and how many frames of how many the overlay has.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda now: None, lambda done, of: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[done]}"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[ahead]}"),
        TextColumn("[red]{task.fields[failed]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        blank = {"done": "", "rate": "", "ahead": "", "failed": ""}
        masks = progress.add_task("masks", True, None, 0, True, **blank)
        overlay = progress.add_task("overlay", False, None, 0, False, **blank)

        def rate(task: int) -> str:
            speed = progress.tasks[task].speed
            return f"{speed:.1f} frames/s" if speed else ""

        def show(now: FramesDone) -> None:
            progress.update(
                masks,
                total=now.frames,
                completed=(now.seen + now.done) / 2,  # half of a frame is to be seen, half to be drawn
                done=f"{now.done}/{now.frames}",
                rate=rate(masks),
                ahead=f"looks ahead to frame {now.seen - 1}" if now.seen > now.done + 1 else "",
                failed=f"{now.failed} failed" if now.failed else "",
            )

        def show_overlay(done: int, of: int) -> None:
            if done == 1:
                progress.start_task(overlay)
            progress.update(
                overlay, visible=True, completed=done, total=of, done=f"{done}/{of}", rate=rate(overlay)
            )

        yield show, show_overlay
