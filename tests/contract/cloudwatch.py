"""What CloudWatch makes of data points: an alarm of template.yaml, minute by minute, on series that a test makes up.

After https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html, with one difference:
where data points are missing, CloudWatch may look a little further back than EvaluationPeriods, and so be some minutes
later in saying that it is over.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Series = Sequence[float | None]  # a value a minute; None: nobody told any
STATISTICS: dict[str, Callable[[Sequence[float]], float]] = {"Sum": sum, "Maximum": max, "Minimum": min}
COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": lambda value, threshold: value >= threshold,
    "GreaterThanThreshold": lambda value, threshold: value > threshold,
    "LessThanThreshold": lambda value, threshold: value < threshold,
}


def ringing(alarm: Mapping[str, Any], **series: Series) -> list[bool]:
    """Is it in ALARM at the end of each minute? `series` by the ids of its metrics; `metric` if it has but one."""
    minutes = len(next(iter(series.values())))
    points = [_point(alarm, {name: each[: minute + 1] for name, each in series.items()}) for minute in range(minutes)]
    return [_rings(alarm, points[: minute + 1]) for minute in range(minutes)]


def times_told(rings: Sequence[bool]) -> int:
    """How often somebody is told that it begins."""
    return sum(1 for before, now in zip([False, *rings], rings, strict=False) if now and not before)


def _rings(alarm: Mapping[str, Any], points: Series) -> bool:
    step = _period(alarm) // 60
    wanted: int = alarm["EvaluationPeriods"]
    seen = [*reversed(points)][::step][:wanted]
    seen += [None] * (wanted - len(seen))
    return sum(_breaches(alarm, point) for point in seen) >= int(alarm.get("DatapointsToAlarm", wanted))


def _breaches(alarm: Mapping[str, Any], point: float | None) -> bool:
    if point is None:
        return bool(alarm["TreatMissingData"] == "breaching")
    return bool(COMPARISONS[alarm["ComparisonOperator"]](point, alarm["Threshold"]))


def _period(alarm: Mapping[str, Any]) -> int:
    periods = {alarm["Period"]} if "Period" in alarm else {each["Period"] for each in _stats(alarm).values()}
    (period,) = periods
    return int(period)


def _stats(alarm: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["Id"]: each["MetricStat"] for each in alarm["Metrics"] if "MetricStat" in each}


def _point(alarm: Mapping[str, Any], series: Mapping[str, Series]) -> float | None:
    """The data point of the period that ends now."""
    if "Metrics" not in alarm:
        return _statistic(alarm["Statistic"], alarm["Period"], series["metric"])
    known = {id: _statistic(stat["Stat"], stat["Period"], series[id]) for id, stat in _stats(alarm).items()}
    (expression,) = (each["Expression"] for each in alarm["Metrics"] if "Expression" in each)
    return _value(expression, known)


def _statistic(name: str, period: int, values: Series) -> float | None:
    told = [value for value in values[-(period // 60) :] if value is not None]
    return float(STATISTICS[name](told)) if told else None


def _value(expression: str, known: Mapping[str, float | None]) -> float | None:
    """Metric math, as much of it as the alarms use. What is reckoned from something missing is missing."""
    filled = re.sub(r"FILL\((\w+), (\d+)\)", lambda m: m[2] if known[m[1]] is None else m[1], expression)
    names = {**known, "IF": lambda condition, yes, no: yes if condition else no}
    try:
        return float(eval(filled.replace(" AND ", " and "), {"__builtins__": {}}, names))
    except (TypeError, ZeroDivisionError):
        return None
