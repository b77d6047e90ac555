"""Addresses of sources."""

import pytest

from shared.domain.source import read_url


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("http://localhost:7860/", "http://localhost:7860"),
        ("https://flows.example.com/langflow//", "https://flows.example.com/langflow"),
        ("http://10.0.0.1:80", "http://10.0.0.1:80"),
        ("http://[::1]:7860", "http://[::1]:7860"),
    ],
)
def test_an_address_loses_the_slash_at_its_end(text: str, read: str) -> None:
    assert read_url(text) == read


@pytest.mark.parametrize(
    "text",
    [
        "",
        "localhost:7860",
        "file:///etc/passwd",
        "http://",
        "http://me:secret@host",
        "http://host?x=1",
        "http://host#x",
        "http://host:0",
        "http://host:70000",
        "http://host:port",
        "http://hö.st",
        "http://\uff11\uff12\uff17.0.0.1",
        "http://a\\b",
        "http://a\tb",
        "http://[::1",
    ],
)
def test_what_cannot_be_called_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        read_url(text)
