"""Instances that become others: agreed on by several annotators, merged where they touch, split by blobs."""

from __future__ import annotations

from collections.abc import Sequence

from labeler_backend.records import Instance


def consensus(by_annotator: Sequence[Sequence[Instance]]) -> list[Instance]:
    """What most annotators of one image agree on."""
    raise NotImplementedError(len(by_annotator))
