"""What an operator does with a deployment, on the real API: `spark admin seed`, `spark admin rotate-encryption`."""

# ruff: noqa: F401, F811  # fixtures

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.seed_file import EXAMPLE
from shared import wiring
from tests.integration.cli.test_cli_against_api import (
    LANGFLOW_KEY,
    Deployment,
    Spark,
    deployment,
    document,
    langflow,
    spark,
    stub,
)
from tests.integration.conftest import Aws, forget
from tests.stub_langflow import StubLangFlow

Json = dict[str, Any]
KEYS = {"LANGFLOW_KEY": LANGFLOW_KEY}


@pytest.fixture(autouse=True)
def letters(aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPARK_OUTBOX", str(tmp_path / "mail"))
    forget()
    return tmp_path / "mail" / "outbox.jsonl"


@pytest.fixture
def wanted(langflow: StubLangFlow) -> Json:
    """The example, with a LangFlow that is there."""
    seed: Json = yaml.safe_load(EXAMPLE)
    seed["sources"][0]["url"] = langflow.url
    return seed


def results(spark: Spark, seed: Json, tmp_path: Path, exits: int = 0, **settings: Any) -> dict[str, str]:
    """What became of each: `project Reports` → `created`."""
    file = tmp_path / "seed.yaml"
    file.write_text(yaml.safe_dump(seed))
    said = document(spark("admin", "seed", str(file), "--json", exits=exits, **settings))
    return {f"{one['kind']} {one['name']}": one["result"] for one in said}


class TestSeed:
    def test_makes_what_is_missing_and_nothing_the_second_time(
        self,
        spark: Spark,
        wanted: Json,
        tmp_path: Path,
        aws: Aws,
        letters: Path,
    ) -> None:
        assert results(spark, wanted, tmp_path, env=KEYS) == {
            "organization Acme": "changed",
            "project Reports": "created",
            "role on call": "created",
            "member ann@example.com": "invited",
            "member bob@example.com in Reports": "invited",
            "source lab in Reports": "created",
        }
        before, sent = settled(aws), letters.read_text()
        again = results(spark, wanted, tmp_path)  # nor does it take the key
        assert set(again.values()) == {"unchanged"}
        assert (settled(aws), letters.read_text()) == (before, sent)
        assert [one["name"] for one in document(spark("source", "list", "--project", "Reports", "--json"))] == ["lab"]
        assert document(spark("source", "list", "--json")) == []

    def test_changes_what_differs(self, spark: Spark, wanted: Json, tmp_path: Path) -> None:
        results(spark, wanted, tmp_path, env=KEYS)
        wanted["projects"][0]["retention_days"] = 7
        wanted["roles"][0]["deny"] = ["runs:cancel"]
        wanted["members"][0]["role"] = "viewer"
        wanted["sources"][0]["max_concurrency"] = 2
        assert results(spark, wanted, tmp_path) == {
            "organization Acme": "unchanged",
            "project Reports": "changed",
            "role on call": "changed",
            "member ann@example.com": "invited",
            "member bob@example.com in Reports": "unchanged",
            "source lab in Reports": "changed",
        }
        assert document(spark("project", "get", "Reports", "--json"))["retention_days"] == 7
        assert [one["role"] for one in document(spark("member", "invitations", "--json"))].count("viewer") == 1
        assert set(results(spark, wanted, tmp_path).values()) == {"unchanged"}

    def test_who_is_in_already_gets_the_role_and_no_letter(
        self,
        spark: Spark,
        tmp_path: Path,
        letters: Path,
    ) -> None:
        words = ("admin", "create-owner", "--email", "ann@example.com", "--name", "Ann", "--password", "-")
        spark(*words, input="a long and winding password\n")
        sent = letters.read_text()
        seed = {"members": [{"email": "Ann@example.com", "role": "owner"}]}
        assert results(spark, seed, tmp_path) == {"member ann@example.com": "unchanged"}
        assert letters.read_text() == sent

    def test_one_that_breaks_off_says_where_and_goes_on_the_next_time(
        self,
        spark: Spark,
        wanted: Json,
        tmp_path: Path,
    ) -> None:
        file = tmp_path / "seed.yaml"
        file.write_text(yaml.safe_dump(wanted))
        said = spark("admin", "seed", str(file), exits=2)
        assert "/sources/0" in said.stderr
        assert "LANGFLOW_KEY" in said.stderr
        assert "created" in said.stdout
        made = results(spark, wanted, tmp_path, env=KEYS)
        assert made.pop("source lab in Reports") == "created"
        assert set(made.values()) == {"unchanged"}

    def test_what_the_api_refuses_is_named_by_its_place(self, spark: Spark, tmp_path: Path) -> None:
        file = tmp_path / "seed.yaml"
        file.write_text(yaml.safe_dump({"roles": [{"name": "x"}, {"name": "y", "allow": ["runs:dance"]}]}))
        assert "/roles/1/allow/0" in spark("admin", "seed", str(file), exits=4).stderr

    def test_of_two_with_one_name_it_does_not_choose(self, spark: Spark, tmp_path: Path) -> None:
        for _ in range(2):
            spark("project", "create", "Twin")
        file = tmp_path / "seed.yaml"
        file.write_text("projects: [{name: Twin, retention_days: 7}]")
        assert "2 called 'Twin'" in spark("admin", "seed", str(file), exits=2).stderr


class TestRotation:
    def test_all_is_encrypted_anew_however_many_calls_it_takes(
        self,
        spark: Spark,
        wanted: Json,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        wanted["sources"].append({**wanted["sources"][0], "name": "bench"})
        results(spark, wanted, tmp_path, env=KEYS)
        another = wiring.client("kms").create_key()["KeyMetadata"]["Arn"]
        monkeypatch.setenv("SPARK_KMS_KEY_ID", another)
        forget()
        monkeypatch.setattr("cli.admin.SWEPT_AT_ONCE", 1)
        assert "2 of 2 encrypted" in spark("admin", "rotate-encryption").stderr
        assert document(spark("admin", "rotate-encryption", "--json")) == {"matched": 2, "changed": 2, "left": []}
        assert opened_with() == {another}
        assert "active" in spark("source", "check", "lab", "--project", "Reports").stdout

    def test_what_does_not_open_is_named(self, spark: Spark, wanted: Json, tmp_path: Path) -> None:
        results(spark, wanted, tmp_path, env=KEYS)
        (source,) = all_sources()
        damaged = base64.b64encode(b"x" * 200).decode()
        wiring.sources().save(source, source.model_copy(update={"encrypted_key": damaged}))
        said = spark("admin", "rotate-encryption", exits=1).stderr
        assert "0 of 1" in said
        assert source.id in said


def all_sources() -> list[Any]:
    projects = wiring.projects().list("default", limit=10).items
    return [one for project in projects for one in wiring.sources().list(project.id, limit=10).items]


def opened_with() -> set[str]:
    """The keys that open what is stored."""
    return {
        wiring.client("kms").decrypt(
            CiphertextBlob=base64.b64decode(one.encrypted_key), EncryptionContext={"project": one.project_id}
        )["KeyId"]
        for one in all_sources()
    }


def settled(aws: Aws) -> list[str]:
    """Every item, but those that count requests or note that a key was used."""
    counted = ("LIMIT#", "KEY#")
    return sorted(str(item) for item in aws.items() if not item["pk"]["S"].startswith(counted))
