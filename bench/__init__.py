"""The benchmarks behind every figure in the README: `python -m bench`, or `python -m bench NAME --json`.

Each is one file here with `add_options(parser)` and `measure(options) -> Result`, and one name in the list below. It
starts and stops what it needs. Nothing here ever runs on AWS; each file says on which level it measures.

benchmark       measures                                                                 level
cold_start      CPU of importing each function, against its bare libraries               built bundles, child processes
calls_per_run   AWS calls, capacity units and USD of one run                             in-process count on moto
executor_cpu    CPU of the executor for one run beyond the bare call of LangFlow         child process, MiniStack
throughput      runs a second, memory, latency of submission                             local stack (MiniStack)
"""

BENCHMARKS = ("cold_start", "calls_per_run", "executor_cpu", "throughput")
