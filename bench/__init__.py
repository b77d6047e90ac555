"""The benchmarks behind every figure in the README: `python -m bench`, or `python -m bench NAME --json`.

Each is one file here with `add_options(parser)` and `measure(options) -> Result`, and one name in the list below. It
starts and stops what it needs. Nothing here ever runs on AWS; each file says on which level it measures.

benchmark                measures                                                     level
cold_start               CPU of importing each function, against its bare libraries   built bundles, child processes
bundle_size              MB of each function's bundle, unzipped and zipped            built bundles
calls_per_run            AWS calls, capacity units and USD of one run                 in-process count on moto
calls_per_scheduled_run  the same of a run that a schedule fires, the tick included   in-process count on moto
tick_scaling             items, requests, units of a tick among many schedules        in-process count on moto
idle_cost                USD a month of a deployment that does nothing                in-process count on moto
cost                     USD of a million runs and of an idle month, in parts         the three counts above on moto
fire_rate                CPU of firing 10,000 schedules, against the bare requests    child processes, MiniStack
executor_cpu             CPU of the executor for a run beyond the call of LangFlow    child process, MiniStack
throughput               runs a second, memory, latency of submission                 local stack (MiniStack)
lateness                 how long after its time the run of a schedule is claimed     local stack (MiniStack)
chaos                    occurrences lost, doubled or never ended, in all trouble     in memory, virtual time
simulate                 backlog and lateness of 100,000 runs due at once             computed from AWS's limits
"""

BENCHMARKS = (
    "cold_start",
    "bundle_size",
    "calls_per_run",
    "calls_per_scheduled_run",
    "tick_scaling",
    "idle_cost",
    "cost",
    "fire_rate",
    "executor_cpu",
    "throughput",
    "lateness",
    "chaos",
    "simulate",
)
