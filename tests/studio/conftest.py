"""A fake Label Studio, and the client that talks to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from labeler_backend.studio.client import Studio
from tests.studio.fake_studio import TOKEN, FakeStudio, running


@pytest.fixture
def fake() -> Iterator[FakeStudio]:
    """Answers on loopback as Label Studio 1.23.2 does."""
    with running() as studio:
        yield studio


@pytest.fixture
def studio(fake: FakeStudio) -> Iterator[Studio]:
    """The client, with the right token."""
    with Studio(fake.url, TOKEN, timeout=5.0) as client:
        yield client
