import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import httpx
import pytest
from rich.text import Text

from cli.times import instant_text
from tests.fake_api import NOW, FakeApi, asked, fire
from tests.unit.cli.conftest import Spark

NOON = datetime.fromisoformat(NOW)  # of a Tuesday
MIDNIGHT = NOON + timedelta(hours=12)
TERMINAL = {"FORCE_COLOR": "1", "COLUMNS": "80"}


def every(days: int = 9, **step: int) -> Iterator[datetime]:
    at = NOON
    while (at := at + timedelta(**step)) < NOON + timedelta(days=days):
        yield at


def fires(api: FakeApi, *times: datetime) -> None:
    api.fires = [instant_text(at) for at in sorted(times)]


def line(spark: Spark, *words: str) -> list[str]:
    """The cells of the only schedule, from today on."""
    shown = spark("schedule", "list", "--calendar", *words).stdout
    return [cell.strip() for cell in shown.splitlines()[1].split("  ") if cell.strip()][1:]


@pytest.fixture
def one(api: FakeApi) -> FakeApi:
    api.add_schedule("Daily report")
    return api


def test_a_week_has_a_column_for_each_day(one: FakeApi, spark: Spark) -> None:
    fires(one, *(MIDNIGHT + timedelta(days=day, hours=hour) for day in range(9) for hour in (9, 18)))
    shown = spark("schedule", "list", "--calendar")
    assert shown.stdout.splitlines()[0].split() == ["NAME", *(f"2030-01-0{day}" for day in range(1, 8))]
    assert line(spark) == ["-", *["09:00, 18:00"] * 6]
    assert "Times in UTC." in shown.stderr


def test_on_a_terminal_it_fits_eighty_columns(one: FakeApi, spark: Spark) -> None:
    one.add_schedule("A name that is very long indeed")
    fires(one, *(MIDNIGHT + timedelta(days=day, hours=hour) for day in range(9) for hour in (9, 18)))
    shown = Text.from_ansi(spark("schedule", "list", "--calendar", env=TERMINAL).stdout).plain.splitlines()
    assert max(map(len, shown)) <= 80
    assert shown[0].split() == ["Tue", "Wed", "Thu", "Fri", "Sat", "Sun", "Mon"]
    assert shown[1].split()[:3] == ["UTC", "1", "Jan"]
    assert shown[3].startswith("A name that")
    assert [row.split()[-6:] for row in shown[3:5]] == [["09:00"] * 6, ["18:00"] * 6]
    assert "Daily report" in "\n".join(shown)


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ({"minutes": 5}, "every 5m"),
        ({"hours": 1}, "every 1h"),
        ({"minutes": 90}, "every 1h30m"),
        ({"seconds": 30}, "every 30s"),
    ],
)
def test_what_fires_often_and_regularly_is_said_in_two_words(
    one: FakeApi, spark: Spark, step: dict[str, int], said: str
) -> None:
    fires(one, *every(**step))
    assert line(spark) == [said] * 7


def test_regular_hours_have_a_beginning_and_an_end(one: FakeApi, spark: Spark) -> None:
    fires(one, *(at for at in every(minutes=30) if 8 <= at.hour < 18))
    assert line(spark)[1:] == ["08:00, to 17:30, every 30m"] * 6


def test_the_end_of_many_is_only_said_when_it_is_known(one: FakeApi, spark: Spark) -> None:
    fires(one, *(at for at in every(minutes=2) if 8 <= at.hour < 18))
    assert line(spark) == ["12:02, every 2m", *["08:00, every 2m"] * 6]


def test_what_is_irregular_is_counted(one: FakeApi, spark: Spark) -> None:
    fires(one, *(at for at in every(minutes=1) if at.minute in (0, 7, 33)))
    assert line(spark)[1:] == ["00:00, to 23:33, ×72"] * 6  # noqa: RUF001
    fires(one, *(at for at in every(minutes=1) if at.minute % 10 in (0, 3)))
    assert line(spark)[1:] == ["00:00, ×100+"] * 6  # noqa: RUF001


def test_few_fires_take_one_question(one: FakeApi, spark: Spark) -> None:
    fires(one, *every(days=30, hours=8))
    spark("schedule", "list", "--calendar")
    assert len(asked(one, "GET", "/preview$")) == 1


def test_many_fires_take_a_question_or_two_a_day(one: FakeApi, spark: Spark) -> None:
    fires(one, *every(seconds=60))
    spark("schedule", "list", "--calendar")
    assert len(asked(one, "GET", "/preview$")) <= 2 * 7


def test_a_page_that_ends_with_the_day_doubles_no_fire(one: FakeApi, spark: Spark) -> None:
    fires(one, *(at for at in every(minutes=1) if (at.hour, at.minute) >= (22, 20)))  # a hundred
    (row,) = json.loads(spark("schedule", "list", "--calendar", "--json").stdout)
    assert len(row["days"][0]["fires"]) == 100
    assert all(len(set(day["fires"])) == len(day["fires"]) for day in row["days"])


def test_jitter_doubles_no_fire(one: FakeApi, spark: Spark) -> None:
    jitter, zone = timedelta(seconds=40), ZoneInfo("UTC")

    def preview(request: httpx.Request) -> httpx.Response:
        after = datetime.fromisoformat(request.url.params["after"])
        due = [instant_text(at) for at in every(minutes=1) if at + jitter > after][:100]
        items = [fire(at, zone, fires_at=at.replace(":00.000Z", ":40.000Z")) for at in due]
        return httpx.Response(200, json={"items": items})

    answer = one.answer
    one.handle = lambda request: preview(request) if request.url.path.endswith("/preview") else answer(request)
    (row,) = json.loads(spark("schedule", "list", "--calendar", "--json").stdout)
    assert [day["summary"] for day in row["days"]] == [["every 1m"]] * 7
    assert all(len(set(day["fires"])) == len(day["fires"]) for day in row["days"])


def test_days_are_those_of_the_schedules_zone(one: FakeApi, spark: Spark) -> None:
    one.kept["schedules"][0]["settings"]["timezone"] = "Pacific/Auckland"  # UTC+13
    fires(one, MIDNIGHT)
    shown = spark("schedule", "list", "--calendar")
    assert shown.stdout.split()[1] == "2030-01-02"
    assert line(spark)[0] == "13:00"
    assert "Times in Pacific/Auckland." in shown.stderr


def test_schedules_of_several_zones_are_shown_in_utc_or_as_told(one: FakeApi, spark: Spark) -> None:
    one.add_schedule("Other", settings={"timezone": "Europe/Berlin"})
    assert "Times in UTC." in spark("schedule", "list", "--calendar").stderr
    assert "Times in Asia/Tokyo." in spark("schedule", "list", "--calendar", "--tz", "Asia/Tokyo").stderr


def test_a_day_of_daylight_saving_is_a_day(one: FakeApi, spark: Spark, clock: object) -> None:
    start = datetime.fromisoformat("2030-03-30T23:00:00Z")  # midnight in Berlin; at two the clocks skip to three
    clock.now = start - timedelta(hours=1)  # type: ignore[attr-defined]
    fires(one, *(start + timedelta(hours=hour) for hour in range(24 * 8)))
    cells = json.loads(spark("schedule", "list", "--calendar", "--tz", "Europe/Berlin", "--json").stdout)[0]["days"]
    assert [len(day["fires"]) for day in cells] == [0, 23, 24, 24, 24, 24, 24]


def test_only_active_schedules_are_in_the_calendar_unless_told(one: FakeApi, spark: Spark) -> None:
    one.add_schedule("Resting", state="paused")
    assert "Resting" not in spark("schedule", "list", "--calendar").stdout
    assert "Resting" in spark("schedule", "list", "--calendar", "--state", "paused").stdout


def test_who_fires_first_comes_first(one: FakeApi, spark: Spark) -> None:
    one.add_schedule("Never", next_fire_at=None)
    one.add_schedule("Soon", next_fire_at=NOW)
    shown = spark("schedule", "list", "--calendar").stdout.splitlines()
    assert [row.split()[0] for row in shown[1:]] == ["Soon", "Daily", "Never"]


def test_with_json_the_fires_are_listed(one: FakeApi, spark: Spark) -> None:
    fires(one, *every(minutes=5))
    (row,) = json.loads(spark("schedule", "list", "--calendar", "--json").stdout)
    assert (row["name"], row["timezone"], row["days"][1]["date"]) == ("Daily report", "UTC", "2030-01-02")
    assert (row["days"][1]["summary"], row["days"][1]["gaps"]) == (["every 5m"], True)


def test_without_schedules_there_is_no_calendar(api: FakeApi, spark: Spark) -> None:
    assert spark("schedule", "list", "--calendar").stdout == ""
    assert spark("schedule", "list", "--calendar", "--json").stdout == "[]\n"


def test_a_zone_is_for_the_calendar(one: FakeApi, spark: Spark) -> None:
    assert spark("schedule", "list", "--tz", "Asia/Tokyo").exit_code == 2
    assert "--tz: 'Tokyo' is no time zone" in spark("schedule", "list", "--calendar", "--tz", "Tokyo").stderr
