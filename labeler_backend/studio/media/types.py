"""What is passed around when a task's media is fetched."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from labeler_backend.errors import InputError


class MediaError(InputError):
    """One task's media cannot be had.

    Attributes:
        final: True = it never will be, the task can be answered for good; False = it may be once a setting,
            a token or the network is mended, Label Studio should ask again.
    """

    def __init__(self, text: str, *, final: bool) -> None:
        """`text` is one sentence: what, where, the mend."""
        super().__init__(text)
        self.final = final


@dataclass(frozen=True, slots=True)
class Access:
    """A Label Studio and how to read from it.

    Attributes:
        url: its base URL without a trailing slash. It is trusted: it may lie at a private address, and it is
            sent the token. So it comes from the operator, or from a Label Studio that is let in.
        token: legacy token, personal access token, or None.
        aliases: other base URLs of the same server (its public name); media below them is read from `url`.
    """

    url: str
    token: str | None
    aliases: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Without the token: this ends up in logs."""
        return f"Access(url={self.url!r}, token={'…' if self.token else None!r}, aliases={self.aliases!r})"


@dataclass(frozen=True, slots=True)
class Media:
    """A file that was fetched.

    Attributes:
        path: exists when it is handed out. In the cache it may be deleted later to make room: read it soon,
            and fetch again where it is gone.
        sha256: of its content, hexadecimal.
        name: the task's URL as errors may show it, without anything secret.
    """

    path: Path
    sha256: str
    name: str


@dataclass(frozen=True, slots=True)
class MediaPolicy:
    """What may be fetched, and how much of it.

    Attributes:
        allowed_hosts: besides the Label Studio itself: `host` (any port), `host:port`, `*.suffix`, `*` = all
            that is public. One named here may lie at a private address.
        media_roots: local folders whose files may be read.
        max_bytes: of one file.
        connect_timeout: seconds until a connection stands.
        total_timeout: seconds for one file, redirects and tokens included.
        max_redirects: that are followed for one file.
    """

    allowed_hosts: tuple[str, ...] = ()
    media_roots: tuple[Path, ...] = ()
    max_bytes: int = 100_000_000
    connect_timeout: float = 5.0
    total_timeout: float = 30.0
    max_redirects: int = 5
