"""How the real clients are built."""

from collections.abc import Iterator

import pytest

from shared import wiring
from shared.domain.outbound import AllowList
from shared.settings import settings
from tests.world import a_source


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("SPARK_PAYLOAD_BUCKET", "payloads")
    wiring.reset()
    yield
    wiring.reset()


def test_links_are_signed_the_way_that_encrypted_objects_need() -> None:
    assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in wiring.payloads().link("keep/x.json")


@pytest.mark.parametrize("region", ["us-east-1", "eu-south-2"])
def test_links_name_the_host_of_the_region_that_they_are_signed_for(
    region: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    link = wiring.payloads().link("keep/x.json")
    assert link.startswith(f"https://payloads.s3.dualstack.{region}.amazonaws.com/keep/x.json?")
    assert f"%2F{region}%2Fs3%2F" in link


def test_links_name_the_endpoint_where_one_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
    assert wiring.payloads().link("keep/x.json").startswith("http://127.0.0.1:4566/payloads/keep/x.json?")


@pytest.mark.parametrize("name", ["executor", "firing", "scheduling", "backfilling", "ticker", "turnstile", "endings"])
def test_everything_is_built_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_TABLE", "spark")
    monkeypatch.setenv("SPARK_RUN_QUEUE_URL", "https://sqs.test/1/runs")

    built = getattr(wiring, name)()

    assert getattr(wiring, name)() is built
    assert all(part is not None for name, part in vars(built).items() if name != "sleep")


def test_clients_of_langflow_call_what_the_deployment_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_OUTBOUND_ALLOW", "10.0.5.0/24")

    clients = [wiring.langflow(a_source(), "trace") for _ in range(2)]

    assert [client._transport for client in clients] == [wiring.network()] * 2
    assert wiring.network()._allowed == settings().outbound != AllowList()
