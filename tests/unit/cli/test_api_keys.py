import json

import pytest
from rich.text import Text

from cli import config
from tests.fake_api import NEW_KEY, NOW, URL, FakeApi, asked, bodies, id_of, problem
from tests.unit.cli.conftest import Spark


def test_a_new_key_is_all_that_goes_to_stdout(api: FakeApi, spark: Spark) -> None:
    made = spark("key", "create", "ci", "--role", "operator")
    assert made.stdout == f"{NEW_KEY}\n"
    assert NEW_KEY not in made.stderr
    assert "not shown again" in made.stderr
    assert f"spark config set NAME --url {URL} --api-key -" in made.stderr
    assert bodies(api, "POST", "/api-keys$") == [{"name": "ci", "role": "operator"}]


def test_a_new_key_with_json_is_one_document(spark: Spark) -> None:
    made = spark("key", "create", "ci", "--json")
    assert (json.loads(made.stdout)["key"], made.stderr) == (NEW_KEY, "")


def test_a_secret_is_asked_for_once(api: FakeApi, spark: Spark) -> None:
    api.add_key()
    for words in (["create", "x"], ["rotate", "ci"]):
        spark("key", *words)
    assert [r for r in asked(api, "POST", "/api-keys") if "Idempotency-Key" in r.headers] == []
    api.answers = [problem(503, "unavailable", "Not now.")]
    assert spark("key", "rotate", id_of("key", 1)).exit_code == 4
    assert len(asked(api, "POST", "/rotate$")) == 2


def test_a_role_may_be_named(api: FakeApi, spark: Spark) -> None:
    api.add_role("on call")
    spark("key", "create", "ci", "--role", "on call", "--organization-wide", "--daily-quota", "0", "--per-minute", "9")
    assert bodies(api, "POST", "/api-keys$") == [
        {"name": "ci", "role": id_of("rol", 1), "organization_wide": True, "daily_quota": 0, "per_minute": 9}
    ]
    assert "no role 'king'" in spark("key", "create", "ci", "--role", "king").stderr


@pytest.mark.parametrize(
    ("said", "until"),
    [
        ("90d", "2030-04-01T12:00:00.000Z"),
        ("2030-02-01", "2030-02-01T23:59:59.999Z"),
        ("2030-02-01T12:00Z", "2030-02-01T12:00:00.000Z"),
    ],
)
def test_an_end_is_a_length_a_date_or_a_time(api: FakeApi, spark: Spark, said: str, until: str) -> None:
    api.add_key()
    spark("key", "create", "x", "--valid-until", said)
    spark("key", "update", "ci", "--valid-until", said)
    assert bodies(api, "POST", "/api-keys$")[0]["valid_until"] == until
    assert bodies(api, "PATCH", "/api-keys/") == [{"valid_until": until}]


def test_an_end_that_is_none_is_a_usage_error(spark: Spark) -> None:
    assert spark("key", "create", "x", "--valid-until", "soon").exit_code == 2


def test_the_list_tells_what_they_open_and_when_they_end(api: FakeApi, spark: Spark) -> None:
    api.add_key("bootstrap", id="bootstrap", role="owner", organization_wide=True, last_used_at=NOW)
    api.add_key("ci", valid_until="2030-01-11T12:00:00.000Z")
    rows = [line.split() for line in spark("key", "list").stdout.splitlines()[1:]]
    assert rows[0] == ["00000002", "ci", "viewer", "default", "never", "in", "10", "d"]
    assert rows[1] == ["bootstrap", "bootstrap", "owner", "(all)", "just", "now"]


def test_the_list_is_that_of_a_project_if_one_is_named(api: FakeApi, spark: Spark) -> None:
    api.add_project("Lab")
    config.use_project("test", id_of("prj", 1))
    spark("key", "list")
    spark("key", "list", "--project", "Lab")
    asked_for = [request.url.params.get("project_id") for request in asked(api, "GET", "/api-keys$")]
    assert asked_for == [None, id_of("prj", 1)]


def test_update_changes_only_what_is_named(api: FakeApi, spark: Spark) -> None:
    api.add_key()
    spark("key", "update", "ci", "--name", "deploy", "--role", "editor")
    spark("key", "update", "deploy", "--no-end")
    assert bodies(api, "PATCH", "/api-keys/") == [{"name": "deploy", "role": "editor"}, {"valid_until": None}]
    assert spark("key", "update", "deploy").exit_code == 2
    assert spark("key", "update", "deploy", "--no-end", "--valid-until", "1d").exit_code == 2


def test_rotate_takes_an_overlap(api: FakeApi, spark: Spark) -> None:
    api.add_key()
    assert spark("key", "rotate", "ci", "--overlap", "2h").stdout == f"{NEW_KEY}\n"
    spark("key", "rotate", "ci", "--overlap", "0")
    spark("key", "rotate", "ci")
    assert bodies(api, "POST", "/rotate$") == [{"overlap_seconds": 7200}, {"overlap_seconds": 0}, {}]


def test_a_refused_field_is_named_by_its_option(api: FakeApi, spark: Spark) -> None:
    api.add_key()
    errors = [{"pointer": "/overlap_seconds", "detail": "is too long"}]
    api.handle = lambda request: (
        problem(422, "invalid", "x", errors=errors) if request.method == "POST" else api.answer(request)
    )
    assert "--overlap  is too long" in spark("key", "rotate", "ci", "--overlap", "99d").stderr


def test_revoke_asks(api: FakeApi, spark: Spark) -> None:
    api.add_key()
    assert spark("key", "revoke", "ci").exit_code == 2
    assert len(api.kept["api-keys"]) == 1
    assert "up to a minute" in spark("key", "revoke", "ci", "--yes").stderr
    assert api.kept["api-keys"] == []


def test_a_key_is_shown(api: FakeApi, spark: Spark) -> None:
    api.add_key(previous_until="2030-01-01T13:00:00.000Z", daily_quota=0, per_minute=60)
    shown = " ".join(spark("key", "get", "ci").stdout.split())
    assert "old secret in 1 h" in shown
    assert "a minute 60 requests a day no limit" in shown
    assert spark("keys", "get", "ci").exit_code == 0


def test_every_column_is_there_in_eighty(api: FakeApi, spark: Spark) -> None:
    api.add_key(role=id_of("rol", 1))
    shown = Text.from_ansi(spark("key", "list", env={"FORCE_COLOR": "1", "COLUMNS": "80"}).stdout).plain
    assert shown.splitlines()[0].split() == ["ID", "NAME", "ROLE", "PROJECT", "USED", "ENDS"]
