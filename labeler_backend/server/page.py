"""/status: one HTML page that needs nothing else and keeps itself up to date."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from urllib.parse import urlsplit

from jinja2 import ChoiceLoader, Environment, PackageLoader

from labeler_backend.report.rendering import environment, hours
from labeler_backend.report.versions import short
from labeler_backend.server.protocol import StatusReport

_SCRIPT = "_refresh.js"


def render_status(report: StatusReport, now: float) -> str:
    """The page about `report` at Unix time `now`. What it holds is escaped; links lead to http(s) only."""
    return _environment().get_template("status.html").render(report=report, now=now)


@cache
def _environment() -> Environment:
    """The reports' environment, so that the pages look alike, with this package's templates first."""
    shared = environment()
    folders = [PackageLoader(f"labeler_backend.{part}") for part in ("server", "report")]
    found = shared.overlay(loader=ChoiceLoader(folders))
    found.filters = shared.filters | {"count": count, "size": size, "ago": ago, "web": web}
    found.filters |= {"short": short, "hours": hours}
    return found


def _hash_of_script() -> str:
    text = _environment().get_template(_SCRIPT).render()
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def count(number: int) -> str:
    """`12 345`, with spaces that do not break."""
    return f"{number:,}".replace(",", "\u202f")


def size(number: float) -> str:
    """Bytes as `1.2 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 999.5:
            return f"{number:.0f} {unit}" if unit == "B" or number >= 99.5 else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def ago(seconds: float) -> str:
    """`12 s`, `3 min`, `2 h`, `5 d`."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def web(link: str | None) -> str | None:
    """`link` where it is one that a page may lead to."""
    try:
        return link if link and urlsplit(link).scheme in ("http", "https") else None
    except ValueError:
        return None


# Nothing is loaded from anywhere, and only the page's own script runs.
SECURITY = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{_hash_of_script()}'; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
