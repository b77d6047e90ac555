import json

import pytest

from cli import config
from tests.fake_api import KEY, URL
from tests.unit.cli.conftest import Spark


def test_keys_are_never_shown(spark: Spark) -> None:
    for words in (["list"], ["get"], ["list", "--json"], ["get", "test", "--json"]):
        assert "spk_test_…" in spark("config", *words).stdout  # `spark` itself asserts that no key is in the output


def test_get_shows_what_commands_would_use(spark: Spark) -> None:
    shown = json.loads(spark("config", "get", "--json").stdout)
    assert shown == {"name": "test", "url": URL, "api_key": "spk_test_…", "current": True}


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        (["--api-key", "-"], {"input": f"{KEY}\n"}),
        (["--api-key", "env:KEY"], {"env": {"KEY": KEY}}),
        ([], {"input": f"{KEY}\n", "user": True}),
    ],
)
def test_set_adds_a_profile(spark: Spark, words: list[str], settings: dict[str, object]) -> None:
    assert (
        spark("config", "set", "prod", "--url", "https://spark.example.com/api/v1", *words, **settings).exit_code == 0
    )
    assert config.load().profile("prod").url == "https://spark.example.com"
    assert config.load().profile("prod").api_key == KEY
    assert config.load().current == "test"


def test_set_changes_only_what_is_named(spark: Spark) -> None:
    spark("config", "set", "test", "--url", "http://moved.test")
    assert config.load().profile("test") == config.Profile("test", "http://moved.test", KEY)


def test_a_new_profile_needs_an_address(spark: Spark) -> None:
    assert spark("config", "set", "prod", "--api-key", "-", input="k\n").exit_code == 2


def test_use_switches(spark: Spark) -> None:
    config.save_profile("prod", "https://spark.example.com", KEY)
    assert "https://spark.example.com" in spark("config", "use", "prod").stderr
    assert config.load().current == "prod"
    assert spark("config", "use", "nope").exit_code == 2


def test_delete_forgets(spark: Spark) -> None:
    assert spark("config", "delete", "test").exit_code == 2
    assert spark("config", "delete", "test", "--yes").exit_code == 0
    assert "spark local up" in spark("config", "list").stderr


def test_path_prints_the_path(spark: Spark) -> None:
    assert spark("config", "path").stdout == f"{config.path()}\n"
    assert json.loads(spark("config", "path", "--json").stdout) == {"path": str(config.path())}
