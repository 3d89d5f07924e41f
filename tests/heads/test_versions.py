"""Versions of heads: whole or not there, whatever interrupts; sealed; back to any of them."""

from __future__ import annotations

import builtins
import errno
import json
import math
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labeler_backend.heads import version_files
from labeler_backend.heads.errors import HeadError
from labeler_backend.heads.head import Head
from labeler_backend.heads.self_test import check_head
from labeler_backend.heads.training import Trained
from labeler_backend.heads.versions import CURRENT, Versions
from tests.heads.made_heads import metrics, same, sample, trained


@pytest.fixture
def versions(tmp_path: Path) -> Versions:
    """Of a project that has none yet."""
    return Versions(tmp_path / "heads")


def published(versions: Versions, *better: bool) -> Versions:
    """A version for each."""
    for one in better:
        versions.publish(trained(one), instead_of=versions.serving())
    return versions


def test_before_the_first(versions: Versions) -> None:
    assert (versions.list(), versions.numbers(), versions.current(), versions.serving()) == (
        [],
        [],
        None,
        None,
    )
    assert not versions.folder.exists()  # looking leaves nothing behind
    with pytest.raises(HeadError, match=r"There is no head in .*000001"):
        versions.load(1)


def test_what_is_published_comes_back(versions: Versions) -> None:
    made = trained()
    version = versions.publish(made, instead_of=None)
    assert (version.number, version.promoted, version.kind, version.classes) == (
        1,
        True,
        "logistic",
        ("square",),
    )
    assert (version.n_images, version.n_held_out, version.reason) == (3, 4, "It is better.")
    assert version == versions.current() or math.isnan(version.after.miou)  # nan is not itself
    assert version.after is not None
    assert version.after.per_image == metrics(0.5).per_image
    assert version.json()["after"]["miou"] is None
    assert json.loads(json.dumps(version.json(), allow_nan=False))["version"] == 1
    assert same(versions.load(1), made.head)
    assert versions.learned(1) == {("00", "r0"), ("01", "r1"), ("02", "r2")}
    assert sorted(path.name for path in versions.folder.iterdir()) == [".lock", "000001", CURRENT]


def test_one_that_is_not_better_is_kept_and_does_not_serve(versions: Versions) -> None:
    published(versions, True, False)
    assert [(one.number, one.promoted) for one in versions.list()] == [(1, True), (2, False)]
    assert versions.serving() == 1


def test_one_compared_with_what_serves_no_more_does_not_serve(versions: Versions) -> None:
    published(versions, True, True)
    versions.rollback(1)  # while the next one was trained
    version = versions.publish(trained(), instead_of=2)
    assert (version.promoted, versions.serving()) == (False, 1)
    assert "Another head began to serve" in version.reason


def test_rollback(versions: Versions) -> None:
    published(versions, True, False, True)
    assert versions.serving() == 3
    assert versions.previous() == 1  # 2 never served
    back = versions.rollback(1)
    assert back is not None
    assert (back.number, versions.serving(), versions.previous()) == (1, 1, None)
    assert versions.rollback(None) is None
    assert versions.current() is None
    with pytest.raises(HeadError, match="No head of"):
        versions.previous()
    versions.rollback(2)  # whatever is wanted
    assert versions.serving() == 2
    with pytest.raises(HeadError, match="There is no head in"):
        versions.rollback(9)
    assert versions.serving() == 2


def test_numbers_never_come_again(versions: Versions) -> None:
    published(versions, True, False)
    versions.delete(2)
    assert versions.numbers() == [1]
    assert versions.publish(trained(), instead_of=1).number == 3
    versions.rollback(1)
    versions.delete(3)
    versions.rollback(None)
    versions.delete(1)
    assert versions.publish(trained(), instead_of=None).number == 4


def test_the_one_that_serves_is_not_deleted(versions: Versions) -> None:
    published(versions, True)
    with pytest.raises(HeadError, match="Version 1 serves: roll back"):
        versions.delete(1)
    with pytest.raises(HeadError, match="There is no version 7"):
        versions.delete(7)
    assert versions.current() is not None


# --- damage -------------------------------------------------------------------------------------------------


def flip(path: Path) -> None:
    """One bit in the middle."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def swap(path: Path) -> None:
    """A sound file, but of another version."""
    shutil.copy(path.parent.parent / "000001" / path.name, path)


def future(path: Path) -> None:
    """Whoever writes another format seals it too."""
    body = {key: value for key, value in json.loads(path.read_bytes()).items() if key != "sha256"} | {
        "format": 99
    }
    path.write_text(json.dumps({**body, "sha256": version_files._sha256(version_files._json(body))}))


DAMAGE = [
    pytest.param("head.safetensors", flip, "is not what was written", id="tensors-bit"),
    pytest.param("head.safetensors", lambda p: os.truncate(p, 9), "not as long as it was", id="tensors-cut"),
    pytest.param("head.safetensors", Path.unlink, "No such file", id="tensors-gone"),
    pytest.param("head.json", flip, "not what was written", id="facts-bit"),
    pytest.param("head.json", lambda p: p.write_bytes(b""), "not what was written", id="facts-empty"),
    pytest.param("head.json", lambda p: p.write_bytes(b"[]"), "not what was written", id="facts-other"),
    pytest.param(
        "head.json", lambda p: p.write_bytes(b"\xff\xfe"), "not what was written", id="facts-no-text"
    ),
    pytest.param("head.json", Path.unlink, "No such file", id="facts-gone"),
    pytest.param("head.json", swap, "is not as long as it was", id="facts-of-another"),
    pytest.param("head.json", future, "its format is 99", id="facts-of-the-future"),
]


@pytest.mark.parametrize(("name", "damage", "says"), DAMAGE)
def test_a_damaged_version_is_a_sentence_and_older_ones_serve(
    versions: Versions, name: str, damage: Callable[[Path], None], says: str
) -> None:
    published(versions, True)
    versions.publish(trained(n_images=5), instead_of=1)
    damage(versions.folder / "000002" / name)
    with pytest.raises(HeadError, match=says) as caught:
        versions.load(2)
    assert "000002" in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(HeadError):
        versions.rollback(2)
    assert versions.numbers() == [1, 2]
    assert 1 in [version.number for version in versions.list()]
    assert versions.previous() == 1
    versions.rollback(1)
    assert same(versions.load(1), trained().head)
    versions.delete(2)
    assert versions.numbers() == [1]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"number": "x", "last": 1}', b"\x00\xff"])
def test_when_nobody_knows_which_one_serves(versions: Versions, content: bytes) -> None:
    published(versions, True, True)
    (versions.folder / CURRENT).write_bytes(content)
    for call in (versions.current, versions.serving, lambda: versions.publish(trained(), instead_of=2)):
        with pytest.raises(HeadError, match="labeler heads rollback --to"):
            call()
    versions.rollback(2)
    assert versions.publish(trained(), instead_of=2).number == 3


def test_strange_things_in_the_folder_are_no_versions(versions: Versions) -> None:
    published(versions, True)
    (versions.folder / "notes.txt").write_text("mine")
    (versions.folder / "000009").mkdir()  # somebody made it
    assert versions.numbers() == [1, 9]
    assert [version.number for version in versions.list()] == [1]
    assert versions.publish(trained(), instead_of=1).number == 10


# --- the test before it serves ------------------------------------------------------------------------------


def test_a_head_that_fails_its_test_leaves_nothing(versions: Versions) -> None:
    published(versions, True)

    def test(head: Head) -> None:
        raise HeadError("no")

    with pytest.raises(HeadError, match="no"):
        versions.publish(trained(), test, instead_of=1)
    assert (versions.numbers(), versions.serving()) == ([1], 1)
    assert not [path for path in versions.folder.iterdir() if path.name.endswith(".part")]


def spoiled(name: str, value: float) -> Head:
    """The head with one number of its tensors changed."""
    tensors, facts = trained().head.to_files()
    copy = {key: array.copy() for key, array in tensors.items()}
    copy[name].flat[0] = value
    return Head.from_files(copy, facts)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        pytest.param("map.bias", math.nan, "class map holds no probabilities", id="map-nan"),
        pytest.param("map.bias", 50.0, "otherwise than before", id="another-map"),
        pytest.param("instances.pixels.net.out.bias", math.nan, "pixel map holds", id="pixels-nan"),
        pytest.param("instances.pixels.net.out.bias", 50.0, "otherwise than before", id="other-pixels"),
    ],
)
def test_self_test_refuses(name: str, value: float, says: str) -> None:
    with pytest.raises(HeadError, match=says):
        check_head(spoiled(name, value), trained().head, sample())


def test_self_test_accepts_a_sound_head() -> None:
    check_head(trained().head, trained().head, sample())


# --- interruptions ------------------------------------------------------------------------------------------


class Killed(BaseException):
    """Stands for kill -9 where a process cannot be spared."""


CALLS = ("mkdir", "open", "rename", "replace", "fsync", "unlink", "rmdir")


@contextmanager
def interrupted(at: int, error: BaseException) -> Iterator[list[str]]:
    """The call number `at` to the file system raises, as do all that follow: nothing is cleaned up."""
    done: list[str] = []
    real = {name: getattr(os, name) for name in CALLS}
    real_open = builtins.open

    def faulty(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **more: Any) -> Any:
            if not (name == "open" and ".lock" in str(arguments[0])):
                done.append(f"{name} {arguments[0]}")
            if len(done) > at:
                raise error
            return call(*arguments, **more)

        return run

    patch = pytest.MonkeyPatch()
    for name, call in real.items():
        patch.setattr(os, name, faulty(name, call))
    patch.setattr("io.open", faulty("open", real_open))  # what pathlib calls
    try:
        yield done
    finally:
        patch.undo()


CHANGES: dict[str, Callable[[Versions], object]] = {
    "publish": lambda versions: versions.publish(trained(n_images=4), instead_of=2),
    "rollback": lambda versions: versions.rollback(1),
    "delete": lambda versions: versions.delete(1),
}


def calls_of(change: str, folder: Path) -> int:
    """How often it asks the file system."""
    versions = published(Versions(folder), True, True)
    with interrupted(10**6, Killed()) as done:
        CHANGES[change](versions)
    return len(done)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(
    "error",
    [pytest.param(Killed(), id="killed"), pytest.param(OSError(errno.ENOSPC, "No space"), id="full-disk")],
)
def test_interrupted_anywhere_some_head_serves_whole(
    tmp_path: Path, change: str, error: BaseException
) -> None:
    base = published(Versions(tmp_path / "base"), True, True)
    count = calls_of(change, tmp_path / "count")
    assert count >= 3
    after = {"publish": 3, "rollback": 1, "delete": 2}[change]
    seen = set()
    for at in range(count):
        folder = tmp_path / f"{at}"
        shutil.copytree(base.folder, folder)
        with interrupted(at, error), pytest.raises((Killed, HeadError)) as caught:
            CHANGES[change](Versions(folder))
        if isinstance(caught.value, HeadError):
            assert "No space" in str(caught.value)
        versions = Versions(folder)
        serving = versions.serving()
        assert serving in (2, after)
        assert serving is not None
        seen.add(serving)
        versions.load(serving)
        for number in versions.numbers():  # what is there is whole
            versions.load(number)
        # … and the next one goes on as if nothing had been
        version = versions.publish(trained(), instead_of=serving)
        assert version.number not in (1, 2)
        assert versions.serving() == version.number
        assert not [path for path in folder.iterdir() if path.name.endswith(".part")]
    assert 2 in seen


def publish_until(folder: Path, made: Trained, at: int) -> None:
    """Killed by the system before the disk is asked for the time `at` to keep something."""
    asked, real = iter(range(at)), os.fsync

    def fsync(handle: int) -> None:
        if next(asked, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        real(handle)

    os.fsync = fsync  # type: ignore[assignment]
    Versions(folder).publish(made, instead_of=1)


@pytest.mark.parametrize("at", range(6))
def test_killed_for_good(versions: Versions, at: int) -> None:
    published(versions, True)
    made = trained()  # here: torch is not to be used after a fork
    worker = multiprocessing.get_context("fork").Process(
        target=publish_until, args=(versions.folder, made, at)
    )
    worker.start()
    worker.join(60)
    assert worker.exitcode == -signal.SIGKILL
    number = versions.serving()
    assert number in (1, 2)
    versions.load(number or 0)
    assert versions.publish(trained(), instead_of=number).number in (2, 3)  # the lock went with the process


# --- several at once ----------------------------------------------------------------------------------------


def publish(folder: Path, made: Trained, start: Any) -> None:
    start.wait()
    Versions(folder).publish(made, instead_of=None)


def test_publishers_at_once_get_numbers_of_their_own(versions: Versions) -> None:
    context = multiprocessing.get_context("fork")
    start = context.Event()
    made = trained()
    workers = [context.Process(target=publish, args=(versions.folder, made, start)) for _ in range(4)]
    for worker in workers:
        worker.start()
    start.set()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert versions.numbers() == [1, 2, 3, 4]
    # each was compared with no head: only the first to come may serve
    assert [version.promoted for version in versions.list()] == [True, False, False, False]
    assert versions.serving() == 1
    for number in versions.numbers():
        versions.load(number)


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HeadError, match="cannot be changed"):
        Versions(tmp_path / "file" / "heads").publish(trained(), instead_of=None)


def test_metrics_hold_what_numpy_gives() -> None:
    found = version_files.metrics_json(metrics(np.float32(0.5)))  # type: ignore[arg-type]
    assert json.dumps(found, allow_nan=False)
    assert version_files.metrics_of(found) is not None
