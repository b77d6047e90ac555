import pytest

from tests.fake_api import FakeApi
from tests.unit.cli.conftest import Spark


def test_version(spark: Spark) -> None:
    assert spark("--version").stdout.startswith("spark ")


@pytest.mark.parametrize("noun", ["run", "task", "runs", "tasks"])
def test_a_task_is_a_run(api: FakeApi, spark: Spark, noun: str) -> None:
    api.add_workflow()
    api.add_run()
    assert "00000001  Echo" in spark(noun, "list").stdout


@pytest.mark.parametrize("plural", ["sources", "workflows", "schedules"])
def test_plurals_work_and_stay_out_of_the_help(spark: Spark, plural: str) -> None:
    assert spark(plural, "list").exit_code == 0
    assert f"│ {plural} " not in spark("--help").stdout


def test_help_tells_the_exit_codes(spark: Spark) -> None:
    said = " ".join(spark("workflow", "run", "--help").stdout.split())
    assert "0 completed, 1 failed, 2 wrong usage, 3 cancelled" in said


def test_nonsense_is_a_usage_error(spark: Spark) -> None:
    result = spark("source", "lst")
    assert result.exit_code == 2
    assert "Did you mean 'list'" in result.stderr
