from __future__ import annotations

import pytest

from labeler_backend.errors import LabelerError
from labeler_backend.studio.media.addresses import AllowedHosts, is_host, is_never, refusal


@pytest.mark.parametrize(
    ("address", "public", "named"),
    [
        pytest.param("93.184.216.34", True, True, id="public IPv4"),
        pytest.param("2606:2800:220:1::1", True, True, id="public IPv6"),
        pytest.param("127.0.0.1", False, True, id="loopback"),
        pytest.param("127.255.255.254", False, True, id="the rest of loopback"),
        pytest.param("::1", False, True, id="loopback IPv6"),
        pytest.param("10.1.2.3", False, True, id="private 10"),
        pytest.param("172.16.0.1", False, True, id="private 172.16"),
        pytest.param("192.168.1.1", False, True, id="private 192.168"),
        pytest.param("fd12:3456::1", False, True, id="unique local"),
        pytest.param("fec0::1", False, True, id="site-local, of old"),
        pytest.param("100.64.0.1", False, True, id="carrier-grade NAT"),
        pytest.param("198.18.0.1", False, True, id="benchmarks"),
        pytest.param("192.0.2.1", False, True, id="documentation"),
        pytest.param("240.0.0.1", False, True, id="reserved"),
        pytest.param("255.255.255.255", False, True, id="broadcast"),
        pytest.param("0.0.0.0", False, True, id="unspecified"),
        pytest.param("::", False, True, id="unspecified IPv6"),
        pytest.param("224.0.0.1", False, True, id="multicast"),
        pytest.param("ff0e::1", False, True, id="multicast IPv6, global"),
        pytest.param("::ffff:127.0.0.1", False, True, id="loopback, IPv4-mapped"),
        pytest.param("::ffff:10.0.0.1", False, True, id="private, IPv4-mapped"),
        pytest.param("::ffff:93.184.216.34", True, True, id="public, IPv4-mapped"),
        pytest.param("::127.0.0.1", False, True, id="loopback, IPv4-compatible"),
        pytest.param("64:ff9b::7f00:1", False, True, id="loopback, NAT64"),
        pytest.param("64:ff9b::5db8:d822", True, True, id="public, NAT64"),
        pytest.param("2002:7f00:1::", False, True, id="loopback, 6to4"),
        pytest.param("2002:5db8:d822::", True, True, id="public, 6to4"),
        pytest.param("2001:0:7f00:1::", False, True, id="Teredo"),
        pytest.param("169.254.169.254", False, False, id="link-local: AWS, Azure, Google metadata"),
        pytest.param("169.254.0.1", False, False, id="link-local"),
        pytest.param("fe80::1", False, False, id="link-local IPv6"),
        pytest.param("fe80::1%eth0", False, False, id="link-local IPv6 with a scope"),
        pytest.param("::ffff:169.254.169.254", False, False, id="metadata, IPv4-mapped"),
        pytest.param("64:ff9b::a9fe:a9fe", False, False, id="metadata, NAT64"),
        pytest.param("2002:a9fe:a9fe::", False, False, id="metadata, 6to4"),
        pytest.param("168.63.129.16", False, False, id="Azure's wire server"),
        pytest.param("100.100.100.200", False, False, id="Alibaba metadata"),
        pytest.param("192.0.0.192", False, False, id="Oracle metadata"),
        pytest.param("fd00:ec2::254", False, False, id="AWS metadata IPv6"),
        pytest.param("fd20:ce::254", False, False, id="Google metadata IPv6"),
    ],
)
def test_address(address: str, public: bool, named: bool) -> None:
    assert (refusal(address, named=False) is None) == public
    assert (refusal(address, named=True) is None) == named
    assert is_never(address) == (not named)


@pytest.mark.parametrize(
    ("entry", "host", "port", "matches"),
    [
        pytest.param("example.com", "example.com", 80, True, id="host"),
        pytest.param("example.com", "example.com", 8443, True, id="host, any port"),
        pytest.param("Example.COM.", "eXample.com", 80, True, id="one spelling"),
        pytest.param("example.com", "example.com.", 80, True, id="final dot in the URL"),
        pytest.param("example.com", "www.example.com", 80, False, id="not what is below"),
        pytest.param("example.com", "example.com.evil.org", 80, False, id="not a prefix"),
        pytest.param("example.com", "badexample.com", 80, False, id="not a suffix"),
        pytest.param("example.com:8080", "example.com", 8080, True, id="port"),
        pytest.param("example.com:8080", "example.com", 80, False, id="other port"),
        pytest.param("*.example.com", "a.b.example.com", 443, True, id="below"),
        pytest.param("*.example.com", "example.com", 443, False, id="not itself"),
        pytest.param("*.example.com", "badexample.com", 443, False, id="not what only ends alike"),
        pytest.param("*.example.com:444", "a.example.com", 443, False, id="below, other port"),
        pytest.param(" minio ", "minio", 9000, True, id="blanks around"),
        pytest.param("my_minio", "my_minio", 9000, True, id="underscore, as compose has it"),
        pytest.param("127.0.0.1:9000", "127.0.0.1", 9000, True, id="IPv4"),
        pytest.param("[::1]:9000", "::1", 9000, True, id="IPv6 and port"),
        pytest.param("::1", "0:0:0:0:0:0:0:1", 9000, True, id="IPv6, another spelling"),
        pytest.param("[::1]", "::2", 80, False, id="another IPv6"),
        pytest.param("bücher.example", "xn--bcher-kva.example", 80, True, id="international"),
        pytest.param("*", "example.com", 80, False, id="all, which names nobody"),
        pytest.param("", "", 80, False, id="empty"),
    ],
)
def test_allowed_host(entry: str, host: str, port: int, matches: bool) -> None:
    hosts = AllowedHosts.parse([entry])
    assert hosts.names(host, port) == matches
    assert hosts.everyone == (entry == "*")


@pytest.mark.parametrize(
    "entry",
    [
        "https://example.com",
        "example.com/path",
        "user@example.com",
        "example.com:port",
        "example.com:0",
        "example.com:70000",
        "*example.com",
        "*.[::1]",
        "[::1",
        "a b",
        "exa\nmple.com",
        "*:80",
        ".example.com",
        "a..b",
    ],
)
def test_an_entry_that_is_no_host_is_a_sentence(entry: str) -> None:
    with pytest.raises(LabelerError, match="LABELER_ALLOWED_HOSTS"):
        AllowedHosts.parse(["good.example", entry])


@pytest.mark.parametrize(
    ("host", "good"),
    [
        ("example.com", True),
        ("a_b.c", True),
        ("127.0.0.1", True),
        ("::1", True),
        ("", False),
        ("a b", False),
        ("good\\.evil", False),
        ("ex%61mple", False),
        ("fe80::1%25eth0", False),
        ("a..b", False),
        (".", False),
    ],
)
def test_is_host(host: str, good: bool) -> None:
    assert is_host(host) == good
