from datetime import datetime

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


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("1.5m", 90), ("2h", 7200), ("1d", 86400)])
def test_lengths_of_time_are_read(text: str, seconds: float) -> None:
    assert times.seconds_of(text) == seconds


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
