"""Ordering runs: one, many, again. Checks that the workflow may run before anything is stored."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from shared.domain.dead_letter import DeadLetter
from shared.domain.run import Origin, Run
from shared.domain.source import Source
from shared.domain.workflow import Workflow, require_runnable
from shared.errors import Conflict, NotFound, SparkError, Unavailable
from shared.payloads import Payloads
from shared.queue import RunQueue
from shared.services.submission import Order, Submission, resubmit, stored, submit
from shared.store.dead_letters import DeadLetterStore
from shared.store.runs import RunStore
from shared.store.sources import SourceStore
from shared.store.workflows import WorkflowStore


@dataclass
class Orders:
    """Takes the orders of one request. Reads each workflow and source once, however many runs are ordered."""

    submission: Submission
    workflows: WorkflowStore
    sources: SourceStore
    runs: RunStore
    queue: RunQueue
    bucket: Payloads
    _workflows: dict[str, Workflow | NotFound] = field(default_factory=dict)
    _sources: dict[str, Source | None] = field(default_factory=dict)

    def run(self, workflow_id: str, order: Order, id: str) -> Run:
        """A new run under `id`.

        Raises:
            NotFound: no such workflow.
            Conflict: the workflow or its source is switched off.
            Invalid: the source cannot run that long.
        """
        workflow = self._runnable(workflow_id, order.timeout_seconds)
        return stored(self._submit(workflow, [order], [id])[0])

    def run_many(self, orders: Sequence[tuple[str, Order]], ids: Sequence[str]) -> list[Run | SparkError]:
        """A run for each (workflow id, order), or the reason why not."""
        results: dict[int, Run | SparkError] = {}
        accepted: dict[str, list[int]] = {}
        for number, (workflow_id, order) in enumerate(orders):
            try:
                workflow = self._runnable(workflow_id, order.timeout_seconds)
            except SparkError as refusal:
                results[number] = refusal
                continue
            accepted.setdefault(workflow.id, []).append(number)
        for workflow_id, numbers in accepted.items():
            workflow = self._workflow(workflow_id)
            runs = self._submit(workflow, [orders[n][1] for n in numbers], [ids[n] for n in numbers])
            results.update(zip(numbers, runs, strict=True))
        return [results[number] for number in range(len(orders))]

    def made_before(self, orders: Sequence[tuple[str, Order]], ids: Sequence[str]) -> list[Run | SparkError] | None:
        """What `run_many` answered to the same orders and ids, or None if it did not come to its end."""
        project = self.submission.project.project_id
        made = self.runs.get_many([(project, id) for id in ids], consistent=True)
        results = [made.get((project, id)) or self._refusal(*order) for id, order in zip(ids, orders, strict=True)]
        complete = [result for result in results if result is not None]
        return complete if len(complete) == len(orders) else None

    def again(self, old: Run, id: str) -> Run:
        """A new run with the input of `old`.

        Raises:
            Conflict: `old` is not over, or its workflow is gone or switched off.
        """
        try:
            workflow = self._runnable(old.workflow_id, old.timeout_seconds)
        except NotFound as error:
            raise Conflict(f"Workflow {old.workflow_id} of run {old.id} is gone.") from error
        submission = replace(self.submission, origin=Origin.retry, retry_of=old.id)
        return resubmit(submission, workflow, old, id, runs=self.runs, queue=self.queue, bucket=self.bucket)

    def redrive(self, letter: DeadLetter, id: str, *, dead_letters: DeadLetterStore) -> Run:
        """A new run for a dead letter, once. The letter names it first, so that a crash leaves no second one.

        Raises:
            Conflict: the letter names no run, or was redriven before.
        """
        if letter.run_id is None:
            raise Conflict("Nobody can read this message, so there is no run to start again.")
        if letter.redriven_run_id is not None and self._exists(letter.project_id, letter.redriven_run_id):
            raise Conflict(f"The dead letter was redriven as run {letter.redriven_run_id}.")
        try:
            old = self.runs.get(letter.project_id, letter.run_id)
        except NotFound as error:
            raise Conflict(f"Run {letter.run_id} of the dead letter is gone.") from error
        if letter.redriven_run_id is None:
            letter = dead_letters.save(letter, letter.model_copy(update={"redriven_run_id": id}))
        assert letter.redriven_run_id is not None  # just written, or left by a crash
        return self.again(old, letter.redriven_run_id)

    def _submit(self, workflow: Workflow, orders: list[Order], ids: list[str]) -> list[Run | Unavailable]:
        return submit(self.submission, workflow, orders, ids, runs=self.runs, queue=self.queue, bucket=self.bucket)

    def _runnable(self, workflow_id: str, timeout_seconds: int | None) -> Workflow:
        workflow = self._workflow(workflow_id)
        timeout = timeout_seconds or workflow.settings.timeout_seconds
        require_runnable(workflow, self._source(workflow), timeout)
        return workflow

    def _refusal(self, workflow_id: str, order: Order) -> SparkError | None:
        try:
            self._runnable(workflow_id, order.timeout_seconds)
        except SparkError as refusal:
            return refusal
        return None

    def _workflow(self, id: str) -> Workflow:
        if id not in self._workflows:
            try:
                self._workflows[id] = self.workflows.get(self.submission.project.project_id, id)
            except NotFound as error:
                self._workflows[id] = error
        found = self._workflows[id]
        if isinstance(found, NotFound):
            raise found
        return found

    def _source(self, workflow: Workflow) -> Source | None:
        if workflow.source_id not in self._sources:
            self._sources[workflow.source_id] = None
            with suppress(NotFound):
                self._sources[workflow.source_id] = self.sources.get(workflow.project_id, workflow.source_id)
        return self._sources[workflow.source_id]

    def _exists(self, project: str, run_id: str) -> bool:
        return bool(self.runs.get_many([(project, run_id)], consistent=True))
