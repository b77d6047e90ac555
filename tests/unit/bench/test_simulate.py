from pathlib import Path
from random import Random

import pytest

from bench import limits, simulate
from bench.burst import Outcome, Run
from bench.simulate import Speeds
from cli.local import template

DEPLOYED = template.load(simulate.PROJECT)


def claimed(due: float, at: float) -> Run:
    return Run(number=0, due=due, project=0, shard=0, wake=0, claimed=at)


def test_batch_and_concurrency_are_those_of_the_template() -> None:
    work, place = simulate.scenarios(DEPLOYED, 1_000)["as_deployed"]
    assert work.burst == 1_000
    assert place.batch_size == DEPLOYED["Resources"]["ExecutorTrigger"]["Properties"]["BatchSize"]
    assert place.mapping.most == DEPLOYED["Parameters"]["ExecutorConcurrency"]["Default"]


def test_another_template_is_another_place() -> None:
    changed = template.load(simulate.PROJECT)
    changed["Resources"]["ExecutorTrigger"]["Properties"]["BatchSize"] = 5
    changed["Resources"]["TickFunction"]["Properties"] |= {"Timeout": 30, "MemorySize": limits.MB_OF_A_CPU}
    place = simulate.place(changed, 7, Speeds(tick_cpu=0.25, executor_cpu=0.5))
    assert (place.batch_size, place.mapping.most, place.tick_seconds) == (5, 7, 25)
    assert place.fire_seconds == 0.25
    assert simulate.place(DEPLOYED, 7, Speeds(tick_cpu=0.25, executor_cpu=0.5)).fire_seconds > place.fire_seconds


def test_a_tick_just_misses_the_burst_and_the_next_comes_so_much_later() -> None:
    place = simulate.place(DEPLOYED, 7, Speeds(tick_cpu=0, executor_cpu=0, tick_gap=119))
    assert place.tick_at - place.tick_gap + 150 < 0
    assert place.tick_at == pytest.approx(-31, abs=0.02)


def test_no_mapping_is_larger_than_aws_allows() -> None:
    assert simulate.place(DEPLOYED, 9_999).mapping.most == limits.MAPPING_MOST


def test_each_scenario_turns_more_than_the_one_before() -> None:
    places = [place for _, place in simulate.scenarios(DEPLOYED, 1).values()]
    assert list(simulate.scenarios(DEPLOYED, 1)) == list(simulate.NAMES)
    assert places[0].mapping.most < places[1].mapping.most < places[3].mapping.most
    assert places[1].warm_writes < places[2].warm_writes == places[3].warm_writes


@pytest.mark.parametrize(
    ("text", "average"), [("constant:2", 2.0), ("exponential:3", 3.0), ("lognormal:2:0.5", 2 * 1.1331)]
)
def test_a_duration_has_its_average(text: str, average: float) -> None:
    duration, chance = simulate.read_duration(text), Random(1)
    assert sum(duration(chance) for _ in range(20_000)) / 20_000 == pytest.approx(average, rel=0.03)


@pytest.mark.parametrize("text", ["", "2", "constant", "constant:x", "lognormal:2", "uniform:1:2"])
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError):
        simulate.read_duration(text)


def test_the_backlog_is_what_is_due_and_not_claimed() -> None:
    runs = [claimed(0, 1), claimed(0, 6), claimed(7, 12)]
    assert simulate.backlog(runs) == [(0, 2), (5, 1), (10, 1), (15, 0)]


def test_the_lateness_of_the_others_leaves_out_the_burst() -> None:
    runs = [claimed(0, 100), claimed(1, 3), claimed(4, 8), claimed(5, 5)]
    assert simulate.lateness_of_others(runs) == [(0, 3), (5, 0)]


def test_the_figures_tell_the_burst_from_the_others() -> None:
    burst = [
        Run(number, 0.0, 0, 0, 0, sent=-30, claimed=5.0, ended=ended) for number, ended in enumerate([9.0, 4_000.0])
    ]
    others = [
        Run(2, 0.0, 1, 0, 0, sent=-30, claimed=7.0, ended=9.0),
        Run(3, 9.0, 1, 0, 0, sent=0, claimed=10.0, ended=11.0),
    ]
    figures = simulate.figures_of({"here": Outcome([*burst, *others], batches=2, most_executors=1)})
    assert figures["here_drained_seconds"] == 4_000
    assert figures["here_left_after_an_hour"] == 1
    assert figures["here_p50_seconds"] == 5
    assert figures["here_others_worst_seconds"] == 7
    assert figures["here_runs_in_a_batch"] == 2


def test_titles_of_plots_name_what_was_simulated(tmp_path: Path) -> None:
    simulate._draw(simulate.simulate(300), tmp_path, 300, "constant:1")
    assert "Runs that wait, of 300 due at once" in tmp_path.joinpath("burst-backlog.svg").read_text()
    assert "flows constant:1" in tmp_path.joinpath("burst-lateness.svg").read_text()
