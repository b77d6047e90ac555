import pytest
from typer.testing import CliRunner

from cli import main
from cli.session import Surroundings
from tests.fake_api import FakeApi, problem


def offered(api: FakeApi, line: str) -> list[str]:
    """What a shell would offer at the end of `line`."""
    variables = {"_SPARK_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": line}
    world = Surroundings(api.transport)
    result = CliRunner().invoke(main.app, [], obj=world, prog_name="spark", env=variables)
    return result.stdout.splitlines()


@pytest.fixture
def filled(api: FakeApi) -> FakeApi:
    api.add_source("lab")
    api.add_workflow("Echo")
    api.add_workflow("Slow")
    api.add_schedule("Daily")
    api.add_run()
    return api


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("spark wor", "workflow"),
        ("spark source get ", "lab"),
        ("spark workflow run E", "Echo"),
        ("spark schedule trigger ", "Daily"),
        ("spark run list --schedule ", "Daily"),
        ("spark schedule preview --tz America/S", "America/Sao_Paulo"),
        ("spark run get ", "00000001"),
        ("spark config use ", "test"),
        ("spark run list --profile ", "test"),
    ],
)
def test_names_are_completed(filled: FakeApi, line: str, word: str) -> None:
    assert any(word in offer for offer in offered(filled, line))


def test_only_what_fits_is_offered(filled: FakeApi) -> None:
    assert not any("Slow" in offer for offer in offered(filled, "spark workflow run E"))


def test_trouble_offers_nothing(filled: FakeApi) -> None:
    filled.answers = [problem(503, "unavailable", "Not now.") for _ in range(9)]
    assert "Echo" not in "".join(offered(filled, "spark workflow run "))
