"""Label Studio and backend as processes of this machine: installed once, started clean, never left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import stat
import subprocess
import sys
import textwrap
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labeler_backend.errors import LabelerError
from labeler_backend.studio import guarded, local
from labeler_backend.studio.local import Children, Home, Login

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty one."""
    found = Home(tmp_path / "label-studio")
    found.root.mkdir()
    return found


def eventually(true: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Whether it becomes true in time."""
    until = time.monotonic() + seconds
    while not true() and time.monotonic() < until:
        time.sleep(0.05)
    return true()


def alive(number: int) -> bool:
    """Does this process run? One that ended and waits to be collected does not."""
    with contextlib.suppress(OSError):
        if Path("/proc").is_dir():
            return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        os.kill(number, 0)
        return True
    return False


class TestLogin:
    """Made once, for this user's eyes."""

    def test_is_kept_and_private(self, home: Home) -> None:
        made = local.login(home)
        assert local.login(home) == made
        assert stat.S_IMODE((home.root / "login.json").stat().st_mode) == 0o600
        assert len(made.token) == 40  # the most that Label Studio takes
        assert len(made.password) >= 16

    def test_is_not_the_same_elsewhere(self, home: Home, tmp_path: Path) -> None:
        other = Home(tmp_path / "other")
        other.root.mkdir()
        assert local.login(home).password != local.login(other).password

    @pytest.mark.parametrize("text", ["", "{}", '{"email": 1}', "[]"])
    def test_damaged(self, home: Home, text: str) -> None:
        (home.root / "login.json").write_text(text)
        with pytest.raises(LabelerError, match=r"login\.json is damaged: delete"):
            local.login(home)


@pytest.fixture
def taken() -> Iterator[int]:
    """A port somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_port_that_is_taken(taken: int) -> None:
    assert not local.is_free(taken)
    with pytest.raises(LabelerError, match=f"Port {taken} is taken by another program: give --port another"):
        local.port(taken, 8080, "--port")


def test_the_next_free_port(taken: int) -> None:
    found = local.port(None, taken, "--port")
    assert taken < found < taken + 20
    assert local.port(found, taken, "--port") == found


def test_only_one_at_a_time(home: Home) -> None:
    with local.held(home):
        again = local.held(home)
        with pytest.raises(LabelerError, match="Another labeler up already runs"):
            again.__enter__()
        assert stat.S_IMODE(home.root.stat().st_mode) == 0o700
    with local.held(home):
        pass


def test_what_label_studio_would_take_for_its_own_is_left_out(home: Home) -> None:
    given = {
        "PATH": "/bin",
        "HOME": "/home/me",
        "USERNAME": "me",
        "PASSWORD": "x",
        "HOST": "evil",
        "PORT": "1",
        "DEBUG": "1",
        "LABEL_STUDIO_BASE_DATA_DIR": "/elsewhere",
        "HEARTEX_PORT": "2",
        "DJANGO_DB": "default",
        "POSTGRE_HOST": "db",
        "PYTHONPATH": "/mine",
        "fflag_feat_x": "true",
    }
    login = Login("a@b.c", "secret", "f" * 40)
    made = local.studio_environment(home, login, "http://127.0.0.1:8080", given)
    assert (made["PATH"], made["HOME"]) == ("/bin", "/home/me")
    gone = set(given) - {"PATH", "HOME", "LABEL_STUDIO_BASE_DATA_DIR", "DJANGO_DB"}
    assert not gone & set(made)
    assert made["LABEL_STUDIO_BASE_DATA_DIR"] == str(home.data)
    assert made["DJANGO_DB"] == "sqlite"
    assert made["LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT"] == str(home.files)
    assert made["LABEL_STUDIO_ML_BLOCK_LOCAL_IP"] == made["LABEL_STUDIO_SSRF_PROTECTION_ENABLED"] == "false"


def test_secrets_are_in_no_command(home: Home) -> None:
    commands = [
        *local.studio_command(Path("label-studio"), 8080, "http://127.0.0.1:8080"),
        *local.backend_command(9090, ["--size", "224"]),
    ]
    login = local.login(home)
    assert not {login.password, login.token} & set(" ".join(commands).split())
    assert "127.0.0.1" in commands


class TestChildren:
    """They end with this process, one way or another."""

    def test_are_stopped_on_leaving(self, home: Home) -> None:
        with Children(home) as children:
            children.start("sleeper", SLEEP, os.environ)
            (_, process) = children._running[0]
            children.check()
        assert process.poll() is not None

    def test_one_that_ends_is_named_with_its_last_line(self, home: Home) -> None:
        script = "import sys; print('starting'); print('no such table', file=sys.stderr); sys.exit(3)"
        with Children(home) as children:
            children.start("studio", [sys.executable, "-c", script], os.environ)
            with pytest.raises(
                LabelerError, match=r"studio ended with code 3 \(no such table\): .*studio.log"
            ):
                children.wait_for("http://127.0.0.1:1/health", 20.0)

    def test_waits_until_it_answers(self, home: Home) -> None:
        number = local.port(None, 18400, "--port")
        script = (
            f"import time, http.server as h; time.sleep(1); h.test(h.SimpleHTTPRequestHandler, port={number})"
        )
        with Children(home) as children:
            children.start("web", [sys.executable, "-c", script], os.environ)
            children.wait_for(f"http://127.0.0.1:{number}/", 20.0)
        assert eventually(lambda: local.is_free(number))

    def test_gives_up_waiting(self, home: Home) -> None:
        with Children(home) as children:
            children.start("sleeper", SLEEP, os.environ)
            with pytest.raises(LabelerError, match="did not answer within 1 s"):
                children.wait_for("http://127.0.0.1:1/", 1.0)

    @pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
    def test_kill_9_of_the_parent_leaves_nothing(self, home: Home) -> None:
        script = textwrap.dedent(
            f"""
            import os, sys, time
            from pathlib import Path
            from labeler_backend.studio.local import Children, Home
            with Children(Home(Path({str(home.root)!r}))) as children:
                show = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
                children.start("child", [sys.executable, "-c", show], os.environ)
                time.sleep(60)
            """
        )
        parent = subprocess.Popen([sys.executable, "-c", script])
        log = home.root / "child.log"
        try:
            assert eventually(lambda: log.exists() and log.read_text().strip() != "")
            child = int(log.read_text())
            assert alive(child)
        finally:
            parent.send_signal(signal.SIGKILL)
            parent.wait()
        assert eventually(lambda: not alive(child))


def test_the_guard_hands_on_the_exit_code() -> None:
    command = [sys.executable, "-I", guarded.__file__, sys.executable, "-c", "raise SystemExit(7)"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as guard:
        assert guard.wait() == 7


def wheel(folder: Path) -> Path:
    """A package named label-studio with a command of that name."""
    path = folder / "label_studio-9.9-py3-none-any.whl"
    info = "label_studio-9.9.dist-info"
    files = {
        "label_studio.py": "def main():\n    print('hello')\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: label-studio\nVersion: 9.9\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\nlabel-studio = label_studio:main\n",
        f"{info}/RECORD": "",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


class TestInstall:
    """Into a virtual environment of its own."""

    @pytest.fixture(autouse=True)
    def offline(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PIP_NO_INDEX", "1")

    @pytest.mark.slow
    def test_fails_and_is_taken_up_again_and_is_done_once(self, home: Home, tmp_path: Path) -> None:
        said: list[str] = []
        good = str(wheel(tmp_path))
        with pytest.raises(LabelerError, match=r"pip could not install Label Studio: .*install.log says why"):
            local.install(home, said.append, str(tmp_path / "missing-1.0-py3-none-any.whl"))
        assert "missing-1.0" in home.log("install").read_text()
        command = local.install(home, said.append, good)
        assert subprocess.run([command], capture_output=True, text=True, check=True).stdout == "hello\n"
        assert "about 1 GB" in said[0]
        said.clear()
        assert local.install(home, said.append, good) == command
        assert said == []

    def test_no_room(self, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
        class Usage:
            free = 1e8

        monkeypatch.setattr("shutil.disk_usage", lambda folder: Usage)
        with pytest.raises(LabelerError, match=r"has 0.1 GB free and Label Studio takes about 1.5 GB"):
            local.install(home, lambda text: None)
        assert not home.venv.exists()
