"""A head as one thing: it answers, is saved, and refuses what does not fit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from labeler_backend.heads.errors import HeadError
from labeler_backend.heads.head import Head
from labeler_backend.heads.training import train
from labeler_backend.heads.types import Answer
from tests.heads.made_heads import hurried, same, sample, trained, with_middle

ASKED = sample("new", 9)


@pytest.fixture(scope="module")
def head() -> Head:
    return trained().head


def answer(head: Head) -> Answer:
    return head.answer(ASKED.picture, ASKED.features, ASKED.proposals)


def test_answers(head: Head) -> None:
    found = answer(head)
    assert found.proposals
    assert {p.label for p in found.proposals} == {"square"}
    scores = [p.score for p in found.proposals]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in (*scores, found.confidence))
    assert all(tuple(p.rle["size"]) == ASKED.features.image_size for p in found.proposals)
    assert answer(head) == found


def test_class_map(head: Head) -> None:
    found = head.class_map(ASKED.picture, ASKED.features)
    assert found.shape == (2, *ASKED.features.grid)
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-5)
    square = ASKED.coverage[0] > 0
    assert found[1][square].mean() > found[1][~square].mean() + 0.5


def test_pixel_map(head: Head) -> None:
    found = head.pixel_map(ASKED.picture, ASKED.features, ASKED.proposals)
    assert found.shape[0] == 2
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-4)


@pytest.mark.parametrize("kind", ["knn", "logistic"])
def test_saved_and_loaded_it_answers_the_same(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By way of bytes: what safetensors writes depends on how an array lies in memory."""
    hurried(monkeypatch)
    head = train([sample(f"{i}", i) for i in range(2)], kind=kind).head
    tensors, facts = head.to_files()
    again = Head.from_files(load(save(tensors)), facts)
    assert same(again, head)
    assert answer(again) == answer(head)
    for name in ("class_map", "pixel_map"):
        more = (ASKED.proposals,) if name == "pixel_map" else ()
        ours, theirs = (getattr(one, name)(ASKED.picture, ASKED.features, *more) for one in (again, head))
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("what", ["answer", "class_map", "pixel_map"])
def test_features_of_another_model_are_refused(head: Head, what: str) -> None:
    other = replace(ASKED.features, model_key="other:p1")
    more = (ASKED.proposals,) if what != "class_map" else ()
    with pytest.raises(HeadError, match="of other:p1: train it again"):
        getattr(head, what)(ASKED.picture, other, *more)


def test_middle_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A head that looks at them refuses features without; one that does not answers as before."""
    hurried(monkeypatch)
    made = [sample(f"{i}", i) for i in range(2)]
    beside = replace(ASKED.features, middle=np.ones((*ASKED.features.grid, 8), np.float16))
    old = train(made, kind="logistic").head
    map_of = old.class_map(ASKED.picture, ASKED.features)
    assert np.array_equal(old.class_map(ASKED.picture, beside), map_of)
    new = train([with_middle(one) for one in made], kind="logistic").head
    again = Head.from_files(*new.to_files())
    assert np.array_equal(again.class_map(ASKED.picture, beside), new.class_map(ASKED.picture, beside))
    assert again.understands(beside)
    with pytest.raises(HeadError, match="stored these features without: encode the image again"):
        again.class_map(ASKED.picture, ASKED.features)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        pytest.param({"format": 4}, "format is 4 and not 3", id="of-the-future"),
        pytest.param({"format": None}, "format is None", id="no-format"),
        pytest.param({"classes": None}, "damaged", id="classes"),
        pytest.param({"classes": 5}, "damaged", id="classes-of-a-strange-type"),
        pytest.param({"n_images": "many"}, "damaged", id="number"),
        pytest.param({"map": "forest"}, "damaged", id="map-of-an-unknown-kind"),
        pytest.param({"map": "knn"}, "damaged", id="map-of-another-kind"),
    ],
)
def test_damaged_facts_are_a_sentence(head: Head, changed: dict[str, Any], says: str) -> None:
    tensors, facts = head.to_files()
    with pytest.raises(HeadError, match=says) as caught:
        Head.from_files(tensors, {**facts, **changed})
    assert "\n" not in str(caught.value)


def test_every_fact_is_needed(head: Head) -> None:
    tensors, facts = head.to_files()
    for name in facts:
        with pytest.raises(HeadError):
            Head.from_files(tensors, {key: value for key, value in facts.items() if key != name})


@pytest.mark.parametrize(
    "name",
    [
        "map.weight",
        "novelty.known",
        "novelty.usual",
        "instances.sizes.middle",
        "instances.pixels.basis",
        "instances.pixels.zoom",
        "instances.pixels.net.out.weight",
        "instances.quality.weights",
    ],
)
def test_every_tensor_is_needed(head: Head, name: str) -> None:
    tensors, facts = head.to_files()
    with pytest.raises(HeadError, match="damaged"):
        Head.from_files({key: value for key, value in tensors.items() if key != name}, facts)


def test_a_tensor_of_another_shape_is_refused(head: Head) -> None:
    tensors, facts = head.to_files()
    with pytest.raises(HeadError, match="damaged") as caught:
        Head.from_files(
            {**tensors, "instances.pixels.net.out.weight": np.zeros((4, 4, 1, 1), np.float32)}, facts
        )
    assert "\n" not in str(caught.value)
