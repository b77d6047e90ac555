"""Recurrences in words."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from shared.domain import recurrence
from shared.domain.wording import daylight_note, explain
from tests.fakes import NOON

BERLIN = ZoneInfo("Europe/Berlin")
SUMMER = NOON + timedelta(days=180)


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("0 9 * * 1-5", "At 09:00, Monday through Friday (Europe/Berlin)"),
        ("0 17 * * MON", "At 17:00, only on Monday (Europe/Berlin)"),
        ("*/5 * * * *", "Every 5 minutes (Europe/Berlin)"),
        ("30 0 9 * * *", "At 09:00:30 (Europe/Berlin)"),
        ("@daily", "At 00:00 (Europe/Berlin)"),
        ("0 0 L * *", "At 00:00, on the last day of the month (Europe/Berlin)"),
        ("0 0 * * L5", "At 00:00, on the last Friday of the month (Europe/Berlin)"),
        ("0 0 1 * 5", "At 00:00, on day 1 of the month, or on Friday (Europe/Berlin)"),
    ],
)
def test_a_cron_in_words(expression: str, words: str) -> None:
    assert explain(recurrence.cron(expression, BERLIN)) == words


@pytest.mark.parametrize("expression", ["0 0 15,L * *", "0 0 * * mon-wed#3", "0 0 * * 5#2,5#4", "0 0 1-15 * */2"])
def test_a_cron_that_words_would_get_wrong_is_quoted(expression: str) -> None:
    words = explain(recurrence.cron(expression, BERLIN))

    assert words == f"Whenever the clock matches {expression} (Europe/Berlin)"


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("90", "Every 1 min 30 s, counted from 2030-01-01 12:00:00 UTC"),
        ("PT1H30M", "Every 1 h 30 min, counted from 2030-01-01 12:00:00 UTC"),
        ("366d", "Every 366 d, counted from 2030-01-01 12:00:00 UTC"),
    ],
)
def test_an_interval_in_words(expression: str, words: str) -> None:
    assert explain(recurrence.interval(expression, NOON)) == words


def test_once_in_words_is_local_time() -> None:
    once = recurrence.once("2026-12-24T12:00:00Z", ZoneInfo("America/Sao_Paulo"), NOON)

    assert explain(once) == "Once, on Thursday 24 December 2026 at 09:00 (America/Sao_Paulo)"


def test_seconds_are_said_when_there_are_any() -> None:
    assert "at 09:00:05 (" in explain(recurrence.once("2030-12-24T09:00:05", BERLIN, NOON))


def test_a_fixed_hour_in_the_next_gap_is_noted() -> None:
    assert daylight_note(recurrence.cron("30 2 * * *", BERLIN), NOON) == (
        "On Sunday 31 March 2030 the clocks skip from 02:00 to 03:00: what falls between fires once, at 03:00."
    )


def test_a_fixed_hour_in_the_next_fold_is_noted() -> None:
    assert daylight_note(recurrence.cron("30 2 * * *", BERLIN), SUMMER) == (
        "On Sunday 27 October 2030 the clocks go back from 03:00 to 02:00: "
        "what falls between fires the first time only."
    )


def test_a_stepped_hour_is_noted_as_real_time() -> None:
    stepped = recurrence.cron("0 */2 * * *", BERLIN)

    assert str(daylight_note(stepped, NOON)).endswith("what falls between does not fire that day.")
    assert str(daylight_note(stepped, SUMMER)).endswith("what falls between fires both times.")


def test_a_change_that_is_past_is_not_noted() -> None:
    march = recurrence.cron("30 2 31 3 *", BERLIN)

    assert daylight_note(march, recurrence.once("2030-03-31T03:00", BERLIN, NOON).at - timedelta(seconds=1)) is not None
    assert daylight_note(march, recurrence.once("2030-03-31T03:00", BERLIN, NOON).at) is None


@pytest.mark.parametrize(("expression", "zone"), [("0 9 * * *", BERLIN), ("*/5 * * * *", BERLIN)])
def test_what_no_change_of_the_clocks_touches_has_no_note(expression: str, zone: ZoneInfo) -> None:
    assert daylight_note(recurrence.cron(expression, zone), NOON) is None


def test_a_zone_without_daylight_saving_has_no_note() -> None:
    assert daylight_note(recurrence.cron("30 2 * * *", ZoneInfo("Asia/Tokyo")), NOON) is None


def test_intervals_and_once_have_no_note() -> None:
    assert daylight_note(recurrence.interval("1d", NOON), NOON) is None
    assert daylight_note(recurrence.once("2030-03-31T02:30", BERLIN, NOON), NOON) is None
