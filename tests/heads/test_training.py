"""What is learned, on what it is measured, and when it may serve."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from labeler_backend.heads import instances
from labeler_backend.heads.errors import HeadError
from labeler_backend.heads.head import Head
from labeler_backend.heads.training import FOLDS, Learned, Trained, split, train
from labeler_backend.heads.types import Sample
from labeler_backend.proposals.types import Proposal
from tests.heads.made_heads import hurried, sample, with_middle


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    hurried(monkeypatch)


@pytest.fixture(scope="module")
def served() -> Iterator[Trained]:
    """Learned from three images."""
    with pytest.MonkeyPatch.context() as patch:
        hurried(patch)
        yield train(some(3))


def some(count: int, start: int = 0) -> list[Sample]:
    return [sample(f"{i:02x}", i) for i in range(start, start + count)]


def emptied(of: Sample) -> Sample:
    """Somebody looked at it, and there was nothing."""
    return replace(of, labels=(), masks=(), coverage=of.coverage[:0])


def renamed(of: Sample, label: str) -> Sample:
    return replace(of, labels=(label,), revision=f"{of.revision} {label}")


def learned(trained: Trained) -> Learned:
    return frozenset(trained.learned)


# --- folds --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("groups", "sizes"),
    [
        pytest.param(["a"], [1], id="one"),
        pytest.param(["a"] * 7, [7], id="one-group"),
        pytest.param(["a", "b"], [1, 1], id="two"),
        pytest.param(list("abcdefghij"), [4, 3, 3], id="each-its-own"),
        pytest.param(list("aaaaaabbbccc"), [6, 3, 3], id="groups"),
        pytest.param(list("abacadaeaf"), [5, 3, 2], id="one-large"),
        pytest.param([], [], id="none"),
    ],
)
def test_folds(groups: list[str], sizes: list[int]) -> None:
    folds = split(groups)
    assert sorted(np.unique(folds, return_counts=True)[1].tolist(), reverse=True) == sizes
    of = {group: {int(f) for g, f in zip(groups, folds, strict=True) if g == group} for group in groups}
    assert all(len(found) == 1 for found in of.values())


def test_folds_do_not_depend_on_the_order() -> None:
    groups = [f"{i % 11}" for i in range(40)]
    folds = dict(zip(groups, split(groups).tolist(), strict=True))
    turned = groups[::-1]
    assert dict(zip(turned, split(turned).tolist(), strict=True)) == folds
    assert len(set(folds.values())) == FOLDS


# --- what cannot be learned ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "samples",
    [
        pytest.param([], id="no-samples"),
        pytest.param([emptied(s) for s in some(3)], id="nothing-labelled"),
    ],
)
def test_without_a_region_there_is_nothing_to_learn(samples: list[Sample]) -> None:
    with pytest.raises(HeadError, match="no accepted region") as caught:
        train(samples)
    assert "\n" not in str(caught.value)


def test_nothing_new_is_a_sentence(served: Trained) -> None:
    with pytest.raises(HeadError, match="Nothing was accepted or changed"):
        train(some(3), served.head, learned(served))
    assert train(some(3), None, learned(served)).head.n_images == 3  # nothing serves: learned all the same


# --- little to learn from -----------------------------------------------------------------------------------


def test_one_image_is_learned_and_does_not_serve() -> None:
    found = train(some(1))
    assert (found.better, found.before, found.after, found.n_held_out) == (False, None, None, 0)
    assert "One image cannot be both" in found.reason
    assert (found.head.kind, found.head.n_images) == ("knn", 1)
    asked = sample("new", 9)
    answer = found.head.answer(asked.picture, asked.features, asked.proposals)
    assert {p.label for p in answer.proposals} == {"square"}


def test_frames_of_one_video_are_one_image() -> None:
    found = train([replace(s, group="video") for s in some(3)])
    assert (found.better, found.after, found.n_images) == (False, None, 3)
    assert found.reason.startswith("All 3 images are frames of one video")


@pytest.mark.parametrize(
    ("samples", "classes"),
    [
        pytest.param(some(2), ("square",), id="one-class"),
        pytest.param([some(1)[0], emptied(sample("01", 1))], ("square",), id="one-of-two-is-empty"),
        pytest.param(
            [some(1)[0], renamed(sample("01", 1), "box")], ("box", "square"), id="a-class-per-image"
        ),
        pytest.param(
            [replace(s, unknown=np.full_like(s.unknown, 255)) for s in some(2)], ("square",), id="all-unknown"
        ),
        pytest.param([replace(s, proposals=()) for s in some(2)], ("square",), id="no-proposals"),
        pytest.param([sample(f"{i}", 0) for i in range(2)], ("square",), id="the-same-picture-twice"),
    ],
)
def test_little_gives_an_answer_all_the_same(samples: list[Sample], classes: tuple[str, ...]) -> None:
    found = train(samples)
    assert found.head.classes == classes
    assert found.n_held_out == 2
    assert found.after is not None
    assert 0 <= found.after.pq <= 1
    assert found.reason.endswith(".")
    tensors, _ = found.head.to_files()
    assert all(np.isfinite(value).all() for value in tensors.values())
    asked = sample("new", 9)
    answer = found.head.answer(asked.picture, asked.features, asked.proposals)
    assert all(0 <= p.score <= 1 and p.label in classes for p in answer.proposals)
    assert 0 <= answer.confidence <= 1


# --- what is said of it -------------------------------------------------------------------------------------


def test_facts(served: Trained) -> None:
    assert served.learned == (("00", "r0"), ("01", "r1"), ("02", "r2"))
    assert (served.n_images, served.n_held_out) == (3, 3)
    assert served.head.model_key == some(1)[0].features.model_key
    assert served.seconds > 0
    assert served.before is not None
    assert served.after is not None
    assert served.before.per_image.keys() == served.after.per_image.keys() == {"00", "01", "02"}


def test_the_same_samples_give_the_same_head(served: Trained) -> None:
    again = train(iter(some(3)))
    (ours, facts), (theirs, known) = again.head.to_files(), served.head.to_files()
    assert (facts, ours.keys()) == (known, theirs.keys())
    for name, value in ours.items():  # not to the bit: sums depend on how arrays are aligned in memory
        np.testing.assert_allclose(value, theirs[name], atol=1e-5, err_msg=name)
    assert again.after is not None
    assert served.after is not None
    assert again.after.per_image == pytest.approx(served.after.per_image, abs=1e-3)


def test_progress_runs_from_nothing_to_all() -> None:
    told: list[tuple[float, str]] = []
    train(some(2), progress=lambda share, what: told.append((share, what)))
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    assert all(what for _, what in told)


@pytest.mark.parametrize("kind", ["knn", "logistic"])
def test_the_kind_that_was_asked_for(kind: str) -> None:
    assert train(some(2), kind=kind).head.kind == kind


# --- what it is compared with -------------------------------------------------------------------------------


def test_without_a_head_what_annotators_see_is_the_measure() -> None:
    """The true square comes first among the emergent ones; the second one covers everything else."""
    samples = some(3)
    perfect = train(samples, shown=lambda proposals: proposals[:1])
    assert perfect.before is not None
    assert perfect.before.pq == 1
    assert not perfect.better
    nothing = train(samples, shown=lambda proposals: ())
    assert nothing.before is not None
    assert nothing.before.pq == 0


def test_only_images_that_neither_has_seen_are_compared(served: Trained) -> None:
    found = train(some(5), served.head, learned(served))
    assert found.before is not None
    assert found.after is not None
    assert found.before.per_image.keys() == found.after.per_image.keys() == {"03", "04"}
    assert (found.n_images, found.n_held_out) == (5, 2)
    assert sorted(key for key, _ in found.learned) == ["00", "01", "02", "03", "04"]


def test_one_unseen_image_says_nothing(served: Trained) -> None:
    found = train(some(4), served.head, learned(served))
    assert (found.better, found.n_held_out) == (False, 1)
    assert "only one image" in found.reason


def test_what_came_last_is_measured_though_not_all_are(
    served: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instances, "JUDGED_MOST", FOLDS)
    found = train(some(6), served.head, learned(served))
    assert found.before is not None
    assert found.after is not None
    assert found.after.per_image.keys() <= {"03", "04", "05"}
    assert found.n_held_out > 0


def test_where_annotations_only_went_the_serving_head_is_replaced(served: Trained) -> None:
    found = train(some(2), served.head, learned(served))
    assert (found.better, found.before, found.n_held_out) == (True, None, 2)
    assert found.reason == "Annotations that the serving head was learned from have gone since."
    assert found.after is not None


@pytest.mark.parametrize(
    "changed",
    [pytest.param({2}, id="one"), pytest.param({0, 2}, id="two"), pytest.param({0, 1, 2}, id="all")],
)
def test_where_annotations_only_changed_the_changed_are_compared(served: Trained, changed: set[int]) -> None:
    samples = [renamed(s, "box") if n in changed else s for n, s in enumerate(some(3))]
    found = train(samples, served.head, learned(served))
    assert found.before is None  # what it is worth is measured on pictures that it has not seen, as ever
    assert found.after is not None
    assert found.after.per_image.keys() == {"00", "01", "02"}
    assert found.better
    # what serves knows nothing of boxes
    assert f"on {len(changed)} image" in found.reason
    assert "both have learned from: panoptic quality 0.000 → " in found.reason


@pytest.mark.parametrize(
    ("samples", "says"),
    [
        pytest.param([*some(2), renamed(some(3)[2], "box"), *some(1, 3)], "on 1 image whose", id="one-new"),
        pytest.param([renamed(some(1)[0], "box"), *some(1, 3)], "on 1 image whose", id="most-gone-besides"),
        pytest.param([renamed(some(1)[0], "box")], "on 1 image whose", id="one-left"),
        pytest.param(
            [replace(s, group="video") for s in (*some(2), renamed(some(3)[2], "box"), *some(1, 3))],
            "on 1 image whose",
            id="one-new-of-the-same-video",
        ),
        pytest.param([*some(2), *some(1, 3)], "have gone since", id="one-new-one-gone"),
        pytest.param(some(1), "have gone since", id="all-but-one-gone"),
    ],
)
def test_one_new_image_does_not_hold_back_what_changed(
    served: Trained, samples: list[Sample], says: str
) -> None:
    found = train(samples, served.head, learned(served))
    assert says in found.reason
    assert found.better


def test_new_images_are_compared_though_others_changed(served: Trained) -> None:
    found = train([*some(2), renamed(some(3)[2], "box"), *some(2, 3)], served.head, learned(served))
    assert found.before is not None
    assert found.before.per_image.keys() == {"03", "04"}


def test_outlines_touched_up_take_effect(served: Trained) -> None:
    """A head that has seen a picture answers it better than one that has not; corrections still count."""
    touched = [*some(2), replace(sample("02", 2), revision="touched up")]
    found = train(touched, served.head, learned(served))
    assert found.better, found.reason


def test_a_training_that_went_wrong_does_not_serve(served: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = [*some(2), replace(sample("02", 2), revision="touched up")]
    real = instances.fit

    def fit(*given: Any, **more: Any) -> instances.Fitted:
        fitted = real(*given, **more)
        return replace(fitted, instances=_Silent(fitted.instances))  # type: ignore[arg-type]

    monkeypatch.setattr(instances, "fit", fit)
    perfect = replace(served.head, instances=_Knows(served.head.instances))  # type: ignore[arg-type]
    found = train(samples, perfect, learned(served))
    assert not found.better
    assert found.reason.startswith("It is worse by more than")
    assert "1.000 → 0.000" in found.reason


class _Knows:
    """Answers with the true square, whatever is asked."""

    def __init__(self, of: instances.Instances) -> None:
        self.pixels = of.pixels

    def answer(
        self, image: object, features: object, proposals: list[Proposal], *_: object
    ) -> list[Proposal]:
        return [replace(proposals[0], label="square", score=0.9)]


class _Silent(_Knows):
    """Answers with nothing."""

    def answer(self, *_: object) -> list[Proposal]:
        return []


def test_another_kind_of_the_same_is_made_and_does_not_serve(served: Trained) -> None:
    other = "knn" if served.head.kind == "logistic" else "logistic"
    found = train(some(3), served.head, learned(served), kind=other)
    assert (found.head.kind, found.better, found.before) == (other, False, None)
    assert "no image to compare" in found.reason
    with pytest.raises(HeadError, match="Nothing was accepted or changed"):
        train(some(3), served.head, learned(served), kind=served.head.kind)


@pytest.mark.parametrize("count", [pytest.param(3, id="nothing-new"), pytest.param(5, id="more-images")])
def test_a_head_of_another_model_is_not_compared_with(served: Trained, count: int) -> None:
    other: Head = replace(served.head, model_key="other:p1")
    found = train(some(count), other, learned(served))
    alone = train(some(count))
    assert (found.before, found.better) == (alone.before, alone.better)
    assert found.reason.startswith(alone.reason)
    assert "understands features of other:p1" in found.reason


def test_where_some_images_lack_middle_layers_nothing_looks_at_them(monkeypatch: pytest.MonkeyPatch) -> None:
    made = some(4)
    new = train([with_middle(one) for one in made[:3]], kind="logistic")
    mixed = train([*map(with_middle, made[:3]), made[3]], new.head, learned(new), kind="logistic")
    plain = train(made, kind="logistic")
    assert "some images were stored without" in mixed.reason
    for name, value in plain.head.to_files()[0].items():
        # where an array lies in memory may cost its last bit
        assert np.allclose(mixed.head.to_files()[0][name], value, rtol=1e-5, atol=1e-7), name


def test_a_head_that_is_better_may_serve() -> None:
    """What annotators see now is nothing; any square found makes it better."""
    found = train(some(6), shown=lambda proposals: ())
    assert found.after is not None
    assert found.before is not None
    assert found.after.pq > found.before.pq
    assert found.better
    assert not math.isnan(found.after.ap50)
