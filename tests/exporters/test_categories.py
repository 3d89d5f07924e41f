from pathlib import Path

import pytest

from exporters.categories import Categories
from labeler_backend.errors import LabelerError


def test_ids_stay_and_new_ones_follow_the_largest(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "categories.json"
    first = Categories(names=["car", "Straße"])
    assert [first.id_of(label) for label in ("dog", "car", None, "", "object")] == [3, 1, 4, 4, 4]
    first.save(path)
    assert list(path.parent.iterdir()) == [path]
    again = Categories.load(path, names=["new", "dog"])
    assert again.names == {"car": 1, "Straße": 2, "dog": 3, "object": 4, "new": 5}
    assert Categories({"b": 7, "a": 2}).id_of("c") == 8
    assert list(Categories({"b": 7, "a": 2}).names) == ["a", "b"]


def test_without_a_file_nothing_is_known(tmp_path: Path) -> None:
    assert Categories.load(tmp_path / "none.json", names=["x"]).names == {"x": 1}


def test_what_is_given_out_is_a_copy() -> None:
    categories = Categories(names=["a"])
    categories.names["b"] = 1
    assert categories.names == {"a": 1}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(b'{"a": 1, "b": 1}', "same id 1", id="an id twice"),
        pytest.param(b'{"a": 1, "a": 2}', "'a' twice", id="a name twice"),
        pytest.param(b'{"a": 0}', "'a' no id of 1", id="zero"),
        pytest.param(b'{"a": true}', "no id of 1", id="a truth value"),
        pytest.param(b'{"a": 1.5}', "no id of 1", id="a fraction"),
        pytest.param(b'{"a": {"b": 1}}', "no id of 1", id="nested"),
        pytest.param(b'{"": 1}', "no id of 1", id="no name"),
        pytest.param(b'["a"]', "not a JSON object", id="a list"),
        pytest.param(b"[]", "not a JSON object", id="an empty list"),
        pytest.param(b'{"a": 1', "not JSON", id="half-written"),
        pytest.param(b"", "not JSON", id="empty"),
        pytest.param(b"\xff\xfe{", "not JSON", id="not text"),
        pytest.param(b"[" * 100_000, "not JSON", id="too deep"),
    ],
)
def test_damaged_files(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "categories.json"
    path.write_bytes(content)
    with pytest.raises(LabelerError, match=said) as caught:
        Categories.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(LabelerError, match="cannot be read"):
        Categories.load(tmp_path)


def test_where_nothing_can_be_saved_a_sentence_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LabelerError, match=r"Categories cannot be saved in .*ids\.json"):
        Categories().save(tmp_path / "file" / "ids.json")
