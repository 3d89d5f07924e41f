"""The bar a person watches while a batch runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from labeler_backend.batch.state import Counts


@contextmanager
def bar() -> Iterator[Callable[[Counts], None]]:
    """A progress bar on stderr; give it the counts after each image."""
    columns = (
        TextColumn("[bold]masks"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("[red]{task.fields[failed]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("masks", total=None, rate="", failed="")

        def show(counts: Counts) -> None:
            # `speed` is rich's own, over the last half minute; what a resumed run found done does not count.
            speed = progress.tasks[0].speed
            progress.update(
                task,
                total=counts.images,
                completed=counts.done + counts.failed,
                rate=f"{speed:.1f} images/s" if speed else "",
                failed=f"{counts.failed} failed" if counts.failed else "",
            )

        yield show
