"""report.html: self-contained, honest about what it leaves out, safe against odd names."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from skimage import data as samples

from labeler_backend.batch.types import Failure, Job, Summary
from labeler_backend.report.page import MAX_FAILURES, ReportData, shares, write_report
from labeler_backend.report.preview import preview
from labeler_backend.report.rendering import duration
from tests.batch.fakes import OtsuProposer

NAME = 'a folder/<script>alert("x")</script> ünï #1 100%.jpg'


class Tags(HTMLParser):
    """All tags, with attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


def page(tmp_path: Path, done: int = 1, failed: int = 0, overlays: bool = True) -> str:
    """A report on one real preview."""
    proposer = OtsuProposer()
    image = samples.coffee()
    proposals = proposer.propose(image, proposer.encode([image])[0])
    shown = {**preview(image, proposals), "path": NAME, "note": "the first of its 3 frames is used"}
    summary = Summary(
        str(tmp_path), done + failed, done, failed, 5, done, 2.0, {"decode": 1.0, "backbone": 3.0}
    )
    failures = (Failure(Job(i, f"bad{i}.jpg", ""), "decode", "is <empty>: mend it") for i in range(failed))
    data = ReportData(tmp_path, {"model": "otsu", "overlays": overlays}, summary, iter([shown]), failures)
    write_report(tmp_path / "report.html", data)
    return (tmp_path / "report.html").read_text(encoding="utf-8")


def test_is_self_contained(tmp_path: Path) -> None:
    tags = Tags(page(tmp_path))
    assert not tags.all("link")
    assert all("src" not in script for script in tags.all("script"))
    assert not re.search(r"https?://", page(tmp_path))
    (image,) = tags.all("image")
    assert (image["href"] or "").startswith("data:image/jpeg;base64,")
    assert len(tags.all("path")) == 5
    scores = [float(path["data-score"] or 0) for path in tags.all("path")]
    assert scores == sorted(scores)  # the best is drawn last, on top


def test_odd_names_are_text_and_links_reach_them(tmp_path: Path) -> None:
    text = page(tmp_path)
    assert "<script>alert" not in text
    links = [unquote(a["href"] or "") for a in Tags(text).all("a")]
    assert f"masks/{NAME}.png" in links
    assert f"overlays/{NAME}.jpg" in links
    assert "the first of its 3 frames is used" in text


def test_without_overlays_nothing_links_to_them(tmp_path: Path) -> None:
    assert not any(
        (a["href"] or "").startswith("overlays") for a in Tags(page(tmp_path, overlays=False)).all("a")
    )


def test_failures_are_listed_up_to_a_limit_that_is_named(tmp_path: Path) -> None:
    text = page(tmp_path, failed=MAX_FAILURES + 7)
    assert text.count("is &lt;empty&gt;: mend it") == MAX_FAILURES
    assert f"The first {MAX_FAILURES}; all of them stand in" in text
    assert "--resume" in text
    assert 'id="failures"' not in page(tmp_path)


def test_the_number_of_images_left_out_is_known_to_the_page(tmp_path: Path) -> None:
    assert 'data-done="1234"' in page(tmp_path, done=1234)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (59.94, "59.9 s"),
        (125, "2 min 5 s"),
        (3599, "59 min 59 s"),
        (3600, "1 h 0 min"),
        (7320, "2 h 2 min"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_shares() -> None:
    assert shares({"a": 1.0, "b": 3.0}) == [("a", 1.0, 25.0), ("b", 3.0, 75.0)]
    assert shares({"a": 0.0}) == []
