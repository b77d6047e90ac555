"""How the real clients are built."""

import pytest

from shared import wiring


def test_links_are_signed_the_way_that_encrypted_objects_need(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("SPARK_PAYLOAD_BUCKET", "payloads")
    wiring.reset()
    assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in wiring.payloads().link("keep/x.json")
    wiring.reset()
