"""Executing: from a message to a finished run, and what each answer of LangFlow makes of it."""

import json
import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.domain import message
from shared.domain.attempt import Step, StepStatus
from shared.domain.breaker import Breaker
from shared.domain.retry import RetryPolicy
from shared.domain.run import Run, RunStatus
from shared.domain.source import SourceStatus
from shared.domain.workflow import WorkflowSettings
from shared.errors import Delivered, FlowFailure
from shared.langflow import FlowAnswer
from shared.services import execution
from shared.store.table import Item
from tests.fakes import NOON
from tests.world import (
    BROKEN,
    BUSY,
    CUT_OFF,
    LEASE,
    WAKE_AFTER,
    World,
    a_message,
    a_run,
    a_source,
    a_version,
    a_workflow,
    unreadable,
)

REFUSED = FlowFailure("upstream_refused", "LangFlow answered 403.", Delivered.yes, status=403)
TOO_LARGE = FlowFailure("output_too_large", "Larger than 16 MiB.", Delivered.yes)


def run_once(world: World, **changes: Any) -> Run:
    (run,) = world.put(a_run(**changes))
    world.execute([a_message(run)])
    return world.run(run)


@pytest.mark.parametrize(
    ("times", "seconds"),
    [
        ({"created_at": NOON - timedelta(seconds=3)}, 3.0),
        ({"created_at": NOON - timedelta(hours=1), "not_before": NOON - timedelta(seconds=2)}, 2.0),
        ({"created_at": NOON, "not_before": NOON + timedelta(milliseconds=500)}, 0.0),
        ({"created_at": NOON, "scheduled_for": NOON - timedelta(seconds=90)}, 90.0),
        ({"created_at": NOON - timedelta(seconds=90), "not_before": NOON, "deferred_since": NOON - timedelta(1)}, 90.0),
    ],
    ids=["at once", "at its time", "a moment early", "made late", "its source was busy"],
)
def test_a_run_is_as_late_as_it_begins_after_its_time(
    times: dict[str, Any], seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[tuple[str, float]] = []
    monkeypatch.setattr(execution, "measure", lambda *metric: measured.append(metric))

    run_once(World(), **times)

    assert measured == [("RunLateness", seconds)]


def test_a_run_that_has_begun_is_not_late_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries and polls are punctual, as they name their time themselves: they would hide the runs that wait."""
    measured: list[tuple[str, float]] = []
    monkeypatch.setattr(execution, "measure", lambda *metric: measured.append(metric))

    run_once(World(), attempt=1, started_at=NOON - timedelta(hours=1))

    assert measured == []


def test_a_run_that_cannot_be_told_of_is_over_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    counts: dict[str, int] = {}
    monkeypatch.setattr(execution, "count", lambda name, number=1: counts.update({name: number}))
    world = World()
    (run,) = world.put(a_run())

    world.execute([a_message(run)], replace(world.executor(), trace=fails))

    assert world.run(run).status == "completed"
    assert (counts["RunsCompleted"], counts["TracesNotExported"]) == (1, 1)


def fails(*_: Any) -> None:
    raise ImportError("a wheel that is broken")


def test_a_run_completes_with_its_output_on_its_page() -> None:
    world = World()
    step = Step(name="Chat", component_id="ChatOutput-1", status=StepStatus.completed, duration_seconds=0.1)
    world.langflow.runs = [FlowAnswer(text="Hi!", output={}, steps=(step,), session_id="s")]

    run = run_once(world)

    assert (run.status, run.turn, run.attempt, run.error) == ("completed", 1, 1, None)
    assert (run.wake_at, run.lease_until, run.finished_at) == (None, None, NOON)
    (page,) = world.pages(run)
    assert (page.number, page.output, page.output_bytes, page.worker) == (1, "Hi!", 5, "worker-1")
    assert page.steps == (step,)
    assert [line.event for line in page.logs] == ["attempt.started", "flow.completed"]
    assert world.queue.sent == []


def test_the_flow_is_called_as_its_workflow_and_its_run_say() -> None:
    settings = WorkflowSettings(
        name="Echo", input_component="In-1", output_component="Out-1", tweaks={"A": {"x": 1}, "B": {}}
    )
    world = World(workflow=a_workflow(settings=settings))

    run = run_once(world, input="Hi", session_id="s-1", tweaks={"A": {"y": 2}})

    (call,) = world.langflow.calls
    assert (call.flow_id, call.input_value, call.session_id) == ("flow-1", "Hi", "s-1")
    assert call.tweaks == {"A": {"y": 2}, "B": {}}
    assert (call.input_component, call.output_component) == ("In-1", "Out-1")
    assert call.timeout_seconds == 120
    assert call.idempotency_key is not None
    assert "flow-1" in call.idempotency_key
    assert run.id in call.idempotency_key


def test_a_run_without_a_session_has_one_of_its_own() -> None:
    world = World()

    run = run_once(world)

    assert world.langflow.calls[0].session_id == run.id


def test_a_flow_may_not_use_the_time_that_writing_down_takes() -> None:
    world = World()

    run_once(world, timeout_seconds=240)
    world.put(a_run(2, timeout_seconds=240))
    world._worker.execute([a_message(a_run(2))], NOON + timedelta(seconds=20), "w", "me")

    assert [call.timeout_seconds for call in world.langflow.calls] == [240, 17]


def test_a_run_uses_the_version_it_was_made_with() -> None:
    world = World()
    newer = world.workflows.save(world.workflow, world.workflow.model_copy(update={"version": 2, "flow_id": "flow-2"}))

    run = run_once(world)

    assert newer.version == 2
    assert run.status == "completed"
    assert world.langflow.calls[0].flow_id == "flow-1"


@pytest.mark.parametrize("failure", [REFUSED, BROKEN, TOO_LARGE])
def test_what_cannot_get_better_fails_at_once(failure: FlowFailure) -> None:
    world = World()
    world.langflow.runs = [failure]

    run = run_once(world)

    assert run.status == "failed"
    assert run.error is not None
    assert (run.error.code, run.error.attempt, run.error.retryable) == (failure.code, 1, False)
    (page,) = world.pages(run)
    assert page.error == run.error
    assert page.output is None
    assert world.queue.sent == []


@pytest.mark.parametrize("failure", [BUSY, CUT_OFF])
def test_what_may_pass_is_tried_again_later(failure: FlowFailure) -> None:
    world = World()
    world.langflow.runs = [failure]

    run = run_once(world, retry=RetryPolicy(initial_seconds=10))

    assert (run.status, run.turn, run.attempt) == ("pending", 2, 1)
    (sent,) = world.queue.sent
    assert (sent.message.turn, sent.delay) == (2, timedelta(seconds=5))
    world.settle()
    assert world.run(run).status == "completed"
    assert [page.number for page in world.pages(run)] == [1, 2]
    assert world.run(run).may_have_run_before is (failure is CUT_OFF)


def test_a_run_fails_when_its_last_attempt_does() -> None:
    world = World()
    world.langflow.runs = [BUSY] * 9
    world.put(a_run(retry=RetryPolicy(max_attempts=3)))
    world.queue.deliver_again(message.announce(a_run()))

    world.settle()

    run = world.run(a_run())
    assert (run.status, run.attempt) == ("failed", 3)
    assert len(world.langflow.calls) == 3
    assert [page.number for page in world.pages(run)] == [1, 2, 3]


def test_a_fault_of_our_own_ends_the_attempt_and_does_not_wait_for_the_lease() -> None:
    world = World()
    world.langflow.runs = [ZeroDivisionError("oops")]

    run = run_once(world)

    assert run.status == "pending"
    assert run.error is not None
    assert (run.error.code, run.error.message) == ("internal_error", "ZeroDivisionError")


def test_an_input_that_cannot_be_fetched_is_tried_again() -> None:
    world = World()
    world.bucket.down = True

    run = run_once(world, input=None, input_key="expire-90/there.json")

    assert run.status == "pending"
    assert run.error is not None
    assert run.error.code == "aws_unavailable"
    assert run.may_have_run_before is False
    assert world.langflow.calls == []


def test_a_large_output_lives_in_the_bucket() -> None:
    world = World()
    world.langflow.runs = [FlowAnswer(text="ü" * 5000, output={})]

    run = run_once(world, retention_days=30)

    (page,) = world.pages(run)
    assert page.output is None
    assert page.output_key is not None
    assert page.output_key.startswith(f"expire-30/default/runs/{run.id}/")
    assert page.output_bytes == 10_002
    assert json.loads(world.bucket.texts[page.output_key]) == "ü" * 5000


def test_an_answer_of_several_outputs_is_kept_as_they_are() -> None:
    world = World()
    world.langflow.runs = [FlowAnswer(text=None, output={"a": {"content": 1}, "b": {"content": None}})]

    run = run_once(world)

    assert world.pages(run)[0].output == {"a": {"content": 1}, "b": {"content": None}}


def test_a_page_of_many_steps_and_long_errors_stays_small() -> None:
    world = World()
    noise = random.Random(7)

    def text() -> str:  # that no compression makes smaller
        return noise.randbytes(5000).hex()

    steps = tuple(Step(name=text(), component_id=text(), status=StepStatus.failed, error=text()) for _ in range(1000))
    world.langflow.runs = [FlowAnswer(text="t", output={}, steps=steps)]

    run = run_once(world)

    (item,) = [item for key, item in world.table.items.items() if key.sk.startswith("ATTEMPT")]
    assert sum(len(value) if isinstance(value, bytes) else len(str(value)) for value in item.values()) < 64 * 1024
    assert len(world.pages(run)[0].steps) == 100


def test_a_batch_is_carried_out_at_the_same_time() -> None:
    world = World()
    runs = world.submit(10)

    world.deliver()

    assert [world.run(run).status for run in runs] == ["completed"] * 10
    assert len(world.queue) == 0


def test_a_run_whose_source_is_switched_off_waits_until_it_is_on_again() -> None:
    off = a_source(status=SourceStatus.inactive)
    world = World(source=off)
    (run,) = world.submit()

    for _ in range(3):
        world.deliver()
        world.clock.forward(minutes=1)
    assert (world.run(run).status, world.run(run).attempt, world.langflow.calls) == ("pending", 0, [])
    before = world.sources.get(off.project_id, off.id)
    world.sources.save(before, before.model_copy(update={"status": SourceStatus.active}))
    world.settle(timedelta(minutes=10))

    assert (world.run(run).status, world.run(run).attempt) == ("completed", 1)


def test_a_run_whose_source_is_gone_fails_without_an_attempt() -> None:
    world = World(workflow=a_workflow(source_id="src_gone"))

    run = run_once(world)

    assert (run.status, run.attempt) == ("failed", 0)
    assert run.error is not None
    assert run.error.code.startswith("source_")
    assert world.langflow.calls == []


def test_a_run_whose_version_is_gone_fails_and_the_others_do_not() -> None:
    world = World()
    lost, fine = world.put(a_run(1, workflow_version=9), a_run(2))

    world.execute([a_message(lost), a_message(fine)])

    assert [world.run(run).status for run in (lost, fine)] == ["failed", "completed"]


def test_a_version_that_was_written_a_moment_ago_is_found() -> None:
    """Reads that are not consistent may miss it, and a run must not fail for good because of that."""
    world = World(lag=timedelta(seconds=2))
    world.workflows.save_version(a_version(world.workflow, number=2))

    run = run_once(world, workflow_version=2)

    assert run.status == "completed"


def test_a_message_before_its_time_is_sent_again_with_the_rest_of_its_delay() -> None:
    world = World()
    (run,) = world.put(a_run(turn=2, not_before=NOON + timedelta(seconds=30)))

    world.execute([a_message(run)])

    assert world.run(run) == run
    (sent,) = world.queue.sent
    assert (sent.message, sent.delay) == (a_message(run), timedelta(seconds=30))


@pytest.mark.parametrize("turn", [0, 1, 3])
def test_a_message_of_another_turn_does_nothing(turn: int) -> None:
    world = World()
    (run,) = world.put(a_run(turn=2))

    world.execute([a_message(run, turn=turn)])

    assert world.run(run) == run
    assert world.queue.sent == []


def test_a_message_of_an_unknown_run_does_nothing() -> None:
    world = World()

    world.execute([a_message(a_run())])

    assert world.all_runs() == []


def test_nothing_is_read_for_an_empty_batch_but_the_runs() -> None:
    world = World()

    world.execute([])

    assert world.faults.steps == []


def test_an_executor_that_can_read_nothing_claims_nothing() -> None:
    world = World()
    (run,) = world.submit()
    world.faults.refuse["get_many"] = 1

    world.deliver()

    assert world.run(run) == run
    assert len(world.queue) == 1  # the message comes again


def test_a_run_takes_five_requests_to_the_table() -> None:
    world = World()
    world.submit()
    world.faults.steps.clear()

    world.deliver()

    done = [step.removeprefix("after ") for step in world.faults.steps if step.startswith("after")]
    assert sorted(done) == ["get_many", "get_many", "get_many", "put_many", "put_many"]


def test_claims_of_a_batch_are_one_request() -> None:
    world = World()
    world.submit(10)
    world.faults.steps.clear()

    world.deliver()

    assert world.faults.steps.count("after put_many") == 1 + 10  # one claim of all, an end for each


def test_a_lease_is_as_long_as_the_invocation() -> None:
    world = World()
    seen = []
    world.langflow.runs = [lambda call, stopper: seen.append(world.run(a_run())) or FlowAnswer("t", {})]

    run_once(world)

    assert seen[0].lease_until == NOON + LEASE
    assert seen[0].status == RunStatus.running
    assert seen[0].wake_at == NOON + WAKE_AFTER


def test_a_claim_that_a_busy_table_did_not_take_costs_the_others_nothing_and_itself_no_attempt() -> None:
    world = World()
    runs = world.submit(3)
    world.faults.busy = lambda item: item.get("run_id") == runs[1].id and item["status"] == "running"

    world.deliver()

    assert [world.run(run).status for run in runs] == ["completed", "pending", "completed"]
    assert world.run(runs[1]).attempt == 0
    world.faults.busy = lambda item: False
    world.settle(timedelta(minutes=10))
    assert (world.run(runs[1]).status, world.run(runs[1]).attempt) == ("completed", 1)


def test_the_page_of_a_finished_run_is_written_however_often_the_table_is_busy() -> None:
    world = World()
    refused: list[Item] = []

    def busy(item: Item) -> bool:
        is_page = str(item["sk"]).startswith("ATTEMPT") and len(refused) < 3
        refused.extend([item] if is_page else [])
        return is_page

    world.faults.busy = busy
    run = run_once(world)

    assert run.status == "completed"
    assert len(refused) == 3
    assert [page.output for page in world.pages(run)] == ["Hello"]


def test_a_run_that_cannot_be_read_harms_no_other_of_its_batch() -> None:
    world = World()
    bad, fine = world.put(a_run(1), a_run(2))
    unreadable(world, bad)

    world.execute([a_message(bad), a_message(fine)])

    assert world.run(fine).status == "completed"


def test_leases_of_runs_that_could_not_be_claimed_are_given_back() -> None:
    world = World(source=a_source(max_concurrency=1))
    (run,) = world.submit()
    world.faults.busy = lambda item: item.get("status") == "running"

    world.deliver()

    assert world.sources.get_leases("default", world.source.id).holders == {}
    assert world.run(run).status == "pending"


def test_a_probe_that_tells_nothing_lets_the_next_one_go() -> None:
    world = World()
    broken = Breaker(project_id="default", source_id=world.source.id, failures=5, openings=1, open_until=NOON)
    world.sources.save_breaker(Breaker(project_id="default", source_id=world.source.id), broken)
    world.langflow.runs = [FlowFailure("timeout", "No answer.", Delivered.unknown)]

    run_once(world)

    assert world.sources.get_breaker("default", world.source.id).probe_until is None


def test_a_run_whose_input_has_expired_fails_and_says_so() -> None:
    world = World()

    run = run_once(world, input=None, input_key="expire-7/default/runs/gone.json")

    assert (run.status, run.attempt) == ("failed", 1)
    assert run.error is not None
    assert run.error.code == "payload_expired"
