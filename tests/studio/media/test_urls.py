from __future__ import annotations

import httpx
import pytest

from labeler_backend.studio.media.urls import origin, shown


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        pytest.param("http://h/a", "http://h:80/b?c", True, id="default port"),
        pytest.param("https://h", "https://H.:443", True, id="one spelling"),
        pytest.param("http://[::1]/", "http://[0:0::1]:80/", True, id="IPv6"),
        pytest.param("http://bücher.example/", "http://xn--bcher-kva.example/", True, id="international"),
        pytest.param("http://h", "https://h", False, id="scheme"),
        pytest.param("http://h", "http://h:443", False, id="port"),
        pytest.param("http://h", "http://h.evil", False, id="host"),
        pytest.param("http://localhost", "http://127.0.0.1", False, id="names are not looked up"),
    ],
)
def test_origin(first: str, second: str, same: bool) -> None:
    assert (origin(httpx.URL(first)) == origin(httpx.URL(second))) == same


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://h/a.jpg?X-Amz-Signature=secret&x=1", "https://h/a.jpg?…"),
        ("https://user:secret@h/a@2x.jpg", "https://h/a@2x.jpg"),
        ("//user:secret@h/a.jpg", "//h/a.jpg"),
        ("https://h/a.jpg#secret", "https://h/a.jpg"),
        ("/data/local-files/?d=i/a.jpg&token=secret", "/data/local-files/?d=i/a.jpg"),
        ("https://h/data/local-files/?token=secret&d=a", "https://h/data/local-files/?…"),
        ("data:image/png;base64,secret", "data:image/png;base64,…"),
        ("s3://b/a.jpg", "s3://b/a.jpg"),
        ("/a\r\nb\x00.jpg", "/a\ufffd\ufffdb\ufffd.jpg"),
        ("http://h/" + "a" * 500 + "/b.jpg", "http://h/" + "a" * 91 + "…" + "a" * 94 + "/b.jpg"),
    ],
)
def test_names_hold_nothing_secret(url: str, name: str) -> None:
    assert shown(url) == name
