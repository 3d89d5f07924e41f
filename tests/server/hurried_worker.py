"""The worker as it is, but quick to learn and easily pleased."""

from __future__ import annotations

import sys

import pytest

from labeler_backend.server.worker import main
from tests.server.learning import easily_pleased

if __name__ == "__main__":
    with pytest.MonkeyPatch.context() as patch:
        easily_pleased(patch)
        sys.exit(main())
