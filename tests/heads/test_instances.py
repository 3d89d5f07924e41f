"""From labelled pictures to named instances on new ones."""

from collections.abc import Iterator

import numpy as np
import pytest

from labeler_backend.heads import instances, pixel_crops, quality
from labeler_backend.heads.instances import Instances
from labeler_backend.heads.types import Sample
from labeler_backend.masks import rle
from labeler_backend.masks.metrics import iou_matrix
from tests.heads.made_samples import class_map, sample

CLASSES = ("red", "blue")
LAID_OUT = [
    [("red", 30, 30, 12), ("blue", 70, 90, 14), ("blue", 70, 112, 10)],
    [("red", 80, 40, 10), ("red", 40, 100, 13), ("blue", 90, 110, 9)],
    [("blue", 30, 60, 12), ("red", 85, 85, 12), ("red", 85, 107, 11)],
    [("blue", 40, 40, 13), ("blue", 40, 64, 12), ("red", 90, 100, 12)],
]


def trained(samples: list[Sample], steps: int = 30) -> Instances:
    maps = [class_map(s, CLASSES) for s in samples]
    return instances.fit(samples, maps, np.arange(len(samples)) % 2, CLASSES, steps=steps).instances


@pytest.fixture(scope="module")
def head() -> Iterator[Instances]:
    """Small crops and fewer steps of the quality model, which is enough for discs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pixel_crops, "CROP", 96)
        patch.setattr(quality, "STEPS", 100)
        yield trained([sample(discs, seed) for seed, discs in enumerate(LAID_OUT)])


def asked(head: Instances, of: Sample):
    return head.answer(of.picture, of.features, of.proposals, class_map(of, CLASSES))


def test_every_object_comes_back_named_and_ahead_of_everything_else(head: Instances) -> None:
    new = sample([("red", 50, 40, 13), ("red", 50, 65, 12), ("blue", 90, 110, 12)], seed=9)
    found = asked(head, new)
    best = found[:3]
    alike = iou_matrix([p.rle for p in best], list(new.masks))
    assert (alike.max(axis=0) > 0.6).all()
    assert [p.label for p in best] == [new.labels[i] for i in alike.argmax(axis=1)]
    assert [p.score for p in found] == sorted((p.score for p in found), reverse=True)
    assert all(0 <= p.score <= 1 for p in found)


def test_masks_have_the_size_of_the_image(head: Instances) -> None:
    new = sample([("red", 50, 40, 13)], seed=9, fine=3)
    best = asked(head, new)[0]
    assert best.rle["size"] == list(new.features.image_size)
    assert iou_matrix([best.rle], list(new.masks))[0, 0] > 0.6


def test_saved_and_loaded_it_answers_the_same(head: Instances) -> None:
    new = sample([("red", 50, 40, 13), ("blue", 90, 110, 12)], seed=9)
    assert asked(Instances.from_tensors(head.to_tensors(), CLASSES), new) == asked(head, new)


@pytest.mark.parametrize(
    "samples",
    [
        pytest.param([sample(LAID_OUT[0])], id="one image"),
        pytest.param([sample([]), sample([])], id="images with nothing in them"),
        pytest.param([sample([]), sample(LAID_OUT[0])], id="one of two is empty"),
    ],
)
def test_little_to_learn_from_gives_an_answer_all_the_same(samples: list[Sample]) -> None:
    head = trained(samples, steps=3)
    new = sample(LAID_OUT[1], seed=9)
    for proposal in asked(head, new):
        assert proposal.label in CLASSES
        assert rle.area(proposal.rle) > 0


def test_progress_runs_from_nothing_to_all() -> None:
    told: list[float] = []
    samples = [sample(LAID_OUT[0]), sample(LAID_OUT[1], 1)]
    maps = [class_map(s, CLASSES) for s in samples]
    instances.fit(samples, maps, np.arange(2), CLASSES, steps=2, progress=told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0
