"""How the real clients are built."""

import random
from collections.abc import Iterator
from typing import Any

import pytest

from shared import wiring
from shared.domain.outbound import AllowList
from shared.errors import NotExported
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


def test_chance_is_not_what_a_seed_makes_of_it() -> None:
    """Environments that start from one snapshot begin with the same seed; their runs shall not come back as one."""
    random.seed(1)
    first = wiring.chance()
    random.seed(1)
    assert wiring.chance() != first


@pytest.mark.parametrize("name", ["executor", "firing", "scheduling", "backfilling", "ticker", "turnstile", "endings"])
def test_everything_is_built_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_TABLE", "spark")
    monkeypatch.setenv("SPARK_RUN_QUEUE_URL", "https://sqs.test/1/runs")

    built = getattr(wiring, name)()

    assert getattr(wiring, name)() is built
    assert all(part is not None for name, part in vars(built).items() if name != "sleep")


def test_a_receiver_of_traces_that_cannot_be_made_is_found_when_there_is_something_to_send(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not before: an executor without one executes runs."""
    monkeypatch.setenv("SPARK_OTLP_ENDPOINT", "https://u:sekret@receiver.test")
    monkeypatch.setenv("SPARK_RUN_QUEUE_URL", "https://sqs.test/1/runs")
    assert wiring.executor() is not None
    exporting = wiring.exporting()
    with pytest.raises(NotExported, match="OtlpEndpoint is no address"):
        exporting.send([])


def test_a_receiver_without_a_secret_asks_no_secrets_manager(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    monkeypatch.setattr(wiring.boto3, "client", lambda service, **_: made.append(service))
    assert (wiring.receiver_headers(), made) == ({}, [])


def test_logins_wait_longer_for_a_secret_than_traces_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_OTLP_SECRET_ID", "arn")
    asked: list[Any] = []

    def keep(service: str, config: Any) -> Any:
        asked.append(config)
        raise NotExported("enough seen")

    usual = wiring.client("secretsmanager")._client_config
    monkeypatch.setattr(wiring.boto3, "client", keep)
    with pytest.raises(NotExported, match="enough seen"):
        wiring.receiver_headers()
    (hurried,) = asked
    assert (usual.read_timeout, usual.retries["total_max_attempts"]) == (10, 4)
    assert (hurried.read_timeout, hurried.retries["total_max_attempts"]) == (2, 2)


def test_clients_of_langflow_call_what_the_deployment_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARK_OUTBOUND_ALLOW", "10.0.5.0/24")

    clients = [wiring.langflow(a_source(), "trace") for _ in range(2)]

    assert [client._transport for client in clients] == [wiring.network()] * 2
    assert wiring.network()._allowed == settings().outbound != AllowList()
