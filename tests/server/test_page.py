from __future__ import annotations

import base64
import hashlib
import re
import time

import pytest

from labeler_backend.server.page import ago, count, render_status, size, web
from labeler_backend.server.protocol import StatusReport
from tests.server import fakes
from tests.server.live import running


def page(report: StatusReport) -> str:
    return render_status(report, time.time())


def text(html: str) -> str:
    body = re.sub(r"<(style|script).*?</\1>|<[^>]+>", " ", html.partition("<body>")[2], flags=re.S)
    return " ".join(body.replace("\u202f", "").split())


def test_empty_page_says_how_to_begin() -> None:
    shown = text(page(fakes.idle()))
    assert "not loaded yet" in shown
    assert "Connect this backend in Label Studio" in shown
    assert "Last failures None." in shown


def test_busy_page_shows_what_is_going_on() -> None:
    shown = text(page(fakes.busy()))
    for words in (
        "ready",
        "images done 12873",
        "waiting 1355",
        "cpu, bf16",
        "batches 1312",
        "All done in about 6 min",
        "1304 accepted as they were",
        "288 edited",
        "411 rejected",
        "97 drawn by hand",
        "about 11.4 h saved, by estimate",
        "fake-1 42 % accepted · IoU 0.70 head 1 50 % accepted · IoU 0.80 head 2 56 % accepted · IoU 0.90",
        "Project 9 1 task pre-annotated, 0 submitted Nothing submitted yet.",
        "Head 3 answers as fake-1-h3 : car, van · logistic, from 212 images",
        "on 40 held out: panoptic quality 0.41 → 0.53, AP50 0.50 → 0.61, foreground IoU 0.80 → 0.84 Training",
        "Training (10 annotations) for 30 s: fitting.",
        "7 annotations until the next training.",
        "Last training, 2 min ago: failed. There is &lt;b&gt;no&lt;/b&gt; accepted region.",
        "1 annotation until the next training.",
        "'quality' (Choices) gets no answer",
        "task 77 The task has no",
        "not tried again",
        "3.4 GB of 10.0 GB · 24 % hits",
        "task 31 1250 of 3000 frames · 11 min left task 4 waiting Tracks are served",
    ):
        assert words.replace("'", "&#39;") in shown


def test_page_of_a_broken_model_says_why() -> None:
    assert "failed" in text(page(fakes.broken()))
    assert "set HTTPS_PROXY" in text(page(fakes.broken()))


def test_what_others_wrote_is_only_text() -> None:
    report = fakes.busy()
    evil = "<img src=x onerror=alert(1)>"
    report.projects[0].title = evil
    report.projects[0].link = "javascript:alert(1)"
    report.projects[0].notes = [evil]
    report.failures[0].reason = evil
    html = page(report)
    assert evil not in html
    assert "alert(1)" in text(html)
    assert 'href="javascript' not in html
    assert "task=512" in html  # a proper link is one


def test_page_needs_nothing_from_elsewhere() -> None:
    html = page(fakes.busy())
    assert not re.findall(r'(?:src|srcset)="|@import|url\(', html)
    assert set(re.findall(r'<(?:link|script)[^>]*href="([^":]*):', html)) == {"data"}


def test_only_the_own_script_may_run() -> None:
    with running(fakes.FakeService(report=fakes.busy())) as client:
        answer = client.get("/status")
        start = client.get("/")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    scripts = re.findall(r"<script>(.*?)</script>", answer.text, re.S)
    assert len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in policy
    assert "default-src 'none'" in policy
    assert (start.status_code, start.headers["location"]) == (303, "status")


def test_status_as_data_is_what_the_page_shows() -> None:
    report = fakes.busy()
    with running(fakes.FakeService(report=report)) as client:
        assert StatusReport.model_validate(client.get("/status.json").json()) == report


@pytest.mark.parametrize(
    ("number", "shown"), [(0, "0"), (999, "999"), (1500, "1\u202f500"), (1234567, "1\u202f234\u202f567")]
)
def test_count(number: int, shown: str) -> None:
    assert count(number) == shown


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (612_000, "612 kB"),
        (999_600, "1.0 MB"),
        (3e15, "3000.0 TB"),
    ],
)
def test_size(number: float, shown: str) -> None:
    assert size(number) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(-3, "0 s"), (59.6, "60 s"), (61, "1 min"), (7200, "2 h"), (200_000, "2 d")]
)
def test_ago(seconds: float, shown: str) -> None:
    assert ago(seconds) == shown


@pytest.mark.parametrize(
    ("link", "leads"),
    [
        ("http://x/1", True),
        ("HTTPS://x/1", True),
        ("javascript:alert(1)", False),
        (" javascript:alert(1)", False),
        ("data:text/html,x", False),
        ("//x", False),
        ("http://[", False),
        ("", False),
        (None, False),
    ],
)
def test_web(link: str | None, leads: bool) -> None:
    assert web(link) == (link if leads else None)
