"""What the client asks, in which order, and what it never lets out. No sockets: the transport answers."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from shared.domain.source import Dialect
from shared.errors import Delivered, FlowFailure, Invalid
from shared.langflow import FlowCall, LangFlow, Stopper
from tests.stub_langflow import ECHO, completed, failed

MISSING = httpx.Response(405, json={"detail": "Method Not Allowed"})
V1_ANSWER = {"session_id": "s", "outputs": [{"outputs": [{"component_id": "C-1", "results": {"m": {"text": "v1"}}}]}]}


class Wire:
    """Remembers the requests; answers each with what `answer` makes of it."""

    def __init__(self, answer: Callable[[httpx.Request], httpx.Response]) -> None:
        self.requests: list[httpx.Request] = []
        self._answer = answer

    def client(self, dialect: Dialect | None = None, key: str | None = "the-secret-key", **options: Any) -> LangFlow:
        transport = httpx.MockTransport(self._remember)
        return LangFlow("https://flows.test/lang/", key, dialect=dialect, transport=transport, **options)

    @property
    def body(self) -> dict[str, Any]:
        sent: dict[str, Any] = json.loads(self.requests[-1].content)
        return sent

    @property
    def paths(self) -> list[str]:
        return [request.url.path for request in self.requests]

    def _remember(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self._answer(request)


def always(status: int, body: Any, **headers: str) -> Wire:
    return Wire(lambda request: httpx.Response(status, json=body, headers=headers))


def failure_of(wire: Wire, call: FlowCall | None = None, dialect: Dialect | None = None) -> FlowFailure:
    with pytest.raises(FlowFailure) as caught:
        wire.client(dialect).run(call or FlowCall(ECHO), Stopper())
    return caught.value


def test_a_run_is_one_post_below_the_sources_path() -> None:
    wire = always(200, completed(ECHO, "hello"))
    assert wire.client().run(FlowCall(ECHO, "hello", session_id="run_1"), Stopper()).text == "hello"
    assert wire.paths == ["/lang/api/v2/workflows"]
    assert wire.body == {"flow_id": ECHO, "mode": "sync", "input_value": "hello", "session_id": "run_1"}


def test_the_key_and_the_correlation_id_travel_as_headers() -> None:
    wire = always(200, completed(ECHO, ""))
    wire.client(correlation_id="c-1").run(FlowCall(ECHO), Stopper())
    headers = wire.requests[0].headers
    assert (headers["x-api-key"], headers["x-correlation-id"]) == ("the-secret-key", "c-1")
    assert "authorization" not in headers


@pytest.mark.parametrize("header", ["00-aa-bb-01", None])
def test_a_trace_is_named_to_whatever_runs_a_flow(header: str | None) -> None:
    """Runs of both APIs and jobs; where there is no trace, nothing."""
    call = FlowCall(ECHO, traceparent=header)
    v2, v1, job = (always(200, body) for body in (completed(ECHO, ""), V1_ANSWER, {"job_id": "j-1"}))
    v2.client().run(call, Stopper())
    v1.client(Dialect.langflow_v1).run(call, Stopper())
    job.client().submit(call)
    assert [wire.requests[0].headers.get("traceparent") for wire in (v2, v1, job)] == [header] * 3


def test_a_source_without_a_key_gets_none() -> None:
    wire = always(200, completed(ECHO, ""))
    wire.client(key=None).run(FlowCall(ECHO), Stopper())
    assert "x-api-key" not in wire.requests[0].headers


def test_a_correlation_id_that_is_no_header_is_left_out() -> None:
    wire = always(200, completed(ECHO, ""))
    wire.client(correlation_id="a\r\nx-api-key: b").run(FlowCall(ECHO), Stopper())
    assert "x-correlation-id" not in wire.requests[0].headers


def test_cookies_are_not_kept() -> None:
    """A login cookie would beat the key."""
    wire = Wire(lambda request: httpx.Response(200, json={"status": "ok"}, headers={"set-cookie": "session=1"}))
    wire.client().check()
    assert len(wire.requests) > 1
    assert not any("cookie" in request.headers for request in wire.requests)


def test_a_redirect_is_refused_and_not_followed() -> None:
    wire = always(307, {}, location="https://elsewhere.test/")
    failure = failure_of(wire)
    assert (failure.code, failure.status, len(wire.requests)) == ("upstream_refused", 307, 1)


def test_an_input_that_is_no_chat_gets_the_text_as_a_tweak() -> None:
    wire = always(200, completed(ECHO, ""))
    wire.client().run(FlowCall(ECHO, "{}", tweaks={"A-1": {"b": 1}}, input_component="Webhook-x"), Stopper())
    assert wire.body["tweaks"] == {"A-1": {"b": 1}, "Webhook-x": {"data": "{}"}}
    assert "input_value" not in wire.body


def test_the_text_joins_other_tweaks_of_its_component() -> None:
    wire = always(200, completed(ECHO, ""))
    call = FlowCall(ECHO, "Tina", tweaks={"TextInput-x": {"sender": "me"}}, input_component="TextInput-x")
    wire.client().run(call, Stopper())
    assert wire.body["tweaks"] == {"TextInput-x": {"sender": "me", "input_value": "Tina"}}


def test_a_chat_input_needs_no_tweak() -> None:
    wire = always(200, completed(ECHO, ""))
    wire.client().run(FlowCall(ECHO, "hello", input_component="ChatInput-x"), Stopper())
    assert wire.body["input_value"] == "hello"
    assert "tweaks" not in wire.body


@pytest.mark.parametrize(
    "missing",
    [
        MISSING,
        httpx.Response(404, json={"detail": "Not Found"}),
        httpx.Response(404, text="<html>"),
        httpx.Response(403, json={"detail": {"code": "DEVELOPER_API_DISABLED"}}),
    ],
)
def test_v1_is_asked_where_v2_is_missing(missing: httpx.Response) -> None:
    wire = Wire(lambda request: missing if "v2" in request.url.path else httpx.Response(200, json=V1_ANSWER))
    call = FlowCall(ECHO, "hello", session_id="s")
    assert wire.client().run(call, Stopper()).text == "v1"
    assert wire.paths == ["/lang/api/v2/workflows", f"/lang/api/v1/run/{ECHO}"]
    assert wire.body == {
        "input_type": "any",
        "output_type": "any",
        "tweaks": {},
        "input_value": "hello",
        "session_id": "s",
    }


@pytest.mark.parametrize("detail", [{"code": "FLOW_NOT_FOUND"}, "Flow identifier x not found"])
def test_a_missing_flow_is_no_reason_to_ask_again(detail: Any) -> None:
    wire = always(404, {"detail": detail})
    assert failure_of(wire).code == "flow_not_found"
    assert len(wire.requests) == 1


def test_a_light_server_without_v2_is_not_asked_for_v1() -> None:
    wire = Wire(lambda request: MISSING)
    failure = failure_of(wire, dialect=Dialect.lfx)
    assert (failure.code, len(wire.requests)) == ("upstream_refused", 1)
    assert failure.message == "This server does not offer what is asked of it (HTTP 405)."


def test_the_id_of_a_flow_stays_in_its_segment() -> None:
    wire = always(200, {"data": None})
    wire.client().get_flow("../users?x=1")
    assert wire.requests[0].url.raw_path == b"/lang/api/v1/flows/..%2Fusers%3Fx%3D1"


def test_failures_repeat_neither_key_nor_secret_tweaks() -> None:
    wire = always(200, failed(ECHO, "the-secret-key tweak-secret"))
    call = FlowCall(ECHO, tweaks={"C-1": {"api_key": "tweak-secret", "kib": 3}})
    failure = failure_of(wire, call)
    assert failure.message.endswith("the stub fails: *** ***")
    assert (failure.code, failure.delivered, failure.status) == ("flow_failed", Delivered.yes, 200)


def test_validation_errors_do_not_repeat_the_request() -> None:
    problem = {"type": "x", "loc": ["body"], "msg": "Value error", "input": {"globals": {"A": "abc"}}}
    assert failure_of(always(422, {"detail": [problem]})).message == "Value error"


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_ran_nothing(status: int) -> None:
    failure = failure_of(always(status, {}, **{"retry-after": "7"}))
    assert failure.code == "upstream_unavailable"
    assert (failure.delivered, failure.retry_after_seconds, failure.status) == (Delivered.no, 7.0, status)


def test_a_database_error_leaves_open_what_ran() -> None:
    assert failure_of(always(503, {"detail": {"code": "DATABASE_ERROR"}})).delivered is Delivered.unknown


@pytest.mark.parametrize("body", [{}, {"detail": "oops"}, {"detail": {"code": "INTERNAL_SERVER_ERROR"}}, []])
def test_other_server_errors_leave_open_what_ran(body: Any) -> None:
    failure = failure_of(always(500, body))
    assert (failure.code, failure.delivered) == ("upstream_error", Delivered.unknown)


def test_a_flow_that_waits_for_a_person_failed() -> None:
    assert failure_of(always(200, {"status": "suspended"})).code == "flow_failed"


@pytest.mark.parametrize("body", [{"status": "queued"}, {"status": "new"}, {}, [], "text", None, 3])
def test_a_run_without_a_result_is_no_answer(body: Any) -> None:
    assert failure_of(always(200, body)).code == "invalid_answer"


@pytest.mark.parametrize("value", [float("nan"), "\ud800", {1, 2}])
def test_what_is_no_json_is_not_sent(value: Any) -> None:
    wire = always(200, completed(ECHO, ""))
    failure = failure_of(wire, FlowCall(ECHO, tweaks={"A-1": {"b": value}}))
    assert (failure.code, failure.delivered, wire.requests) == ("invalid_input", Delivered.yes, [])


def test_the_failure_of_a_job_repeats_neither_key_nor_secret_tweaks() -> None:
    said = {"text": "bad keys the-secret-key tweak-secret"}
    wire = always(500, {"detail": {"code": "JOB_FAILED", "message": "failed", "error_detail": said}})
    with pytest.raises(FlowFailure) as failure:
        wire.client().poll("j", tweaks={"C-1": {"api_key": "tweak-secret"}})
    assert failure.value.message == "bad keys *** ***"


def test_a_job_is_submitted_with_its_key_and_without_a_choice() -> None:
    wire = always(200, {"job_id": "j"})
    call = FlowCall(ECHO, "hello", output_component="ChatOutput-x", idempotency_key=f"{ECHO}-run_1")
    assert wire.client().submit(call) == "j"
    assert wire.body == {
        "flow_id": ECHO,
        "mode": "background",
        "input_value": "hello",
        "idempotency_key": f"{ECHO}-run_1",
    }


def test_two_submits_that_meet_may_be_sent_again() -> None:
    wire = always(409, {"detail": {"code": "DUPLICATE_REQUEST"}})
    with pytest.raises(FlowFailure) as failure:
        wire.client().submit(FlowCall(ECHO))
    assert failure.value.delivered is Delivered.no


def test_a_job_accepted_without_an_id_is_no_answer() -> None:
    with pytest.raises(FlowFailure, match="cannot be understood"):
        always(200, {}).client().submit(FlowCall(ECHO))


def test_the_output_of_a_job_is_chosen_here() -> None:
    outputs = {"A-1": {"content": "a"}, "B-1": {"content": "b"}}
    answer = always(200, {"status": "completed", "outputs": outputs}).client().poll("j", "B-1")
    assert getattr(answer, "text", None) == "b"


def test_a_server_that_tells_no_steps_still_gives_the_answer() -> None:
    wire = Wire(
        lambda request: (
            httpx.Response(404) if "events" in request.url.path else httpx.Response(200, json=completed(ECHO, "a"))
        )
    )
    answer = wire.client().poll("j")
    assert [step.name for step in getattr(answer, "steps", ())] == ["Chat Output"]


def test_a_stop_that_cannot_be_asked_for_is_not_confirmed() -> None:
    assert always(503, {}).client().stop("j") is False


@pytest.mark.parametrize(
    "url", ["", "flows.test", "ftp://flows.test", "http://", "http://a/?q", "http://a:b", "http://a#b"]
)
def test_only_http_urls_are_taken(url: str) -> None:
    with pytest.raises(Invalid):
        LangFlow(url, None)


@pytest.mark.parametrize("key", ["a\nb", "schlüssel"])
def test_only_keys_that_fit_a_header_are_taken(key: str) -> None:
    with pytest.raises(Invalid):
        LangFlow("http://flows.test", key)


@pytest.mark.parametrize("body", [{}, "text", {"status": "ok"}, []])
def test_a_server_that_is_no_langflow_is_reachable_and_nothing_more(body: Any) -> None:
    found = always(200, body).client().check()
    assert (found.reachable, found.dialect, found.key_valid) == (True, None, None)


def test_a_server_that_cannot_be_reached_says_so() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("Connection refused")

    found = Wire(refuse).client().check()
    assert (found.reachable, found.dialect) == (False, None)
    assert found.message == "LangFlow cannot be reached: Connection refused"


def test_an_older_langflow_is_recognised() -> None:
    def older(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("version"):
            return httpx.Response(200, json={"version": "1.2.0"})
        return httpx.Response(404 if "v2" in request.url.path else 200, json={"detail": "Not Found"})

    found = Wire(older).client().check()
    assert (found.dialect, found.version, found.key_valid) == (Dialect.langflow_v1, "1.2.0", True)
    assert found.supports_background is False


def test_components_are_no_flows() -> None:
    flows = [{"id": "a", "name": "A", "is_component": True}, {"id": "b", "tags": ["x", 1]}, {"name": "no id"}, 7]
    page = always(200, flows).client().list_flows()
    assert [(flow.id, flow.name, flow.tags) for flow in page.items] == [("b", "b", ("x",))]
    assert (page.total, page.next_page) == (1, None)


@pytest.mark.parametrize("dialect", [Dialect.langflow_v2, Dialect.lfx])
def test_a_list_that_is_no_list_is_no_answer(dialect: Dialect) -> None:
    with pytest.raises(FlowFailure) as failure:
        always(200, {}).client(dialect).list_flows()
    assert failure.value.code == "invalid_answer"


def test_a_definition_that_is_no_object_is_no_answer() -> None:
    with pytest.raises(FlowFailure) as failure:
        always(200, []).client().get_flow(ECHO)
    assert failure.value.code == "invalid_answer"
