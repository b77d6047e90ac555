"""`spark("source", "list")` runs the command line against `api`, with a clock that only sleeping moves."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli import config, main
from cli.session import Surroundings
from tests.fake_api import KEY, NOW, SECRET, URL, FakeApi

Spark = Callable[..., Result]
SAO_PAULO = "America/Sao_Paulo"
DAYS = [f"2030-01-{day:02}T12:00:00.000Z" for day in range(2, 30)]


class Clock:
    """Noon of 2030, until somebody sleeps."""

    def __init__(self) -> None:
        self.now = datetime.fromisoformat(NOW)
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += timedelta(seconds=seconds)


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user with one profile and no variables."""
    folder = tmp_path_factory.mktemp("home")
    for name in ("SPARK_URL", "SPARK_API_KEY", "SPARK_PROFILE", "SPARK_PROJECT", "FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder))
    config.save_profile("test", URL, KEY)
    return folder


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
def echo(api: FakeApi) -> FakeApi:
    api.add_workflow("Echo")
    api.fires = DAYS
    return api


@pytest.fixture
def daily(echo: FakeApi) -> FakeApi:
    """Each day at nine in São Paulo, which is noon."""
    echo.add_schedule("Daily", settings={"timezone": SAO_PAULO}, next_fire_at=DAYS[0])
    return echo


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def spark(api: FakeApi, clock: Clock) -> Spark:
    """Runs a command; whatever it prints, it prints no key."""

    def run(*args: str, user: bool = False, **settings: Any) -> Result:
        world = Surroundings(api.transport, lambda: clock.now, clock.sleep, lambda: user)
        result = CliRunner().invoke(main.app, list(args), obj=world, prog_name="spark", **settings)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert KEY not in result.output
        assert SECRET not in result.output
        return result

    return run
