"""What is summed up of the benchmarks that count."""

from bench import cost
from bench.result import Result

RUNS = Result("runs", {"usd_per_million_runs": 9.0, "usd_per_million_runs_4kb": 20.0, "usd_write_units": 5.0}, {})
IDLE = {"requests_usd": 1.0, "requests_usd_log_gb": 0.5, "fixed_usd": 3.0, "fixed_usd_alarms": 2.3, "fixed_alarms": 23}


def test_sums_and_counts_are_no_parts() -> None:
    assert dict(cost._parts(RUNS.figures, ("usd_",))) == {"write_units": 5.0}
    assert dict(cost._parts(IDLE, ("requests_usd_", "fixed_usd_"))) == {"logs": 0.5, "alarms": 2.3}


def test_each_part_is_a_row_and_the_last_one_is_their_sum() -> None:
    table = cost._markdown({"million_runs": {"write_units": 5.0, "logs": 0.25}, "idle_month": {"logs": 0.5}})
    assert table.splitlines() == [
        "| USD | million runs | idle month |",
        "| --- | ---: | ---: |",
        "| write units | 5.00 |  |",
        "| logs | 0.25 | 0.50 |",
        "| in all | 5.25 | 0.50 |",
    ]
