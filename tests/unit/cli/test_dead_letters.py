import json

import pytest

from tests.fake_api import FakeApi, asked, id_of
from tests.unit.cli.conftest import Spark


@pytest.fixture
def buried(api: FakeApi) -> FakeApi:
    api.add_workflow()
    api.add_dead_letter()
    api.add_dead_letter(reason="too_many_attempts", message="No executor survived it.", run_id=id_of("run", 9))
    return api


def test_the_list_tells_why(buried: FakeApi, spark: Spark) -> None:
    lines = spark("dead-letters", "list").stdout.splitlines()
    assert lines[1].startswith("00000002  too_many_attempts  00000009  just now")
    assert json.loads(spark("dead-letters", "list", "--json").stdout) == buried.kept["dead-letters"]


def test_none_is_good_news(spark: Spark) -> None:
    assert "No dead letters" in spark("dead-letters", "list").stderr


def test_get_shows_the_message_as_it_came(buried: FakeApi, spark: Spark) -> None:
    assert "body         {" in spark("dead-letters", "get", "00000001").stdout


def test_unreadable_ones_are_asked_for(buried: FakeApi, spark: Spark) -> None:
    spark("dead-letters", "list", "--unreadable")
    spark("dead-letters", "get", "last", "--unreadable")
    assert {request.url.params["unreadable"] for request in buried.requests} == {"true"}


def test_redrive_makes_a_run_that_can_be_watched(buried: FakeApi, spark: Spark) -> None:
    assert spark("dead-letters", "redrive", "last", "--watch").stdout == "Hello back\n"
    assert asked(buried, "POST", "/redrive$")[0].url.path.endswith(f"{id_of('dl', 2)}/redrive")
