"""The simulation where its answer can be computed by hand."""

import math
from dataclasses import replace

import pytest

from bench import burst
from bench.burst import Outcome, Place, Simulation, Work
from bench.limits import Ramp
from shared.store.keys import PROJECT_RUNS


def constant(seconds: float) -> burst.Duration:
    return lambda _: seconds


ONE_SECOND = constant(1.0)


def simulated(work: Work, place: Place, duration: burst.Duration = ONE_SECOND, seed: int = 0) -> Outcome:
    return Simulation(work, place, duration, seed).run()


def times(outcome: Outcome, name: str) -> list[float]:
    found = [getattr(run, name) for run in outcome.runs]
    assert None not in found
    return sorted(found)


def last_end(outcome: Outcome) -> float:
    return times(outcome, "ended")[-1]


def servers(count: int, **changes: float) -> Place:
    """So many executors from the beginning, a run at a time each."""
    return replace(Place(batch_size=1, mapping=Ramp(count, 0, count)), **changes)


@pytest.mark.parametrize(("runs", "count", "seconds"), [(100, 10, 2.0), (101, 10, 2.0), (7, 10, 1.0), (1, 1, 3.0)])
def test_constant_servers_need_a_round_for_each_full_house(runs: int, count: int, seconds: float) -> None:
    outcome = simulated(Work(runs), servers(count), constant(seconds))
    assert last_end(outcome) == pytest.approx(math.ceil(runs / count) * seconds)


def test_a_batch_is_over_when_its_slowest_run_is() -> None:
    lasting = iter([5.0, *[1.0] * 9, *[1.0] * 10])
    outcome = simulated(Work(20), Place(batch_size=10), lambda _: next(lasting))
    assert times(outcome, "ended") == pytest.approx([1.0] * 9 + [5.0] + [6.0] * 10)


def test_a_mapping_that_ramps_up_serves_the_area_below_its_ramp() -> None:
    """10,000 runs of 1 s: 5 t + 2.5 t² executor seconds until t, hence 62.3 s."""
    outcome = simulated(Work(10_000), Place(batch_size=1, mapping=Ramp(5, 300, 1_250)))
    assert last_end(outcome) == pytest.approx(62.3, abs=1.5)


@pytest.mark.parametrize("start", [-300, -30, -1])
def test_a_trickle_before_the_burst_earns_no_pollers(start: int) -> None:
    """10,000 runs of 1 s take 62.3 s (above), and the ten a second of somebody else take ten executors of them."""
    place = Place(batch_size=1, mapping=Ramp(5, 300, 1_250))
    outcome = simulated(Work(10_000, stream=10, start=start), place)
    burst = [run.ended for run in outcome.runs if run.due == 0 and run.project == 0 and run.ended is not None]
    assert max(burst) == pytest.approx(62.3 + 2, abs=2.5)


@pytest.mark.parametrize("seconds", [10, 1_000])
def test_other_runs_are_due_until_the_burst_is_over_however_long_it_takes(seconds: int) -> None:
    outcome = simulated(Work(seconds, stream=1, projects=1), servers(2))
    others = [run.due for run in outcome.runs if run.project == 1]
    over = max(run.ended for run in outcome.runs if run.project == 0 and run.ended is not None)
    assert over == pytest.approx(seconds / 2, abs=15)
    assert sorted(others) == [float(due) for due in range(-30, len(others) - 30)]
    assert max(others) >= over - 1


def test_new_environments_come_at_lambdas_rate() -> None:
    """100 at once and 10 a second, each busy for ever: the last of 200 starts after ten seconds."""
    place = servers(1_000, environments_at_once=100, environments_per_second=10)
    outcome = simulated(Work(200), place, constant(1_000.0))
    assert times(outcome, "claimed")[-1] == pytest.approx(10, abs=0.2)


def test_no_more_executors_than_the_account_has_beside_the_tick() -> None:
    outcome = simulated(Work(100), servers(50, account_concurrency=21))
    assert outcome.most_executors == 20
    assert last_end(outcome) == pytest.approx(5.0)


def test_a_cold_start_is_paid_once_for_each_environment() -> None:
    outcome = simulated(Work(40), servers(10, cold_start_seconds=0.5))
    assert last_end(outcome) == pytest.approx(0.5 + 4 * 1.0)


def test_the_list_of_a_project_takes_a_thousand_new_runs_a_second() -> None:
    """50,000 puts: 1,000 at once, then 1,000 a second. The tick comes in time for all of them, and none is late."""
    place = Place(partition_writes=1_000, warm_writes=40_000, mapping=Ramp(9_999, 0, 9_999), tick_seconds=55)
    outcome = simulated(Work(50_000), place, constant(0.0))
    sent = times(outcome, "sent")
    assert sent[-1] - sent[0] >= 49.0
    assert outcome.refused[PROJECT_RUNS] > 0
    assert times(outcome, "claimed")[-1] < 5


def test_what_the_tick_cannot_put_in_its_time_is_late() -> None:
    place = Place(partition_writes=100, warm_writes=4_000, mapping=Ramp(999, 0, 999), tick_at=-90, tick_seconds=50)
    outcome = simulated(Work(20_000), place, constant(0.0))
    assert times(outcome, "claimed")[-1] >= 20_000 / 100 - 90 - 1
    assert outcome.put_off > 0


def test_many_projects_share_no_partition_of_a_warm_table() -> None:
    place = Place(partition_writes=1_000, warm_writes=40_000, mapping=Ramp(9_999, 0, 9_999), tick_seconds=55)
    sent = times(simulated(Work(50_000, projects=40), place, constant(0.0)), "sent")
    assert sent[-1] - sent[0] < 20


def test_messages_wait_for_whole_seconds_and_none_is_early() -> None:
    outcome = simulated(Work(100), servers(100, tick_at=-89.7, fire_seconds=0.01))
    claimed = times(outcome, "claimed")
    assert claimed[0] >= 0
    assert claimed[-1] <= 1


@pytest.mark.parametrize("at", [-150.0, -90.0, -10.0, 15.0])
def test_whenever_in_its_minute_the_tick_comes_it_comes_in_time(at: float) -> None:
    assert last_end(simulated(Work(10), servers(10, tick_at=at))) == pytest.approx(1.0, abs=1.0)


def test_a_tick_that_just_misses_the_burst_leaves_it_to_the_next_however_late_that_is() -> None:
    outcome = simulated(Work(10), servers(10, tick_at=-31.0, tick_gap=119.5))
    assert times(outcome, "sent")[0] == -31.0
    assert times(simulated(Work(10), servers(10, tick_at=-31.0, tick_gap=60.0)), "sent")[0] == -91.0


def test_first_pages_share_a_cpu_and_what_is_more_is_handed_on() -> None:
    """2,000 schedules, 16 shards: each first page of 100 takes 16 times its second, the others one each."""
    place = Place(fire_seconds=0.01, hand_on_seconds=5.0, cold_start_seconds=3.0, mapping=Ramp(999, 0, 999))
    sent = times(simulated(Work(2_000), place), "sent")
    assert sent[0] == pytest.approx(-150 + 16.0)
    assert sent[1_599] == pytest.approx(-150 + 16.0)
    assert sent[1_600] > -150 + 16.0 + 5.0 + 3.0
    assert sent[-1] == pytest.approx(-150 + 16.0 + 5.0 + 3.0 + 0.5, abs=0.45)


def test_first_pages_are_sent_at_a_full_second_so_that_their_runs_come_together() -> None:
    outcome = simulated(Work(100), servers(100, tick_at=-149.7, fire_seconds=0.003))
    assert times(outcome, "sent") == pytest.approx([-149.0] * 100)
    assert times(outcome, "claimed") == pytest.approx([0.0] * 100)


def test_ticks_of_single_shards_take_their_place_in_the_account() -> None:
    """First pages are over four seconds before the burst is due, and 16 invocations are at work for nine more."""
    place = servers(50, account_concurrency=20, fire_seconds=0.01, tick_at=-20, tick_gap=131)
    outcome = simulated(Work(16_000), place, constant(1.0))
    during = [run for run in outcome.runs if run.claimed is not None and 1 <= run.claimed < 2]
    assert len(during) == 20 - 17


def mixed(seed: int) -> Outcome:
    place = Place(
        partition_writes=200,
        warm_writes=800,
        mapping=Ramp(2, 300, 40),
        environments_at_once=10,
        environments_per_second=1,
        account_concurrency=30,
        tick_at=-90,
        tick_seconds=20,
        fire_seconds=0.003,
        request_seconds=0.01,
        claim_seconds=0.05,
        cold_start_seconds=0.6,
    )
    return simulated(Work(3_000, stream=5, projects=3), place, lambda chance: chance.expovariate(1.0), seed)


def test_the_same_seed_is_the_same_history_and_another_is_another() -> None:
    first, again, other = ([(run.sent, run.claimed, run.ended) for run in mixed(seed).runs] for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize("seed", range(3))
def test_every_run_is_sent_claimed_and_over_once_and_in_this_order(seed: int) -> None:
    outcome = mixed(seed)
    assert sum(run.project < 3 for run in outcome.runs) == 3_000
    assert len({run.number for run in outcome.runs}) == len(outcome.runs)
    for run in outcome.runs:
        assert run.sent is not None
        assert run.claimed is not None
        assert run.ended is not None
        assert max(run.due, run.sent) <= run.claimed <= run.ended


def test_a_simulation_without_executors_does_not_go_on_for_ever() -> None:
    with pytest.raises(RuntimeError, match="not over after a day"):
        simulated(Work(1), servers(0))
