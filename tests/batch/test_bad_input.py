"""Bad input through the CLI: one line each in failures.jsonl, the rest goes through, exit 1 with a count."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data as samples
from typer.testing import CliRunner

from labeler_backend import cli
from labeler_backend.cli import loading
from tests.batch.conftest import write_pictures
from tests.batch.fakes import OtsuProposer
from tests.test_media import GREY16, animated, encoded, header_of, photo, rotated, with_alpha

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Case:
    """A file, and what becomes of it: upright (width, height), or what failures.jsonl says."""

    name: str
    data: bytes
    size: tuple[int, int] = (128, 96)
    says: str = ""


CASES = [
    pytest.param(
        Case("truncated.jpg", encoded(photo(), "JPEG")[:1500], says="damaged or cut off"), id="truncated"
    ),
    pytest.param(Case("zero.jpg", b"", says="is empty (0 bytes)"), id="zero-byte"),
    pytest.param(
        Case("text.png", b"I am not an image\n", says="not an image that can be read"), id="non-image"
    ),
    pytest.param(Case("phone.heic", b"\0\0\0\x18ftypheic", says="not supported (HEIC)"), id="heic"),
    pytest.param(Case("dot.png", encoded(Image.new("RGB", (1, 1)), "PNG"), says="1×1 pixels"), id="1x1"),
    pytest.param(Case("vast.png", header_of(20000, 20000), says="--max-pixels 400000000"), id="20000x20000"),
    pytest.param(Case("grey.png", encoded(photo("L"), "PNG")), id="grey"),
    pytest.param(Case("cmyk.jpg", encoded(photo("CMYK"), "JPEG")), id="cmyk"),
    pytest.param(Case("deep.png", encoded(Image.fromarray(GREY16), "PNG"), (80, 64)), id="16-bit"),
    pytest.param(Case("alpha.png", with_alpha()), id="alpha"),
    pytest.param(Case("palette.gif", encoded(photo().quantize(64), "GIF")), id="palette"),
    pytest.param(Case("moving.gif", animated("GIF")), id="animated"),
    pytest.param(Case("turned.jpg", rotated(6), (96, 128)), id="exif-rotated"),
    pytest.param(Case("sub folder/ünï cödé %20 #1.jpg", encoded(photo(), "JPEG")), id="unicode-and-spaces"),
    pytest.param(Case("other/grey.png", encoded(photo("L"), "PNG")), id="duplicate-basename"),
]


@pytest.fixture(autouse=True)
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CLI with the proposer that needs no weights."""
    monkeypatch.setattr(loading, "load_proposer", lambda *settings: OtsuProposer())


def labeler(*arguments: str | Path) -> tuple[int, str, str]:
    """(exit code, stdout, stderr)."""
    result = CliRunner().invoke(cli.app, [str(a) for a in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def check(out: Path, cases: list[Case], good: int) -> None:
    """What a run over `cases` and `good` sound pictures must leave."""
    failures = {f["path"]: f for f in map(json.loads, (out / "failures.jsonl").read_text().splitlines())}
    assert set(failures) == {case.name for case in cases if case.says}
    for case in cases:
        if case.says:
            assert case.says in failures[case.name]["reason"]
            assert failures[case.name]["stage"] == "decode"
    written = json.loads((out / "annotations.json").read_text())
    sizes = {image["file_name"]: (image["width"], image["height"]) for image in written["images"]}
    assert len(sizes) == good + sum(not case.says for case in cases)
    for case in cases:
        assert sizes.get(case.name) == (None if case.says else case.size)
    masks = {str(path.relative_to(out / "masks")) for path in (out / "masks").rglob("*") if path.is_file()}
    assert masks == {f"{name}.png" for name in sizes}
    for name, (width, height) in sizes.items():
        assert Image.open(out / "masks" / f"{name}.png").size == (width, height)
    for segmentation in (a["segmentation"] for a in written["annotations"]):
        assert tuple(segmentation["size"][::-1]) in set(sizes.values())
    assert not list(out.rglob("*.part"))
    page = (out / "report.html").read_text()
    assert all(case.says in page for case in cases if case.says)


@pytest.mark.parametrize("case", CASES)
def test_singly(tmp_path: Path, case: Case) -> None:
    path = tmp_path / "in" / case.name
    path.parent.mkdir(parents=True)
    path.write_bytes(case.data)
    code, _, stderr = labeler("masks", tmp_path / "in", "--out", tmp_path / "out")
    assert code == (1 if case.says else 0)
    assert ("1 of 1 images failed" in stderr) == bool(case.says)
    check(tmp_path / "out", [case], 0)


def test_all_in_one_go(tmp_path: Path) -> None:
    cases: list[Case] = [case.values[0] for case in CASES]  # type: ignore[misc]
    for case in cases:
        path = tmp_path / "in" / case.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(case.data)
    write_pictures(tmp_path / "in", 4)
    code, stdout, stderr = labeler("masks", tmp_path / "in", "--out", tmp_path / "out", "--json")
    bad = sum(bool(case.says) for case in cases)
    assert code == 1
    assert json.loads(stdout)["failed"] == bad
    assert stderr == ""
    check(tmp_path / "out", cases, 4)


def test_the_pixel_cap_is_lifted_by_the_flag_the_sentence_names(tmp_path: Path) -> None:
    picture = write_pictures(tmp_path / "in", 1)[0]
    code, _, _ = labeler("masks", picture, "--out", tmp_path / "out", "--max-pixels", "30000")
    assert code == 1
    reason = json.loads((tmp_path / "out" / "failures.jsonl").read_text())["reason"]
    flag = reason.partition("allow it with ")[2].rstrip(".").split()
    assert flag == ["--max-pixels", str(160 * 224)]
    assert labeler("masks", picture, "--out", tmp_path / "out", "--resume", *flag)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(["empty", "--out", "out"], "No images were found in empty", id="empty-folder"),
        pytest.param(
            ["none/*.jpg", "--out", "out"], "No images were found in none/*.jpg", id="glob-without-match"
        ),
        pytest.param(["nothing.jpg", "--out", "out"], "nothing.jpg does not exist", id="missing"),
        pytest.param(["empty", "--out", "empty"], "both the input and --out", id="output-is-input"),
        pytest.param(["a.jpg", "--out", "a.jpg"], "is a file: give --out a folder", id="output-is-a-file"),
        pytest.param(["a.jpg", "--out", "a.jpg/x"], "cannot be written to", id="output-below-a-file"),
        pytest.param(
            ["a.jpg", "--out", "o", "--resume", "--overwrite"], "contradict each other", id="both-flags"
        ),
        pytest.param(["blank.txt", "--out", "out"], "lists no images", id="empty-list"),
    ],
)
def test_bad_arguments_are_one_line_and_exit_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("blank.txt").write_text("\n")
    write_pictures(Path("."), 1)[0].rename("a.jpg")
    code, stdout, stderr = labeler("masks", *arguments)
    assert (code, stdout) == (2, "")
    assert says in stderr
    assert stderr.startswith("labeler: ")
    assert stderr.count("\n") == 1
    assert not Path("out").exists()


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A folder another user may enter, which pytest's own is not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


# The first run imports all there is to import: the other user may not be allowed to read this Python.
AS_NOBODY = """
import os, sys, tempfile
from pathlib import Path
from typer.testing import CliRunner
from labeler_backend import cli
from labeler_backend.cli import loading
from tests.batch.conftest import write_pictures
from tests.batch.fakes import OtsuProposer
loading.load_proposer = lambda *settings: OtsuProposer()
with tempfile.TemporaryDirectory() as warm:
    write_pictures(Path(warm, "in"), 1)
    Path(warm, "in", "bad.jpg").touch()
    assert CliRunner().invoke(cli.app, ["masks", warm + "/in", "--out", warm + "/out"]).exit_code == 1
    assert CliRunner().invoke(cli.app, ["masks", warm + "/none", "--out", warm + "/out"]).exit_code == 2
if os.getuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
cli.main()
"""


def as_nobody(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The CLI as a user whom permissions bind."""
    command = [sys.executable, "-c", AS_NOBODY, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


posix = pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")


@posix
def test_read_only_output(open_to_all: Path) -> None:
    write_pictures(open_to_all / "in", 1)
    (open_to_all / "out").mkdir(mode=0o555)
    done = as_nobody("masks", open_to_all / "in", "--out", open_to_all / "out")
    assert (done.returncode, done.stdout) == (2, "")
    assert "cannot be written to" in done.stderr
    assert done.stderr.count("\n") == 1
    assert list((open_to_all / "out").iterdir()) == []


@posix
def test_output_that_became_read_only(open_to_all: Path) -> None:
    write_pictures(open_to_all / "in", 1)
    out = open_to_all / "out"
    out.mkdir()
    out.chmod(0o777)
    assert as_nobody("masks", open_to_all / "in", "--out", out).returncode == 0
    for folder, _, names in os.walk(out):
        for name in names:
            os.chmod(os.path.join(folder, name), 0o444)
        os.chmod(folder, 0o555)
    if os.getuid() == 0:
        os.chown(out / ".labeler", 0, 0)
        os.chown(out / ".labeler" / "state.sqlite", 0, 0)
    done = as_nobody("masks", open_to_all / "in", "--out", out, "--resume")
    for folder, _, _ in os.walk(out):
        os.chmod(folder, 0o755)
    assert done.returncode == 2
    assert "cannot be written to" in done.stderr
    assert done.stderr.count("\n") == 1


@posix
def test_unreadable_files_and_folders(open_to_all: Path) -> None:
    write_pictures(open_to_all / "in", 2)
    write_pictures(open_to_all / "in" / "closed", 2)
    (open_to_all / "in" / "0000.jpg").chmod(0)
    (open_to_all / "in" / "closed").chmod(0)
    (open_to_all / "out").mkdir()
    (open_to_all / "out").chmod(0o777)
    done = as_nobody("masks", open_to_all / "in", "--out", open_to_all / "out")
    (open_to_all / "in" / "closed").chmod(0o755)
    assert done.returncode == 1, done.stderr
    assert "2 of 3 images failed" in done.stderr
    lines = (open_to_all / "out" / "failures.jsonl").read_text().splitlines()
    reasons = {f["path"]: f["reason"] for f in map(json.loads, lines)}
    assert "may not be read: change its permissions" in reasons["0000.jpg"]
    assert "is a folder that may not be read" in reasons["closed"]


def test_a_real_photo_of_20000_by_20000_is_refused_at_once(tmp_path: Path) -> None:
    """A sound file, not only a header: JPEG keeps flat colour small, so it costs nothing to carry."""
    Image.MAX_IMAGE_PIXELS = None
    flat = Image.fromarray(np.full((1250, 1250), samples.camera()[0, 0])).resize(
        (20000, 20000), Image.Resampling.NEAREST
    )
    (tmp_path / "in").mkdir()
    flat.save(tmp_path / "in" / "vast.jpg", quality=10)
    code, _, _ = labeler("masks", tmp_path / "in", "--out", tmp_path / "out")
    assert code == 1
    assert "--max-pixels 400000000" in (tmp_path / "out" / "failures.jsonl").read_text()
