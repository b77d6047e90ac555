"""The client against what real servers answered (LangFlow 1.13.0 and lfx 1.13.0), replayed without a network.

Each file in `recordings/langflow/` is one exchange, trimmed to what matters. A test fails if the client asks for
something else than what was recorded.
"""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.domain.attempt import StepStatus
from shared.domain.source import Dialect, SourceCheck
from shared.errors import Delivered, FlowFailure
from shared.langflow import FlowAnswer, FlowCall, LangFlow, Running, Stopper, answers
from shared.langflow.connection import Reply

RECORDINGS = Path(__file__).parents[1] / "recordings" / "langflow"


def read(name: str) -> dict[str, Any]:
    recording: dict[str, Any] = json.loads((RECORDINGS / f"{name}.json").read_text(encoding="utf-8"))
    return recording


def replay(*names: str) -> httpx.MockTransport:
    """Answers with the recordings one after the other, as long as the same things are asked for."""
    recordings = [read(name) for name in names]

    def answer(request: httpx.Request) -> httpx.Response:
        recording = recordings.pop(0)
        asked, answered = recording["request"], recording["response"]
        assert (request.method, request.url.path) == (asked["method"], asked["path"])
        if request.method == "POST" and request.url.path == "/api/v2/workflows":
            sent = json.loads(request.content)
            expected = without_foo(asked["json"])
            assert {key: sent.get(key) for key in expected} == expected
        if isinstance(answered["body"], str):
            return httpx.Response(answered["status"], text=answered["body"])
        return httpx.Response(answered["status"], json=answered["body"])

    return httpx.MockTransport(answer)


def without_foo(body: dict[str, Any]) -> dict[str, Any]:
    """What of a recorded body the client can send: the recording of an unknown field has one named foo."""
    return {key: value for key, value in body.items() if key != "foo"}


def source(*names: str, dialect: Dialect | None = None) -> LangFlow:
    return LangFlow("http://langflow.test", "key-of-the-test", dialect=dialect, transport=replay(*names))


def call_of(name: str, **changes: Any) -> FlowCall:
    """The call that leads to the recorded request."""
    asked = read(name)["request"]
    body = asked["json"]
    fields = {key: body[key] for key in ("session_id", "tweaks", "idempotency_key") if key in body}
    if isinstance(body.get("input_value"), str):
        fields["input_value"] = body["input_value"]
    if "output_ids" in body:
        fields["output_component"] = body["output_ids"][0]
    return FlowCall(**{"flow_id": body.get("flow_id") or asked["path"].rpartition("/")[2], **fields, **changes})


def run(name: str, dialect: Dialect | None = None, **changes: Any) -> FlowAnswer:
    return source(name, dialect=dialect).run(call_of(name, **changes), Stopper())


def run_v1(name: str, **changes: Any) -> FlowAnswer:
    return run(name, Dialect.langflow_v1, **changes)


def test_a_v2_run_gives_its_text_and_one_step() -> None:
    answer = run("v2_echo")
    assert answer.text == "hi"
    assert answer.output == {"ChatOutput-cccc3": {"display_name": "Chat Output", "content": "hi"}}
    assert [(step.name, step.status) for step in answer.steps] == [("Chat Output", StepStatus.completed)]
    assert answer.session_id == "2b06803f-9b2d-45ea-b98c-c244e229563e"


def test_a_text_input_gets_its_text_by_tweak() -> None:
    call = call_of("v2_text_tweak", tweaks={}, input_value="Tina", input_component="TextInput-aaaa1")
    assert source("v2_text_tweak").run(call, Stopper()).text == "Hello Tina!"


def test_a_text_input_does_not_see_the_input_value() -> None:
    """Why it gets a tweak."""
    assert read("v2_text_default")["request"]["json"]["input_value"] == "Bob"
    assert run("v2_text_default").text == "Hello default text!"


@pytest.mark.parametrize(
    ("name", "dialect"), [("v2_several_outputs", Dialect.langflow_v2), ("v1_several_outputs", Dialect.langflow_v1)]
)
def test_several_outputs_are_all_given_and_none_is_the_text(name: str, dialect: Dialect) -> None:
    answer = run(name, dialect)
    assert answer.text is None
    assert list(answer.output) == ["ChatOutput-cccc3", "ChatOutput-dddd4"]


@pytest.mark.parametrize(
    ("name", "dialect"), [("v2_chosen_output", Dialect.langflow_v2), ("v1_several_outputs", Dialect.langflow_v1)]
)
def test_a_chosen_output_is_the_only_one(name: str, dialect: Dialect) -> None:
    answer = run(name, dialect, output_component="ChatOutput-dddd4")
    assert answer.text == "hi"
    assert list(answer.output) == ["ChatOutput-dddd4"]
    assert len(answer.steps) == 2


def test_variables_are_echoed_by_langflow_and_not_kept() -> None:
    body = read("v2_variables_echoed")["response"]["body"]
    assert body["globals"] == {"MY_API_KEY": "from-globals"}
    assert "from-globals" not in repr(answers.from_v2(Reply(200, json.dumps(body).encode()), None))


def test_a_flow_without_nodes_completes_with_nothing() -> None:
    assert run("v2_flow_without_nodes") == FlowAnswer(None, {}, (), "0864109a-9915-4d2d-a45c-70dfc15928aa")


def test_a_v1_run_gives_the_text_of_a_chat_output() -> None:
    answer = run_v1("v1_echo")
    assert answer.text == "hi there"
    assert answer.output == {"ChatOutput-cccc3": {"display_name": "Chat Output", "content": "hi there"}}


def test_a_v1_run_gives_the_text_of_a_text_output() -> None:
    assert run_v1("v1_text").text == "Hello Bob!"


def test_a_v1_run_may_give_nothing() -> None:
    assert run_v1("v1_no_outputs").output == {}


def test_v1_takes_an_object_as_no_input_and_says_nothing() -> None:
    """Why inputs are text before they get here."""
    assert read("v1_object_as_input")["request"]["json"]["input_value"] == {"a": 1}
    assert run_v1("v1_object_as_input").text == ""


FAILURES = [
    ("v2_failed", Dialect.langflow_v2, "flow_failed", Delivered.yes, "boom: upstream refused"),
    ("v2_unknown_flow", Dialect.langflow_v2, "flow_not_found", Delivered.yes, "does not exist"),
    ("v2_unknown_output", Dialect.langflow_v2, "upstream_refused", Delivered.yes, "not produced by this flow"),
    ("v2_extra_field", Dialect.langflow_v2, "upstream_refused", Delivered.yes, "Extra inputs are not permitted"),
    ("v2_flow_by_name", Dialect.langflow_v2, "upstream_refused", Delivered.yes, "must be a UUID"),
    ("v2_bad_key", Dialect.langflow_v2, "upstream_refused", Delivered.yes, "Invalid API key"),
    ("v2_no_key", Dialect.langflow_v2, "upstream_refused", Delivered.yes, "No authentication"),
    ("v2_broken_code", Dialect.langflow_v2, "upstream_refused", Delivered.yes, "Failed to build graph"),
    ("v2_timeout", Dialect.langflow_v2, "timeout", Delivered.yes, "exceeded 3 seconds"),
    ("v1_failed", Dialect.langflow_v1, "flow_failed", Delivered.yes, "boom: upstream refused"),
    ("v1_broken_code", Dialect.langflow_v1, "flow_failed", Delivered.yes, "Error creating class"),
    ("v1_unknown_flow", Dialect.langflow_v1, "flow_not_found", Delivered.yes, "not found"),
    ("v1_bad_key", Dialect.langflow_v1, "upstream_refused", Delivered.yes, "Invalid or missing API key"),
    ("lfx_failed", Dialect.lfx, "flow_failed", Delivered.yes, "boom: upstream refused"),
    ("lfx_unknown_flow", Dialect.lfx, "flow_not_found", Delivered.yes, "flow not found"),
    ("lfx_tweaks", Dialect.lfx, "upstream_refused", Delivered.yes, "does not support these v2 fields yet: tweaks"),
    ("lfx_no_key", Dialect.lfx, "upstream_refused", Delivered.yes, "API key required"),
]


@pytest.mark.parametrize(("name", "dialect", "code", "delivered", "words"), FAILURES, ids=[row[0] for row in FAILURES])
def test_a_run_that_fails_says_why(name: str, dialect: Dialect, code: str, delivered: Delivered, words: str) -> None:
    with pytest.raises(FlowFailure) as failure:
        run(name, dialect)
    assert (failure.value.code, failure.value.delivered) == (code, delivered)
    assert words in failure.value.message
    assert failure.value.status == read(name)["response"]["status"]


def test_where_v2_is_missing_v1_is_asked() -> None:
    missing = httpx.Response(405, json={"detail": "Method Not Allowed"})
    v1 = replay("v1_echo")

    def older(request: httpx.Request) -> httpx.Response:
        return missing if request.url.path == "/api/v2/workflows" else v1.handle_request(request)

    client = LangFlow("http://langflow.test", "key", transport=httpx.MockTransport(older))
    assert client.run(call_of("v1_echo"), Stopper()).text == "hi there"


def test_lfx_runs_by_v2() -> None:
    assert run("lfx_echo", Dialect.lfx).text == "hello"


def test_lfx_has_no_v1() -> None:
    with pytest.raises(FlowFailure) as failure:
        run_v1("lfx_v1_missing")
    assert (failure.value.code, failure.value.status) == ("upstream_refused", 404)


def test_lfx_has_no_jobs() -> None:
    with pytest.raises(FlowFailure, match="Background runs need the langflow backend"):
        source("lfx_background", dialect=Dialect.lfx).submit(call_of("lfx_background"))


def test_a_job_is_submitted() -> None:
    assert source("job_submitted").submit(call_of("job_submitted")) == "33544f90-4657-447c-911b-d5f20f7b2cdb"


def test_the_same_key_gives_the_same_job() -> None:
    job = source("job_same_key").submit(call_of("job_same_key"))
    assert job == "1777ea4d-e2b2-4827-a7ff-5a3de6e754bd"


def test_a_job_in_progress_is_running() -> None:
    assert source("job_in_progress").poll("any") == Running("in_progress")


def test_a_completed_job_gives_its_answer_and_a_step_for_every_component() -> None:
    events = read("job_events")["request"]["path"].split("/")[4]
    answer = source("job_completed", "job_events").poll(events)
    assert isinstance(answer, FlowAnswer)
    assert answer.text == "hi"
    assert [step.name for step in answer.steps] == ["Chat Input", "Chat Output"]
    assert all(step.duration_seconds is not None and 0 < step.duration_seconds < 1 for step in answer.steps)


def test_a_job_that_completed_with_a_broken_component_and_nothing_else_failed() -> None:
    """LangFlow 1.13.0 calls a job completed when a component could not be built for want of a variable."""
    job = read("job_completed_with_nothing")["request"]["params"]["job_id"]
    with pytest.raises(FlowFailure, match="MY_API_KEY variable not found") as failure:
        source("job_completed_with_nothing", "job_events_variable_missing").poll(job)
    assert failure.value.code == "flow_failed"


@pytest.mark.parametrize(
    ("name", "code", "delivered"),
    [
        ("job_failed", "flow_failed", Delivered.yes),
        ("job_cancelled", "cancelled", Delivered.yes),
        ("job_timeout", "timeout", Delivered.yes),
        ("job_unknown", "job_lost", Delivered.unknown),
    ],
)
def test_a_job_that_ended_badly_says_so(name: str, code: str, delivered: Delivered) -> None:
    with pytest.raises(FlowFailure) as failure:
        source(name).poll("any")
    assert (failure.value.code, failure.value.delivered) == (code, delivered)


def test_a_failed_job_says_what_its_component_said() -> None:
    with pytest.raises(FlowFailure, match=r"^boom: upstream refused"):
        source("job_failed").poll("any")


@pytest.mark.parametrize(
    ("name", "stopped"), [("job_stopped", True), ("job_stopped_again", True), ("job_stop_unknown", False)]
)
def test_a_stop_is_confirmed_or_not(name: str, stopped: bool) -> None:
    assert source(name).stop("any") is stopped


def test_a_langflow_is_recognised() -> None:
    found = source("health", "version", "whoami", "job_unknown").check()
    assert found == SourceCheck(
        reachable=True, dialect=Dialect.langflow_v2, version="1.13.0", key_valid=True, supports_background=True
    )


def test_a_wrong_key_is_recognised() -> None:
    found = source("health", "version", "whoami_bad_key", "v2_bad_key_of_job").check()
    assert (found.reachable, found.key_valid, found.message) == (True, False, "Invalid API key")
    assert found.dialect is Dialect.langflow_v2


def test_a_light_server_is_recognised() -> None:
    found = source("lfx_health", "lfx_version_missing", "lfx_flows", "lfx_job_missing").check()
    assert found == SourceCheck(reachable=True, dialect=Dialect.lfx, key_valid=True, supports_background=False)


def test_a_light_server_asks_for_a_key() -> None:
    found = source("lfx_health", "lfx_version_missing", "lfx_flows_without_key", "lfx_job_missing").check()
    assert (found.dialect, found.key_valid, found.message) == (Dialect.lfx, False, "API key required")


def test_flows_are_listed() -> None:
    page = source("flows").list_flows(page=1, size=2)
    assert [flow.name for flow in page.items] == ["E2E Big", "E2E Block"]
    assert (page.total, page.next_page) == (3, 2)
    assert page.items[0].endpoint_name == "e2e-big"
    assert page.items[0].updated_at == "2026-11-20T23:45:45+00:00"


def test_the_list_of_flows_needs_its_last_slash() -> None:
    """Why the path ends as it does."""
    recording = read("flows_without_slash")
    assert (recording["request"]["path"], recording["response"]["status"]) == ("/api/v1/flows", 404)


def test_flows_of_a_light_server_are_listed() -> None:
    page = source("lfx_flows", dialect=Dialect.lfx).list_flows(page=5, size=2)
    assert [(flow.name, flow.description) for flow in page.items] == [("E2E Webhook", "Webhook to ChatOutput")]
    assert (page.total, page.next_page) == (9, None)


def test_a_light_server_shows_no_definition() -> None:
    definition = source("lfx_info", dialect=Dialect.lfx).get_flow("846066e1-1367-48f2-9c15-63afd2235c12")
    assert definition == {
        "id": "846066e1-1367-48f2-9c15-63afd2235c12",
        "name": "E2E Echo",
        "description": "ChatInput to ChatOutput",
        "data": None,
    }


def test_a_flow_that_is_gone_is_not_found() -> None:
    with pytest.raises(FlowFailure) as failure:
        source("flow_unknown").get_flow("9f289dcb-84de-4493-88f7-793f52b66f5e")
    assert failure.value.code == "flow_not_found"


def test_every_recording_is_replayed() -> None:
    """A recording that nobody reads would rot."""
    text = Path(__file__).read_text(encoding="utf-8")
    assert [path.stem for path in RECORDINGS.glob("*.json") if f'"{path.stem}"' not in text] == []
