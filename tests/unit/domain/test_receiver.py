"""Where traces may be sent."""

import pytest

from shared.domain.outbound import AllowList
from shared.domain.receiver import NO_ADDRESS, NOT_ENCRYPTED, read_endpoint
from shared.errors import NotExported

INSIDE = AllowList.read("10.0.5.0/24, collector.internal, .corp.internal")


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://app.langwatch.ai/api/otel/", "https://app.langwatch.ai/api/otel"),
        ("HTTPS://receiver.test:4318", "HTTPS://receiver.test:4318"),
        ("http://10.0.5.7:4318", "http://10.0.5.7:4318"),
        ("http://collector.internal:4318/", "http://collector.internal:4318"),
        ("http://otel.corp.internal", "http://otel.corp.internal"),
    ],
)
def test_it_is_encrypted_or_named_by_the_deployment(text: str, url: str) -> None:
    assert read_endpoint(text, INSIDE) == url


@pytest.mark.parametrize(
    "text", ["http://app.langwatch.ai", "http://10.0.6.7", "HTTP://receiver.test", "http://other.internal"]
)
def test_a_key_is_not_sent_for_everybody_to_read(text: str) -> None:
    with pytest.raises(NotExported) as refused:
        read_endpoint(text, INSIDE)
    assert str(refused.value) == NOT_ENCRYPTED


@pytest.mark.parametrize(
    "text",
    [
        "receiver.test",
        "ftp://receiver.test",
        "https://",
        "https://u:sekret@receiver.test",
        "https://receiver.test/otel?project=sekret",
        "https://receiver.test/#sekret",
        "https://receiver.test:0",
        "https://receiver.test:sekret",
        "https://[sekret",
        "https://receiver.test/a b",
    ],
)
def test_what_is_no_address_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(NotExported) as refused:
        read_endpoint(text, INSIDE)
    assert str(refused.value) == NO_ADDRESS
    assert refused.value.__suppress_context__
