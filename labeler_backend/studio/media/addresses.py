"""Which hosts and which addresses may be connected to.

Whoever can write a task's data can make this server send a GET request. So a host is judged by its name
first (`AllowedHosts`) and then, when a connection is made, by the address that was really reached
(`refusal`): a name that resolves to something private is no way around.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass

from labeler_backend.errors import LabelerError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

SETTING = "LABELER_ALLOWED_HOSTS"

# What clouds tell their machines, credentials included: Azure, Alibaba, Oracle, AWS, Google. Most others use
# 169.254.169.254, which is link-local.
_METADATA = frozenset(
    ipaddress.ip_address(address)
    for address in ("168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254")
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?")


@dataclass(frozen=True, slots=True)
class _Rule:
    host: str
    port: int | None
    below: bool  # `*.host`


@dataclass(frozen=True, slots=True)
class AllowedHosts:
    """The operator's list; made with `parse`.

    Attributes:
        everyone: `*` is in it: every public host may be asked.
    """

    rules: tuple[_Rule, ...]
    everyone: bool

    @classmethod
    def parse(cls, entries: Iterable[str]) -> AllowedHosts:
        """Reads `host`, `host:port`, `*.suffix`, `*.suffix:port`, `[IPv6]:port` and `*`.

        Raises:
            LabelerError: an entry is none of these.
        """
        texts = [entry.strip() for entry in entries]
        rules = tuple(_rule(text) for text in texts if text not in ("", "*"))
        return cls(rules, "*" in texts)

    def names(self, host: str, port: int) -> bool:
        """Is this host (ASCII, IPv6 without brackets) in the list by name, not only through `*`?"""
        host = canonical(host)
        return any(
            rule.port in (None, port)
            and (host.endswith(f".{rule.host}") if rule.below else host == rule.host)
            for rule in self.rules
        )


def canonical(host: str) -> str:
    """One spelling per host: lower case, no final dot, IPv6 compressed."""
    host = host.lower().removesuffix(".")
    return str(ipaddress.IPv6Address(host)) if _is_ipv6(host) else host


def is_host(host: str) -> bool:
    """Can this be a host name (ASCII), an IPv4 address or an IPv6 address without brackets?"""
    return bool(_NAME.fullmatch(host.lower())) or _is_ipv6(host)


def is_public(address: Address) -> bool:
    """Is it reachable for everyone? Addresses that carry an IPv4 address are judged by that."""
    inner = _carried(address)
    if inner is not None:
        return is_public(inner)
    return address.is_global and not (
        address.is_multicast
        or address.is_reserved
        or getattr(address, "is_site_local", False)
        or address in _METADATA
    )


def refusal(address: str, *, named: bool) -> str | None:
    """Why a connection to this address is not made, as words that follow "is", or None.

    Args:
        address: numeric, as a socket gives it (an IPv6 scope `%eth0` may follow).
        named: the host is in the operator's list by name, or is the Label Studio itself.
    """
    if is_never(address):
        return "a link-local or metadata address, which is never asked"
    if not named and not is_public(_parse(address)):
        return "not a public address"
    return None


def is_address(host: str) -> bool:
    """Is it one already, not a name? (IPv6 without brackets.)"""
    try:
        _parse(host)
    except ValueError:
        return False
    return True


def is_never(address: str) -> bool:
    """Is it refused whatever the operator allows?"""
    found = _parse(address)
    inner = _carried(found) or found
    return inner.is_link_local or inner in _METADATA


def _rule(text: str) -> _Rule:
    match = re.fullmatch(r"(\*\.)?(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]/@\s]+))(?::(\d{1,5}))?", text)
    bare_ipv6 = _is_ipv6(text)
    if bare_ipv6:
        return _Rule(canonical(text), None, below=False)
    if match is None:
        raise _bad_rule(text)
    star, ipv6, name, port = match.groups()
    host = ipv6 or _ascii(name)
    if not is_host(host) or (port and not 0 < int(port) < 65536) or (star and ipv6):
        raise _bad_rule(text)
    return _Rule(canonical(host), int(port) if port else None, below=bool(star))


def _bad_rule(text: str) -> LabelerError:
    return LabelerError(
        f"{SETTING} holds {text!r}, which is not a host: write example.com, example.com:8080, *.example.com, "
        "or * for every public host, separated by commas."
    )


def _ascii(name: str) -> str:
    try:
        return name.encode("idna").decode() if not name.isascii() else name
    except UnicodeError:
        return ""


def _is_ipv6(text: str) -> bool:
    try:
        return "%" not in text and bool(ipaddress.IPv6Address(text))
    except ValueError:
        return False


def _parse(address: str) -> Address:
    return ipaddress.ip_address(address.partition("%")[0])


def _carried(address: Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address inside an IPv4-mapped, 6to4 or NAT64 one."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour
