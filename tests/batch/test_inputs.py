"""INPUT… → addresses and relative paths."""

from __future__ import annotations

import os
from pathlib import Path

import fsspec
import pytest

from labeler_backend.batch import inputs
from labeler_backend.batch.addresses import relative_path
from labeler_backend.errors import InputError


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two folders with equal names in them, and what must not be taken for images."""
    for name in (
        "one/a.jpg",
        "one/b c.PNG",
        "one/deep/er/ü.tif",
        "one/notes.md",
        "one/.hidden.jpg",
        "one/.git/x.png",
        "one/phone.HEIC",
        "two/a.jpg",
        "two/odd[1].jpg",
        "out/masks/a.jpg.png",
        "earlier/.labeler/state.sqlite",
        "earlier/masks/a.jpg.png",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(*texts: str, out: str = "out") -> list[str]:
    """Relative paths, in order."""
    sources = inputs.check(texts, Path(out))
    common = inputs.base(sources)
    return [relative_path(uri, common) for uri in inputs.walk(sources, Path(out))]


ONE = ["a.jpg", "b c.PNG", "deep/er/ü.tif", "phone.HEIC"]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        pytest.param(["one"], ONE, id="folder-recursive-sorted-images-only"),
        pytest.param(["one/"], ONE, id="folder-with-slash"),
        pytest.param(["one/a.jpg"], ["a.jpg"], id="one-file"),
        pytest.param(["one/notes.md"], ["notes.md"], id="a-named-file-is-tried-whatever-its-suffix"),
        pytest.param(["two/odd[1].jpg"], ["odd[1].jpg"], id="a-file-that-looks-like-a-glob"),
        pytest.param(["one/a.jpg", "two/a.jpg"], ["one/a.jpg", "two/a.jpg"], id="equal-names-stay-apart"),
        pytest.param(
            ["one", "two"],
            [f"one/{p}" for p in ONE] + ["two/a.jpg", "two/odd[1].jpg"],
            id="two-folders-stay-apart",
        ),
        pytest.param(["one/deep", "one/deep/er"], ["er/ü.tif", "er/ü.tif"], id="overlap-has-one-name"),
        pytest.param(["**/a.jpg"], ["one/a.jpg", "two/a.jpg"], id="quoted-glob"),
        pytest.param(["one/*"], ["a.jpg", "b c.PNG", "phone.HEIC"], id="glob-takes-images-only"),
        pytest.param(["one/../two"], ["a.jpg", "odd[1].jpg"], id="dots-are-resolved"),
        pytest.param(
            ["."],
            [f"one/{p}" for p in ONE] + ["two/a.jpg", "two/odd[1].jpg"],
            id="neither-this-output-nor-an-earlier-run's-is-input",
        ),
    ],
)
def test_paths(tree: Path, texts: list[str], expected: list[str]) -> None:
    assert found(*texts) == expected


def test_a_list_is_relative_to_itself_and_cannot_escape(tree: Path) -> None:
    Path("one/list.txt").write_text(
        f"\ufeffa.jpg\n\n# a comment\n../two/a.jpg\n{tree}/one/deep/er/ü.tif\r\n  {'../' * 30}etc/x.jpg \n",
        encoding="utf-8",
    )
    paths = found("one/list.txt")
    inside = "/".join(tree.parts[1:])
    assert paths[:3] == [f"{inside}/one/a.jpg", f"{inside}/two/a.jpg", f"{inside}/one/deep/er/ü.tif"]
    assert paths[3].endswith("etc/x.jpg")
    assert not any(p.startswith("/") or ".." in p.split("/") for p in paths)


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        pytest.param([], "No INPUT", id="nothing"),
        pytest.param(["one/missing.jpg"], "one/missing.jpg does not exist", id="missing-file"),
        pytest.param(["out"], "is both the input and --out", id="output-as-input"),
        pytest.param(["out/masks"], "holds what an earlier run wrote", id="masks-as-input"),
        pytest.param(["empty.txt"], "empty.txt lists no images", id="empty-list"),
        pytest.param(["binary.txt"], "is not UTF-8 text", id="binary-list"),
        pytest.param(["nowhere://x/y.jpg"], "scheme that is not known (nowhere)", id="unknown-scheme"),
    ],
)
def test_bad_inputs(tree: Path, texts: list[str], says: str) -> None:
    Path("empty.txt").write_text("\n# nothing\n")
    Path("binary.txt").write_bytes(b"\xff\xfe\x81")
    with pytest.raises(InputError) as caught:
        found(*texts)
    assert says in str(caught.value)


@pytest.mark.parametrize(("url", "extra"), [("s3://b/x.jpg", "s3"), ("gs://b/photos", "gcs")])
def test_a_missing_extra_is_named(tree: Path, monkeypatch: pytest.MonkeyPatch, url: str, extra: str) -> None:
    def missing(url: str) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    with pytest.raises(InputError, match=rf"pip install 'emergent-labeler\[{extra}\]'"):
        found(url)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        pytest.param(["memory://bucket/in"], ["a.jpg", "x/a.jpg", "x/b.png"], id="prefix"),
        pytest.param(["memory://bucket/in/x/b.png"], ["b.png"], id="one-file"),
        pytest.param(["memory://bucket/in/*/a.jpg"], ["x/a.jpg"], id="glob"),
        pytest.param(["memory://bucket/in/*/a.jpg", "two"], None, id="with-local"),
    ],
)
def test_other_file_systems(tree: Path, texts: list[str], expected: list[str] | None) -> None:
    memory = fsspec.filesystem("memory")
    for name in ("in/x/b.png", "in/a.jpg", "in/x/a.jpg", "in/readme.txt"):
        memory.pipe_file(f"/bucket/{name}", name.encode())
    paths = found(*texts)
    if expected is None:
        local = "file/" + "/".join(tree.parts[1:])
        expected = ["memory/bucket/in/x/a.jpg", f"{local}/two/a.jpg", f"{local}/two/odd[1].jpg"]
    assert paths == expected
    uri = next(inputs.walk(inputs.check(["memory://bucket/in"], Path("out")), Path("out")))
    assert inputs.read(uri) == b"in/a.jpg"
    with pytest.raises(InputError, match="does not exist"):
        inputs.read("memory://bucket/in/none.jpg")


def test_walking_is_lazy(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first image comes before the second folder has been looked at."""
    looked: list[str] = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: looked.append(str(path)) or scandir(path))
    sources = inputs.check(["one", "two"], Path("out"))
    walk = inputs.walk(sources, Path("out"))
    assert next(walk) == "one/a.jpg"
    assert looked == ["one"]
