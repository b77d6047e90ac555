"""Cron, interval and once: what a user may write, and the traps of the calendar. The property tests do the rest."""

import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from shared.domain import recurrence, zones
from shared.domain.recurrence import Cron, Mark, Recurrence
from tests.fakes import NOON

BERLIN = ZoneInfo("Europe/Berlin")  # 2030: skips 02:00 to 03:00 on 31 March, has 02:00 to 03:00 twice on 27 October
SECOND = timedelta(seconds=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def walls(found: Recurrence, after: str, count: int, zone: ZoneInfo = BERLIN) -> list[str]:
    """The next occurrences after this wall, as the zone's clock shows them."""
    at: datetime | None = datetime.fromisoformat(after).replace(tzinfo=zone)
    shown = []
    for _ in range(count):
        assert at is not None
        at = found.next_after(at)
        shown.append(f"{at.astimezone(zone):%m-%d %H:%M:%S}" if at else "never")
    return shown


def in_berlin(expression: str) -> Cron:
    return recurrence.cron(expression, BERLIN)


# --- Cron: what may be written ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "following"),
    [
        ("*/5 * * * *", ["01-01 12:05:00", "01-01 12:10:00"]),
        ("0 9 * * 1-5", ["01-02 09:00:00", "01-03 09:00:00"]),
        ("0 9 * * MON,wed", ["01-02 09:00:00", "01-07 09:00:00"]),
        ("15 30 9 * * *", ["01-02 09:30:15", "01-03 09:30:15"]),
        ("*/20 * * * * *", ["01-01 12:00:20", "01-01 12:00:40"]),
        ("0 0 L * *", ["01-31 00:00:00", "02-28 00:00:00"]),
        ("0 0 15,L FEB *", ["02-15 00:00:00", "02-28 00:00:00"]),
        ("0 0 * * L5", ["01-25 00:00:00", "02-22 00:00:00"]),
        ("0 0 * * 5#2", ["01-11 00:00:00", "02-08 00:00:00"]),
        ("0 0 * * sun#5", ["03-31 00:00:00", "06-30 00:00:00"]),
        ("0 0 * * 0-7", ["01-02 00:00:00", "01-03 00:00:00"]),
        ("0 0 ? * 7", ["01-06 00:00:00", "01-13 00:00:00"]),
        ("0 22-1 * * *", ["01-01 22:00:00", "01-01 23:00:00"]),
        ("0 0 1 NOV-FEB *", ["02-01 00:00:00", "11-01 00:00:00"]),
        ("  5   *\t* * * ", ["01-01 12:05:00", "01-01 13:05:00"]),
        ("@hourly", ["01-01 13:00:00", "01-01 14:00:00"]),
        ("@Daily", ["01-02 00:00:00", "01-03 00:00:00"]),
        ("@midnight", ["01-02 00:00:00", "01-03 00:00:00"]),
        ("@weekly", ["01-06 00:00:00", "01-13 00:00:00"]),
        ("@monthly", ["02-01 00:00:00", "03-01 00:00:00"]),
        ("@yearly", ["01-01 00:00:00", "01-01 00:00:00"]),
        ("@annually", ["01-01 00:00:00", "01-01 00:00:00"]),
    ],
)
def test_cron_reads(expression: str, following: list[str]) -> None:
    assert walls(in_berlin(expression), "2030-01-01T12:00", 2) == following


def test_either_of_two_restricted_day_fields_is_enough() -> None:
    assert walls(in_berlin("0 0 10 * FRI"), "2030-01-01T12:00", 3) == [
        "01-04 00:00:00",
        "01-10 00:00:00",
        "01-11 00:00:00",
    ]


def test_a_day_of_month_counts_next_to_the_nth_weekday() -> None:
    assert walls(in_berlin("0 0 10 * 5#1"), "2030-01-01T12:00", 3) == [
        "01-04 00:00:00",
        "01-10 00:00:00",
        "02-01 00:00:00",
    ]


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("", "has 0"),
        ("* * * *", "has 4"),
        ("* * * * * * *", "has 7"),
        ("* * * * * * * *", "has 8"),
        ("60 * * * *", "minute 60 is beyond 0-59"),
        ("60 0 * * * *", "second 60 is beyond 0-59"),
        ("0 24 * * *", "hour 24 is beyond 0-23"),
        ("0 0 0 * *", "day of month 0 is beyond 1-31"),
        ("0 0 1-32 * *", "day of month 32 is beyond 1-31"),
        ("0 0 * 13 *", "month 13 is beyond 1-12"),
        ("0 0 * * 8", "day of week 8 is beyond 0-7"),
        ("-5 * * * *", "minute '-5' cannot be read"),
        ("*/0 * * * *", "a step is from 1 to 60"),
        ("*/90 * * * *", "a step is from 1 to 60"),
        ("0 9-9 * * *", "a range of one value"),
        ("0 0 * * 7-SUN", "a range of one value"),
        ("0 0 * * sat-wed/2", "write the values as a list"),
        ("0 0 * * 5L", "the last of a month is L5"),
        ("0 0 * * 5#6", "no cron expression"),
        ("0 0 * * 5#0", "no cron expression"),
        ("0 0 * * 5,1#2", "use two schedules"),
        ("0 0 1,* * *", "write it alone"),
        ("0 0 15W * *", "day of month '15w' cannot be read"),
        ("0 0 * FOO *", "no cron expression"),
        ("? * * * *", "no cron expression"),
        ("٣ * * * *", "minute '٣' cannot be read"),
        ("@reboot", "none of @hourly"),
        ("@every 5m", "use an interval"),
        ("R * * * *", "left to chance"),
        ("R(0-29)/5 * * * *", "left to chance"),
        ("H H(0-3) * * *", "left to chance"),
        ("0 0 31 2 *", "never fires"),
        ("0 0 31 4,6,9,11 *", "never fires"),
        (f"0 0 {'1,' * 100}1 * *", "at most 200 characters"),
    ],
)
def test_cron_refuses(expression: str, says: str) -> None:
    with pytest.raises(ValueError) as refused:
        in_berlin(expression)

    assert says in str(refused.value)


# --- Cron: daylight saving -------------------------------------------------------------------------------------------


def test_a_fixed_wall_that_a_gap_swallows_fires_at_the_first_instant_after_it() -> None:
    found = in_berlin("30 2 * * *")

    assert walls(found, "2030-03-30T12:00", 2) == ["03-31 03:00:00", "04-01 02:30:00"]
    assert recurrence.mark(found, utc("2030-03-31T01:00")) is Mark.moved


def test_all_the_walls_of_a_gap_and_the_one_after_it_fire_once() -> None:
    found = in_berlin("*/10 2,3 * * *")

    assert walls(found, "2030-03-31T01:59", 2) == ["03-31 03:00:00", "03-31 03:10:00"]
    assert recurrence.mark(found, utc("2030-03-31T01:00")) is None


def test_a_fixed_wall_that_happens_twice_fires_at_the_first() -> None:
    found = in_berlin("30 2 * * *")

    assert found.next_after(utc("2030-10-26T12:00")) == utc("2030-10-27T00:30")
    assert found.next_after(utc("2030-10-27T00:30")) == utc("2030-10-28T01:30")
    assert recurrence.mark(found, utc("2030-10-27T00:30")) is Mark.first_pass
    assert not found.is_at(utc("2030-10-27T01:30"))


def test_a_fixed_wall_does_not_fire_when_asked_in_the_middle_of_its_second_pass() -> None:
    assert in_berlin("*/10 2 * * *").next_after(utc("2030-10-27T01:05")) == utc("2030-10-28T01:00")


def test_a_second_pass_is_over_for_a_cron_whose_next_day_is_days_away() -> None:
    chisinau = ZoneInfo("Europe/Chisinau")  # from 03:00 back to 02:00 at midnight UTC, where one day's look ends

    found = recurrence.cron("40 2 27,30 10 *", chisinau)

    assert found.next_after(utc("2030-10-27T00:30")) == utc("2030-10-30T00:40")


def test_an_hour_of_stars_follows_real_time_through_both_passes() -> None:
    found = in_berlin("30 * * * *")
    at, fired = utc("2030-10-26T23:00"), []
    for _ in range(4):
        at = found.next_after(at) or at
        fired.append((f"{at:%H:%M}", recurrence.mark(found, at)))

    assert fired == [
        ("23:30", None),
        ("00:30", Mark.first_pass),
        ("01:30", Mark.second_pass),
        ("02:30", None),
    ]


def test_an_hour_of_stars_has_no_walls_in_a_gap() -> None:
    assert walls(in_berlin("30 */2 * * *"), "2030-03-30T23:00", 2) == ["03-31 00:30:00", "03-31 04:30:00"]


def test_all_hours_written_as_a_range_are_fixed() -> None:
    assert walls(in_berlin("30 0-23 * * *"), "2030-10-27T01:45", 3) == [
        "10-27 02:30:00",
        "10-27 03:30:00",
        "10-27 04:30:00",
    ]


def test_every_second_of_a_fixed_hour_fires_once_for_the_gap() -> None:
    assert walls(in_berlin("* * 2 * * *"), "2030-03-30T02:59:58", 3) == [
        "03-30 02:59:59",
        "03-31 03:00:00",
        "04-01 02:00:00",
    ]


def test_a_day_that_samoa_skipped_fires_at_the_midnight_after_it() -> None:
    apia = ZoneInfo("Pacific/Apia")  # from 29 December 2011, 24:00, straight to the 31st
    found = recurrence.cron("0 9 30 12 *", apia)

    assert found.next_after(utc("2011-12-01T00:00")) == utc("2011-12-30T10:00")
    assert recurrence.mark(found, utc("2011-12-30T10:00")) is Mark.moved
    assert walls(recurrence.cron("0 9 * * *", apia), "2011-12-29T08:00", 3, apia) == [
        "12-29 09:00:00",
        "12-31 00:00:00",
        "12-31 09:00:00",
    ]


def test_a_fold_of_half_an_hour_repeats_half_an_hour() -> None:
    lord_howe = ZoneInfo("Australia/Lord_Howe")  # 7 April 2030: 02:00 is 01:30 again

    assert walls(recurrence.cron("15,45 1 * * *", lord_howe), "2030-04-07T00:00", 3, lord_howe) == [
        "04-07 01:15:00",
        "04-07 01:45:00",
        "04-08 01:15:00",
    ]
    assert recurrence.count_between(
        recurrence.cron("15,45 * * * *", lord_howe), utc("2030-04-06T14:00"), utc("2030-04-06T15:30")
    ) == len(["01:15", "01:45", "01:45"])


def test_a_midnight_that_does_not_exist_fires_at_one() -> None:
    beirut = ZoneInfo("Asia/Beirut")  # clocks skip 00:00 to 01:00

    assert walls(recurrence.cron("@daily", beirut), "2030-03-30T12:00", 2, beirut) == [
        "03-31 01:00:00",
        "04-01 00:00:00",
    ]


def test_an_offset_with_seconds_in_it_is_no_trouble() -> None:
    monrovia = ZoneInfo("Africa/Monrovia")  # -0:44:30 until 7 January 1972

    assert recurrence.cron("0 9 * * *", monrovia).next_after(utc("1971-05-01T00:00")) == utc("1971-05-01T09:44:30")
    assert recurrence.cron("20 0 * * *", monrovia).next_after(utc("1972-01-06T12:00")) == utc("1972-01-07T00:44:30")


# --- Cron: the calendar ----------------------------------------------------------------------------------------------


def test_a_leap_day_is_found_over_a_century_without_one() -> None:
    assert in_berlin("0 12 29 2 *").next_after(utc("2096-03-01T00:00")) == utc("2104-02-29T11:00")


def test_a_fifth_monday_in_february_is_found_forty_years_on() -> None:
    assert in_berlin("0 12 ? 2 1#5").next_after(utc("2072-03-01T00:00")) == utc("2112-02-29T11:00")


def test_nothing_occurs_before_1970() -> None:
    assert in_berlin("* * * * *").next_after(datetime.min.replace(tzinfo=UTC)) == utc("1970-01-01T00:00")


@pytest.mark.parametrize("expression", ["* * * * *", "0 0 29 2 *", "@yearly", "0 9 * * *"])
def test_the_calendar_has_an_end(expression: str) -> None:
    assert in_berlin(expression).next_after(datetime.max.replace(tzinfo=UTC)) is None
    assert in_berlin(expression).next_after(utc("9999-12-31T00:00")) is None


def test_a_fraction_of_a_second_is_after_its_second() -> None:
    found = in_berlin("0 13 * * *")

    assert found.next_after(NOON - timedelta(microseconds=1)) == NOON
    assert found.next_after(NOON + timedelta(microseconds=1)) == NOON + timedelta(days=1)
    assert found.is_at(NOON)
    assert not found.is_at(NOON + timedelta(microseconds=1))


def test_an_instant_may_come_in_any_zone_and_leaves_in_utc() -> None:
    following = in_berlin("0 13 * * *").next_after(NOON.astimezone(ZoneInfo("Asia/Tokyo")) - SECOND)

    assert following == NOON
    assert following.tzinfo is UTC


def test_one_cron_may_be_asked_by_many_threads_at_once() -> None:
    found, switching = in_berlin("*/5 * * * *"), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as threads:
            asked = [NOON + SECOND * n for n in range(0, 3000, 7)]
            answers = list(threads.map(found.next_after, asked))
    finally:
        sys.setswitchinterval(switching)

    assert answers == [NOON + timedelta(minutes=5) * ((at - NOON) // timedelta(minutes=5) + 1) for at in asked]


def test_occurrences_are_counted_without_the_first_bound_and_with_the_last() -> None:
    assert recurrence.count_between(in_berlin("*/15 * * * *"), NOON, NOON + timedelta(hours=1)) == 4
    assert recurrence.count_between(in_berlin("*/15 * * * *"), NOON + timedelta(hours=1), NOON) == 0


# --- Interval --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "seconds"),
    [
        *(("90", 90), ("90s", 90), ("30m", 1800), ("2h", 7200), ("1d", 86_400), ("1h30m", 5400), ("1m30", 90)),
        *(("1w", 604_800), ("1d2h3m4s", 93_784), (" 1h ", 3600), ("0d5s", 5), ("1", 1), ("366d", 31_622_400)),
        *(("PT15M", 900), ("P1DT2H", 93_600), ("PT90S", 90), ("P2W", 1_209_600), ("P1D", 86_400)),
    ],
)
def test_interval_reads(expression: str, seconds: int) -> None:
    assert recurrence.interval(expression, NOON).every == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        *(("0", "no time at all"), ("0h", "no time at all"), ("PT0S", "no time at all"), ("-5m", "negative")),
        *(("367d", "longer than 366 days"), ("366d1s", "longer than 366 days"), ("9" * 150, "longer than 366 days")),
        *(("1.5h", "fraction"), ("0.5", "fraction"), ("PT0,5S", "fraction"), ("9" * 201, "at most 200 characters")),
        *(("P1M", "months and years"), ("P1Y2M3DT4H", "months and years"), ("P1MT5M", "months and years")),
        *(("", "no duration"), ("P", "no duration"), ("PT", "no duration"), ("P1DT", "no duration")),
        *(
            ("5m1h", "no duration"),
            ("every hour", "no duration"),
            ("٣m", "no duration"),
            ("*/5 * * * *", "no duration"),
        ),
    ],
)
def test_interval_refuses(expression: str, says: str) -> None:
    with pytest.raises(ValueError) as refused:
        recurrence.interval(expression, NOON)

    assert says in str(refused.value)


def test_an_interval_fires_first_one_length_after_an_anchor_that_is_now() -> None:
    hourly = recurrence.interval("1h", NOON)

    assert hourly.next_after(NOON) == NOON + timedelta(hours=1)
    assert hourly.next_after(NOON + timedelta(hours=1)) == NOON + timedelta(hours=2)


def test_an_interval_reaches_back_before_its_anchor() -> None:
    """So that the past of a schedule can be filled in; nothing else asks for it."""
    assert recurrence.interval("1h", NOON).next_after(NOON - timedelta(minutes=90)) == NOON - timedelta(hours=1)


def test_an_interval_is_elapsed_time_whatever_the_clocks_do() -> None:
    daily = recurrence.interval("1d", datetime(2030, 3, 30, 12, tzinfo=BERLIN))

    assert walls(daily, "2030-03-30T12:00", 2) == ["03-31 13:00:00", "04-01 13:00:00"]


def test_an_anchor_is_cut_to_whole_seconds() -> None:
    assert recurrence.interval("1h", NOON + timedelta(microseconds=999_999)).anchor == NOON


def test_a_century_of_an_interval_is_counted_at_once() -> None:
    every_second = recurrence.interval("1s", NOON)

    assert recurrence.count_between(every_second, NOON, NOON + timedelta(days=36_500)) == 36_500 * 86_400
    assert recurrence.count_between(every_second, NOON - SECOND, NOON) == 1


# --- Once ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "at"),
    [
        ("2030-06-01T09:00", "2030-06-01T07:00:00"),
        ("2030-06-01 09:00:30", "2030-06-01T07:00:30"),
        ("2030-06-01T09:00Z", "2030-06-01T09:00:00"),
        ("2030-06-01T09:00:00-03:00", "2030-06-01T12:00:00"),
        ("2030-06-01T09:00:00.5Z", "2030-06-01T09:00:01"),
        ("2020-01-01T00:00Z", "2020-01-01T00:00:00"),
        ("in 10m", "2030-01-01T12:10:00"),
        ("in 1h30m", "2030-01-01T13:30:00"),
        ("in PT45S", "2030-01-01T12:00:45"),
    ],
)
def test_once_reads(expression: str, at: str) -> None:
    assert recurrence.once(expression, BERLIN, NOON).at == utc(at)


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        *(("", "is no time"), ("tomorrow", "is no time"), ("2030-02-30T00:00", "is no time"), ("in", "is no time")),
        *(("in a while", "no duration"), ("in 0s", "no time at all"), ("2030-06-01", "say at which time")),
        *(("9999-12-31T23:00", "end of the calendar"), ("0001-01-01T00:00+14:00", "beginning or the end")),
    ],
)
def test_once_refuses(expression: str, says: str) -> None:
    with pytest.raises(ValueError) as refused:
        recurrence.once(expression, BERLIN, NOON)

    assert says in str(refused.value)


def test_in_ten_minutes_is_no_sooner_than_that() -> None:
    late = NOON + timedelta(microseconds=1)

    assert recurrence.once("in 10m", BERLIN, late).at == NOON + timedelta(minutes=10, seconds=1)


def test_a_wall_of_a_gap_is_once_after_it() -> None:
    found = recurrence.once("2030-03-31T02:30", BERLIN, NOON)

    assert found.at == utc("2030-03-31T01:00")
    assert recurrence.mark(found, found.at) is Mark.moved


def test_a_wall_of_a_fold_is_once_at_the_first() -> None:
    found = recurrence.once("2030-10-27T02:30", BERLIN, NOON)

    assert found.at == utc("2030-10-27T00:30")
    assert recurrence.mark(found, found.at) is Mark.first_pass


def test_once_is_once() -> None:
    found = recurrence.once("in 1m", BERLIN, NOON)

    assert found.next_after(NOON) == found.at
    assert found.next_after(found.at) is None
    assert found.is_at(found.at)
    assert not found.is_at(NOON)
    assert recurrence.count_between(found, NOON, found.at) == 1
    assert recurrence.count_between(found, found.at, datetime.max.replace(tzinfo=UTC)) == 0


# --- Zones -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["UTC", "Etc/UTC", "Etc/GMT+5", "America/Sao_Paulo", "America/Argentina/Ushuaia"])
def test_a_place_is_a_zone(name: str) -> None:
    assert zones.zone(name).key == name


@pytest.mark.parametrize(
    "name", ["EST", "PST", "CET", "EST5EDT", "GMT", "Japan", "", "America", "localtime", "utc", "\0"]
)
def test_an_abbreviation_is_no_zone(name: str) -> None:
    with pytest.raises(ValueError, match="Area/City"):
        zones.zone(name)


@pytest.mark.parametrize("name", ["Mars/Olympus", "../UTC", "/etc/localtime", "right/UTC", "America/", "a/b\0", "é/é"])
def test_a_place_that_nobody_knows_is_no_zone(name: str) -> None:
    with pytest.raises(ValueError, match="unknown time zone"):
        zones.zone(name)


def test_a_misspelt_zone_is_answered_with_the_right_one() -> None:
    with pytest.raises(ValueError, match="did you mean Europe/Berlin"):
        zones.zone("Europe/Berln")
