"""What every test takes for granted. Powertools reads its environment when it is imported, hence before any fixture."""

import os
from collections import Counter
from typing import Any

import hypothesis

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile("no wall time", deadline=None)
hypothesis.settings.load_profile("no wall time")

for name, value in {
    "POWERTOOLS_METRICS_NAMESPACE": "Spark",
    "POWERTOOLS_SERVICE_NAME": "tests",
    "POWERTOOLS_TRACE_DISABLED": "true",
}.items():
    os.environ.setdefault(name, value)

COUNT = "count: "


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """How much was tried by tests that loop over what the API says of itself."""
    totals = Counter[str]()
    for report in terminalreporter.stats.get("passed", []):
        for name, number in report.user_properties:
            if report.when == "call" and name.startswith(COUNT):
                totals[name.removeprefix(COUNT)] += number
    for what, number in totals.items():
        terminalreporter.write_line(f"{number} {what}")
