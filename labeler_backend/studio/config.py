"""What a labelling config asks for: which tag a proposal answers in, with which label, what is a prompt."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, cast, get_args

from label_studio_sdk.label_interface.interface import LabelInterface

from labeler_backend.masks.polygons import DEFAULT_MAX_POINTS
from labeler_backend.studio.regions import Place
from labeler_backend.studio.tags import (
    VARIABLE,
    ConfigError,
    ControlTag,
    ObjectTag,
    is_bare,
    named_by,
    read_tags,
    static_labels,
)
from labeler_backend.studio.task_data import addresses
from labeler_backend.studio.tuning import extra_of, tuned
from labeler_backend.studio.video.tags import TrackTag, read_tracks

AnswerKind = Literal[
    "polygonlabels",
    "brushlabels",
    "bitmasklabels",
    "rectanglelabels",
    "polygon",
    "brush",
    "bitmask",
    "rectangle",
]
PromptKind = Literal["keypointlabels", "rectanglelabels", "keypoint", "rectangle"]

_CACHED_CONFIGS = 64  # projects at once; a config of 10,000 labels takes about 15 MB

__all__ = [
    "AnswerKind",
    "AnswerTag",
    "ConfigError",
    "ImageTag",
    "LabelingConfig",
    "PromptKind",
    "PromptTag",
    "read_config",
]


@dataclass(frozen=True, slots=True)
class ImageTag:
    """An `<Image>`.

    Attributes:
        name: the tag's name.
        key: of the task's data, without the `$`; may be a path (`pages[0].url`).
        many: whether it shows several pages (`valueList`).
    """

    name: str
    key: str
    many: bool


@dataclass(frozen=True, slots=True)
class AnswerTag:
    """The control tag proposals go to.

    Attributes:
        name: the tag's name.
        image: what it labels.
        kind: the type of its regions.
        labels: its static labels, in their order; of a bare tag those of the `<Labels>` on the picture.
        label: what proposals take that no head has named; None where the tag has no static label.
        certain: False where `label` is only a guess.
        max_proposals: per page; one that shows several objects apart from each other counts once.
        min_score: proposals below it are not shown.
        overlap: the share of an object that may be covered by better ones; 1 shows all, nested as they are.
            None of these three = as `showing` has it.
        max_points: of one object's polygons.
    """

    name: str
    image: ImageTag
    kind: AnswerKind
    labels: tuple[str, ...]
    label: str | None
    certain: bool
    max_proposals: int | None = None
    min_score: float | None = None
    overlap: float | None = None
    max_points: int = DEFAULT_MAX_POINTS


@dataclass(frozen=True, slots=True)
class LabelsTag:
    """A `<Labels>`, which names what bare tags draw on a picture."""

    name: str
    image: ImageTag
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PromptTag:
    """A control tag whose points or boxes ask for a mask."""

    name: str
    image: ImageTag
    kind: PromptKind
    labels: tuple[str, ...]


@dataclass(frozen=True)
class LabelingConfig:
    """One labelling config, read.

    Attributes:
        xml: as it was given.
        images: the pictures it shows.
        answers: at most one per picture.
        tracks: at most one per video.
        prompts: what people may click or draw to ask for a mask.
        naming: the `<Labels>` of its pictures, in document order.
        notes: sentences: what in it gets no answer, and why.
    """

    xml: str = field(repr=False)
    images: tuple[ImageTag, ...]
    answers: tuple[AnswerTag, ...]
    tracks: tuple[TrackTag, ...]
    prompts: tuple[PromptTag, ...]
    naming: tuple[LabelsTag, ...]
    notes: tuple[str, ...]
    _interface: LabelInterface = field(repr=False, compare=False)

    def answer_for(self, image: ImageTag) -> AnswerTag | None:
        """The tag that proposals on this picture go to."""
        return next((answer for answer in self.answers if answer.image == image), None)

    def place(self, name: str, kind: str, image: ImageTag, page: int | None, labels: Sequence[str]) -> Place:
        """Where a region with these labels goes.

        Args:
            name: the control tag.
            kind: the type of its regions; one without labels of its own is named by the `<Labels>` on the
                picture that knows all of them, or else by the first.
            image: what is labelled.
            page: from 0; None where the picture has no pages.
            labels: of the region.
        """
        beside = [tag for tag in self.naming if tag.image == image] if is_bare(kind) else []
        knowing = [tag for tag in beside if set(labels) <= set(tag.labels)]
        return Place(name, image.name, page, next((tag.name for tag in knowing + beside), None))

    def pages(self, data: Mapping[str, Any], image: ImageTag) -> list[str]:
        """The addresses of a task's pictures, in order; one unless the tag has `valueList`.

        A list where the tag has `value` shows its first picture only, as in Label Studio's editor.

        Raises:
            InputError: the data lacks the key, or holds something else than text there.
        """
        found = addresses(data, image.key, f"<Image name={image.name!r}>")
        return found if image.many else found[:1]

    def validate(self, prediction: Mapping[str, Any]) -> list[str]:
        """What Label Studio's own validation would say against a prediction; empty when nothing."""
        errors: list[str] = self._interface.validate_prediction(prediction, return_errors=True)  # type: ignore[no-untyped-call]
        return errors


def read_config(xml: str, extra_params: Mapping[str, Any] | str | None = None) -> LabelingConfig:
    """Reads a labelling config; the last ones are kept.

    The tag that answers on a picture: one that says `model_answer="true"`; else the first of PolygonLabels,
    BrushLabels, BitmaskLabels and RectangleLabels in document order that does not say `smart="true"`; else,
    where a Labels names what they draw, the first such of Polygon, Brush, Bitmask and Rectangle; else the
    first of all these. Its label: the only one; else the one whose `predicted_values` holds `object` or `*`;
    else the first, as a guess. The tag's `model_score_threshold`, `model_max_proposals`, `model_max_points`
    tune it.
    On a video the first VideoRectangle answers, with the labels of the Labels there.

    Args:
        xml: the config.
        extra_params: the same names as in the tag's attributes, which win; a mapping, or JSON as text.

    Raises:
        ConfigError: it is not XML, or has a DOCTYPE.
    """
    if not isinstance(extra_params, str) and extra_params is not None:
        extra_params = json.dumps(dict(extra_params), sort_keys=True, default=str)
    return _read(xml, extra_params)


@lru_cache(maxsize=_CACHED_CONFIGS)
def _read(xml: str, extra_params: str | None) -> LabelingConfig:
    tags = read_tags(xml)
    extra, notes = extra_of(extra_params)
    images, about_images = _images(tags.objects)
    chosen = {image: control for image in images if (control := _chosen(tags.controls, image)) is not None}
    made = [_answer(control, image, tags.controls, extra) for image, control in chosen.items()]
    tracked = list(read_tracks(tags.controls, tags.objects, extra))
    prompts = tuple(_prompts(tags.controls, images))
    naming = tuple(
        LabelsTag(control.name, image, static_labels(control))
        for image in images
        for control in _labels_beside(tags.controls, image)
    )
    busy = {control.name for control in chosen.values()} | {prompt.name for prompt in prompts}
    busy |= {track.name for track, _ in tracked}
    notes += about_images
    notes += [note for _, about in [*made, *tracked] for note in about]
    notes += _unanswered(tags.controls, tags.objects, busy)
    if not made and not tracked:
        notes.append(
            "No tag of this labelling config can hold proposals: add <PolygonLabels>, <BrushLabels>, "
            "<BitmaskLabels> or <RectangleLabels> whose toName is the name of an <Image>, or "
            "<VideoRectangle> for a <Video>."
        )
    answers, tracks = tuple(answer for answer, _ in made), tuple(track for track, _ in tracked)
    return LabelingConfig(xml, images, answers, tracks, prompts, naming, tuple(notes), tags.interface)


def _images(objects: Sequence[ObjectTag]) -> tuple[tuple[ImageTag, ...], list[str]]:
    """The pictures, and notes on those and videos whose address is not simply a key of the data."""
    images, notes = [], []
    for tag in objects:
        if tag.kind not in ("image", "video"):
            continue
        if not VARIABLE.fullmatch(tag.value):
            notes.append(
                f"<{tag.kind.title()} name={tag.name!r}> gets no answer, because {tag.value!r} is not one "
                f"key of the task's data: write it as $key."
            )
        elif tag.kind == "image":
            images.append(ImageTag(tag.name, tag.value[1:], tag.many))
    return tuple(images), notes


def _chosen(controls: Sequence[ControlTag], image: ImageTag) -> ControlTag | None:
    """Which control answers on this picture."""
    able = [c for c in controls if c.kind in get_args(AnswerKind) and image.name in c.targets]
    if not _labels_beside(controls, image):
        able = [c for c in able if not is_bare(c.kind)]
    able.sort(key=lambda c: is_bare(c.kind))  # a bare <Rectangle> before <PolygonLabels> mostly only asks
    asked = [c for c in able if c.says("model_answer", "true")]
    plain = [c for c in able if not c.says("smart", "true")]
    return next(iter(asked + plain + able), None)


def _answer(
    control: ControlTag, image: ImageTag, controls: Sequence[ControlTag], extra: Mapping[str, Any]
) -> tuple[AnswerTag, list[str]]:
    naming = _labels_beside(controls, image) if is_bare(control.kind) else [control]
    labels, label, certain = named_by(*naming)
    tuning, notes = tuned(control.attributes, extra, str(control))
    if label is None:
        notes.append(f"{naming[0]} has no <Label> with a fixed value, so nothing can be named: add one.")
    elif not certain:
        notes.append(
            f"Proposals in {control} come as {label!r} with a lower score, which is only a guess: "
            f'write predicted_values="object" into the <Label> that unnamed proposals shall take.'
        )
    kind = cast(AnswerKind, control.kind)
    return AnswerTag(control.name, image, kind, labels, label, certain, **tuning), notes


def _prompts(controls: Sequence[ControlTag], images: Sequence[ImageTag]) -> Iterator[PromptTag]:
    """`smart` is on in Label Studio's editor unless it is switched off."""
    for control in controls:
        if control.kind not in get_args(PromptKind) or control.says("smart", "false"):
            continue
        for image in images:
            if image.name in control.targets:
                naming = _labels_beside(controls, image) if is_bare(control.kind) else [control]
                yield PromptTag(control.name, image, cast(PromptKind, control.kind), named_by(*naming)[0])


def _labels_beside(controls: Sequence[ControlTag], image: ImageTag) -> list[ControlTag]:
    """The `<Labels>` on the same picture, which name what bare tags draw."""
    return [c for c in controls if c.kind == "labels" and image.name in c.targets]


def _unanswered(
    controls: Sequence[ControlTag], objects: Sequence[ObjectTag], busy: Collection[str]
) -> Iterator[str]:
    """Why each control that neither answers nor prompts gets nothing."""
    kinds = {tag.name: tag.kind for tag in objects}
    for control in controls:
        missing = [name for name in control.targets if name not in kinds]
        if missing:
            yield f"{control} gets no answer, because no tag is named {missing[0]!r}: mend its toName."
        elif control.name in busy or control.kind == "labels":
            continue
        elif not {"image", "video"} & {kinds[name] for name in control.targets}:
            yield f"{control} gets no answer, because only pictures and videos are answered."
        elif control.kind == "choices":
            yield f"{control} gets no answer until a head has been trained on this project."
        elif control.kind in get_args(AnswerKind) and "image" in map(kinds.get, control.targets):
            if is_bare(control.kind) and not any(
                c.kind == "labels" and set(c.targets) & set(control.targets) for c in controls
            ):
                yield (
                    f"{control} gets no answer, because nothing names what it draws: "
                    f"add <Labels> whose toName is the name of its <Image>."
                )
                continue
            yield (
                f"{control} gets no answer, because another tag answers on its picture: "
                f'write model_answer="true" into the one that shall.'
            )
        else:
            yield f"{control} gets no answer, because only masks and boxes are proposed."
