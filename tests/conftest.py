"""What every test takes for granted. Powertools reads its environment when it is imported, hence before any fixture."""

import os

for name, value in {
    "POWERTOOLS_METRICS_NAMESPACE": "Spark",
    "POWERTOOLS_SERVICE_NAME": "tests",
    "POWERTOOLS_TRACE_DISABLED": "true",
}.items():
    os.environ.setdefault(name, value)
