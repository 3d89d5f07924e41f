"""URLs as they may be requested, compared and shown."""

from __future__ import annotations

import re

import httpx

from labeler_backend.studio.media.addresses import canonical, is_host
from labeler_backend.studio.media.types import MediaError

_SHOWN = 200  # characters


def parse_http(text: str, name: str) -> httpx.URL:
    """A URL that can be requested as it stands: http or https, a plain host, no user, no fragment.

    Raises:
        MediaError: it is anything else.
    """
    try:
        url = httpx.URL(text).copy_with(fragment=None)
        host, port = url.raw_host.decode("ascii"), url.port
    except (httpx.InvalidURL, ValueError) as error:
        raise MediaError(f"{name} is malformed ({error}): correct it in the task.", final=True) from None
    if url.scheme not in ("http", "https"):
        raise MediaError(f"{name} leads to a {url.scheme or 'nameless'}: address, not http(s).", final=True)
    if url.userinfo:
        raise MediaError(f"{name} has a user name in its address: take it out, it is not sent.", final=True)
    if not is_host(host) or not (port is None or 0 < port < 65536):
        raise MediaError(f"{name} is malformed (host or port): correct it in the task.", final=True)
    return url


def base_url(text: str) -> httpx.URL:
    """A Label Studio's base URL.

    Raises:
        MediaError: it cannot be one; not final, as it is a setting.
    """
    try:
        url = parse_http(text.rstrip("/"), text)
        if b"?" not in url.raw_path:
            return url
    except MediaError:
        pass
    raise MediaError(
        f"{shown(text)} is not the address of a Label Studio: set LABEL_STUDIO_URL to one with http:// "
        "or https://.",
        final=False,
    )


def origin(url: httpx.URL) -> tuple[str, str, int]:
    """Scheme, host and port, each in one spelling: what a token belongs to."""
    default = 443 if url.scheme == "https" else 80
    return url.scheme, canonical(url.raw_host.decode("ascii")), url.port or default


def shown(url: str) -> str:
    """A URL as errors may show it: no user, no query (signatures) but the path of a local file, no bytes."""
    text = url.strip().encode("utf-8", "replace").decode()
    if text[:5].lower() == "data:":
        return text.partition(",")[0][:40] + ",…"
    text = re.sub(r"^([A-Za-z][\w+.-]*:)?//[^/?#]*@", r"\1//", text.partition("#")[0])
    path, mark, query = text.partition("?")
    plain = mark and path.rstrip("/").endswith("/data/local-files") and query.startswith("d=")
    text = path + (f"?{query.partition('&')[0]}" if plain else "?…" if mark else "")
    text = "".join(character if character.isprintable() else "�" for character in text)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN // 2]}…{text[-_SHOWN // 2 :]}"
