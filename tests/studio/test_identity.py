from __future__ import annotations

import re

import numpy as np

from labeler_backend.studio.identity import object_ids, object_of, part_id
from tests.studio.made import SIZE, ellipse, ring

MASKS = [ellipse(), ring(), ellipse(centre=(110, 20), radii=(10, 8))]


def test_ids_are_the_same_in_every_process() -> None:
    """Hashes of Python change from process to process; stored regions do not."""
    assert object_ids(7, "image", None, MASKS[:1]) == ["el3eaec46fae29"]


def test_ids_fit_label_studio() -> None:
    ids = object_ids(7, "image", None, MASKS * 20)
    assert len(set(ids)) == 60
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,20}", part_id(name, 123)) for name in ids)


def test_other_proposals_do_not_matter() -> None:
    first, second, third = object_ids(7, "image", None, MASKS)
    assert object_ids(7, "image", None, MASKS[::-1]) == [third, second, first]
    assert object_ids(7, "image", None, MASKS[1:2]) == [second]


def test_a_few_pixels_do_not_matter() -> None:
    jagged = ellipse()
    edge = jagged & ~np.roll(jagged, 1, axis=1)
    rows = np.flatnonzero(edge.any(axis=1))[::4]
    jagged[rows] &= ~edge[rows]
    assert jagged.sum() < ellipse().sum()
    assert object_ids(7, "image", None, [jagged]) == object_ids(7, "image", None, [ellipse()])


def test_task_image_page_and_place_matter() -> None:
    moved = ellipse(centre=(70, 45))
    ids = [
        object_ids(7, "image", None, [ellipse()]),
        object_ids(8, "image", None, [ellipse()]),
        object_ids(7, "other", None, [ellipse()]),
        object_ids(7, "image", 0, [ellipse()]),
        object_ids(7, "image", 1, [ellipse()]),
        object_ids(7, "image", None, [moved]),
        object_ids(7, "image", None, [ring()]),
    ]
    assert len({name for [name] in ids}) == len(ids)


def test_the_layout_in_memory_does_not_matter() -> None:
    for mask in (ellipse(), ellipse((900, 1400), (600, 450), (400, 250))):
        assert object_ids(7, "image", None, [np.asfortranarray(mask)]) == object_ids(7, "image", None, [mask])


def test_the_size_of_the_picture_hardly_matters() -> None:
    """A preview and the original have the same objects."""
    large = ellipse((900, 1400), (600, 450), (400, 250))
    assert object_ids(7, "image", None, [large]) == object_ids(7, "image", None, [ellipse()])


def test_an_empty_mask_has_an_id() -> None:
    assert len(object_ids(7, "image", None, [np.zeros(SIZE, bool)])) == 1


def test_parts_know_their_object() -> None:
    [name] = object_ids(7, "image", None, [ellipse()])
    assert part_id(name, 0) == name
    assert [object_of(part_id(name, part)) for part in (0, 1, 12)] == [name] * 3
    assert object_of("c5l4WidM-2") == object_of("") == ""
