import pytest

from bench import capacity, simulate
from bench.capacity import Flows, Price, Rate
from cli.local import template

PRICE = Price(full=10.0, alone=40.0)


def test_the_slowest_of_a_batch_takes_longer_than_the_average_one() -> None:
    """Of ten that are evenly spread between 0 and 1, the slowest is at 10/11 on average."""
    flows = capacity.flows(lambda chance: chance.random(), 10)
    assert flows.average == pytest.approx(1 / 2, rel=0.01)
    assert flows.slowest == pytest.approx(10 / 11, rel=0.01)


def test_what_is_paid_for_is_the_slowest_of_a_batch_or_oneself() -> None:
    """A GB second is 16.67 USD a million times."""
    price = PRICE.of(Flows(average=2.0, slowest=4.0), memory_gb=1.0, batch=10)
    assert price.full == pytest.approx(10 + 3 * 16.6667 / 10)
    assert price.alone == pytest.approx(40 + 1 * 16.6667)


def test_with_the_flows_it_was_measured_with_a_price_stays() -> None:
    assert PRICE.of(Flows(1.0, 1.0), memory_gb=1.0, batch=10) == PRICE


def test_rates_follow_the_template_and_the_limits() -> None:
    places = [place for _, place in simulate.scenarios(template.load(simulate.PROJECT), 1).values()]
    here, more = places[0].but(claim_seconds=0.5, batch_size=4), places[1].but(claim_seconds=0.5, batch_size=4)
    rates = {rate.part: rate.runs for rate in capacity.rates(here, more, slowest=1.5)}
    assert rates["executors as deployed, 20"] == 20 * 4 / 2
    assert rates["executors at their most, 1,000"] == 1_000 * 4 / 2
    assert rates["a new table"] == 800
    assert rates["the lists of one project and workflow"] == 1_000
    assert rates["Wake, 16 shards"] == 4_000
    assert rates["messages in flight"] == 60_000


def test_due_together_takes_no_less_than_a_batch() -> None:
    rates = [Rate("executors", 100.0, ""), Rate("a table", 100.0, "")]
    assert capacity.together(rates, slowest=4.0).splitlines()[2:] == [
        "| executors | 4 s | 10 s | 2.8 h |",
        "| a table | < 1 s | 10 s | 2.8 h |",
    ]


def test_months_go_from_full_batches_to_single_runs() -> None:
    hourly, always = capacity.months(PRICE).splitlines()[2:]
    assert hourly == "| schedules, hourly | 0.073 to 0.29 | 7.3 to 29 | 7,300 to 29,000 |"
    assert always.startswith("| runs a second, all day | 260 to 1,100 |")


@pytest.mark.parametrize(
    ("value", "text"), [(0.1234, "0.12"), (4.6, "4.6"), (43.4, "43"), (2_173, "2,200"), (26_280_000, "26,000,000")]
)
def test_two_digits_matter(value: float, text: str) -> None:
    assert capacity.short(value) == text
