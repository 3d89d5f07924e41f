"""Metrics against cases computed by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from labeler_backend.heads.evaluation import average_precision, evaluate, foreground_iou, panoptic_quality
from labeler_backend.heads.types import Sample
from labeler_backend.masks.rle import RLE
from labeler_backend.proposals.types import Proposal
from tests.heads import made

SIZE = (80, 100)
A, B, C = (made.box(SIZE, 0, x, 20, x + 20) for x in (0, 40, 70))
A_BY_80 = made.box(SIZE, 0, 0, 20, 16)
A_BY_HALF = made.box(SIZE, 0, 0, 20, 10)
"""IoU with A of 0.8, and of exactly 0.5."""


def truth(*there: tuple[str, RLE], n: int = 0) -> Sample:
    of = made.sample(n, labels=())
    return replace(of, labels=tuple(label for label, _ in there), masks=tuple(mask for _, mask in there))


def answer(*given: tuple[str | None, RLE, float]) -> list[Proposal]:
    return [Proposal(mask, score, "head", label) for label, mask, score in given]


CAT, CATS = truth(("cat", A)), truth(("cat", A), ("cat", B))
NOTHING = truth()


@pytest.mark.parametrize(
    ("given", "of", "expected"),
    [
        pytest.param(answer(), NOTHING, 1.0, id="nothing-there-nothing-given"),
        pytest.param(answer(("cat", A, 0.9)), NOTHING, 0.0, id="nothing-there"),
        pytest.param(answer(("cat", A, 0.29)), NOTHING, 1.0, id="too-unlikely-to-be-shown"),
        pytest.param(answer(), CAT, 0.0, id="nothing-given"),
        pytest.param(answer(("cat", A, 0.9)), CAT, 1.0, id="perfect"),
        pytest.param(answer(("cat", A_BY_80, 0.9)), CAT, 0.8, id="iou"),
        pytest.param(answer(("cat", A_BY_HALF, 0.9)), CAT, 0.0, id="half-is-no-match"),
        pytest.param(answer(("dog", A, 0.9)), CAT, 0.0, id="other-class"),
        pytest.param(answer((None, A, 0.9)), CAT, 0.0, id="no-class"),
        pytest.param(answer(("cat", A, 0.9)), CATS, 1 / 1.5, id="one-missed"),
        pytest.param(answer(("cat", A, 0.9), ("cat", C, 0.9)), CAT, 1 / 1.5, id="one-too-many"),
        pytest.param(answer(("cat", A, 0.9), ("cat", A_BY_80, 0.9)), CAT, 1 / 1.5, id="twice-the-same"),
        pytest.param(answer(("cat", A_BY_80, 0.9), ("cat", C, 0.9)), CATS, 0.8 / 2, id="one-of-each"),
        pytest.param(
            answer(("cat", A, 0.9), ("cat", A, 0.9)), truth(("cat", A), ("cat", A)), 1.0, id="truth-overlaps"
        ),
    ],
)
def test_panoptic_quality(given: list[Proposal], of: Sample, expected: float) -> None:
    assert panoptic_quality(given, of) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("given", "of", "expected"),
    [
        pytest.param(answer(), NOTHING, 1.0, id="both-empty"),
        pytest.param(answer(("dog", A_BY_80, 0.9)), CAT, 0.8, id="class-does-not-matter"),
        pytest.param(answer(("cat", A, 0.9)), CATS, 0.5, id="half"),
        pytest.param(answer(("cat", A, 0.9), ("cat", A_BY_80, 0.9)), CAT, 1.0, id="union"),
        pytest.param(answer(("cat", A, 0.2)), CAT, 0.0, id="not-shown"),
    ],
)
def test_foreground(given: list[Proposal], of: Sample, expected: float) -> None:
    assert foreground_iou(given, of) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("answers", "samples", "expected"),
    [
        pytest.param([answer(("cat", A, 0.9))], [CAT], {"cat": 1.0}, id="perfect"),
        pytest.param([answer(("cat", A, 0.01))], [CAT], {"cat": 1.0}, id="scores-only-rank"),
        pytest.param([answer()], [CAT], {"cat": 0.0}, id="nothing-given"),
        pytest.param([answer(("dog", A, 0.9))], [CAT], {"cat": 0.0}, id="other-class"),
        # precision 1 up to a recall of 0.5: 51 of COCO's 101 points
        pytest.param([answer(("cat", A, 0.9))], [CATS], {"cat": 51 / 101}, id="one-missed"),
        pytest.param([answer(("cat", C, 0.9), ("cat", A, 0.8))], [CAT], {"cat": 0.5}, id="wrong-one-first"),
        pytest.param([answer(("cat", A, 0.9), ("cat", C, 0.8))], [CAT], {"cat": 1.0}, id="wrong-one-last"),
        pytest.param(
            [answer(("cat", C, 0.9)), answer(("cat", A, 0.8))],
            [NOTHING, CAT],
            {"cat": 0.5},
            id="ranked-over-all-images",
        ),
        pytest.param(
            [answer(("cat", A, 0.9), ("dog", C, 0.9))],
            [truth(("cat", A), ("dog", B))],
            {"cat": 1.0, "dog": 0.0},
            id="class-by-class",
        ),
        pytest.param([answer(("cat", A, 0.9))], [NOTHING], {}, id="no-classes"),
    ],
)
def test_average_precision(
    answers: Sequence[list[Proposal]], samples: list[Sample], expected: dict[str, float]
) -> None:
    found = average_precision(dict(enumerate(answers)), samples, sorted(expected))
    assert found == pytest.approx(expected, abs=1e-6)


def test_all_of_it() -> None:
    samples = [truth(("cat", A), ("dog", B), n=1), truth(n=2), truth(("cat", A), n=3), truth(("cat", A), n=4)]
    found = evaluate({0: answer(("cat", A, 0.9)), 1: answer(), 3: answer(("cat", A_BY_80, 0.9))}, samples)
    key = made.key_of
    assert found.images == 3
    assert found.per_image == pytest.approx({key(1): 1 / 1.5, key(2): 1.0, key(4): 0.8})
    assert found.pq == pytest.approx((1 / 1.5 + 1 + 0.8) / 3)
    assert found.ap50 == pytest.approx(0.5)  # cats 1, dogs 0
    assert found.foreground == pytest.approx((0.5 + 1 + 0.8) / 3)
    assert found.per_class["cat"] == pytest.approx({"ap50": 1, "iou": 0.9, "instances": 2})
    assert found.per_class["dog"] == pytest.approx({"ap50": 0, "iou": 0, "instances": 1})
    assert found.miou == pytest.approx(0.45)


def test_the_likelier_lies_above() -> None:
    of = truth(("cat", A))
    found = evaluate({0: answer(("cat", A, 0.9), ("dog", A, 0.8))}, [of])
    assert found.per_class["cat"]["iou"] == 1


@pytest.mark.parametrize(
    "given",
    [pytest.param(answer(), id="nothing"), pytest.param(answer(("cat", A, 0.9)), id="something")],
)
def test_images_without_anything_have_no_classes(given: list[Proposal]) -> None:
    found = evaluate({0: given}, [NOTHING])
    assert found.pq == (0.0 if given else 1.0)
    assert math.isnan(found.ap50)
    assert math.isnan(found.miou)
    assert not found.per_class


def test_no_images_at_all() -> None:
    found = evaluate({}, [CAT])
    assert found.images == 0
    assert math.isnan(found.pq)
    assert not found.per_image
