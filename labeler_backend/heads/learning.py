"""One turn of the loop: take in what people accepted, train, publish. The command and the server's job call it."""

from __future__ import annotations

SAMPLES, HEADS = "samples", "heads"
"""Folders of a project."""
