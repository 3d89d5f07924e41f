import pytest

from exporters.coco.uris import address_without_secrets


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        pytest.param("/data/upload/1/a.jpg", "/data/upload/1/a.jpg", id="upload"),
        pytest.param("/data/local-files/?d=a%20b/c.jpg", "/data/local-files/?d=a%20b/c.jpg", id="local file"),
        pytest.param("s3://bucket/a b.jpg", "s3://bucket/a b.jpg", id="bucket"),
        pytest.param("https://me:pw@host:8/a.jpg", "https://host:8/a.jpg", id="user and password"),
        pytest.param(
            "https://h/a.jpg?X-Amz-Credential=k&X-Amz-Signature=s&v=2", "https://h/a.jpg?v=2", id="signed S3"
        ),
        pytest.param("https://h/a?sv=1&sig=s&se=2&sp=r", "https://h/a", id="Azure"),
        pytest.param("https://h/a?Expires=1&Signature=s&Key-Pair-Id=k", "https://h/a", id="CloudFront"),
        pytest.param("https://h/a?access%5Ftoken=t&id=3#f", "https://h/a?id=3#f", id="token, escaped"),
        pytest.param("data:image/png;base64,AAAA", None, id="the picture itself"),
        pytest.param("http://[broken", None, id="malformed"),
    ],
)
def test_secrets_are_left_out(uri: str, shown: str | None) -> None:
    assert address_without_secrets(uri) == shown
