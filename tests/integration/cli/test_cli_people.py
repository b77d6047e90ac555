"""People on the command line, against the real API: from an empty deployment to somebody who was invited and left."""

import json
import re
from pathlib import Path
from typing import Any

import pyotp
import pytest

from cli import config
from shared import wiring
from tests.fakes import Clock
from tests.integration.cli.test_cli_against_api import Deployment, Spark, deployment, document, spark  # noqa: F401
from tests.integration.conftest import API_KEY, Aws, forget

ANN, BOB = "ann@example.com", "bob@example.com"
PASSWORD = "a long and winding password\n"


@pytest.fixture
def letters(aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPARK_OUTBOX", str(tmp_path / "mail"))
    forget()
    return tmp_path / "mail" / "outbox.jsonl"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock(wiring.now())
    monkeypatch.setattr(wiring, "now", clock)
    return clock


def last_command(letters: Path) -> list[str]:
    """What the last letter asks its reader to type."""
    text = json.loads(letters.read_text().splitlines()[-1])["text"]
    found = re.search(r"^    spark (.+)$", text, re.MULTILINE)
    assert found
    return found[1].split()


def log_in(spark: Spark, email: str, **settings: Any) -> None:  # noqa: F811
    spark("login", "--email", email, "--password", "-", input=PASSWORD, **settings)


def test_from_the_first_owner_to_somebody_who_left(letters: Path, clock: Clock, spark: Spark) -> None:  # noqa: F811
    spark("admin", "create-owner", "--email", ANN, "--name", "Ann", "--password", "-", input=PASSWORD)
    spark("admin", "create-owner", "--email", BOB, "--name", "Bob", "--password", "-", input=PASSWORD, exits=4)
    spark(*last_command(letters))  # the address is hers
    log_in(spark, ANN)
    assert document(spark("whoami", "--json"))["user"]["email_verified_at"] is not None

    clock.forward(minutes=16)  # the access token is over
    spark("invite", BOB, "--role", "operator")
    assert "bob@example.com" in spark("member", "invitations").stdout

    config.save_profile("bob", "https://api.test", "")
    said = ("--email", BOB, "--name", "Bob", "--password", "-", "--profile", "bob")
    spark(*last_command(letters), *said, input=PASSWORD)
    spark("login", "--email", BOB, "--password", "-", "--profile", "bob", input=PASSWORD)
    assert document(spark("whoami", "--profile", "bob", "--json"))["role"] == "operator"
    spark("invite", "c@example.com", "--profile", "bob", exits=4)

    assert spark("member", "list").stdout.count("operator") == 1
    spark("member", "update", BOB, "--role", "viewer")
    spark("member", "remove", ANN, "--yes", exits=4)  # the last owner
    spark("member", "remove", BOB, "--yes")
    clock.forward(60)
    spark("whoami", "--profile", "bob", exits=4)

    spark("logout")
    assert document(spark("whoami", "--json"))["user"] is None
    assert config.load().profile("test").api_key == API_KEY


def test_another_password_ends_what_was_opened_with_the_old_one(letters: Path, spark: Spark) -> None:  # noqa: F811
    spark("admin", "create-owner", "--email", ANN, "--name", "Ann", "--password", "-", input=PASSWORD)
    log_in(spark, ANN)
    config.save_profile("laptop", "https://api.test", "")
    log_in(spark, ANN, env={"SPARK_PROFILE": "laptop"})
    assert len(document(spark("account", "sessions", "--json"))) == 2
    secrets = {"OLD": PASSWORD.strip(), "NEW": "quite another password"}
    spark("account", "password", "--current", "env:OLD", "--password", "env:NEW", env=secrets)
    assert len(document(spark("account", "sessions", "--json"))) == 1
    spark("whoami", "--profile", "laptop", exits=4)


def test_a_second_factor_from_the_first_code_to_a_phone_that_was_lost(
    letters: Path,
    clock: Clock,
    spark: Spark,  # noqa: F811
) -> None:
    spark("admin", "create-owner", "--email", ANN, "--name", "Ann", "--password", "-", input=PASSWORD)
    log_in(spark, ANN)
    app = pyotp.TOTP(document(spark("account", "mfa", "enable", "--current", "-", input=PASSWORD))["secret"])
    confirmed = spark("account", "mfa", "confirm", "--code", app.at(clock.at), "--json")
    codes = document(confirmed)["recovery_codes"]
    spark("logout")

    said = ("login", "--email", ANN, "--password", "-", "--code")
    spark(*said, app.at(clock.at), input=PASSWORD, exits=4)  # it was used
    clock.forward(30)
    spark(*said, app.at(clock.at), input=PASSWORD)
    assert document(spark("account", "mfa", "status", "--json"))["recovery_codes_left"] == 10
    spark("account", "mfa", "disable", "--current", "-", "--code", codes[0], input=PASSWORD)
    log_in(spark, ANN)

    app = pyotp.TOTP(document(spark("account", "mfa", "enable", "--current", "-", input=PASSWORD))["secret"])
    spark("account", "mfa", "confirm", "--code", app.at(clock.at))
    spark("login", "--email", ANN, "--password", "-", input=PASSWORD, exits=2)  # nobody is there to ask for a code
    spark("admin", "remove-second-factor", ANN, "--yes")
    log_in(spark, ANN)
