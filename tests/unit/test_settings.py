"""What the environment says, and what it must not say."""

from collections.abc import Iterator

import pytest
from pydantic import ValidationError

from shared.domain.outbound import AllowList
from shared.settings import settings


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    settings.cache_clear()
    yield
    settings.cache_clear()


def test_nothing_but_public_addresses_is_called_unless_the_deployment_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPARK_OUTBOUND_ALLOW", raising=False)
    assert settings().outbound == AllowList()


def test_what_may_be_called_is_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_OUTBOUND_ALLOW", "10.0.5.0/24, langflow.internal")
    assert settings().outbound == AllowList.read("langflow.internal,10.0.5.0/24")


def test_a_list_that_cannot_be_read_stops_the_start_and_names_the_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_OUTBOUND_ALLOW", "127.0.0.0/8,10.0.5.1/24")
    with pytest.raises(ValidationError, match=r"OutboundAllow: '10\.0\.5\.1/24' is no network.*has host bits set"):
        settings()


def test_traces_go_nowhere_unless_the_deployment_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPARK_OTLP_ENDPOINT", raising=False)
    assert (settings().otlp_endpoint, settings().otlp_content) == ("", False)


@pytest.mark.parametrize("url", ["receiver.test", "https://key@receiver.test", "https://receiver.test/?key=1"])
def test_where_traces_go_stops_no_start_whatever_it_says(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_OTLP_ENDPOINT", url)
    assert settings().otlp_endpoint == url


def test_what_stops_the_start_does_not_stand_in_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_REQUESTS_PER_MINUTE", "sekret")
    with pytest.raises(ValidationError, match="requests_per_minute") as error:
        settings()
    assert "sekret" not in str(error.value)
