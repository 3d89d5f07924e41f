"""One turn of the loop: take in what people accepted, train, publish. The command and the server's job call it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

from labeler_backend.heads.errors import HeadError
from labeler_backend.heads.head import Head
from labeler_backend.heads.ingest import Encodes, ingest
from labeler_backend.heads.samples import SampleStore
from labeler_backend.heads.self_test import check_head
from labeler_backend.heads.training import Progress, train
from labeler_backend.heads.versions import Version, Versions
from labeler_backend.media import RGB
from labeler_backend.records import Problem, Record, Tell, VideoRecord

SAMPLES, HEADS = "samples", "heads"
"""Folders of a project."""
