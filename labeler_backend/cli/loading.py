"""What commands work with: the model, projects and their heads, task media, the backend's login."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labeler_backend.errors import LabelerError

if TYPE_CHECKING:
    from labeler_backend.labeler import Labeler
    from labeler_backend.settings import ServerSettings
    from labeler_backend.studio.connect import BasicAuth
    from labeler_backend.studio.media.store import MediaStore
    from labeler_backend.video.info import VideoInfo


@dataclass(frozen=True, slots=True)
class ProjectHead:
    """A head as it travels, to other machines of a cluster too.

    Attributes:
        name: of its project and version.
        classes: that it knows.
        number: of the version.
        tensors, facts: see `Head.to_files`.
    """

    name: str
    classes: tuple[str, ...]
    number: int
    tensors: dict[str, Any]
    facts: dict[str, Any]


def load_proposer(
    model: str | None,
    device: str | None,
    dtype: str | None,
    size: int,
    max_proposals: int,
    min_score: float,
    cached: bool = True,
    head: ProjectHead | None = None,
) -> Labeler:
    """The product's proposer; what is None comes from the environment or the defaults.

    Raises:
        LabelerError: no such model, or `head` was trained with another one.
    """
    from labeler_backend.backbone.cache import FeatureCache
    from labeler_backend.labeler import Labeler
    from labeler_backend.settings import load_settings

    settings = load_settings()
    labeler = Labeler.load(
        model or settings.model,
        device=device or settings.device,
        dtype=dtype or settings.dtype,
        size=size,
        max_proposals=max_proposals,
        min_score=min_score,
        cache=FeatureCache(settings.cache_dir / "features", int(settings.cache_gb * 1e9)) if cached else None,
    )
    return labeler if head is None else _with_head(labeler, head)


def load_tracker(
    model: str | None, device: str | None, dtype: str | None, size: int | None, cached: bool, info: VideoInfo
) -> Labeler:
    """The same for the frames of a video, whose features are kept only where there is room for all of them.

    Args:
        size: short side in pixels of what the model sees of a frame; None = as the objects need it.

    Raises:
        LabelerError: no such model.
    """
    from dataclasses import replace

    from labeler_backend.labeler import DEFAULT_SIZE
    from labeler_backend.proposals.propose import DEFAULT_MIN_SCORE
    from labeler_backend.video.propagate import SIZE

    labeler = load_proposer(model, device, dtype, DEFAULT_SIZE, 20, DEFAULT_MIN_SCORE, cached)
    fits = labeler.caches(info.frame_count, info.size, size or SIZE)
    return labeler if fits else replace(labeler, cache=None)


def _with_head(labeler: Labeler, found: ProjectHead) -> Labeler:
    from dataclasses import replace

    from labeler_backend.heads.head import Head

    head = Head.from_files(found.tensors, found.facts)
    if head.model_key != labeler.encoder.model_key:
        raise LabelerError(
            f"The head, {found.name}, was trained on features of {head.model_key}, and these are of "
            f"{labeler.encoder.model_key}: choose the same with --model and --dtype, or train again."
        )
    return replace(labeler, head=head, head_name=found.name)


def project_head(name: str) -> ProjectHead:
    """The head that serves in a project, as it is now.

    Raises:
        LabelerError: there is no such project, none serves, or it is damaged.
    """
    from labeler_backend.heads.learning import HEADS
    from labeler_backend.heads.versions import Versions

    folder = known_project(name)
    versions = Versions(folder / HEADS)
    version = versions.current()
    if version is None:
        raise LabelerError(
            f"No head of {name} serves: train one with `labeler train`, or leave --project out for proposals "
            f"without names."
        )
    head = versions.load(version.number)
    called = f"{folder.name} version {version.number} ({version.sha256[:12]})"
    return ProjectHead(called, head.classes, version.number, *head.to_files())


def prelabeling_head(name: str | None, url: str, number: int, base: str) -> tuple[ProjectHead | None, str]:
    """The head for predictions of a Label Studio's project, and the version they are stamped with.

    Args:
        name: of the project whose head it is; None = the project's own, where it has one on this machine.
        url, number: of the Label Studio, and of the project there.
        base: version without a head.

    Raises:
        LabelerError: no head of the project `name` serves, or the head is damaged.
    """
    from labeler_backend.heads.learning import HEADS
    from labeler_backend.heads.versions import Versions
    from labeler_backend.projects import studio_project
    from labeler_backend.studio.version import with_head

    own = studio_project(url, number)
    if name is None and Versions(project_folder(own) / HEADS).serving() is None:
        return None, base
    head = project_head(name or own)
    # The own versions are those that the backend answers with; another project's are called by its name.
    others = name is not None and project_folder(name) != project_folder(own)
    return head, with_head(f"{base}-{name}" if others else base, head.number)


def project_folder(name: str) -> Path:
    """Where a project's samples and heads are, by its name or alias, whether or not there are any.

    Raises:
        LabelerError: it cannot be a name.
    """
    from labeler_backend import projects
    from labeler_backend.settings import load_settings

    data = load_settings().data_dir
    return projects.project_folder(data, projects.resolve(data, name))


def known_project(name: str) -> Path:
    """The same, of a project that is there.

    Raises:
        LabelerError: there is none of this name; says which there are.
    """
    from labeler_backend import projects
    from labeler_backend.settings import load_settings

    folder = project_folder(name)
    if not folder.is_dir():
        data = load_settings().data_dir
        known = sorted({*projects.names(data), *projects.aliases(data)})
        there = f"there are {', '.join(known)}" if known else "make one with `labeler train`"
        raise LabelerError(f"There is no project {name} in {data}: {there}.")
    return folder


def studio_project_folder(name: str, url: str, number: int) -> Path:
    """Where samples and heads of a Label Studio's project are, which from now on is also called `name`.

    Raises:
        LabelerError: another project has this name.
    """
    from labeler_backend import projects
    from labeler_backend.settings import load_settings

    data = load_settings().data_dir
    project = projects.studio_project(url, number)
    called = projects.resolve(data, name)
    if called != project:
        if called != name or name in projects.names(data):
            raise LabelerError(
                f"{name} is another project, not project {number} of {url}: choose another name for this one."
            )
        projects.set_alias(data, name, project)
    return projects.project_folder(data, project)


def load_media(settings: ServerSettings) -> MediaStore:
    """The store that pictures of tasks are fetched into; the backend's own, so that both share it."""
    from labeler_backend.studio.media.store import MediaStore

    return MediaStore.of(settings)


def own_login(settings: ServerSettings) -> BasicAuth | None:
    """The login of a backend that runs with these settings."""
    from labeler_backend.studio.connect import BasicAuth

    if settings.basic_auth_user is None or settings.basic_auth_pass is None:
        return None
    return BasicAuth(settings.basic_auth_user, settings.basic_auth_pass.get_secret_value())
