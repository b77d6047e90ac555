"""Single sign-on on the command line: a browser that leads from a real provider back to a port of this machine."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from typer.testing import CliRunner, Result

from cli import config, main
from cli import sso as by_browser
from cli.session import Surroundings
from functions.api import identity
from shared.domain.role import Permission
from tests.integration.api import sso
from tests.integration.api.sso import Provider
from tests.integration.cli.test_cli_against_api import Deployment, Spark, deployment, document, spark  # noqa: F401
from tests.integration.conftest import API_KEY, Aws

Json = dict[str, Any]
Browser = Callable[[str], object]
SUE = "sue@sso.test"


@pytest.fixture(scope="module")
def oidc() -> Iterator[Provider]:
    with sso.running() as provider:
        provider.knows("sue", email=SUE, name="Sue", groups=["cn=makers"])
        yield provider


@pytest.fixture
def okta(spark: Spark, oidc: Provider) -> Json:  # noqa: F811
    named = ("--issuer", oidc.issuer, "--client-id", "spark", "--client-secret", "-", "--map", "cn=makers=editor")
    made: Json = document(spark("sso", "provider", "create", "Okta", *named, "--json", input="its secret\n"))
    return made


def log_in(deployment: Deployment, okta: Json, browser: Browser, *options: str) -> Result:  # noqa: F811
    world = Surroundings(deployment, sleep=lambda _: None, has_user=lambda: False, open_browser=browser)
    return CliRunner().invoke(main.app, ["login", "--sso", okta["id"], *options], obj=world, prog_name="spark")


def browsing(oidc: Provider, *before: Callable[[str], object], subject: str = "sue") -> Browser:
    """Somebody who logs in at the provider; `before` are called with where it leads back to."""

    def visit(url: str) -> None:
        back = httpx.post(url, data={"sub": subject}).headers["location"]
        for call in before:
            call(back)
        answer = httpx.get(back)
        assert answer.status_code == 200
        assert "close this page" in answer.text

    return lambda url: threading.Thread(target=visit, args=(url,), daemon=True).start()


def test_a_browser_leads_to_tokens(
    deployment: Deployment,  # noqa: F811
    oidc: Provider,
    okta: Json,
    spark: Spark,  # noqa: F811
    tmp_path: Path,
) -> None:
    done = log_in(deployment, okta, browsing(oidc))
    assert done.exit_code == 0, done.output
    assert f"{oidc.issuer}/oauth2/authorize" in done.output
    me = document(spark("whoami", "--json"))
    assert (me["user"]["email"], me["role"]) == (SUE, "editor")
    kept = config.load().profiles["test"]
    assert kept.refresh_token not in done.output
    spark("logout")
    assert document(spark("whoami", "--json"))["user"] is None


def test_what_does_not_bring_our_state_changes_nothing(
    deployment: Deployment,  # noqa: F811
    oidc: Provider,
    okta: Json,
) -> None:
    seen: list[int] = []

    def intrude(back: str) -> None:
        place = urlsplit(back)
        wrong = ("/", f"{place.path}?code=theirs", f"{place.path}?code=theirs&state=x", f"/idp_other?{place.query}")
        seen.extend(httpx.get(f"http://{place.netloc}{target}").status_code for target in wrong)

    done = log_in(deployment, okta, browsing(oidc, intrude))
    assert done.exit_code == 0, done.output
    assert seen == [404] * 4


def test_a_refusal_by_the_provider_is_told_without_what_terminals_obey(
    deployment: Deployment,  # noqa: F811
    okta: Json,
) -> None:
    def refuse(url: str) -> None:
        said = sso.asked_for(url)
        query = {"state": said["state"], "error": "access_denied", "error_description": "No\x1b[2J way"}
        threading.Thread(target=httpx.get, args=(said["redirect_uri"],), kwargs={"params": query}, daemon=True).start()

    done = log_in(deployment, okta, refuse)
    assert done.exit_code != 0
    assert "let nobody in: No [2J way." in done.output
    assert config.load().profiles["test"].access_token == ""


def test_nobody_waits_for_ever(
    deployment: Deployment,  # noqa: F811
    okta: Json,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[str] = []
    code = by_browser.Landing.code
    monkeypatch.setattr(by_browser.Landing, "code", lambda landing: code(landing, 0.05))
    done = log_in(deployment, okta, opened.append, "--no-browser")
    assert done.exit_code != 0
    assert "Nobody came back" in done.output
    assert "http://127.0.0.1" in done.output
    assert opened == []


def test_whoever_stands_for_it_is_shown_and_another_says_so(spark: Spark, okta: Json) -> None:  # noqa: F811
    provider = identity.identity_providers().get("default", okta["id"])
    little = provider.model_copy(update={"ceiling": (Permission.runs_read, Permission.sources_read), "mapping": ()})
    identity.identity_providers().save(provider, little)
    spark("sso", "provider", "update", "Okta", "--name", "Tidy")
    assert "at most runs:read, sources:read" in spark("sso", "provider", "get", "Tidy").stdout
    after = document(spark("sso", "provider", "update", "Tidy", "--vouch", "--trust-addresses", "--json"))
    assert (after["ceiling"], after["trusts_addresses"]) == (None, True)
    assert "trusted" in spark("sso", "provider", "get", "Tidy").stdout
    after = document(spark("sso", "provider", "update", "Tidy", "--no-trust-addresses", "--json"))
    assert after["trusts_addresses"] is False


def test_the_provider_is_named_shown_changed_and_deleted(spark: Spark, okta: Json, aws: Aws) -> None:  # noqa: F811
    shown = spark("sso", "provider", "get", "Okta").stdout
    assert "cn=makers → editor" in shown
    assert "others → refused" in shown
    assert "what their role allows" in shown
    assert "those it verified" in shown
    assert okta["id"] in spark("sso", "provider", "list").stdout
    changes = (
        "--map",
        "a=viewer",
        "--map",
        "b=admin",
        "--default-role",
        "viewer",
        "--domain",
        "sso.test",
        "--disabled",
    )
    after = document(spark("sso", "provider", "update", "Okta", *changes, "--client-secret", "-", "--json", input="\n"))
    assert [each["role"] for each in after["mapping"]] == ["viewer", "admin"]
    assert (after["default_role"], after["domains"], after["enabled"]) == ("viewer", ["sso.test"], False)
    assert after["has_client_secret"] is False
    cleared = document(spark("sso", "provider", "update", okta["id"], "--map", "", "--default-role", "none", "--json"))
    assert (cleared["mapping"], cleared["default_role"]) == ([], None)
    spark("sso", "provider", "update", "Okta", "--map", "nothing", exits=2)
    spark("sso", "provider", "update", "Okta", exits=2)
    spark("sso", "provider", "delete", "Okta", exits=2)
    spark("sso", "provider", "delete", "Okta", "--yes")
    assert json.loads(spark("sso", "provider", "list", "--json").stdout) == []
    assert "spark sso provider list" in spark("sso", "provider", "get", "Okta", exits=4).output
    assert API_KEY not in shown
