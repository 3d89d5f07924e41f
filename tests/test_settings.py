from __future__ import annotations

from pathlib import Path

import pytest

from labeler_backend.errors import LabelerError
from labeler_backend.settings import load_settings


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CACHE_DIR", "DATA_DIR", "MODEL", "DEVICE", "DTYPE", "CACHE_GB"):
        monkeypatch.delenv(f"LABELER_{name}", raising=False)


def test_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", "")
    settings = load_settings()
    assert settings.cache_dir == tmp_path / "emergent-labeler"
    assert settings.data_dir == Path.home() / ".local" / "share" / "emergent-labeler"
    assert (settings.model, settings.device, settings.dtype) == ("dinov2-small", "auto", "auto")
    assert settings.cache_gb == 10


def test_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABELER_CACHE_DIR", "~/elsewhere")
    monkeypatch.setenv("LABELER_MODEL", "dino-vits8")
    monkeypatch.setenv("LABELER_CACHE_GB", "0.5")
    settings = load_settings()
    assert settings.cache_dir == Path.home() / "elsewhere"
    assert settings.model == "dino-vits8"
    assert settings.cache_gb == 0.5


def test_empty_variable_is_no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABELER_MODEL", "")
    assert load_settings().model == "dinov2-small"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        pytest.param("LABELER_CACHE_GB", "lots", id="no number"),
        pytest.param("LABELER_CACHE_GB", "-1", id="negative"),
        pytest.param("LABELER_DTYPE", "int8", id="unknown dtype"),
    ],
)
def test_unusable_value_names_the_variable(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(LabelerError) as caught:
        load_settings()
    assert str(caught.value).startswith(f"{variable}='{value}' cannot be used")
    assert "\n" not in str(caught.value)
