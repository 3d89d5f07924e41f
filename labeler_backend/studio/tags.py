"""The tags of a labelling config, as the SDK's `LabelInterface` parses them, in types of our own.

Label Studio's words: an *object* tag shows data (`<Image>`), a *control* tag is what people label with.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from labeler_backend.errors import LabelerError

if TYPE_CHECKING:
    from label_studio_sdk.label_interface.interface import LabelInterface

VARIABLE = re.compile(r"\$[^\s,${}]+")
"""What stands for one key of a task's data."""

_CATCH_ALL = frozenset({"object", "*"})
_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")


class ConfigError(LabelerError):
    """A labelling config that cannot be read."""


@dataclass(frozen=True, slots=True)
class ObjectTag:
    """A tag that shows data.

    Attributes:
        name: the tag's name.
        kind: in lower case.
        value: where its data lies, as written (`$image`).
        many: whether it has `valueList`.
        attributes: of the tag.
    """

    name: str
    kind: str
    value: str
    many: bool
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ControlTag:
    """A tag people label with.

    Attributes:
        name: the tag's name.
        tag: as it is written (`PolygonLabels`).
        targets: names of the object tags it labels.
        attributes: of the tag.
        labels: of its `<Label>`s, with their attributes, in their order.
    """

    name: str
    tag: str
    targets: tuple[str, ...]
    attributes: Mapping[str, str]
    labels: Mapping[str, Mapping[str, str]]

    @property
    def kind(self) -> str:
        """The tag in lower case, which is also the type of its regions."""
        return self.tag.lower()

    def says(self, attribute: str, value: str) -> bool:
        """Whether an attribute is written out and has this value."""
        return self.attributes.get(attribute, "").strip().lower() == value

    def __str__(self) -> str:
        return f"<{self.tag} name={self.name!r}>"


@dataclass(frozen=True, slots=True)
class Tags:
    """A config's tags in document order, and the SDK's own view of it."""

    objects: tuple[ObjectTag, ...]
    controls: tuple[ControlTag, ...]
    interface: LabelInterface


def read_tags(xml: str) -> Tags:
    """Parses a labelling config.

    Raises:
        ConfigError: it is empty, not XML, or has a DOCTYPE.
    """
    if not isinstance(xml, str) or not xml.strip():
        raise ConfigError("The labelling config is empty: write one in Settings > Labeling Interface.")
    if "<!DOCTYPE" in xml or "<!ENTITY" in xml:  # the SDK's parser would read files and expand entities
        raise ConfigError("The labelling config has a DOCTYPE, which is not read: take it out.")
    from label_studio_sdk.label_interface.interface import LabelInterface  # half a second

    try:
        interface = LabelInterface(_DECLARATION.sub("", xml))
        objects = tuple(_object(tag) for tag in interface.objects or ())
        controls = tuple(_control(tag) for tag in interface.controls or ())
    except Exception as error:  # the SDK lets through whatever lxml and pydantic raise
        detail = " ".join(str(error).split())[:200]
        raise ConfigError(
            f"The labelling config cannot be read ({detail}): mend it in Settings > Labeling Interface."
        ) from error
    return Tags(objects, controls, interface)


def is_bare(kind: str) -> bool:
    """Whether regions of a type hold no labels themselves: `<Labels>` with the same id name them."""
    return not kind.endswith("labels")


def static_labels(control: ControlTag) -> tuple[str, ...]:
    """Labels that stand in the config itself, not in the data of tasks."""
    return tuple(name for name in control.labels if not VARIABLE.fullmatch(name))


def named_by(*controls: ControlTag) -> tuple[tuple[str, ...], str | None, bool]:
    """Static labels, the one that what nobody has named takes, and whether that is more than a guess."""
    labels = tuple(dict.fromkeys(name for control in controls for name in static_labels(control)))
    catch_all = [
        name
        for control in controls
        for name in static_labels(control)
        if _CATCH_ALL & _predicted_values(control, name)
    ]
    return labels, next(iter(catch_all or labels), None), len(labels) == 1 or bool(catch_all)


def _predicted_values(control: ControlTag, label: str) -> set[str]:
    words = control.labels[label].get("predicted_values", "")
    return {word.strip().lower() for word in words.split(",")}


def _object(tag: Any) -> ObjectTag:
    many = bool(tag.attr.get("valueList"))
    return ObjectTag(tag.name, tag.tag.lower(), tag.value, many, dict(tag.attr))


def _control(tag: Any) -> ControlTag:
    targets = tuple(name.strip() for name in tag.to_name)
    labels = {name: dict(label.attr) for name, label in tag.labels_attrs.items()}
    return ControlTag(tag.name, tag.tag, targets, dict(tag.attr), labels)
