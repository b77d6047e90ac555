"""LangFlow over HTTP: which path is asked, with what, and what is tried next.

Three servers speak three dialects: `langflow_v2` (sync and background runs), `langflow_v1` (older servers; used as soon
as the v2 path is missing) and `lfx` (`lfx serve`: v2 sync runs and lists). Facts: LangFlow 1.13.0, both engines tried.
"""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import httpx

from shared.domain.attempt import Step
from shared.domain.source import Dialect, SourceCheck
from shared.errors import Delivered, FlowFailure, Invalid
from shared.langflow import answers, calls, refusals
from shared.langflow.answers import FlowAnswer, RemoteFlowPage, Running
from shared.langflow.calls import FlowCall
from shared.langflow.connection import Reply, Stopper, exchange, mapping

ASK_SECONDS = 20.0  # for questions that run no flow: an API request has to end within 29 s
CHECK_SECONDS = 10.0
NO_JOB = uuid.UUID(int=0, version=4)  # the id of a job that cannot exist

RUN_V2 = "/api/v2/workflows"


class LangFlow:
    """One LangFlow server. Holds no connection: every call makes its own, so instances are cheap and thread-safe.

    Args:
        url: where the server is, with the path in front of `/api` if it has one.
        api_key: sent as `x-api-key`; None for a server that asks for none.
        dialect: what `check` found; None counts as `langflow_v2`, which finds out by itself when v2 is missing.
        correlation_id: sent as `X-Correlation-Id`.
        seconds: how long a check or a question about flows may take, where that is less than usual.
        transport: stands in for the network in tests.

    Raises:
        Invalid: no http(s) URL, or a key that no header can carry.
    """

    def __init__(
        self,
        url: str,
        api_key: str | None,
        *,
        dialect: Dialect | None = None,
        correlation_id: str | None = None,
        seconds: float | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._url = _base(url)
        self._dialect = dialect or Dialect.langflow_v2
        self._transport = transport
        self._seconds = ASK_SECONDS if seconds is None else min(ASK_SECONDS, seconds)
        self._key = api_key
        self._headers = {"accept-encoding": "gzip", "accept": "application/json", "user-agent": "spark"}
        if api_key is not None:
            if not calls.fits_header(api_key):
                raise Invalid("A key is printable ASCII: it travels in a header.", "/api_key")
            self._headers["x-api-key"] = api_key
        if correlation_id is not None and calls.fits_header(correlation_id):
            self._headers["x-correlation-id"] = correlation_id

    def check(self) -> SourceCheck:
        """What kind of server this is and whether it takes our key. Trouble is an answer, too: nothing is raised."""
        stopper = Stopper()
        try:
            with stopper.deadline(min(CHECK_SECONDS, self._seconds)):
                return self._check(stopper)
        except FlowFailure as failure:
            return SourceCheck(reachable=False, message=failure.message)

    def list_flows(self, page: int = 1, size: int = 50) -> RemoteFlowPage:
        """Page `page` (from 1) of the server's flows, without examples and components.

        LangFlow's own paging shows one project only, so all heads (0.4 KB each) are read and cut here.

        Raises:
            FlowFailure: as `get_flow`.
        """
        if self._dialect is Dialect.lfx:
            flows = self._ask("/flows").json()
        else:
            heads = {"get_all": "true", "header_flows": "true", "remove_example_flows": "true"}
            flows = self._ask("/api/v1/flows/", heads).json()  # without the last slash: 404
        if not isinstance(flows, list):
            raise FlowFailure("invalid_answer", "LangFlow's list of flows is no list.", Delivered.yes)
        return answers.flow_page([mapping(flow) for flow in flows], page, size)

    def get_flow(self, flow_id: str) -> dict[str, Any]:
        """The flow's definition as it is, typed secrets included: `domain.flow.scrub` it before anything else.

        `lfx serve` shows no definition: then `data` is None, and there are only `id`, `name` and `description`.

        Raises:
            FlowFailure: `flow_not_found`, `upstream_refused`, `upstream_unavailable`, …
        """
        if self._dialect is Dialect.lfx:
            return answers.definition_of_lfx(mapping(self._ask(f"/flows/{_segment(flow_id)}/info").json()))
        reply = self._ask(f"/api/v1/flows/{_segment(flow_id)}")
        definition = reply.json()
        if not isinstance(definition, dict):
            raise refusals.garbage(reply)
        return definition

    def run(self, call: FlowCall, stopper: Stopper) -> FlowAnswer:
        """Run the flow and wait for its answer, in the time of the call. `stopper.stop` ends it from another thread.

        LangFlow does not notice: a sync run goes on up there after a stop, a timeout or a broken connection.

        Raises:
            FlowFailure: see there; messages hold neither the key nor the call's variables.
        """
        with _hiding(calls.secrets(call.tweaks, self._key)), stopper.deadline(call.timeout_seconds):
            if self._dialect is not Dialect.langflow_v1:
                reply = self._send("POST", RUN_V2, stopper, json=calls.v2_body(call), headers=calls.headers(call))
                if not refusals.is_route_missing(reply):
                    return _finished(answers.from_v2(_good(reply), call.output_component))
                if self._dialect is Dialect.lfx:
                    raise refusals.refusal(reply)
            reply = self._send(
                "POST",
                f"/api/v1/run/{_segment(call.flow_id)}",
                stopper,
                json=calls.v1_body(call),
                headers=calls.headers(call),
            )
            return answers.from_v1(_good(reply), call.output_component)

    def submit(self, call: FlowCall) -> str:
        """Start the flow as a background job; the answer is the job's id.

        With an `idempotency_key` that a queued, running or completed job has, no new job starts: the answer is that
        job's id. A failed or cancelled job does not count. `lfx` ignores the key, and mostly has no jobs at all.

        Raises:
            FlowFailure: `upstream_refused` where the server has no background jobs, …
        """
        stopper = Stopper()
        with _hiding(calls.secrets(call.tweaks, self._key)), stopper.deadline(min(ASK_SECONDS, call.timeout_seconds)):
            body = {**calls.v2_body(call), "mode": "background"}
            body.pop("output_ids", None)  # sync only; `poll` chooses instead
            if call.idempotency_key is not None:
                body["idempotency_key"] = call.idempotency_key
            return answers.job_id(_good(self._send("POST", RUN_V2, stopper, json=body, headers=calls.headers(call))))

    def poll(
        self, job_id: str, output_component: str | None = None, tweaks: Mapping[str, Any] | None = None
    ) -> Running | FlowAnswer:
        """How job `job_id` is doing. `tweaks` are those it was submitted with: their secrets are not repeated.

        Raises:
            FlowFailure: the job's end if the code is `flow_failed`, `cancelled`, `job_lost`, or `timeout` with
                `delivered` yes. Any other says that asking failed: the job may be well, ask again.
        """
        secrets = calls.secrets(tweaks or {}, self._key)
        with _hiding(secrets):
            return self._poll(job_id, output_component, secrets)

    def _poll(self, job_id: str, output_component: str | None, secrets: Sequence[str]) -> Running | FlowAnswer:
        stopper = Stopper()
        with stopper.deadline(ASK_SECONDS):
            reply = self._send("GET", RUN_V2, stopper, params={"job_id": job_id})
            answer = answers.from_v2(_good(reply), output_component)
        if isinstance(answer, Running):
            return answer
        steps = calls.without(self.steps(job_id), secrets)
        # A component that could not be built ends the job as completed, with nothing in it.
        broken = [step.error or "" for step in steps if step.error is not None]
        if broken and not answer.output:
            raise refusals.failed("\n".join(broken), reply.status)
        return replace(answer, steps=steps or answer.steps)

    def steps(self, job_id: str) -> tuple[Step, ...]:
        """Every component of an ended job with its duration; empty where LangFlow does not tell. Raises nothing."""
        try:
            return answers.steps(self._ask(f"{RUN_V2}/{_segment(job_id)}/events"))
        except FlowFailure:
            return ()

    def stop(self, job_id: str) -> bool:
        """End a background job. True when LangFlow confirms that it does not run (any more); raises nothing.

        Right afterwards `poll` may say `flow_failed` before it says `cancelled`.
        """
        stopper = Stopper()
        try:
            with stopper.deadline(ASK_SECONDS):
                _good(self._send("POST", f"{RUN_V2}/stop", stopper, json={"job_id": job_id}))
        except FlowFailure:
            return False
        return True

    def _check(self, stopper: Stopper) -> SourceCheck:
        health = self._send("GET", "/health", stopper)
        version = self._send("GET", "/api/v1/version", stopper)
        number = mapping(version.json()).get("version")
        if isinstance(number, str):
            return self._check_langflow(number, stopper)
        if "flow_count" in mapping(health.json()):
            key = self._send("GET", "/flows", stopper)
            jobs = self._asks_for_jobs(stopper)
            return _checked(key, dialect=Dialect.lfx, version=None, supports_background=answers.knows_jobs(jobs))
        return SourceCheck(reachable=True, message=f"This is no LangFlow: /health answered {health.status}.")

    def _check_langflow(self, version: str, stopper: Stopper) -> SourceCheck:
        key = self._send("GET", "/api/v1/users/whoami", stopper)
        jobs = self._asks_for_jobs(stopper)
        dialect = Dialect.langflow_v1 if refusals.is_route_missing(jobs) else Dialect.langflow_v2
        return _checked(key, dialect=dialect, version=version, supports_background=answers.knows_jobs(jobs))

    def _asks_for_jobs(self, stopper: Stopper) -> Reply:
        """The answer tells apart: no v2 path (404, 405), v2 without jobs (405), v2 with jobs (404 JOB_NOT_FOUND)."""
        return self._send("GET", RUN_V2, stopper, params={"job_id": str(NO_JOB)})

    def _ask(self, path: str, params: Mapping[str, str] | None = None) -> Reply:
        stopper = Stopper()
        with stopper.deadline(self._seconds):
            return _good(self._send("GET", path, stopper, params=params))

    def _send(
        self,
        method: str,
        path: str,
        stopper: Stopper,
        *,
        params: Mapping[str, str] | None = None,
        json: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        url, all_headers = f"{self._url}{path}", {**self._headers, **(headers or {})}
        try:
            request = httpx.Request(method, url, params=params, json=json, headers=all_headers)
        except (TypeError, ValueError) as error:  # NaN, or half of a surrogate pair; final, as it will not get better
            raise FlowFailure("invalid_input", f"The input is no JSON: {error}", Delivered.yes) from error
        return exchange(request, self._transport, stopper)


@contextmanager
def _hiding(secrets: Sequence[str]) -> Iterator[None]:
    """Failures say what LangFlow said, and LangFlow may repeat what it was given."""
    try:
        yield
    except FlowFailure as failure:
        if not any(secret in failure.message for secret in secrets):
            raise
        raise refusals.without(failure, secrets) from None  # the cause would say it again


def _good(reply: Reply) -> Reply:
    """`reply` if its status is 2xx. A redirect is a refusal: following it would carry the key to another place."""
    if 200 <= reply.status < 300:
        return reply
    raise refusals.refusal(reply)


def _finished(answer: FlowAnswer | Running) -> FlowAnswer:
    if isinstance(answer, Running):
        raise FlowFailure("invalid_answer", f"A sync run cannot be {answer.status}.", Delivered.unknown)
    return answer


def _checked(key: Reply, *, dialect: Dialect, version: str | None, supports_background: bool) -> SourceCheck:
    """What we know once the key was tried. 401 and 403 are about the key; anything else leaves it open."""
    valid = True if key.status == 200 else False if key.status in (401, 403) else None
    return SourceCheck(
        reachable=True,
        dialect=dialect,
        version=version,
        key_valid=valid,
        supports_background=supports_background,
        message=None if valid else refusals.refusal(key).message,
    )


def _base(url: str) -> str:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise Invalid(f"This is no URL: {error}.", "/url") from error
    if parsed.scheme not in ("http", "https") or not parsed.host or parsed.query or parsed.fragment:
        raise Invalid("A LangFlow URL is http:// or https://, a host, and maybe a path.", "/url")
    return str(parsed).rstrip("/")


def _segment(id: str) -> str:
    """`id` as one segment of a path, whatever it holds."""
    return quote(id, safe="")
