"""Bodies: requests capped, parsed, refused in one sentence; answers written."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from typing_extensions import TypedDict

from labeler_backend.server.protocol import Element, PredictRequest
from labeler_backend.server.types import Answer

Model = TypeVar("Model", bound=BaseModel)
MB = 1_000_000
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_ELEMENT: TypeAdapter[Element] = TypeAdapter(Element)


class _Unread(TypedDict):
    __pydantic_config__ = ConfigDict(extra="ignore")  # type: ignore[misc]


class _Track(TypedDict):
    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]
    type: Literal["videorectangle", "videorectanglelabels"]


class _Labels(TypedDict):
    """A track's, where they stand beside it."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]
    type: Literal["labels"]


_Region = Annotated[_Track | _Labels, Field(discriminator="type")]
"""Decided by the type alone: a brush stroke is not read to find that it is none."""
_Known = Annotated[_Region | _Unread | Any, Field(union_mode="left_to_right")]


class _Work(TypedDict, total=False):
    """An annotation or a draft: what was drawn in videos, which is to be followed, and whether it counts."""

    __pydantic_config__ = ConfigDict(extra="ignore")  # type: ignore[misc]
    result: Annotated[list[_Known] | _Unread | Any, Field(union_mode="left_to_right")]
    updated_at: Any
    was_cancelled: Any


class _Task(TypedDict, total=False):
    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]
    annotations: list[Annotated[_Work | Any, Field(union_mode="left_to_right")]]
    drafts: list[Annotated[_Work | Any, Field(union_mode="left_to_right")]]
    predictions: list[_Unread]


class _Drawn(TypedDict, total=False):
    __pydantic_config__ = ConfigDict(extra="ignore")  # type: ignore[misc]
    result: Any
    updated_at: Any
    was_cancelled: Any


class _ClickedTask(TypedDict, total=False):
    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]
    annotations: list[Annotated[_Drawn | Any, Field(union_mode="left_to_right")]]
    drafts: list[Annotated[_Drawn | Any, Field(union_mode="left_to_right")]]
    predictions: list[Annotated[_Drawn | Any, Field(union_mode="left_to_right")]]


class PredictBody(PredictRequest):
    """A `PredictRequest` whose tasks come with no more of what hangs on them than is used.

    They may have tens of MB of brush strokes. Only boxes through videos are kept of them; of the rest, how
    many there are.
    """

    tasks: list[Annotated[_Task | Any, Field(union_mode="left_to_right")]]


class ClickBody(PredictRequest):
    """A `PredictRequest` whose tasks come with what is drawn on them, which a click may change."""

    tasks: list[Annotated[_ClickedTask | Any, Field(union_mode="left_to_right")]]


def parse_predict(body: bytes) -> PredictRequest:
    """The body of /predict, with as much of its tasks as is of use.

    Raises:
        As `parse`.
    """
    wanted = parse(PredictBody, body)
    return parse(ClickBody, body) if wanted.params and wanted.params.context else wanted


async def read(request: Request, max_mb: float) -> bytes:
    """The body, of at most `max_mb` MB.

    Raises:
        HTTPException: 413 when it has more; 415 when it does not say that it is JSON; 400 when it ends early.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    # A page of another site can make a browser post anything here, but not under this type.
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise HTTPException(415, "The body has to be JSON, sent with 'Content-Type: application/json'.")
    chunks, size = [], 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size <= max_mb * MB:
                chunks.append(chunk)
            elif size > 2 * max_mb * MB:
                break  # until here it is read and thrown away: who is cut off while sending never sees why
    except ClientDisconnect as error:
        raise HTTPException(400, "The body ended before it was whole.") from error
    if size > max_mb * MB:
        raise HTTPException(413, f"The body is larger than the {max_mb:g} MB taken here.")
    return b"".join(chunks)


def parse(model: type[Model], body: bytes) -> Model:
    """`body` as `model`.

    Raises:
        HTTPException: 400 when it is no JSON, 422 when it does not fit.
    """
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        if first["type"] == "json_invalid":
            if (mended := _mended(body)) is not None and mended != body:
                return parse(model, mended)
            raise HTTPException(400, f"The body is not JSON: {_plain(first['msg'])}.") from None
        place = ".".join(str(part) for part in first["loc"]) or "the body"
        raise HTTPException(422, f"{place}: {_plain(first['msg'])}; /openapi.json says what fits.") from None


def _mended(body: bytes) -> bytes | None:
    """The same JSON with `?` for each half of a surrogate pair; None where that is not what is wrong with it.

    pydantic takes a body with one in it for no JSON. Label Studio stores and sends them in a task's data, and
    one such task must not cost the others their answers.
    """
    if not _SURROGATE.search(body):
        return None
    try:
        return json.dumps(json.loads(body), ensure_ascii=False).encode("utf-8", "replace")
    except (ValueError, RecursionError):
        return None


def dump(elements: Sequence[Answer]) -> tuple[bytes, dict[int, Exception]]:
    """The answer to /predict as JSON; an element that cannot be written becomes `[]` and is named with why.

    One element at a time: a single call for all would hold the interpreter's lock for as long as it takes.
    """
    written: list[bytes] = []
    failed: dict[int, Exception] = {}
    for index, element in enumerate(elements):
        try:
            written.append(element if isinstance(element, bytes) else _ELEMENT.dump_json(element))
        except (PydanticSerializationError, ValueError) as error:
            written.append(b"[]")
            failed[index] = error
    return b'{"results":[' + b",".join(written) + b"]}", failed


def _plain(message: str) -> str:
    return message.removeprefix("Invalid JSON: ").rstrip(".")
