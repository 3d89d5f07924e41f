"""The bar a person watches."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labeler_backend.batch.state import Counts


@contextmanager
def progress_bar(quiet: bool) -> Iterator[Callable[[Counts], None]]:
    """A bar on a terminal; nothing elsewhere."""
    if quiet or not sys.stderr.isatty():
        yield lambda counts: None
        return
    from labeler_backend.batch.progress import bar

    with bar() as show:
        yield show
