from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from cli import times
from cli.errors import CliError

NOON = datetime.fromisoformat("2030-01-01T12:00:00Z")


@pytest.mark.parametrize(
    ("instant", "said"),
    [
        ("2030-01-01T12:00:00.000Z", "just now"),
        ("2030-01-01T11:59:15.000Z", "45 s ago"),
        ("2030-01-01T11:56:10.000Z", "3 min ago"),
        ("2030-01-01T02:00:00.000Z", "10 h ago"),
        ("2029-12-20T12:00:00.000Z", "12 d ago"),
        ("2030-01-01T12:00:12.500Z", "in 12 s"),
        (None, ""),
    ],
)
def test_instants_are_told_from_now(instant: str | None, said: str) -> None:
    assert times.ago(instant, NOON) == said


@pytest.mark.parametrize(
    ("instant", "said"),
    [("2030-01-01T12:00:12.500Z", "in 12 s"), ("2030-01-01T12:00:00.000Z", "now"), ("2030-01-01T11:00:00.000Z", "now")],
)
def test_what_is_due_is_due_now(instant: str, said: str) -> None:
    assert times.until(instant, NOON) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.04, "0.0 s"), (1.24, "1.2 s"), (42.4, "42 s"), (185, "3:05"), (3723, "1:02:03")]
)
def test_spans_are_short(seconds: float, said: str) -> None:
    assert times.span(seconds) == said


def test_what_is_under_way_is_measured_until_now() -> None:
    assert times.between("2030-01-01T11:59:58.000Z", None, NOON) == "2.0 s"
    assert times.between(None, None, NOON) == ""


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("1.5m", 90), ("2h", 7200), ("1d", 86400), ("1h30m", 5400)]
)
def test_lengths_of_time_are_read(text: str, seconds: float) -> None:
    assert times.seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-5m", "1h30", "5 m", "1y"])
def test_what_is_no_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(CliError, match="is no length of time"):
        times.seconds_of(text)


def test_the_api_counts_in_whole_seconds() -> None:
    assert times.whole_seconds("1.5m") == 90
    with pytest.raises(CliError, match="a fraction of a second"):
        times.whole_seconds("0.5s")


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2h", "2030-01-01T10:00:00.000Z"),
        ("2029-12-31T23:00:00+01:00", "2029-12-31T22:00:00.000Z"),
        ("2029-12-31T23:00Z", "2029-12-31T23:00:00.000Z"),
    ],
)
def test_points_in_time_are_read(text: str, instant: str) -> None:
    assert times.instant_of(text, NOON) == instant


@pytest.mark.parametrize("read", [lambda: times.seconds_of("soon"), lambda: times.instant_of("soon", NOON)])
def test_other_words_are_usage_errors(read: object) -> None:
    with pytest.raises(CliError, match="'soon' is no"):
        read()  # type: ignore[operator]


SAO_PAULO = "America/Sao_Paulo"


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("now", "2030-01-01T12:00:00.000Z"),
        ("in 2h", "2030-01-01T14:00:00.000Z"),
        ("2030-02-01", "2030-02-01T03:00:00.000Z"),
        ("2030-02-01T09:00", "2030-02-01T12:00:00.000Z"),
        ("2030-02-01 09:00", "2030-02-01T12:00:00.000Z"),
        ("2030-02-01T09:00Z", "2030-02-01T09:00:00.000Z"),
    ],
)
def test_moments_are_in_a_zone_unless_they_say_their_offset(text: str, instant: str) -> None:
    assert times.moment_of(text, SAO_PAULO, NOON) == instant


def test_what_ends_on_a_date_ends_with_it() -> None:
    assert times.moment_of("2030-02-01", SAO_PAULO, NOON, ends=True) == "2030-02-02T02:59:59.999Z"
    assert times.moment_of("2030-02-01T09:00Z", SAO_PAULO, NOON, ends=True) == "2030-02-01T09:00:00.000Z"


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2h", "2030-01-01T10:00:00.000Z"),
        ("2029-12-31", "2029-12-31T03:00:00.000Z"),
        ("2031-01-01", "2030-01-01T12:00:00.000Z"),
    ],
)
def test_the_past_ends_now(text: str, instant: str) -> None:
    assert times.past_of(text, SAO_PAULO, NOON) == instant


@pytest.mark.parametrize("zone", ["Mars/Base", "../etc/passwd", "Europe", ""])
def test_what_is_no_time_zone_is_a_usage_error(zone: str) -> None:
    with pytest.raises(CliError, match="is no time zone"):
        times.moment_of("2030-02-01", zone, NOON)
    assert times.zone_or_utc(zone) == ZoneInfo("UTC")


@pytest.mark.parametrize(
    ("instant", "zone", "said"),
    [
        ("2030-01-01T12:04:00.000Z", SAO_PAULO, "in 4 min (09:04 -03)"),
        ("2030-01-01T12:04:30.000Z", "UTC", "in 4 min (12:04:30 UTC)"),
        ("2030-01-02T12:00:00.000Z", "Asia/Kolkata", "in 1 d (Wed 17:30 +0530)"),
        ("2030-01-13T12:00:00.000Z", "UTC", "in 12 d (13 Jan 12:00)"),
        ("2031-01-13T12:00:00.000Z", "UTC", "in 377 d (2031-01-13)"),
        (None, "UTC", ""),
    ],
)
def test_what_comes_is_told_from_now_and_by_the_clock(instant: str | None, zone: str, said: str) -> None:
    assert times.coming(instant, zone, NOON) == said


@pytest.mark.parametrize(("seconds", "said"), [(30, "30s"), (300, "5m"), (5400, "1h30m"), (86_400, "1d"), (0, "0s")])
def test_lengths_are_short(seconds: float, said: str) -> None:
    assert times.length(seconds) == said
