"""The page about one image: self-contained, complete, safe against odd names; the command that makes it."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from labeler_backend import cli
from labeler_backend.cli import loading
from labeler_backend.proposals.propose import propose
from labeler_backend.proposals.roles import HeadRoles
from labeler_backend.report.inspect import Inspection, role_of, write_inspection
from tests.report.fakes import ROLES, color_features, picture
from tests.report.test_page import NAME, Tags


def page(tmp_path: Path, roles: HeadRoles = ROLES) -> tuple[str, Inspection]:
    image = picture()
    features = color_features(image)
    proposals = propose(image, features, roles)
    shown = Inspection(
        NAME, image, features, roles, proposals, "colors", {"device": "none"}, {"encode": 0.02}
    )
    write_inspection(tmp_path / "page.html", shown)
    return (tmp_path / "page.html").read_text(encoding="utf-8"), shown


def test_is_self_contained_and_shows_everything(tmp_path: Path) -> None:
    text, shown = page(tmp_path)
    tags = Tags(text)
    assert not tags.all("link")
    assert not re.search(r"https?://", text)
    assert all((image["src"] or "").startswith("data:image/jpeg;base64,") for image in tags.all("img"))
    assert [image["alt"] for image in tags.all("img")].count("Principal components") == 2
    assert {f"Attention of head {head}" for head in range(3)} <= {image["alt"] for image in tags.all("img")}
    assert re.findall(r'class="role (\w+)"', text) == ["figure", "neither", "ground"]
    assert "agreement +0.50" in text
    assert "agreement −0.40" in text
    assert shown.proposals
    assert len(tags.all("path")) == len(shown.proposals)
    assert "20 ms" in text


def test_odd_names_are_text(tmp_path: Path) -> None:
    text, _ = page(tmp_path)
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text


@pytest.mark.parametrize(
    ("agreement", "expected"),
    [
        pytest.param((0.5, -0.5, 0.0), ["figure", "ground", "neither"], id="one of each"),
        pytest.param((0.5, 0.4, 0.3), ["figure"] * 3, id="no ground head"),
    ],
)
def test_roles(tmp_path: Path, agreement: tuple[float, ...], expected: list[str]) -> None:
    roles = HeadRoles(agreement)
    assert [role_of(head, roles) for head in range(3)] == expected
    text, _ = page(tmp_path, roles)
    assert re.findall(r'class="role (\w+)"', text) == expected
    assert ("has no ground head" in text) == ("ground" not in expected)


def refuse(*settings: object, cached: bool) -> None:
    raise AssertionError("the model was loaded before the input was looked at")


@pytest.mark.parametrize(
    ("image", "out", "sentence"),
    [
        pytest.param("no.jpg", "a.html", "does not exist", id="no image"),
        pytest.param("text.jpg", "a.html", "is not an image", id="not an image"),
        pytest.param("ok.png", ".", "is a folder: give --out the name of a file", id="out is a folder"),
        pytest.param("ok.png", "text.jpg/a.html", "cannot be written", id="out is below a file"),
    ],
)
def test_bad_input_is_one_line_before_the_model_loads(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, image: str, out: str, sentence: str
) -> None:
    monkeypatch.setattr(loading, "load_proposer", refuse)
    Image.fromarray(picture()).save(tmp_path / "ok.png")
    (tmp_path / "text.jpg").write_text("no image")
    result = CliRunner().invoke(
        cli.app, ["inspect", str(tmp_path / image), "--out", str(tmp_path / out), "--json"]
    )
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("labeler: ")
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1
    assert sorted(os.listdir(tmp_path)) == ["ok.png", "text.jpg"]


@pytest.mark.weights
def test_the_command_on_a_real_picture(tmp_path: Path) -> None:
    Image.fromarray(picture()).save(tmp_path / "cup.png")
    out = tmp_path / "new" / "page.html"
    result = CliRunner().invoke(
        cli.app,
        [
            "inspect",
            str(tmp_path / "cup.png"),
            "--out",
            str(out),
            "--device",
            "cpu",
            "--size",
            "280",
            "--json",
        ],
    )
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert (found["path"], found["image_size"], found["input_size"]) == (str(out), [400, 600], [182, 280])
    assert found["grid"] == [13, 20]
    assert len(found["roles"]["agreement"]) == 6
    assert found["roles"]["ground"] == [3]
    assert set(found["seconds"]) == {"load", "encode", "propose", "page"}
    text = out.read_text(encoding="utf-8")
    assert len(Tags(text).all("path")) == found["proposals"] > 0
    assert text.count('class="role figure"') == 5
