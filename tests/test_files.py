"""Files are whole or not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from labeler_backend.files import part_of, replacing, write_bytes


def test_a_file_and_its_folders_come_whole_and_leave_nothing_beside(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.bin"
    write_bytes(path, b"first")
    write_bytes(path, b"second")
    assert path.read_bytes() == b"second"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("before", [pytest.param(None, id="new"), pytest.param(b"old", id="replaced")])
def test_what_fails_half_way_changes_nothing(tmp_path: Path, before: bytes | None) -> None:
    path = tmp_path / "a.bin"
    if before is not None:
        path.write_bytes(before)

    def fill_the_disk() -> None:
        with replacing(path) as part:
            part.write_bytes(b"half a")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        fill_the_disk()
    assert [p.read_bytes() for p in tmp_path.iterdir()] == ([] if before is None else [before])


def test_parts_are_hidden_and_found_by_their_ending(tmp_path: Path) -> None:
    parts = {part_of(tmp_path / "a.json"), part_of(tmp_path / "a.json", ".annotations")}
    assert len(parts) == 2
    assert all(part.match(".a.json.*.part") for part in parts)
