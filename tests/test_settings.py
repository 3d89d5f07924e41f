from __future__ import annotations

from pathlib import Path

import pytest

from labeler_backend.errors import LabelerError
from labeler_backend.settings import ServerSettings, load_server_settings, load_settings


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ServerSettings.model_fields:
        monkeypatch.delenv(f"LABELER_{name.upper()}", raising=False)
    for name in ("LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY"):
        monkeypatch.delenv(name, raising=False)


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


def test_defaults_of_the_server() -> None:
    settings = load_server_settings()
    assert (settings.host, settings.port, settings.deadline) == ("127.0.0.1", 9090, 90)
    assert (settings.allowed_hosts, settings.media_roots) == ((), ())
    assert settings.basic_auth_user is settings.basic_auth_pass is settings.label_studio_url is None


def test_flags_win_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABELER_PORT", "1234")
    monkeypatch.setenv("LABELER_MODEL", "dino-vits8")
    monkeypatch.setenv("LABEL_STUDIO_URL", "http://environment:8080")
    settings = load_server_settings(port=0, model=None, label_studio_url="http://flag:8080")
    assert (settings.port, settings.model, settings.label_studio_url) == (0, "dino-vits8", "http://flag:8080")


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        pytest.param("a.example", ("a.example",), id="one"),
        pytest.param(
            "a.example, *.b.example:8080 ,,", ("a.example", "*.b.example:8080"), id="spaces, commas"
        ),
        pytest.param("*", ("*",), id="all"),
        pytest.param("", (), id="empty"),
        pytest.param('["a"]', ('["a"]',), id="never JSON"),
    ],
)
def test_lists_are_separated_by_commas(
    text: str, hosts: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABELER_ALLOWED_HOSTS", text)
    assert load_server_settings().allowed_hosts == hosts


def test_folders_are_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABELER_MEDIA_ROOTS", "/data/images,~/pictures")
    assert load_server_settings().media_roots == (Path("/data/images"), Path.home() / "pictures")


def test_label_studio_is_named_without_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABEL_STUDIO_URL", "https://studio.example/ls/")
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "s3cret")
    settings = load_server_settings()
    assert settings.label_studio_url == "https://studio.example/ls"
    assert settings.label_studio_api_key is not None
    assert settings.label_studio_api_key.get_secret_value() == "s3cret"
    assert "s3cret" not in repr(settings)


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        pytest.param({"LABELER_PORT": "70000"}, "LABELER_PORT='70000'", id="port"),
        pytest.param(
            {"LABELER_DEADLINE": "100"}, "LABELER_DEADLINE='100'", id="longer than Label Studio waits"
        ),
        pytest.param({"LABELER_MEDIA_ROOTS": "pictures"}, "absolute path", id="relative folder"),
        pytest.param({"LABEL_STUDIO_URL": "studio:8080"}, "http://localhost:8080", id="no scheme"),
        pytest.param(
            {"LABEL_STUDIO_URL": "http://u:s3cret@studio"}, "LABEL_STUDIO_API_KEY", id="login in it"
        ),
        pytest.param({"LABEL_STUDIO_URL": "http://["}, "LABEL_STUDIO_URL cannot", id="broken URL"),
        pytest.param({"LABELER_BASIC_AUTH_USER": "u"}, "LABELER_BASIC_AUTH_PASS is not", id="no password"),
        pytest.param({"LABELER_BASIC_AUTH_PASS": "s3cret"}, "LABELER_BASIC_AUTH_USER is not", id="no user"),
        pytest.param(
            {"LABELER_BASIC_AUTH_USER": "a:b", "LABELER_BASIC_AUTH_PASS": "s3cret"}, "colon", id="colon"
        ),
    ],
)
def test_unusable_server_setting_is_one_sentence(
    variables: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(LabelerError) as caught:
        load_server_settings()
    assert words in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unusable_flag_is_named_as_one() -> None:
    with pytest.raises(LabelerError, match=r"^--media-timeout -1 cannot be used"):
        load_server_settings(media_timeout=-1)
