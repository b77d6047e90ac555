"""The partitions of the table and of its indexes: what a run writes to which, and whether there is room."""

import math
from collections.abc import Sequence

from bench.limits import Bucket
from shared.store.keys import PROJECT_RUNS, SCHEDULE_RUNS, WAKE, WORKFLOW_RUNS

TABLE = "table"

Writes = Sequence[tuple[str, int, int]]
"""What one change of an item costs: the table or an index, which of its hash keys, write units."""


class Partitions:
    """Each is a bucket of `partition_writes` units a second. The table has as many as make up `warm_writes`, and so has
    each index. Keys lie on them as evenly as they can, and a key is never spread over two.
    """

    def __init__(self, partition_writes: float, warm_writes: float) -> None:
        self._rate = partition_writes
        self._count = 1 if math.isinf(partition_writes) else max(int(warm_writes / partition_writes), 1)
        self._buckets: dict[tuple[str, int], Bucket] = {}

    def refuses(self, now: float, writes: Writes) -> str | None:
        """Do all of `writes`, or none of them and say which of table and indexes has no room."""
        if math.isinf(self._rate):
            return None
        wanted = [(name, self._bucket(name, key), units) for name, key, units in writes]
        for name, bucket, units in wanted:
            if not bucket.has(now, units):
                return name
        for _, bucket, units in wanted:
            bucket.take(now, units)
        return None

    def _bucket(self, name: str, key: int) -> Bucket:
        place = (name, key % self._count)
        if place not in self._buckets:
            self._buckets[place] = Bucket(self._rate, self._rate)
        return self._buckets[place]


# Of items of a KB at most. `tests/unit/bench/test_partitions.py` holds each against what the stores write.


def put_of(run: int, project: int, wake: int) -> Writes:
    """A new run of a schedule, with one workflow a project. Runs, and schedules, are spread over all partitions."""
    lists = [(PROJECT_RUNS, project, 1), (WORKFLOW_RUNS, project, 1), (SCHEDULE_RUNS, run, 1)]
    return [*lists, (WAKE, wake, 1), (TABLE, run, 1)]


def advance_of(schedule: int, shard: int) -> Writes:
    """A schedule that moves to its next time: out of its place on Wake and into another."""
    return [(TABLE, schedule, 1), (WAKE, shard, 2)]


def claim_of(run: int) -> Writes:
    return [(TABLE, run, 1)]


def finish_of(run: int, wake: int) -> Writes:
    """A run that is over leaves Wake; beside it the page of its attempt."""
    return [(TABLE, run, 2), (WAKE, wake, 1)]
