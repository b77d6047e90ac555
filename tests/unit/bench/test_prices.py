import pytest

from bench import prices
from bench.prices import MONTHLY, PRICES, Fixed, Usage, WireItem

RUN: WireItem = {
    "pk": {"S": "PROJECT#default#RUN#run_1"},
    "sk": {"S": "RECORD"},
    "runs_of_project": {"S": "default"},
    "runs_of_workflow": {"S": "wf_1"},
    "run_id": {"S": "run_1"},
    "wake_shard": {"S": "07"},
    "wake_at": {"S": "2030-01-01T12:05:00.000Z"},
}
LISTS = {"ProjectRuns": 1, "WorkflowRuns": 1}


def sized(size: int) -> WireItem:
    """An item of exactly `size` bytes."""
    return {"pk": {"S": "x" * (size - 2)}}


@pytest.mark.parametrize(
    ("attribute", "size"),
    [
        ({"S": ""}, 0),
        ({"S": "abc"}, 3),
        ({"S": "größe"}, 7),
        ({"B": b"\x00\xff"}, 2),
        ({"BOOL": False}, 1),
        ({"N": "0"}, 1),
        ({"N": "7"}, 2),
        ({"N": "12"}, 2),
        ({"N": "1200"}, 2),
        ({"N": "1893456001"}, 6),
    ],
)
def test_the_size_of_a_value(attribute: prices.Attribute, size: int) -> None:
    assert prices.attribute_bytes(attribute) == size


def test_names_of_attributes_count() -> None:
    assert prices.item_bytes({"pk": {"S": "ab"}, "turn": {"N": "1"}}) == 2 + 2 + 4 + 2


@pytest.mark.parametrize(("size", "units"), [(10, 1), (1024, 1), (1025, 2), (4096, 4), (65536, 64)])
def test_a_write_costs_a_unit_for_each_started_kilobyte(size: int, units: int) -> None:
    assert prices.base_write_units(None, sized(size)) == units


def test_a_write_is_charged_by_the_larger_of_old_and_new() -> None:
    assert prices.base_write_units(sized(2000), sized(100)) == 2
    assert prices.base_write_units(sized(100), sized(2000)) == 2


def test_a_delete_is_charged_by_what_was_there() -> None:
    assert prices.base_write_units(sized(3000), None) == 3


def test_a_condition_that_fails_on_nothing_costs_a_unit() -> None:
    assert prices.base_write_units(None, None) == 1


def test_a_new_run_is_put_into_its_lists_and_on_wake() -> None:
    assert prices.index_write_units(None, RUN) == {**LISTS, "Wake": 1}


def test_what_is_not_indexed_may_change_for_free() -> None:
    assert prices.index_write_units(RUN, {**RUN, "status": {"S": "running"}}) == {}


def test_leaving_wake_is_one_unit() -> None:
    finished = {name: value for name, value in RUN.items() if name != "wake_shard"}
    assert prices.index_write_units(RUN, finished) == {"Wake": 1}


def test_a_new_time_on_wake_is_a_delete_and_a_put() -> None:
    later = {**RUN, "wake_at": {"S": "2030-01-01T12:10:00.000Z"}}
    assert prices.index_write_units(RUN, later) == {"Wake": 2}


def test_a_failed_run_joins_the_failed_ones() -> None:
    assert prices.index_write_units(RUN, {**RUN, "failed_runs_of": {"S": "default"}}) == {"FailedRuns": 1}


def test_a_delete_leaves_every_index() -> None:
    assert prices.index_write_units(RUN, None) == {**LISTS, "Wake": 1}


@pytest.mark.parametrize(("size", "units"), [(0, 1), (1, 1), (4096, 1), (4097, 2), (65536, 16)])
def test_a_read_costs_a_unit_for_each_started_four_kilobytes(size: int, units: int) -> None:
    assert prices.read_units(size, consistent=True) == units
    assert prices.read_units(size, consistent=False) == units / 2


def test_sqs_counts_each_started_64_kilobytes_as_a_request() -> None:
    assert [prices.sqs_requests(size) for size in (0, 65536, 65537)] == [1, 1, 2]


def test_usage_adds_up_and_is_shared_out() -> None:
    both = Usage(write_units=4, read_units=1) + Usage(write_units=6)
    assert both.each(10) == Usage(write_units=1, read_units=0.1)


def test_a_price_is_units_times_list_price() -> None:
    million_runs = Usage(write_units=8e6, read_units=1e6, sqs_requests=0.3e6)
    costs = prices.usd(million_runs)
    assert costs["write_units"] == pytest.approx(5.0)
    assert costs["read_units"] == pytest.approx(0.125)
    assert costs["sqs_requests"] == pytest.approx(0.12)
    assert sum(costs.values()) == pytest.approx(5.245)


def test_everything_used_has_a_price() -> None:
    assert all(price > 0 for price in vars(PRICES).values())


def test_storage_counts_the_item_and_its_index_entries_with_their_overhead() -> None:
    lists = {"runs_of_project", "run_id", "pk", "sk"}
    entry = {name: RUN[name] for name in lists}
    alone = {name: value for name, value in RUN.items() if name not in ("wake_shard", "runs_of_workflow")}
    assert prices.stored_bytes(alone) == prices.item_bytes(alone) + prices.item_bytes(entry) + 200


def test_what_is_paid_by_the_month_is_counted_in_a_template() -> None:
    metric = {"MetricStat": {}}
    resources = {
        "Key": {"Type": "AWS::KMS::Key"},
        "Secret": {"Type": "AWS::SecretsManager::Secret"},
        "Plain": {"Type": "AWS::CloudWatch::Alarm", "Properties": {"MetricName": "Errors"}},
        "Sum": {"Type": "AWS::CloudWatch::Alarm", "Properties": {"Metrics": [metric, metric, {"Expression": "a+b"}]}},
        "Queue": {"Type": "AWS::SQS::Queue"},
    }
    fixed = prices.fixed({"Resources": resources}, custom_metrics=2, log_gb_kept=0.5)
    assert fixed == Fixed(kms_keys=1, secrets=1, alarms=3, custom_metrics=2, log_gb_kept=0.5)
    assert sum(prices.monthly_usd(fixed).values()) == pytest.approx(1.00 + 0.40 + 0.30 + 0.60 + 0.015)


def test_everything_paid_by_the_month_has_a_price() -> None:
    assert all(price > 0 for price in vars(MONTHLY).values())


def test_usage_is_multiplied() -> None:
    assert Usage(read_units=8).times(1440) == Usage(read_units=11520)
