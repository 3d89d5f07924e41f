import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from scipy import ndimage
from skimage import data

from exporters.coco.dataset import ImageRow, instance, write_coco
from labeler_backend.masks.metrics import iou
from labeler_backend.masks.rle import encode
from labeler_backend.proposals.types import Proposal


def coin_proposals() -> list[Proposal]:
    labels, n = ndimage.label(ndimage.gaussian_filter(data.coins(), 2) > 120)
    masks = [labels == k for k in range(1, n + 1)]
    return [
        Proposal(encode(m), k / 100, "seeds", "coin" if k % 2 else None)
        for k, m in enumerate(masks)
        if m.sum() > 500
    ]


def row(image_id: int, proposals: list[Proposal], polygons: bool = False) -> ImageRow:
    h, w = data.coins().shape
    return {
        "id": image_id,
        "file_name": f"über/{image_id}.png",
        "width": w,
        "height": h,
        "annotations": [instance(p, polygons) for p in proposals],
    }


@pytest.mark.parametrize("polygons", [False, True], ids=["rle", "polygons"])
def test_pycocotools_reads_what_was_written(tmp_path: Path, polygons: bool) -> None:
    path = tmp_path / "out" / "annotations.json"
    proposals = coin_proposals()
    counts = write_coco(path, [row(7, proposals, polygons), row(3, []), row(5, proposals[:2], polygons)])
    assert counts == {"images": 3, "annotations": len(proposals) + 2, "categories": 2}
    assert list(path.parent.iterdir()) == [path]
    coco = COCO(str(path))
    assert coco.getImgIds() == [7, 3, 5]
    assert coco.loadImgs(7)[0]["file_name"] == "über/7.png"
    assert coco.getAnnIds(imgIds=[3]) == []
    by_score = sorted(proposals, key=lambda p: -p.score)
    for annotation, proposal in zip(coco.loadAnns(coco.getAnnIds(imgIds=[7])), by_score, strict=True):
        mask = coco.annToMask(annotation).astype(bool)
        rows, columns = np.nonzero(mask)
        assert annotation["area"] == mask.sum()
        x, y = columns.min(), rows.min()
        assert annotation["bbox"] == [x, y, columns.max() + 1 - x, rows.max() + 1 - y]
        assert annotation["iscrowd"] == 0
        assert annotation["source"] == "seeds"
        assert annotation["score"] == proposal.score
        assert coco.loadCats(annotation["category_id"])[0]["name"] == (proposal.label or "object")
        assert isinstance(annotation["segmentation"], list) == polygons
        if polygons:
            assert iou(mask, proposal.mask) > 0.9
        else:
            np.testing.assert_array_equal(mask, proposal.mask)


def test_ids_are_grouped_by_image_and_known_categories_come_first(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    proposals = coin_proposals()[:3]
    write_coco(path, [row(2, proposals), row(1, proposals)], categories=["person", "coin"])
    written = json.loads(path.read_text("utf-8"))
    assert list(written) == ["info", "licenses", "images", "annotations", "categories"]
    assert [a["id"] for a in written["annotations"]] == [1, 2, 3, 4, 5, 6]
    assert [a["image_id"] for a in written["annotations"]] == [2, 2, 2, 1, 1, 1]
    assert [c["name"] for c in written["categories"]] == ["person", "coin", "object"]


def test_no_images_is_still_coco(tmp_path: Path) -> None:
    write_coco(tmp_path / "a.json", [])
    coco = COCO(str(tmp_path / "a.json"))
    assert coco.getImgIds() == []
    assert [c["name"] for c in coco.loadCats(coco.getCatIds())] == ["object"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_coco(path, [row(1, [])])
    before = path.read_bytes()

    def failing() -> Iterator[ImageRow]:
        yield row(1, coin_proposals()[:1])
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_coco(path, failing())
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_not_a_number_is_refused(tmp_path: Path) -> None:
    bad = row(1, coin_proposals()[:1])
    bad["annotations"][0]["score"] = float("nan")
    with pytest.raises(ValueError, match="JSON"):
        write_coco(tmp_path / "a.json", [bad])
    assert list(tmp_path.iterdir()) == []


def test_an_empty_mask_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        instance(Proposal(encode(np.zeros((4, 4), bool)), 1.0, "seeds"))


def test_memory_does_not_grow_with_images(tmp_path: Path) -> None:
    template = row(0, coin_proposals()[:5])

    def peak(n: int) -> int:
        tracemalloc.start()
        write_coco(tmp_path / "a.json", ({**template, "id": k} for k in range(n)))  # type: ignore[misc]
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(10)
    small, large = peak(500), peak(5000)
    assert (tmp_path / "a.json").stat().st_size > 2_000_000
    # copying the spool takes a buffer of 1 MB however much there is
    assert large < small + 1_200_000
