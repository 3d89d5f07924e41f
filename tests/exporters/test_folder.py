"""Folders that are either whole or not there, whatever ends the run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from exporters.folder import building
from labeler_backend.errors import LabelerError

ROOT = Path(__file__).parents[2]


def export(folder: Path, text: str) -> None:
    """An earlier export."""
    folder.mkdir(parents=True)
    (folder / "export_report.json").write_text("{}")
    (folder / "a.txt").write_text(text)


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def killed(folder: Path, body: str) -> None:
    """Runs `body` in a process that ends by kill -9."""
    script = "import os, signal\nfrom pathlib import Path\nfrom exporters.folder import building\n"
    script += f"folder = Path({str(folder)!r})\n" + textwrap.dedent(body)
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, timeout=60)
    assert done.returncode == -signal.SIGKILL


def test_a_block_that_ends_well(tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    with building(out, overwrite=False) as part:
        assert part.parent == out.parent
        assert not out.exists()
        (part / "a.txt").write_text("a")
    assert (out / "a.txt").read_text() == "a"
    assert left(out.parent) == ["out"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("before", [False, True])
def test_a_block_that_ends_early(tmp_path: Path, error: type[BaseException], before: bool) -> None:
    out = tmp_path / "out"
    if before:
        export(out, "old")

    def run() -> None:
        with building(out, overwrite=True) as part:
            (part / "a.txt").write_text("new")
            raise error

    with pytest.raises(error):
        run()
    assert left(tmp_path) == (["out"] if before else [])
    assert not before or (out / "a.txt").read_text() == "old"


def test_an_empty_folder_and_a_link_to_one(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "real")
    with building(tmp_path / "out", overwrite=False) as part:
        (part / "a.txt").write_text("a")
    assert (tmp_path / "out").is_symlink()
    assert left(tmp_path / "real") == ["a.txt"]


def test_overwrite_replaces_an_export_with_all_it_holds(tmp_path: Path) -> None:
    export(tmp_path / "out", "old")
    with building(tmp_path / "out", overwrite=True) as part:
        (part / "b.txt").write_text("new")
    assert left(tmp_path) == ["out"]
    assert left(tmp_path / "out") == ["b.txt"]


def _export(out: Path) -> None:
    export(out, "old")


def _foreign(out: Path) -> None:
    out.mkdir()
    (out / "thesis.txt").write_text("x")


def _below_a_file(out: Path) -> None:
    out.parent.rmdir()
    out.parent.write_text("x")


@pytest.mark.parametrize(
    ("make", "overwrite", "sentence"),
    [
        pytest.param(_export, False, "replace it with --overwrite", id="an export"),
        pytest.param(_foreign, False, "no export of ours", id="somebody's files"),
        pytest.param(_foreign, True, "no export of ours", id="somebody's files, overwrite"),
        pytest.param(lambda out: out.write_text("x"), True, "is a file", id="a file"),
        pytest.param(_below_a_file, False, "a folder above it is a file", id="below a file"),
    ],
)
def test_folders_that_stay(tmp_path: Path, make: object, overwrite: bool, sentence: str) -> None:
    (tmp_path / "in").mkdir()
    out = tmp_path / "in" / "out"
    make(out)  # type: ignore[operator]
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(LabelerError, match=sentence), building(out, overwrite):
        pytest.fail("it was taken")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", [".", "..", "/", "/proc"])
def test_folders_that_cannot_be_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    if name == "/proc" and not os.path.ismount(name):
        pytest.skip("needs a mounted folder")
    with (
        pytest.raises(LabelerError, match=r"cannot be replaced: give one below it"),
        building(Path(name), True),
    ):
        pytest.fail("it was taken")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_no_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(LabelerError, match="check the permissions"), building(tmp_path / "out", False):
        pytest.fail("it was taken")


def test_a_full_disk_is_a_sentence(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("needs /dev/full")

    def run() -> None:
        with building(tmp_path / "out", False) as part:
            (part / "big").symlink_to(full)
            (part / "big").write_bytes(b"x" * 10_000)

    with pytest.raises(LabelerError, match=r"disk is full.*make room"):
        run()
    assert left(tmp_path) == []


def test_one_run_at_a_time(tmp_path: Path) -> None:
    with building(tmp_path / "out", False) as part:
        with pytest.raises(LabelerError, match="Another export into"), building(tmp_path / "out", False):
            pytest.fail("both run")
        assert part.is_dir()
        with building(tmp_path / "other", False):
            pass
    assert left(tmp_path) == ["other", "out"]


def test_the_next_run_clears_up_after_kill_9(tmp_path: Path) -> None:
    out = tmp_path / "out"
    killed(
        out,
        """
        with building(folder, False) as part:
            (part / "a.txt").write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
        """,
    )
    assert not out.exists()
    assert any(name.endswith(".part") for name in left(tmp_path))
    with building(out, False) as part:
        assert left(part) == []
    assert left(tmp_path) == ["out"]


@pytest.mark.parametrize("renames", [0, 1, 2])
def test_kill_9_while_an_export_is_replaced_loses_neither(tmp_path: Path, renames: int) -> None:
    out = tmp_path / "out"
    export(out, "old")
    killed(
        out,
        f"""
        done, rename = [], os.rename
        def dying(*given, **more):
            if len(done) == {renames}:
                os.kill(os.getpid(), signal.SIGKILL)
            done.append(given)
            return rename(*given, **more)
        os.rename = dying
        Path.rename = lambda self, target: dying(self, target)
        with building(folder, True) as part:
            (part / "export_report.json").write_text("{{}}")
            (part / "a.txt").write_text("new")
        """,
    )
    assert out.exists() == (renames != 1)
    # A run that fails has repaired all the same.
    with pytest.raises(LabelerError, match="--overwrite"), building(out, False):
        pytest.fail("it was taken")
    assert (out / "a.txt").read_text() == ("new" if renames == 2 else "old")
    assert left(tmp_path) == ["out"]
