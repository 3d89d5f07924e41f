"""Settings: flags first, then the environment (`LABELER_*`), then these defaults."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

from labeler_backend.errors import LabelerError
from labeler_backend.report.costs import CostModel

APP = "emergent-labeler"

DTypeName = Literal["auto", "fp32", "bf16", "fp16"]
HeadKind = Literal["auto", "knn", "logistic", "blend"]


def _user_dir(kind: Literal["cache", "data"]) -> Path:
    """Where this platform keeps a user's caches or data."""
    home = Path.home()
    if sys.platform == "darwin":
        return home / "Library" / ("Caches" if kind == "cache" else "Application Support") / APP
    if sys.platform == "win32":
        local = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
        return local / APP / kind
    variable, default = ("XDG_CACHE_HOME", ".cache") if kind == "cache" else ("XDG_DATA_HOME", ".local/share")
    return Path(os.environ.get(variable) or home / default) / APP


class Settings(BaseSettings):
    """What an operator can set; each field is also the environment variable `LABELER_<NAME>`.

    Attributes:
        cache_dir: weights and cached features; anything in it can be deleted and comes back.
        data_dir: heads, accepted work, jobs; nothing in it comes back.
        model: short name, hub id or local folder of the backbone.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        dtype: what the backbone computes in; `auto` takes what the device is fast at.
        cache_gb: the most the cached features may take, in GB (10⁹ bytes); 0 caches nothing.
        costs: seconds of a person's work, by which the time that proposals save is estimated: as JSON,
            {"draw_mask": 40}; what it does not name keeps its default.
    """

    model_config = SettingsConfigDict(env_prefix="LABELER_", env_ignore_empty=True, frozen=True)

    cache_dir: Path = Field(default_factory=lambda: _user_dir("cache"))
    data_dir: Path = Field(default_factory=lambda: _user_dir("data"))
    model: str = "dinov2-small"
    device: str = "auto"
    dtype: DTypeName = "auto"
    cache_gb: float = Field(default=10.0, ge=0)
    costs: CostModel = CostModel()


def _parts(value: Any) -> Any:
    """`a, b` → (`a`, `b`)."""
    return (
        tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value
    )


def _folder(path: Path) -> Path:
    expanded = path.expanduser()
    if not expanded.is_absolute():
        raise ValueError(f"'{path}' has to be an absolute path, such as /data/images")
    return expanded


def _base_url(url: str) -> str:
    """Without a slash at its end.

    Raises:
        ValueError: not http(s), no host, or a password in it (which would end up in logs).
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("it has to be a base URL such as http://localhost:8080")
    if parts.username is not None:
        raise ValueError("it must not carry a login; give the token in LABEL_STUDIO_API_KEY")
    return url.rstrip("/")


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_parts)]
Folders = Annotated[tuple[Annotated[Path, AfterValidator(_folder)], ...], NoDecode, BeforeValidator(_parts)]
BaseUrl = Annotated[str, AfterValidator(_base_url)]


class ServerSettings(Settings):
    """What `labeler serve` goes by, besides `Settings`.

    Attributes:
        host: address to listen on; `0.0.0.0` for all of this machine's.
        port: 0 takes a free one.
        basic_auth_user: with `basic_auth_pass`, what every request but /health has to carry.
        basic_auth_pass: see there.
        size: long side in pixels of what the model sees.
        deadline: seconds after which /predict answers with what is ready. Label Studio gives up after 100.
        grace: seconds that running requests get to finish when the server is stopped.
        allowed_hosts: hosts that pictures may come from besides the Label Studio that asks: `host`,
            `host:port`, `*.suffix`, or `*` for every public one.
        media_roots: folders whose files may be read directly.
        media_max_mb: the most one picture's file may have, in MB (10⁶ bytes).
        media_timeout: seconds that fetching one picture may take.
        media_cache_gb: the most the fetched pictures may take on disk, in GB (10⁹ bytes).
        max_pixels: pictures with more are refused before they are decoded.
        body_max_mb: the most a request of /predict or /webhook may have, in MB.
        train_every: heads are trained after every so many submitted annotations of a project; 0 = only when
            Start Training is pressed.
        train_kind: how heads tell classes apart: `knn`, `logistic`, or `auto`, as `labeler train --kind`.
        redis_url: where the queue of trainings is, for several servers that share `data_dir`; without it is
            in a file.
        label_studio_url: `LABEL_STUDIO_URL`; where Label Studio is reached from here, if not under the
            address that it sends itself.
        label_studio_api_key: `LABEL_STUDIO_API_KEY`; a token of it, if not the one that it sends itself.
    """

    model_config = SettingsConfigDict(populate_by_name=True)

    host: str = "127.0.0.1"
    port: int = Field(default=9090, ge=0, le=65535)
    basic_auth_user: str | None = None
    basic_auth_pass: SecretStr | None = None
    size: int = Field(default=518, ge=64)
    deadline: float = Field(default=90.0, gt=0, lt=100)
    grace: float = Field(default=10.0, ge=0)
    allowed_hosts: Names = ()
    media_roots: Folders = ()
    media_max_mb: float = Field(default=100.0, gt=0)
    media_timeout: float = Field(default=30.0, gt=0)
    media_cache_gb: float = Field(default=5.0, ge=0)
    max_pixels: int = Field(default=100_000_000, gt=0)
    body_max_mb: float = Field(default=256.0, gt=0)
    train_every: int = Field(default=10, ge=0)
    train_kind: HeadKind = "auto"
    redis_url: SecretStr | None = None
    label_studio_url: BaseUrl | None = Field(default=None, validation_alias=AliasChoices("LABEL_STUDIO_URL"))
    label_studio_api_key: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("LABEL_STUDIO_API_KEY")
    )

    def handed_over(self) -> bytes:
        """One line for a process that is to have the same settings. It holds secrets: only for a pipe."""
        values = self.model_dump(mode="json")
        secrets = {
            name: value.get_secret_value()
            for name in type(self).model_fields
            if isinstance(value := getattr(self, name), SecretStr)
        }
        return json.dumps({**values, **secrets}).encode()

    @classmethod
    def taken_over(cls, line: bytes) -> ServerSettings:
        """What `handed_over` gave."""
        return cls(**json.loads(line))

    @model_validator(mode="after")
    def _login_is_whole(self) -> ServerSettings:
        user, password = self.basic_auth_user, self.basic_auth_pass
        if (user is None) != (password is None):
            given, missing = ("USER", "PASS") if password is None else ("PASS", "USER")
            raise ValueError(
                f"LABELER_BASIC_AUTH_{given} is set but LABELER_BASIC_AUTH_{missing} is not: set both, "
                "or neither"
            )
        if user is not None and ":" in user:
            raise ValueError("LABELER_BASIC_AUTH_USER must not contain a colon: HTTP cannot carry it")
        return self


Loaded = TypeVar("Loaded", bound=Settings)


def load_settings() -> Settings:
    """The settings of this process's environment, paths expanded.

    Raises:
        LabelerError: a variable holds something that cannot be used; names the variable.
    """
    return _load(Settings, {})


def load_server_settings(**flags: Any) -> ServerSettings:
    """The server's settings: `flags` that are not None, then the environment, then the defaults.

    Raises:
        LabelerError: a flag or a variable holds something that cannot be used; names it.
    """
    return _load(ServerSettings, {name: value for name, value in flags.items() if value is not None})


def _load(kind: type[Loaded], flags: dict[str, Any]) -> Loaded:
    try:
        settings = kind(**flags)
    except ValidationError as error:
        raise LabelerError(_sentence(error, flags)) from None  # the cause would show passwords
    except SettingsError as error:  # of the one setting that is JSON
        raise LabelerError(
            'LABELER_COSTS cannot be used: it has to be JSON such as {"draw_mask": 40}.'
        ) from error
    folders = {"cache_dir": settings.cache_dir, "data_dir": settings.data_dir}
    return settings.model_copy(
        update={name: Path(os.path.expanduser(path)) for name, path in folders.items()}
    )


def _sentence(error: ValidationError, flags: dict[str, Any]) -> str:
    """What is wrong with the first unusable setting, by the name under which it was given."""
    first = error.errors(include_url=False)[0]
    why = first["msg"].removeprefix("Value error, ")
    if first["type"] == "unexpected_keyword_argument":
        why = f"there is no {first['loc'][-1]}"
    if not first["loc"]:
        return f"{why}."
    name = str(first["loc"][0])
    if name in flags:
        given = f"--{name.replace('_', '-')} {flags[name]}"
    else:
        variable = name if name.isupper() else f"LABELER_{name.upper()}"
        given = (
            variable if "URL" in variable else f"{variable}={first['input']!r}"
        )  # a URL may hold a password
    return f"{given} cannot be used: {why}."
