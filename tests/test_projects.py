from __future__ import annotations

from pathlib import Path

import pytest

from labeler_backend.errors import LabelerError
from labeler_backend.projects import aliases, names, project_folder, resolve, set_alias, studio_project


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("cats", id="letters"),
        pytest.param("0a1b2c3d-17", id="of a Label Studio"),
        pytest.param("A_b-c.d", id="all that is allowed"),
        pytest.param("x" * 64, id="as long as can be"),
    ],
)
def test_a_name_is_a_folder(tmp_path: Path, name: str) -> None:
    assert project_folder(tmp_path, name) == tmp_path / "projects" / name


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("", id="empty"),
        pytest.param("..", id="the folder above"),
        pytest.param(".hidden", id="hidden"),
        pytest.param("a/b", id="slash"),
        pytest.param("a\\b", id="backslash"),
        pytest.param("a b", id="space"),
        pytest.param("cats\n", id="newline at the end"),
        pytest.param("é", id="not ASCII"),
        pytest.param("x" * 65, id="too long"),
    ],
)
def test_other_names_are_refused(tmp_path: Path, name: str) -> None:
    for use in (project_folder, resolve):
        with pytest.raises(LabelerError, match="cannot be the name of a project"):
            use(tmp_path, name)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("http://localhost:8080", "http://localhost:8080/", id="slash at the end"),
        pytest.param("http://Studio.example", "HTTP://studio.EXAMPLE:80", id="case and usual port"),
        pytest.param("https://a.b", "https://a.b:443//", id="usual port of https"),
        pytest.param("https://a.b/ls", "https://me:secret@a.b/ls?x=1#y", id="what is no part of the place"),
    ],
)
def test_one_label_studio_has_one_name(one: str, other: str) -> None:
    assert studio_project(one, 1) == studio_project(other, "1.1795428142")


def test_projects_of_label_studios_stay_apart(tmp_path: Path) -> None:
    places = ["http://a", "https://a", "http://a:8080", "http://a/b", "http://b"]
    found = {studio_project(place, number) for place in places for number in (1, 2, 11)}
    assert len(found) == 15
    assert all(project_folder(tmp_path, name).name == name for name in found)


@pytest.mark.parametrize(
    ("url", "number"),
    [
        pytest.param("localhost:8080", 1, id="no scheme"),
        pytest.param("http://", 1, id="no host"),
        pytest.param("http://a:port", 1, id="no port"),
        pytest.param("http://[a", 1, id="broken brackets"),
        pytest.param("http://a", "", id="no number"),
        pytest.param("http://a", "../1", id="a path"),
        pytest.param("http://a", -1, id="negative"),
        pytest.param("http://a", "²", id="a digit that is no number"),
    ],
)
def test_what_is_no_project(url: str, number: int | str) -> None:
    with pytest.raises(LabelerError):
        studio_project(url, number)


def test_an_alias_leads_to_its_project(tmp_path: Path) -> None:
    set_alias(tmp_path, "nuts", "0a1b2c3d-17")
    set_alias(tmp_path, "walnuts", "nuts")
    assert resolve(tmp_path, "walnuts") == resolve(tmp_path, "0a1b2c3d-17") == "0a1b2c3d-17"
    assert resolve(tmp_path, "unheard-of") == "unheard-of"
    set_alias(tmp_path, "nuts", "other")
    assert aliases(tmp_path) == {"nuts": "other", "walnuts": "0a1b2c3d-17"}


def test_an_alias_never_hides_a_project(tmp_path: Path) -> None:
    project_folder(tmp_path, "cats").mkdir(parents=True)
    with pytest.raises(LabelerError, match="a project called cats"):
        set_alias(tmp_path, "cats", "dogs")
    with pytest.raises(LabelerError, match="alias of itself"):
        set_alias(tmp_path, "dogs", "dogs")
    assert aliases(tmp_path) == {}


def test_only_projects_are_listed(tmp_path: Path) -> None:
    assert names(tmp_path) == []
    set_alias(tmp_path, "x", "b")
    for name in ("b", "a", ".trash"):
        (tmp_path / "projects" / name).mkdir()
    assert names(tmp_path) == ["a", "b"]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("{", id="cut off"),
        pytest.param("[]", id="a list"),
        pytest.param('{"a": "../b"}', id="a way out"),
    ],
)
def test_damaged_aliases_are_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "projects").mkdir()
    (tmp_path / "projects" / "aliases.json").write_text(content)
    with pytest.raises(LabelerError, match="which holds the aliases"):
        resolve(tmp_path, "a")
    with pytest.raises(LabelerError, match="which holds the aliases"):
        set_alias(tmp_path, "c", "d")
    assert (tmp_path / "projects" / "aliases.json").read_text() == content
