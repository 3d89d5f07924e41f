"""Soft labels of patches, and the table that models are fitted to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from labeler_backend.heads import patches
from labeler_backend.heads.patches import alike, classes_of, table, targets_of
from labeler_backend.heads.types import BULK, Sample
from tests.heads.made import sample

GRID = (1, 2)


def covered(labels: Sequence[str], *shares: tuple[int, int]) -> Sample:
    """Of two patches; each instance covers so much of them."""
    coverage = np.array(shares, np.uint8).reshape(len(labels), *GRID)
    of = sample(0, labels=tuple(labels), grid=GRID)
    return replace(of, coverage=coverage, unknown=np.zeros(GRID, np.uint8))


@pytest.mark.parametrize(
    ("of", "classes", "expected"),
    [
        pytest.param(covered([]), ("cat",), [[1, 1], [0, 0]], id="nothing-there"),
        pytest.param(covered([]), (), [[1, 1]], id="no-classes"),
        pytest.param(covered(["cat"], (255, 51)), ("cat",), [[0, 0.8], [1, 0.2]], id="one"),
        pytest.param(
            covered(["cat", "dog"], (255, 0), (255, 51)),
            ("cat", "dog"),
            [[0, 0.8], [0.5, 0], [0.5, 0.2]],
            id="two-classes-overlap",
        ),
        pytest.param(
            covered(["cat", "dog"], (102, 0), (51, 0)),
            ("cat", "dog"),
            [[0.4, 1], [0.4, 0], [0.2, 0]],
            id="side-by-side",
        ),
        pytest.param(
            covered(["cat", "cat"], (204, 0), (204, 51)),
            ("cat",),
            [[0.2, 0.8], [0.8, 0.2]],
            id="one-class-overlaps",
        ),
        pytest.param(
            covered(["cat", "dog"], (255, 0), (0, 255)), ("dog",), [[1, 0], [0, 1]], id="class-not-asked-for"
        ),
    ],
)
def test_targets(of: Sample, classes: tuple[str, ...], expected: list[list[float]]) -> None:
    found = targets_of(of, classes)
    assert found.shape == (len(classes) + 1, *GRID)
    np.testing.assert_allclose(found[:, 0], expected, atol=1e-6)


def test_rows_are_shares_however_much_overlaps() -> None:
    labels = tuple("abcdefghij")
    random = np.random.default_rng(0)
    of = sample(1, labels=labels)
    of = replace(of, coverage=random.integers(0, 256, of.coverage.shape, np.uint8))
    found = table([of, sample(2, labels=("a",))], labels)
    np.testing.assert_allclose(found.targets.sum(axis=1), 1, atol=1e-5)
    assert found.targets.min() > -1e-6
    assert found.tokens.shape == (40, 8)


@pytest.mark.parametrize("most", [pytest.param(60_000, id="all"), pytest.param(15, id="thinned out")])
def test_middle_layers_stay_with_their_tokens(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patches, "MOST", most)
    made = [sample(n) for n in range(3)]
    beside = [replace(s.features, middle=s.features.tokens.astype(np.float16)) for s in made]
    found = table([replace(s, features=f) for s, f in zip(made, beside, strict=True)], ("cat", "dog"))
    assert found.middle is not None
    assert found.middle.dtype == np.float16
    assert np.array_equal(found.middle, found.tokens)
    assert len(found.middle) == len(found.targets) == min(most, 60)


def test_middle_layers_of_some_images_are_of_no_use() -> None:
    old = replace(sample(0), features=replace(sample(0).features, middle=None))
    assert all(s.features.middle is None for s in alike([old, sample(1)]))
    assert all(s.features.middle is not None for s in alike([sample(1), sample(2)]))
    assert table([old, sample(1)], ("cat",)).middle is None


def test_classes_are_sorted_and_come_from_all() -> None:
    assert classes_of([sample(0, labels=("dog",)), sample(1, labels=("cat", "dog"))]) == ("cat", "dog")
    assert classes_of([sample(0, labels=())]) == ()


def test_unknown_patches_have_no_weight_and_bulk_half() -> None:
    unknown = np.array([[255, 51]], np.uint8)
    of = replace(covered(["cat"], (255, 0)), unknown=unknown)
    np.testing.assert_allclose(table([of], ("cat",)).weights, [0, 0.8], atol=1e-6)
    np.testing.assert_allclose(table([replace(of, trust=BULK)], ("cat",)).weights, [0, 0.4], atol=1e-6)


def many(counts: dict[str, int], unknown: int = 0) -> Sample:
    """A strip of patches, each of one class, and some that nobody said anything of."""
    total = sum(counts.values()) + unknown
    of = sample(0, labels=tuple(n for n in counts if n), grid=(1, total))
    owner = np.repeat([*counts, "?"], [*counts.values(), unknown])
    tokens = np.zeros((1, total, 8), np.float32)
    tokens[0, :, 0] = np.arange(total)
    return replace(
        of,
        features=replace(of.features, tokens=tokens),
        coverage=np.stack([255 * (owner == n)[None].astype(np.uint8) for n in of.labels]),
        unknown=255 * (owner == "?")[None].astype(np.uint8),
    )


@pytest.mark.parametrize(
    ("counts", "unknown", "kept"),
    [
        pytest.param({"": 900, "cat": 90, "dog": 10}, 0, [45, 45, 10], id="rare-stay-whole"),
        pytest.param({"": 500, "cat": 400, "dog": 300}, 0, [34, 33, 33], id="even-shares"),
        pytest.param({"": 30, "cat": 30, "dog": 30}, 500, [30, 30, 30], id="unknown-goes-first"),
        pytest.param({"": 60, "cat": 30, "dog": 10}, 0, [60, 30, 10], id="just-enough"),
    ],
)
def test_thinning_keeps_what_is_rare(
    monkeypatch: pytest.MonkeyPatch, counts: dict[str, int], unknown: int, kept: list[int]
) -> None:
    monkeypatch.setattr(patches, "MOST", 100)
    of = many(counts, unknown)
    found = table([of], ("cat", "dog"))
    assert found.targets.sum(axis=0).tolist() == kept
    assert len(np.unique(found.tokens[:, 0])) == sum(kept)  # nothing twice
    weights = found.targets.T @ found.weights
    np.testing.assert_allclose(weights, list(counts.values()), rtol=1e-4)
    again, other = table([of], ("cat", "dog")), table([of], ("cat", "dog"), seed=1)
    assert np.array_equal(again.tokens, found.tokens)
    assert sum(kept) == sum(counts.values()) or not np.array_equal(other.tokens, found.tokens)
