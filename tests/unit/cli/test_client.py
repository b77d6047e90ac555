import httpx
import pytest

from cli.client import Api
from cli.config import Profile
from cli.errors import CliError, ExitCode
from tests.fake_api import KEY, NOW, URL, FakeApi, asked, problem


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def client(api: FakeApi, slept: list[float]) -> Api:
    return Api(Profile("test", URL, KEY), transport=api.transport, sleep=slept.append)


def test_a_busy_api_is_asked_again_when_it_says(api: FakeApi, client: Api, slept: list[float]) -> None:
    busy = [httpx.Response(429, headers={"Retry-After": "7"}), problem(503, "unavailable", "Not now.")]
    api.answers = [*busy]
    assert client.get("/sources") == {"items": [], "next_cursor": None}
    assert slept == [7.0, 1.0]


def test_a_repeated_post_carries_the_same_key(api: FakeApi, client: Api) -> None:
    api.add_workflow()
    api.answers = [httpx.ReadError("gone"), problem(409, "in_flight", "Still at it.")]
    client.post(f"/workflows/{api.kept['workflows'][0]['id']}/runs", {"input": "x"})
    keys = {request.headers["Idempotency-Key"] for request in asked(api, "POST", "runs")}
    assert len(api.requests) == 3
    assert len(keys) == 1


def test_two_posts_carry_different_keys(api: FakeApi, client: Api) -> None:
    client.post("/sources", {"name": "a"})
    client.post("/sources", {"name": "a"})
    assert len({request.headers["Idempotency-Key"] for request in api.requests}) == 2


def test_it_gives_up_after_four_attempts(api: FakeApi, client: Api, slept: list[float]) -> None:
    api.answers = [problem(503, "unavailable", "The table does not answer.") for _ in range(9)]
    with pytest.raises(CliError, match="The table does not answer") as caught:
        client.get("/runs")
    assert len(api.requests) == 4
    assert "Try again in" in caught.value.hint


def test_a_conflict_is_not_repeated(api: FakeApi, client: Api) -> None:
    api.answers = [problem(409, "conflict", "The run is completed already.")]
    with pytest.raises(CliError, match="completed already"):
        client.post("/runs/run_1/cancel")
    assert len(api.requests) == 1


def test_lists_are_read_page_by_page_up_to_the_limit(api: FakeApi, client: Api) -> None:
    for _ in range(250):
        api.add_source()
    assert len(list(client.items("/sources", 150))) == 150
    assert [request.url.params["limit"] for request in api.requests] == ["100", "50"]


def test_the_list_ends_where_the_api_ends_it(api: FakeApi, client: Api) -> None:
    api.add_source()
    assert [item["created_at"] for item in client.items("/sources", 500)] == [NOW]


@pytest.mark.parametrize(
    ("url", "hint"), [("http://127.0.0.1:4566/x", "spark local up"), ("https://spark.example.com", "address")]
)
def test_nobody_there_says_what_to_do(url: str, hint: str) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(CliError, match="Nobody answers") as caught:
        Api(Profile("p", url, KEY), transport=httpx.MockTransport(refuse)).get("/runs")
    assert hint in caught.value.hint
    assert caught.value.exit_code is ExitCode.refused


def test_a_slow_answer_is_not_repeated(api: FakeApi, client: Api) -> None:
    api.answers = [httpx.ReadTimeout("slow")]
    with pytest.raises(CliError, match="did not answer in time") as caught:
        client.post("/sources", {"name": "a"})
    assert "may have been accepted" in caught.value.hint
    assert len(api.requests) == 1


def test_a_broken_connection_is_an_error_in_the_end(api: FakeApi, client: Api) -> None:
    api.answers = [httpx.ReadError("reset") for _ in range(4)]
    with pytest.raises(CliError, match="broke: reset"):
        client.get("/runs")


def test_field_errors_name_their_place(api: FakeApi, client: Api) -> None:
    errors = [{"pointer": "/url", "detail": "Input should be a valid URL"}]
    api.answers = [problem(422, "invalid", "The request breaks a rule.", errors=errors)]
    with pytest.raises(CliError) as caught:
        client.post("/sources", {})
    assert [(field.pointer, field.detail) for field in caught.value.fields] == [("/url", "Input should be a valid URL")]


def test_a_server_error_names_its_correlation_id(api: FakeApi, client: Api) -> None:
    answer = problem(500, "internal", "Something went wrong.")
    answer.headers["X-Correlation-Id"] = "c-77"
    api.answers = [answer]
    with pytest.raises(CliError) as caught:
        client.get("/runs")
    assert "c-77" in caught.value.hint


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (httpx.Response(404, text="<html>no such page</html>"), "not as Spark's API does"),
        (httpx.Response(502, text="<html>"), "502 Bad Gateway"),
        (httpx.Response(200, text="<html>welcome</html>"), "something else than JSON"),
    ],
)
def test_answers_that_are_not_sparks_are_named(api: FakeApi, client: Api, answer: httpx.Response, said: str) -> None:
    api.answers = [answer]
    with pytest.raises(CliError, match=said):
        client.get("/runs")


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "schlüssel"])
def test_a_key_that_cannot_be_sent_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(CliError, match="The key of profile 'test' is none") as caught:
        Api(Profile("test", URL, key))
    assert key not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "said"), [(httpx.Response(403), "answered 403"), (httpx.ConnectError("no"), "Nobody answers")]
)
def test_a_link_that_does_not_work_is_an_error(
    api: FakeApi, client: Api, answer: httpx.Response | Exception, said: str
) -> None:
    api.answers = [answer]
    with pytest.raises(CliError, match=said):
        client.fetch("https://bucket.test/output")


def test_a_name_of_a_field_comes_with_the_title(api: FakeApi, client: Api) -> None:
    api.answers = [problem(422, "invalid", "/url: is none", errors=[{"pointer": "/url", "detail": "is none"}])]
    with pytest.raises(CliError, match="The request breaks a rule"):
        client.post("/sources", {})


def test_a_langflow_that_is_not_there_is_not_asked_again(api: FakeApi, client: Api) -> None:
    api.answers = [problem(503, "upstream_unavailable", "LangFlow does not answer.")]
    with pytest.raises(CliError, match="LangFlow does not answer"):
        client.get("/sources/src_1/flows")
    assert len(api.requests) == 1


def test_without_a_key_none_is_sent(api: FakeApi) -> None:
    with pytest.raises(CliError, match="not known") as caught:
        Api(Profile("test", URL), transport=api.transport).get("/runs")
    assert "spark config set test --api-key -" in caught.value.hint
    assert "X-API-Key" not in api.requests[0].headers
