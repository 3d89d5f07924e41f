"""The one exception family whose text is meant for a person."""

from __future__ import annotations


class LabelerError(Exception):
    """Something a user can mend. The text says what happened, where, and what to do about it.

    The CLI prints it as one line and exits 2; a batch writes it into `failures.jsonl` and goes on.
    """


class InputError(LabelerError):
    """One input (an image, a folder, a list) cannot be used."""


class WeightsError(LabelerError):
    """A model or its weights cannot be found, fetched or trusted."""
