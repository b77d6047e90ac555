import pytest

from cli.client import Api
from cli.config import Profile
from cli.errors import CliError, ExitCode
from cli.ids import resolve
from tests.fake_api import KEY, URL, FakeApi, id_of


@pytest.fixture
def client(api: FakeApi) -> Api:
    return Api(Profile("test", URL, KEY), transport=api.transport)


def test_a_full_id_is_taken_at_its_word(api: FakeApi, client: Api) -> None:
    assert resolve(client, "runs", id_of("run", 7)) == id_of("run", 7)
    assert api.requests == []


@pytest.mark.parametrize("text", ["Echo", "echo", "000001", "wf_01JGJ000000000000000000001"])
def test_a_name_or_a_piece_of_an_id_will_do(api: FakeApi, client: Api, text: str) -> None:
    api.add_workflow("Echo")
    api.add_workflow("Slow")
    assert resolve(client, "workflows", text) == id_of("wf", 1)


def test_the_exact_name_beats_the_others(api: FakeApi, client: Api) -> None:
    api.add_source("lab")
    api.add_source("LAB")
    assert resolve(client, "sources", "lab") == id_of("src", 1)


def test_a_source_may_be_named_by_its_url(api: FakeApi, client: Api) -> None:
    api.add_source("lab", url="http://one.test")
    api.add_source("bench", url="http://two.test")
    assert resolve(client, "sources", "http://one.test") == id_of("src", 1)


def test_last_is_the_newest(api: FakeApi, client: Api) -> None:
    api.add_run()
    api.add_run()
    assert resolve(client, "runs", "last") == id_of("run", 2)


def test_what_fits_several_is_a_usage_error_that_lists_them(api: FakeApi, client: Api) -> None:
    api.add_workflow("Echo")
    api.add_workflow("Echo")
    with pytest.raises(CliError, match="fits 2 workflows: 00000002 Echo, 00000001 Echo") as caught:
        resolve(client, "workflows", "Echo")
    assert caught.value.exit_code is ExitCode.usage


@pytest.mark.parametrize(
    ("collection", "command"), [("sources", "spark source list"), ("dead-letters", "spark dead-letters list")]
)
def test_what_fits_nothing_says_where_to_look(client: Api, collection: str, command: str) -> None:
    with pytest.raises(CliError, match="There is no") as caught:
        resolve(client, collection, "nope")
    assert command in caught.value.hint
