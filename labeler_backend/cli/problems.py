"""What could not be taken as it is, on the terminal: the first few, and how many there are besides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labeler_backend.records import Problem

_SHOWN = 10


class Told(Protocol):
    """Problems that were told."""

    @property
    def first(self) -> Sequence[Problem]:
        """The first few."""

    @property
    def total(self) -> int:
        """How many there are."""


class Problems:
    """Counts them and keeps the first few."""

    def __init__(self) -> None:
        """None yet."""
        self.first: list[Problem] = []
        self.total = 0

    def tell(self, problem: Problem) -> None:
        """Takes one."""
        self.total += 1
        if len(self.first) < _SHOWN:
            self.first.append(problem)


def say(problems: Told) -> None:
    """Prints them to stderr."""
    for problem in problems.first:
        where = f"Task {problem.task_id}: " if problem.task_id is not None else ""
        typer.echo(f"{where}{problem.reason} ({problem.done})", err=True)
    if problems.total > len(problems.first):
        typer.echo(f"… and {problems.total - len(problems.first)} more.", err=True)
