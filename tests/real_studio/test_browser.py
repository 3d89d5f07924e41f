"""What a person sees: proposals on the picture, where the things are, ready to be submitted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps
from playwright.sync_api import Page

from labeler_backend.labeler import Labeler

from .answers import polygon_config
from .backend import Backend
from .browser import BoolMask, drawn, keep, logged_in, open_task
from .pictures import Picture
from .studio import Studio

OBJECTS = 2
TUNING = f'model_max_proposals="{OBJECTS}" model_overlap="1"'  # the best ones, nested or not
CONFIG = polygon_config("thing", attributes=TUNING)
FITS = 0.85  # IoU of what is drawn and the masks; polygons and the drawn border cost a little
BRUSH = f"""<View>
  <Image name="image" value="$image"/>
  <BrushLabels name="brush" toName="image" smart="false" {TUNING}>
    <Label value="thing" background="#00ff00"/>
  </BrushLabels>
</View>"""

NAMED_BESIDE = f"""<View>
  <Image name="image" value="$image"/>
  <Polygon name="shape" toName="image" smart="false" {TUNING}/>
  <Labels name="names" toName="image"><Label value="thing" background="#00ff00"/></Labels>
</View>"""


@pytest.fixture(scope="module")
def page(studio: Studio) -> Iterator[Page]:
    with logged_in(studio) as page:
        yield page


def _masks(labeler: Labeler, picture: Picture) -> BoolMask:
    """What has to be drawn, from the picture alone: neither server nor polygons have a part in it."""
    image = np.asarray(ImageOps.exif_transpose(Image.open(picture.path)).convert("RGB"))
    union = np.any([proposal.mask for proposal in labeler.masks(image)[:OBJECTS]], axis=0)
    assert 0.05 < union.mean() < 0.7, "a mask of nearly all or nothing would fit anything"
    return np.asarray(union)


def _overlap(page: Page, truth: BoolMask) -> float:
    """IoU of what is drawn and the mask, where the picture can be seen."""
    found, seen = drawn(page, truth.shape)
    assert seen.mean() > 0.7
    return float((found & truth & seen).sum() / ((found | truth) & seen).sum())


@pytest.mark.parametrize(
    ("config", "which"),
    [
        pytest.param(CONFIG, 0, id="polygons"),
        pytest.param(CONFIG, 2, id="polygons on a picture stored on its side"),
        pytest.param(BRUSH, 1, id="brush"),
        pytest.param(NAMED_BESIDE, 0, id="polygons that a Labels tag names"),
    ],
)
def test_proposals_are_drawn_where_the_masks_are_and_submitted(
    studio: Studio,
    shared_backend: Backend,
    page: Page,
    pictures: list[Picture],
    small_labeler: Labeler,
    artifacts: Path,
    request: pytest.FixtureRequest,
    config: str,
    which: int,
) -> None:
    client = studio.client()
    project = client.create_project(config)
    client.upload(project, [pictures[which].path])
    client.connect(project, shared_backend.url)
    client.retrieve_predictions(project)
    [(task, [prediction])] = client.predictions(project).items()

    ids = {one["id"] for one in prediction["result"]}
    open_task(page, studio, project, task, len(ids))
    keep(page, artifacts / f"{request.node.callspec.id.replace(' ', '-')}.png")
    assert _overlap(page, _masks(small_labeler, pictures[which])) >= FITS

    with page.expect_response(lambda answer: f"/api/tasks/{task}/annotations" in answer.url) as sent:
        page.click("[data-testid=bottombar-submit-button]")
    assert sent.value.status == 201
    [annotation] = client.call("GET", f"/api/tasks/{task}")["annotations"]
    assert annotation["parent_prediction"] == prediction["id"]
    assert {(one["id"], one["type"]): one["value"] for one in annotation["result"]} == {
        (one["id"], one["type"]): one["value"] for one in prediction["result"]
    }
    wanted = {"accepted": len(ids), "edited": 0, "rejected": 0, "drawn": 0}
    assert shared_backend.counts(client.uid(project), **wanted) == wanted


Move = Callable[[float, float], tuple[float, float]]


@pytest.mark.parametrize(
    ("move", "fits"),
    [
        pytest.param(lambda x, y: (x, y), True, id="as it is"),
        pytest.param(lambda x, y: (100 - x, y), False, id="mirrored"),
        pytest.param(lambda x, y: (min(x + 12, 100), y), False, id="shifted by an eighth"),
        pytest.param(lambda x, y: (y, x), False, id="axes swapped"),
    ],
)
def test_the_comparison_notices_regions_in_the_wrong_place(
    studio: Studio,
    page: Page,
    pictures: list[Picture],
    small_labeler: Labeler,
    artifacts: Path,
    move: Move,
    fits: bool,
) -> None:
    """The control of the test above: the same masks as polygons, moved."""
    truth = _masks(small_labeler, pictures[0])
    client = studio.client()
    project = client.create_project(CONFIG)
    client.upload(project, [pictures[0].path])
    [task] = client.tasks(project)
    regions = _polygons(truth, move)
    prediction = {"task": task["id"], "result": regions, "score": 0.5, "model_version": "control"}
    client.call("POST", "/api/predictions/", json=prediction)
    client.call("PATCH", f"/api/projects/{project}", json={"model_version": "control"})
    open_task(page, studio, project, task["id"], len(regions))
    keep(page, artifacts / "control.png")
    assert (_overlap(page, truth) >= FITS) == fits


def _polygons(mask: BoolMask, move: Move) -> list[dict[str, Any]]:
    """A mask as polygon regions, by OpenCV, so that none of the product's code is in the control."""
    import cv2

    height, width = mask.shape
    rings, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_TC89_KCOS)
    frame = {"original_width": width, "original_height": height, "image_rotation": 0}
    common = {"type": "polygonlabels", "from_name": "polygon", "to_name": "image", **frame}
    regions = []
    for i, ring in enumerate(ring for ring in rings if len(ring) >= 4):
        points = [move(100 * (x + 0.5) / width, 100 * (y + 0.5) / height) for [[x, y]] in ring.tolist()]
        value = {"points": points, "closed": True, "polygonlabels": ["thing"]}
        regions.append({"id": f"control-{i}", "value": value, **common})
    return regions
