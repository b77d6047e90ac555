import json

import httpx
import pytest

from cli import config
from tests.fake_api import KEY, URL, FakeApi, asked, bodies, id_of, problem
from tests.unit.cli.conftest import Spark

LAB = id_of("prj", 1)


def meant(api: FakeApi, noun: str = "runs") -> list[str | None]:
    """The projects that requests for `noun` meant."""
    return [request.headers.get("X-Project-Id") for request in asked(api, "GET", f"/{noun}$")]


@pytest.fixture
def lab(api: FakeApi) -> str:
    return str(api.add_project("Lab")["id"])


def test_without_a_choice_it_is_the_keys_own(api: FakeApi, spark: Spark) -> None:
    spark("run", "list")
    assert meant(api) == [None]


@pytest.mark.parametrize("name", ["Lab", "lab", LAB, LAB[-8:]])
@pytest.mark.parametrize("words", [["--project", "{}", "run", "list"], ["run", "list", "--project", "{}"]])
def test_the_line_chooses_for_once(api: FakeApi, spark: Spark, lab: str, words: list[str], name: str) -> None:
    spark(*(word.format(name) for word in words))
    spark("run", "list")
    assert meant(api) == [lab, None]


def test_the_environment_chooses_for_a_shell(api: FakeApi, spark: Spark, lab: str) -> None:
    config.save_profile("second", URL, KEY)
    spark("run", "list", env={"SPARK_PROJECT": "Lab"})
    spark("run", "list", "--project", "default", env={"SPARK_PROJECT": "Lab"})
    spark("run", "list", "--profile", "second", env={"SPARK_PROJECT": "Lab"})
    assert meant(api) == [lab, "default", None]


def test_use_chooses_until_another_is_used(api: FakeApi, spark: Spark, lab: str) -> None:
    assert "Lab" in spark("project", "use", "Lab").stderr
    assert asked(api, "GET", f"/projects/{lab}$")[0].headers["X-Project-Id"] == lab
    spark("run", "list")
    spark("run", "list", env={"SPARK_PROJECT": "default"})
    spark("run", "list", "--profile", "test")
    assert json.loads(spark("config", "get", "--json").stdout)["project"] == lab
    spark("project", "use")
    spark("run", "list")
    assert meant(api) == [lab, "default", lab, None]


def test_a_choice_stays_with_the_address(spark: Spark, lab: str) -> None:
    spark("project", "use", "Lab")
    config.save_profile("test", URL, KEY)
    assert config.choose(None, {}).project == lab
    assert config.choose(None, {"SPARK_URL": "http://other.test"}).project == ""
    assert config.choose(None, {"SPARK_URL": URL}).project == lab
    config.save_profile("test", "http://other.test", KEY)
    assert config.choose(None, {}).project == ""


def test_use_needs_a_profile_to_keep_it_in(api: FakeApi, spark: Spark, lab: str) -> None:
    result = spark("project", "use", "Lab", env={"SPARK_URL": URL, "SPARK_API_KEY": KEY})
    assert (result.exit_code, "SPARK_PROJECT" in result.stderr) == (2, True)


def test_use_of_what_is_not_there_changes_nothing(api: FakeApi, spark: Spark, lab: str) -> None:
    assert spark("project", "use", "nope").exit_code == 4
    assert spark("project", "use", id_of("prj", 404)).exit_code == 4
    assert config.choose(None, {}).project == ""


def test_a_choice_that_is_gone_can_be_made_anew(api: FakeApi, spark: Spark, lab: str) -> None:
    spark("project", "use", "Lab")
    gone = id_of("prj", 9)
    config.use_project("test", gone)
    real = api.handle

    def strict(request: httpx.Request) -> httpx.Response:
        if request.headers.get("X-Project-Id") == gone:
            return problem(404, "not_found", f"No project '{gone}' in this organization.")
        return real(request)

    api.handle = strict
    assert "spark project use" in spark("run", "list").stderr
    assert spark("project", "list").exit_code == 0
    assert spark("project", "use", "Lab").exit_code == 0
    assert spark("run", "list").exit_code == 0


def test_a_person_means_the_chosen_one_also_where_it_is_about_the_organization(
    api: FakeApi, spark: Spark, lab: str
) -> None:
    """They may have several, and the API refuses to guess; a key has its own."""
    spark("project", "use", "Lab")
    spark("project", "list")
    assert meant(api, "projects")[-1] is None
    config.keep_tokens("test", "access", "refresh")
    spark("project", "list")
    assert meant(api, "projects")[-1] == lab


def test_the_list_marks_the_chosen_one(api: FakeApi, spark: Spark, lab: str) -> None:
    api.add_project("Other", retention_days=0)
    spark("project", "use", "Lab")
    rows = [line.split() for line in spark("project", "list").stdout.splitlines()[1:]]
    assert rows[0][:4] == ["00000002", "Other", "for", "good"]
    assert rows[1][:5] == ["*", "00000001", "Lab", "90", "d"]


def test_a_project_is_founded_changed_and_deleted(api: FakeApi, spark: Spark) -> None:
    assert "spark project use" in spark("project", "create", "Lab", "--retention-days", "7").stderr
    spark("projects", "update", "Lab", "--name", "Den", "--retention-days", "0")
    assert bodies(api, "POST", "/projects$") == [{"name": "Lab", "retention_days": 7}]
    assert bodies(api, "PATCH", "/projects/") == [{"name": "Den", "retention_days": 0}]
    assert "for good" in spark("project", "get", "Den").stdout
    assert spark("project", "update", "Den").exit_code == 2
    assert spark("project", "delete", "Den").exit_code == 2
    assert spark("project", "delete", "Den", "--yes").exit_code == 0
    assert api.kept["projects"] == []


def test_one_that_is_not_empty_names_what_is_left(api: FakeApi, spark: Spark, lab: str) -> None:
    api.answers = [problem(409, "in_use", "It is not empty.", users=["src_1"])]
    assert "src_1" in spark("project", "delete", lab, "--yes").stderr
