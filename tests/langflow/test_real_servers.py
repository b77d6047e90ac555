"""The client against real servers: `lfx serve` and `langflow-base`. `make test-langflow`: a minute and a half.

What the recordings promise is asked again, of the servers themselves: a LangFlow that changed shows here first.
"""

import copy
import json
import threading
import time
from pathlib import Path

import httpx
import pytest

from cli.local import engines
from cli.local.engines import Engine, EngineFailed
from cli.local.troubles import NotInstalled, PortTaken
from shared.domain import flow
from shared.domain.outbound import AllowList
from shared.domain.source import Dialect
from shared.errors import Delivered, FlowFailure
from shared.langflow import FlowAnswer, FlowCall, LangFlow, Running, Stopper
from shared.langflow.connection import Network

pytestmark = [pytest.mark.enable_socket, pytest.mark.timeout(300)]

JOB_ENDS_WITHIN_SECONDS = 20.0
LOOPBACK = Network(AllowList.read("127.0.0.1"))
DIALECTS = [Dialect.lfx, Dialect.langflow_v2, Dialect.langflow_v1]
TAKING_TWEAKS = [Dialect.langflow_v2, Dialect.langflow_v1]


@pytest.fixture
def client(request: pytest.FixtureRequest, lfx: Engine, langflow: Engine) -> LangFlow:
    """A client for the server that speaks the parametrised dialect."""
    engine = lfx if request.param is Dialect.lfx else langflow
    return LangFlow(engine.url, engine.api_key, dialect=request.param, transport=LOOPBACK)


@pytest.fixture
def whole(langflow: Engine) -> LangFlow:
    """A client for the whole server."""
    return LangFlow(langflow.url, langflow.api_key, transport=LOOPBACK)


every_dialect = pytest.mark.parametrize("client", DIALECTS, indirect=True)
taking_tweaks = pytest.mark.parametrize("client", TAKING_TWEAKS, indirect=True)


def failure_of(client: LangFlow, call: FlowCall, stopper: Stopper | None = None) -> FlowFailure:
    with pytest.raises(FlowFailure) as caught:
        client.run(call, stopper or Stopper())
    return caught.value


def wait_for(client: LangFlow, job_id: str, output_component: str | None = None) -> FlowAnswer:
    deadline = time.monotonic() + JOB_ENDS_WITHIN_SECONDS
    while isinstance(answer := client.poll(job_id, output_component), Running):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return answer


def test_the_light_server_is_recognised(lfx: Engine) -> None:
    found = LangFlow(lfx.url, lfx.api_key, transport=LOOPBACK).check()
    assert (found.dialect, found.version, found.key_valid, found.supports_background) == ("lfx", None, True, False)
    assert LangFlow(lfx.url, "wrong", transport=LOOPBACK).check().key_valid is False
    assert LangFlow(lfx.url, None, transport=LOOPBACK).check().key_valid is False


def test_the_whole_server_is_recognised(langflow: Engine) -> None:
    found = LangFlow(langflow.url, langflow.api_key, transport=LOOPBACK).check()
    assert (found.dialect, found.version, found.key_valid) == ("langflow_v2", "1.13.0", True)
    assert found.supports_background is True
    assert LangFlow(langflow.url, "wrong", transport=LOOPBACK).check().key_valid is False
    assert LangFlow(langflow.url, None, transport=LOOPBACK).check().key_valid is False


@pytest.mark.parametrize("client", [Dialect.lfx, Dialect.langflow_v2], indirect=True)
def test_all_flows_are_listed_page_by_page(client: LangFlow, ids: dict[str, str]) -> None:
    pages = [client.list_flows(page, 4) for page in (1, 2, 3)]
    assert {item.id for page in pages for item in page.items} == set(ids.values())
    assert [page.next_page for page in pages] == [2, 3, None]
    assert pages[0].total == len(ids)


def test_the_definition_says_what_the_export_says(whole: LangFlow, ids: dict[str, str], exports: Path) -> None:
    for name in ids:
        definition = whole.get_flow(ids[name])
        exported = json.loads((exports / f"spark-{name}.json").read_text(encoding="utf-8"))
        assert flow.digest(definition) == flow.digest(exported)
        assert flow.inputs(definition) == flow.inputs(exported)
    assert [output.id for output in flow.outputs(whole.get_flow(ids["multi"]))] == [
        "ChatOutput-out01",
        "ChatOutput-two02",
    ]
    assert flow.metadata(whole.get_flow(ids["echo"])).tags == ("spark",)


def test_a_typed_secret_is_shown_by_langflow_and_scrubbed_by_us(
    langflow: Engine, whole: LangFlow, ids: dict[str, str]
) -> None:
    definition = copy.deepcopy(whole.get_flow(ids["secret"]))
    for node in definition["data"]["nodes"]:
        if "api_key" in (template := node["data"]["node"]["template"]):
            template["api_key"] |= {"value": "typed-in-the-editor", "load_from_db": False}
    body = {"name": "Typed", "data": definition["data"]}
    headers = {"x-api-key": langflow.api_key}
    stored = httpx.post(f"{langflow.url}/api/v1/flows/", json=body, headers=headers, trust_env=False).json()
    shown = whole.get_flow(stored["id"])
    assert "typed-in-the-editor" in json.dumps(shown)
    assert "typed-in-the-editor" not in json.dumps(flow.scrub(shown))


def test_the_light_server_shows_no_definition(lfx: Engine, ids: dict[str, str]) -> None:
    definition = LangFlow(lfx.url, lfx.api_key, dialect=Dialect.lfx, transport=LOOPBACK).get_flow(ids["echo"])
    assert definition == {
        "id": ids["echo"],
        "name": "Spark Echo",
        "description": "Answers what it is asked.",
        "data": None,
    }


@every_dialect
def test_a_flow_answers(client: LangFlow, ids: dict[str, str]) -> None:
    answer = client.run(FlowCall(ids["echo"], "hello ☀", session_id="s-1"), Stopper())
    assert (answer.text, answer.session_id) == ("hello ☀", "s-1")
    assert answer.output == {"ChatOutput-out01": {"display_name": "Chat Output", "content": "hello ☀"}}
    assert [(step.name, step.status) for step in answer.steps] == [("Chat Output", "completed")]


@every_dialect
def test_a_flow_that_fails_says_why(client: LangFlow, ids: dict[str, str]) -> None:
    failure = failure_of(client, FlowCall(ids["fail"], "this one"))
    assert (failure.code, failure.delivered) == ("flow_failed", Delivered.yes)
    assert "this flow always fails: this one" in failure.message


@every_dialect
def test_a_flaky_flow_works_the_second_time(
    client: LangFlow, ids: dict[str, str], request: pytest.FixtureRequest
) -> None:
    call = FlowCall(ids["flaky"], request.node.name)
    assert failure_of(client, call).code == "flow_failed"
    assert client.run(call, Stopper()).text == f"attempt 2 works: {request.node.name}"


@every_dialect
def test_several_outputs_are_given_or_one_is_chosen(client: LangFlow, ids: dict[str, str]) -> None:
    both = client.run(FlowCall(ids["multi"], "x"), Stopper())
    assert (both.text, sorted(both.output)) == (None, ["ChatOutput-out01", "ChatOutput-two02"])
    one = client.run(FlowCall(ids["multi"], "x", output_component="ChatOutput-two02"), Stopper())
    assert (one.text, list(one.output)) == ("x", ["ChatOutput-two02"])


@every_dialect
def test_a_flow_that_is_not_there_is_not_found(client: LangFlow) -> None:
    failure = failure_of(client, FlowCall("00000000-0000-4000-8000-000000000000"))
    assert (failure.code, failure.delivered, failure.status) == ("flow_not_found", Delivered.yes, 404)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_wrong_key_is_refused(lfx: Engine, langflow: Engine, ids: dict[str, str], dialect: Dialect) -> None:
    engine = lfx if dialect is Dialect.lfx else langflow
    failure = failure_of(LangFlow(engine.url, "wrong-key", dialect=dialect, transport=LOOPBACK), FlowCall(ids["echo"]))
    assert (failure.code, failure.status) == ("upstream_refused", 401 if dialect is Dialect.lfx else 403)


@every_dialect
@pytest.mark.parametrize("name", ["slow", "block"])
def test_a_cancelled_run_ends_within_ten_seconds(client: LangFlow, ids: dict[str, str], name: str) -> None:
    stopper = Stopper()
    timer = threading.Timer(0.7, stopper.stop, ("cancelled",))
    timer.start()
    started = time.monotonic()
    failure = failure_of(client, FlowCall(ids[name], "x"), stopper)
    assert (failure.code, failure.delivered) == ("cancelled", Delivered.unknown)
    assert time.monotonic() - started < 2


@every_dialect
def test_a_run_that_takes_too_long_is_given_up(client: LangFlow, ids: dict[str, str]) -> None:
    failure = failure_of(client, FlowCall(ids["slow"], "x", timeout_seconds=0.5))
    assert (failure.code, failure.delivered) == ("timeout", Delivered.unknown)


@every_dialect
def test_a_big_output_is_read(client: LangFlow, ids: dict[str, str]) -> None:
    assert len(client.run(FlowCall(ids["big"]), Stopper()).text or "") == 256 * 1024


@taking_tweaks
def test_an_output_beyond_the_limit_is_refused(client: LangFlow, ids: dict[str, str]) -> None:
    call = FlowCall(ids["big"], tweaks={"BigComponent-mid01": {"kib": 9 * 1024}})
    assert failure_of(client, call).code == "output_too_large"


@taking_tweaks
def test_tweaks_reach_their_component(client: LangFlow, ids: dict[str, str]) -> None:
    call = FlowCall(ids["fail"], "x", tweaks={"FailingComponent-mid01": {"reason": "as tweaked"}})
    assert "as tweaked: x" in failure_of(client, call).message


@taking_tweaks
def test_a_text_input_gets_the_text(client: LangFlow, ids: dict[str, str]) -> None:
    assert client.run(FlowCall(ids["text"], "Ann", input_component="TextInput-in001"), Stopper()).text == "Hello Ann!"


@taking_tweaks
def test_a_webhook_gets_its_json(client: LangFlow, ids: dict[str, str]) -> None:
    answer = client.run(FlowCall(ids["webhook"], '{"a": 1}', input_component="Webhook-in001"), Stopper())
    assert answer.text == '```json\n{\n  "a": 1\n}\n```'


@pytest.mark.parametrize("client", [Dialect.lfx], indirect=True)
def test_the_light_server_takes_chat_inputs_only(client: LangFlow, ids: dict[str, str]) -> None:
    failure = failure_of(client, FlowCall(ids["text"], "Ann", input_component="TextInput-in001"))
    assert (failure.code, failure.delivered) == ("upstream_refused", Delivered.yes)
    assert "tweaks" in failure.message


@pytest.mark.parametrize("client", [Dialect.lfx], indirect=True)
def test_the_light_server_has_no_jobs(client: LangFlow, ids: dict[str, str]) -> None:
    with pytest.raises(FlowFailure, match="Background runs need the langflow backend"):
        client.submit(FlowCall(ids["echo"]))


def test_a_job_gives_its_answer_and_all_its_steps(whole: LangFlow, ids: dict[str, str]) -> None:
    tweaks = {"BlockingComponent-mid01": {"seconds": 0.5}}
    job = whole.submit(FlowCall(ids["block"], "x", session_id="s-2", tweaks=tweaks))
    answer = wait_for(whole, job)
    assert (answer.text, answer.session_id) == ("blocked 0.5 s: x", "s-2")
    assert [step.name for step in answer.steps] == ["Chat Input", "Blocking", "Chat Output"]
    assert [(step.duration_seconds or 0) >= 0.5 for step in answer.steps] == [False, True, False]


def test_the_output_of_a_job_can_be_chosen(whole: LangFlow, ids: dict[str, str]) -> None:
    job = whole.submit(FlowCall(ids["multi"], "x", output_component="ChatOutput-two02"))
    assert list(wait_for(whole, job, "ChatOutput-two02").output) == ["ChatOutput-two02"]


def test_a_submit_with_the_same_key_starts_no_second_job(whole: LangFlow, ids: dict[str, str]) -> None:
    call = FlowCall(ids["echo"], "x", idempotency_key=f"{ids['echo']}-run_1")
    job = whole.submit(call)
    assert whole.submit(call) == job
    wait_for(whole, job)
    assert whole.submit(call) == job


def test_a_key_counts_across_flows(whole: LangFlow, ids: dict[str, str]) -> None:
    """Why it must hold the flow's id."""
    job = whole.submit(FlowCall(ids["echo"], "x", idempotency_key="not the flow's own"))
    assert whole.submit(FlowCall(ids["multi"], "x", idempotency_key="not the flow's own")) == job


def test_a_failed_job_says_why_and_its_key_is_free_again(whole: LangFlow, ids: dict[str, str]) -> None:
    call = FlowCall(ids["fail"], "x", idempotency_key=f"{ids['fail']}-run_2")
    job = whole.submit(call)
    with pytest.raises(FlowFailure, match="this flow always fails: x") as failure:
        wait_for(whole, job)
    assert (failure.value.code, failure.value.delivered) == ("flow_failed", Delivered.yes)
    assert [(step.name, step.status) for step in whole.steps(job)] == [
        ("Chat Input", "completed"),
        ("Failing", "failed"),
    ]
    assert whole.submit(call) != job


def test_a_job_that_misses_a_variable_has_failed(whole: LangFlow, ids: dict[str, str]) -> None:
    """LangFlow itself calls it completed."""
    with pytest.raises(FlowFailure, match="MY_API_KEY variable not found"):
        wait_for(whole, whole.submit(FlowCall(ids["secret"], "x")))


def test_a_job_can_be_stopped(whole: LangFlow, ids: dict[str, str]) -> None:
    job = whole.submit(FlowCall(ids["slow"], "x"))
    assert whole.poll(job) in (Running("queued"), Running("in_progress"))
    assert whole.stop(job) is True
    with pytest.raises(FlowFailure) as failure:
        wait_for(whole, job)
    assert failure.value.code in ("cancelled", "flow_failed")  # LangFlow says one or the other for a moment
    assert whole.stop(job) is True


def test_a_job_that_is_not_there_is_lost(whole: LangFlow) -> None:
    nobody = "00000000-0000-4000-8000-000000000000"
    assert whole.stop(nobody) is False
    with pytest.raises(FlowFailure) as failure:
        whole.poll(nobody)
    assert (failure.value.code, failure.value.delivered) == ("job_lost", Delivered.unknown)


def test_an_engine_that_ends_by_itself_shows_its_log(tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    with pytest.raises(EngineFailed, match=r"lfx ended by itself:\n.*[Nn]o .*\.json"):
        engines.start_lfx(tmp_path / "nothing", tmp_path / "home", api_key="a-key")


def test_an_engine_does_not_start_on_a_port_in_use(lfx: Engine, exports: Path, tmp_path: Path) -> None:
    port = int(lfx.url.rpartition(":")[2])
    with pytest.raises(PortTaken, match=f"Port {port} is used by process {lfx.process.pid}"):
        engines.start_lfx(exports, tmp_path, api_key="a-key", port=port)


def test_an_engine_that_is_not_installed_says_how_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "PROJECT", tmp_path)
    with pytest.raises(NotInstalled, match=r"Run: make \.environments/lfx/\.ready"):
        engines.build_flows(tmp_path)
