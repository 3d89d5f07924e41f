"""Addresses of pictures, as they may stand in a file that is passed on."""

from __future__ import annotations

import re
from urllib.parse import unquote_plus, urlsplit, urlunsplit

# Parameters of signed URLs (S3, Google Cloud Storage, CloudFront, Azure) and common names of tokens.
_SECRET = re.compile(
    r"x-(amz|goog|ms|oss|cos)-.*|(aws|google)access(key)?id|.*signature|sig|se|sp|sv|sr|st|spr|ske|sks|skt|skv|skoid|sktid"
    r"|expires|policy|key-pair-id|.*token|.*(api|access)[_-]?key|.*secret|.*passw(or)?d|jwt|auth(orization)?",
    re.IGNORECASE,
)


def address_without_secrets(uri: str) -> str | None:
    """A URI without its user, password, signature and tokens; None for `data:`, which is the picture itself.

    What cannot be parsed is None as well.
    """
    try:
        parts = urlsplit(uri)
    except ValueError:
        return None
    if parts.scheme == "data":
        return None
    kept = [p for p in parts.query.split("&") if not _SECRET.fullmatch(unquote_plus(p.partition("=")[0]))]
    netloc = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=netloc, query="&".join(kept)))
