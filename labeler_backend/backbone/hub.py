"""Models on the Hugging Face hub and in its cache."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

from labeler_backend.backbone.registry import ModelSpec
from labeler_backend.errors import WeightsError

CONFIG_FILES = ("config.json", "preprocessor_config.json")
WEIGHT_FILES = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
"""In the order of preference."""

# The hub's client retries for minutes; somebody behind a firewall must not wait for that.
_PROBE_SECONDS = 5.0


class HubUnreachable(Exception):
    """The hub did not answer: try the next source. Its text says why in a few words."""


def cached(spec: ModelSpec, need: tuple[str, ...] = CONFIG_FILES) -> Path | None:
    """The hub cache's folder of this model if it holds `need` and the weights; touches no network."""
    if not all(_cached_file(spec.hub_id, name) for name in need):
        return None
    for name in WEIGHT_FILES:
        if (path := _cached_file(spec.hub_id, name)) is not None and _all_shards_there(path):
            return path.parent
    return None


def _cached_file(hub_id: str, name: str) -> Path | None:
    path = huggingface_hub.try_to_load_from_cache(hub_id, name)
    return Path(path) if isinstance(path, str) and Path(path).is_file() else None


def _all_shards_there(path: Path) -> bool:
    if path.name != "model.safetensors.index.json":
        return True
    return all((path.parent / shard).is_file() for shard in shards(path))


def shards(index: Path) -> list[str]:
    """File names an index of a sharded model lists, sorted."""
    return sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))


def download(spec: ModelSpec) -> Path:
    """Bring the model into the hub's cache: its configs and one form of its weights, nothing else.

    Raises:
        HubUnreachable: no answer within seconds, offline mode, or the hub itself failed.
        WeightsError: the hub answered, and the model is gated, private, unknown or without weights.
    """
    if constants.HF_HUB_OFFLINE:
        raise HubUnreachable("HF_HUB_OFFLINE is set")
    try:
        names = _probe(spec.hub_id)
        kept = next((name for name in WEIGHT_FILES if name in names), None)
        if kept is None or "config.json" not in names:
            raise WeightsError(
                f"{spec.hub_id} on the hub holds no weights for transformers: choose another model."
            )
        patterns = [*CONFIG_FILES, kept]
        if kept.endswith(".index.json"):
            patterns.append("*.safetensors")
        return Path(
            huggingface_hub.snapshot_download(
                spec.hub_id, allow_patterns=patterns, etag_timeout=_PROBE_SECONDS
            )
        )
    except HfHubHTTPError as error:
        raise _refusal(spec, error) from error
    except WeightsError:
        raise
    except (
        Exception
    ) as error:  # requests, httpx or what comes next: which one depends on the client's version
        raise HubUnreachable(_short(error)) from error


def _probe(hub_id: str) -> set[str]:
    """File names of the model, or an exception within seconds, even where resolving the host's name hangs."""
    answer: list[set[str] | Exception] = []

    def ask() -> None:
        try:
            info = huggingface_hub.HfApi().model_info(hub_id, timeout=_PROBE_SECONDS)
            answer.append({sibling.rfilename for sibling in info.siblings or []})
        except Exception as error:  # whatever the client raises is re-raised in the caller's thread
            answer.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(2 * _PROBE_SECONDS)
    if not answer:
        raise HubUnreachable(f"no answer within {2 * _PROBE_SECONDS:.0f} s")
    if isinstance(answer[0], Exception):
        raise answer[0]
    return answer[0]


def _refusal(spec: ModelSpec, error: HfHubHTTPError) -> Exception:
    """What an HTTP error means to the person who asked."""
    status = error.response.status_code if error.response is not None else 0
    page = f"{constants.ENDPOINT}/{spec.hub_id}"
    if isinstance(error, GatedRepoError) or (spec.gated and status in (401, 403)):
        return WeightsError(
            f"{spec.hub_id} is gated (HTTP {status}): accept its licence at {page} and set HF_TOKEN to a "
            "token of that account."
        )
    if isinstance(error, RepositoryNotFoundError) or status in (401, 403, 404):
        return WeightsError(
            f"The hub shows no {spec.hub_id} (HTTP {status}): check the name, or set HF_TOKEN if private."
        )
    return HubUnreachable(f"HTTP {status}")


def _short(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__)[:200]
