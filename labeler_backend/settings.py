"""Settings: flags first, then the environment (`LABELER_*`), then these defaults."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from labeler_backend.errors import LabelerError

APP = "emergent-labeler"

DTypeName = Literal["auto", "fp32", "bf16", "fp16"]


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
    """

    model_config = SettingsConfigDict(env_prefix="LABELER_", env_ignore_empty=True, frozen=True)

    cache_dir: Path = Field(default_factory=lambda: _user_dir("cache"))
    data_dir: Path = Field(default_factory=lambda: _user_dir("data"))
    model: str = "dinov2-small"
    device: str = "auto"
    dtype: DTypeName = "auto"
    cache_gb: float = Field(default=10.0, ge=0)


def load_settings() -> Settings:
    """The settings of this process's environment, paths expanded.

    Raises:
        LabelerError: a variable holds something that cannot be used; names the variable.
    """
    try:
        settings = Settings()
    except ValidationError as error:
        first = error.errors()[0]
        variable = f"LABELER_{'_'.join(str(part) for part in first['loc']).upper()}"
        raise LabelerError(f"{variable}={first['input']!r} cannot be used: {first['msg']}.") from error
    folders = {"cache_dir": settings.cache_dir, "data_dir": settings.data_dir}
    return settings.model_copy(
        update={name: Path(os.path.expanduser(path)) for name, path in folders.items()}
    )
