from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path

import pytest

from labeler_backend.heads.types import Metrics
from labeler_backend.report.costs import CostModel
from labeler_backend.report.fates import Fate, Submission
from labeler_backend.report.learning import by_class, by_version, over_time, tally
from labeler_backend.report.learning_page import HeadRow, as_json, latest, learning, write_page
from labeler_backend.report.versions import head_number, short

COSTS = CostModel()
BASE = "dinov2-small-518-v1"
ACCEPTED = Fate("accepted", "polygon", 1.0, "cat", "cat")
EDITED = Fate("edited", "polygon", 0.8, "cat", "cat", reshaped=True)
RENAMED = Fate("edited", "polygon", 1.0, "dog", "cat")
REDRAWN = Fate("redrawn", "polygon", 0.3, "cat", "cat", reshaped=True)
REJECTED = Fate("rejected", "polygon", proposed="dog")
DRAWN = Fate("drawn", "polygon", submitted="cat")


def made(*fates: Fate, version: str | None = BASE, at: float = 0.0, bulk: bool = False) -> Submission:
    return Submission(version, at, None if bulk else 30.0, bulk, fates)


@pytest.mark.parametrize(
    ("fate", "saved"),
    [
        pytest.param(ACCEPTED, 79 - 2.4, id="accepted"),
        pytest.param(EDITED, 79 - 2.4 - 26, id="edited"),
        pytest.param(RENAMED, 79 - 2.4 - 3, id="label changed"),
        pytest.param(Fate("edited", "brush", 0.8, "a", "b", reshaped=True), 79 - 2.4 - 29, id="both changed"),
        pytest.param(REDRAWN, -4.4, id="redrawn"),
        pytest.param(REJECTED, -4.4, id="rejected"),
        pytest.param(DRAWN, 0.0, id="drawn"),
        pytest.param(Fate("accepted", "rectangle", 1.0), 7 - 2.4, id="box accepted"),
        pytest.param(Fate("edited", "ellipse", 0.9, reshaped=True), 7 - 2.4 - 3.5, id="ellipse edited"),
        pytest.param(Fate("accepted", "brush", 1.0, clicked=True), 79 - 2.4 - 5, id="click taken"),
    ],
)
def test_seconds_saved(fate: Fate, saved: float) -> None:
    assert COSTS.saved(fate) == pytest.approx(saved)


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_costs_are_seconds(seconds: float) -> None:
    with pytest.raises(ValueError, match="draw_mask has to be a number of seconds"):
        CostModel(draw_mask=seconds)


def test_tally() -> None:
    one = tally([made(ACCEPTED, EDITED, REJECTED), made(REDRAWN, DRAWN), made(ACCEPTED, bulk=True)], COSTS)
    assert (one.annotations, one.bulk, one.decisions) == (2, 1, 5)
    assert one.outcomes == {"accepted": 1, "edited": 1, "redrawn": 1, "rejected": 1, "drawn": 1}
    assert one.mean_iou == pytest.approx((1 + 0.8 + 0.3) / 3)
    assert one.saved == pytest.approx(sum(map(COSTS.saved, (ACCEPTED, EDITED, REJECTED, REDRAWN))))
    assert (one.measured, one.typical) == (60.0, 30.0)
    assert one.estimated_of_measured == pytest.approx(one.estimated)


def test_tally_of_nothing() -> None:
    one = tally([], COSTS)
    assert (one.decisions, one.mean_iou, one.saved, one.share("accepted")) == (0, None, 0, 0)


def test_counts_of_the_first_version_save_nothing() -> None:
    one = tally([Submission(None, 0.0, None, False, (Fate("accepted", "", count=7),), count=3)], COSTS)
    assert (one.annotations, one.outcomes["accepted"], one.saved) == (3, 7, 0)


def test_versions_come_in_the_order_of_their_first_use() -> None:
    submissions = [
        made(ACCEPTED, version=f"{BASE}-h1", at=5),
        made(DRAWN, version="", at=0),
        made(ACCEPTED, version=BASE, at=1),
        made(ACCEPTED, version=f"{BASE}-h1", at=2),
    ]
    assert list(by_version(submissions, COSTS)) == [BASE, f"{BASE}-h1", ""]


@pytest.mark.parametrize(("number", "steps"), [(0, 0), (1, 1), (9, 1), (10, 2), (152, 30), (1000, 30)])
def test_over_time_takes_every_annotation_once(number: int, steps: int) -> None:
    found = over_time([made(ACCEPTED, at=-n) for n in range(number)], COSTS)
    assert len(found) == steps
    assert sum(step.tally.annotations for step in found) == number
    assert all(a.end <= b.start for a, b in pairwise(found))


def test_over_time_leaves_out_what_began_with_no_prediction() -> None:
    assert (
        over_time([made(DRAWN, version=""), made(DRAWN, version=None), made(ACCEPTED, bulk=True)], COSTS)
        == []
    )


def test_classes() -> None:
    cat, dog = by_class([made(ACCEPTED, RENAMED, DRAWN, REJECTED), made(ACCEPTED, bulk=True)], COSTS)
    assert (cat.label, cat.tally.decisions, dict(cat.instead)) == ("cat", 3, {"dog": 1})
    assert (dog.label, dog.tally.outcomes["rejected"]) == ("dog", 1)


@pytest.mark.parametrize(
    ("version", "number", "called"),
    [
        (BASE, None, BASE),
        (f"{BASE}-h12", 12, "head 12"),
        ("yolo-h", None, "yolo-h"),
        ("", None, "no prediction"),
        (None, None, "not recorded"),
    ],
)
def test_names_of_versions(version: str | None, number: int | None, called: str) -> None:
    assert (head_number(version), short(version)) == (number, called)


def metrics(value: float) -> Metrics:
    return Metrics(12, value, value, value, miou=float("nan"))


HEAD = HeadRow(
    1, True, True, 1795428024.0, "logistic", ("cat",), 9, metrics(0.25), metrics(0.5), "Better on 12 images."
)


@pytest.fixture
def page(tmp_path: Path) -> str:
    submissions = [
        made(ACCEPTED, EDITED, DRAWN, version=BASE if n < 10 else f"{BASE}-h1", at=1e9 + 3600 * n)
        for n in range(20)
    ]
    write_page(tmp_path / "deep" / "report.html", learning("<birds>", submissions, [HEAD], COSTS))
    return (tmp_path / "deep" / "report.html").read_text()


def test_page_shows_what_it_should(page: str) -> None:
    shown = " ".join(re.sub(r"<style.*?</style>|<[^>]+>", " ", page, flags=re.S).split())
    for words in (
        "How &lt;birds&gt; learns",
        "head 1",
        "0.90",  # mean IoU of 1 and 0.8
        "before 0.25",
        "Better on 12 images.",
        "Lin et al. 2014, section 4.3: over 22 worker hours per 1,000 segmentations",
        "an assumption",
        "Label Studio's clock says 10 min",
    ):
        assert words.replace("'", "&#39;") in shown or words in shown, words
    assert page.count('<svg class="plot"') == 4


def test_page_needs_nothing_from_elsewhere(page: str) -> None:
    assert not re.findall(r'(?:src|srcset|href)="|@import|url\(|<script', page)


def test_page_says_which_costs_are_not_the_published_ones(tmp_path: Path) -> None:
    write_page(tmp_path / "r.html", learning("x", [made(ACCEPTED)], [], CostModel(draw_mask=40)))
    page = (tmp_path / "r.html").read_text()
    assert "set here" in page
    assert "Lin et al." not in page


def test_pages_of_little(tmp_path: Path) -> None:
    """Nothing but a head, nothing but bulk, an annotation without regions."""
    for submissions in ([], [made(ACCEPTED, bulk=True)], [made()], [made(DRAWN, version=None)]):
        found = learning("x", submissions, [HEAD], COSTS)
        write_page(tmp_path / "r.html", found)
        json.dumps(as_json(found), allow_nan=False)
    assert latest({"": tally([made(DRAWN, version="")], COSTS)}) is None


def test_data() -> None:
    found = as_json(learning("x", [made(ACCEPTED, version=f"{BASE}-h3")], [HEAD], COSTS))
    (version,) = found["versions"]
    assert (version["head"], version["accepted"], version["mean_iou"]) == (3, 1, 1.0)
    assert found["all"]["seconds_saved"] == pytest.approx(76.6)
    assert found["heads"][0]["after"]["pq"] == 0.5
