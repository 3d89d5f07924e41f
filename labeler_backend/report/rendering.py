"""What all pages share: the template engine, how a duration reads, colours of proposals."""

from __future__ import annotations

from functools import cache
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined


@cache
def environment() -> Environment:
    """The templates of this package; an unknown name in one is an error, and what is put in is escaped."""
    found = Environment(
        loader=PackageLoader("labeler_backend.report"),
        autoescape=True,
        auto_reload=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["link"] = lambda name: quote(name.encode("utf-8", "surrogateescape"))
    found.filters["duration"] = duration
    found.filters["brief"] = brief
    return found


def duration(seconds: float) -> str:
    """`0.8 s`, `2 min 5 s`, `1 h 2 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def brief(seconds: float) -> str:
    """`24 ms` below a second, as `duration` above."""
    return f"{1000 * seconds:.0f} ms" if seconds < 0.9995 else duration(seconds)


def hours(seconds: float) -> str:
    """`−40 s`, `12 min`, `3.4 h`."""
    sign, size = "−" if seconds < 0 else "", abs(seconds)
    if size < 90:
        return f"{sign}{size:.0f} s"
    return f"{sign}{size / 60:.0f} min" if size < 5400 else f"{sign}{size / 3600:.1f} h"


def card(shown: dict[str, Any]) -> dict[str, Any]:
    """A preview (report/preview.py) with a colour and a rank per proposal, ready for a template.

    Hues lie a golden angle apart, so that neighbours in rank differ.
    """
    shapes = [
        {**shape, "hue": round(210 + i * 137.508) % 360, "rank": i + 1}
        for i, shape in enumerate(shown["shapes"])
    ]
    return {**shown, "shapes": shapes, "best": shapes[0]["score"] if shapes else 0.0}
