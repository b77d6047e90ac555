"""What is kept of a flow definition, and what it says."""

import json
from typing import Any

import pytest

from shared.domain.flow import Component, digest, inputs, looks_secret, metadata, outputs, scrub
from shared.errors import Invalid

Field = dict[str, Any]


def node(id: str = "Agent-1", position: int = 0, /, **fields: Field) -> dict[str, Any]:
    """A component of type `id` up to the dash, with these fields."""
    return {
        "id": id,
        "type": "genericNode",
        "position": {"x": position, "y": 0},
        "data": {
            "id": id,
            "type": id.partition("-")[0],
            "node": {"display_name": id.partition("-")[0], "template": {"_type": "Component", **fields}},
        },
    }


def flow(*nodes: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"id": "f", "name": "F", "data": {"nodes": list(nodes), "edges": [], "viewport": {"x": 1}}, **changes}


def field(value: Any, **changes: Any) -> Field:
    """A field as LangFlow writes it, not secret by itself."""
    return {"_input_type": "StrInput", "password": False, "load_from_db": False, "value": value, **changes}


def scrubbed(name: str, field: Field) -> Any:
    """The value that is kept of a field called `name`."""
    kept = scrub(flow(node(**{name: {"name": name, **field}})))
    return kept["data"]["nodes"][0]["data"]["node"]["template"][name]["value"]


def test_a_password_is_blanked() -> None:
    assert scrubbed("anything", field("typed", password=True)) == ""


def test_a_password_field_is_known_by_its_input_type() -> None:
    assert scrubbed("anything", field("typed", _input_type="SecretStrInput")) == ""


@pytest.mark.parametrize("value", [{"a": "typed", "b": ["typed"]}, ["typed"], 1234])
def test_a_password_is_blanked_whatever_its_shape(value: Any) -> None:
    assert "typed" not in json.dumps(scrubbed("pin", field(value, password=True)))
    assert "1234" not in json.dumps(scrubbed("pin", field(value, password=True)))


def test_the_name_of_a_variable_stays() -> None:
    assert scrubbed("api_key", field("OPENAI_API_KEY", password=True, load_from_db=True)) == "OPENAI_API_KEY"


def test_a_field_with_the_name_of_a_secret_is_blanked() -> None:
    assert scrubbed("openai_api_key", field("typed")) == ""


def test_other_values_stay() -> None:
    for value in ("hello", 3, 0.5, True, None, ["a"], {"b": "c"}):
        assert scrubbed("temperature", field(value)) == value


def test_the_description_of_a_secret_field_stays() -> None:
    kept = scrub(flow(node(api_key=field("typed", display_name="API Key", info="From the provider."))))
    described = kept["data"]["nodes"][0]["data"]["node"]["template"]["api_key"]
    assert (described["display_name"], described["info"], described["value"]) == ("API Key", "From the provider.", "")


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "typed-it", "X-Own": "typed-it", "Accept": "text/html"},
        [{"key": "Authorization", "value": "typed-it"}, {"key": "Accept", "value": "text/html"}],
        [{"name": "X-Own", "value": "typed-it"}, {"name": "Content-Type", "value": "text/html"}],
    ],
)
def test_headers_are_blanked_unless_harmless(headers: Any) -> None:
    kept = json.dumps(scrubbed("headers", field(headers)))
    assert "typed-it" not in kept
    assert "text/html" in kept
    assert "Authorization" in kept or "X-Own" in kept


def test_headers_are_found_inside_other_values() -> None:
    config = {"mcp": {"headers": {"X-Own": "typed-it"}, "env": {"GITHUB_TOKEN": "typed-it", "HOME": "/home"}}}
    assert scrubbed("servers", field(config)) == {
        "mcp": {"headers": {"X-Own": ""}, "env": {"GITHUB_TOKEN": "", "HOME": "/home"}}
    }


@pytest.mark.parametrize(
    "key",
    [
        "sk-proj-abcdefghijklmnopqrst",
        "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
        "AKIAABCDEFGHIJKLMNOP",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJlLXBhcnQ",
        "xoxb-1234567890-abcdef",
    ],
)
def test_a_key_inside_other_text_is_cut_out(key: str) -> None:
    assert scrubbed("code", field(f'client = Client("{key}")')) == 'client = Client("")'


def test_credentials_in_urls_and_headers_are_cut_out() -> None:
    assert scrubbed("dsn", field("postgres://bob:hunter2@db:5432/x")) == "postgres://@db:5432/x"
    assert scrubbed("curl", field("-H 'Authorization: Bearer abcdefghijklmnop'")) == "-H 'Authorization: Bearer '"


def test_secrets_inside_grouped_components_are_blanked() -> None:
    inner = flow(node(api_key=field("typed-it")))
    group = node("Group-1")
    group["data"]["node"]["flow"] = inner
    assert "typed-it" not in json.dumps(scrub(flow(group)))


def test_the_definition_itself_is_left_alone() -> None:
    definition = flow(node(api_key=field("typed")))
    scrub(definition)
    assert definition["data"]["nodes"][0]["data"]["node"]["template"]["api_key"]["value"] == "typed"


NAMES_OF_SECRETS = ["api_key", "openai_api_key", "X-API-Key", "apikey", "Authorization", "x-auth", "AUTH_TOKEN"]
MORE_NAMES_OF_SECRETS = ["Cookie", "dbPassword", "privateKey", "secret", "aws_secret_access_key"]


@pytest.mark.parametrize("name", [*NAMES_OF_SECRETS, *MORE_NAMES_OF_SECRETS])
def test_names_of_secrets_are_recognised(name: str) -> None:
    assert looks_secret(name)


@pytest.mark.parametrize(
    "name", ["max_tokens", "token_count", "key", "text_key", "keyboard", "secretary", "", "name", "tokenizer", "monkey"]
)
def test_other_names_are_not(name: str) -> None:
    assert not looks_secret(name)


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"value": value, "name": "x"}
    return {"data": {"nodes": [value]}}


def test_a_definition_nested_beyond_reason_is_refused() -> None:
    with pytest.raises(Invalid):
        scrub(nested(50_000))


def test_nesting_costs_no_more_than_its_depth() -> None:
    """A field inside a field inside a field … was once visited twice on every level."""
    assert scrub(nested(90)) == nested(90)


def test_a_definition_of_absurd_size_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.domain.flow.MAX_VALUES", 1000)
    with pytest.raises(Invalid):
        scrub({"data": {"nodes": [[]] * 1001}})


def test_the_digest_does_not_change_with_looks_and_order() -> None:
    first = flow(node("A-1", 1), node("B-1", 2))
    second = flow(node("B-1", 7), node("A-1", 9), name="Renamed", folder_id="elsewhere")
    second["data"]["nodes"][0] |= {"selected": True, "measured": {"width": 1}, "dragging": True}
    second["data"]["viewport"] = {"x": 5, "y": 5, "zoom": 2}
    assert digest(first) == digest(second)


def test_the_digest_does_not_change_with_a_credential() -> None:
    assert digest(flow(node(api_key=field("one")))) == digest(flow(node(api_key=field("two"))))


def test_the_digest_changes_with_a_value() -> None:
    assert digest(flow(node(model=field("small")))) != digest(flow(node(model=field("large"))))


def test_the_digest_changes_with_a_value_that_is_named_like_a_look() -> None:
    assert digest(flow(node(width=field(1)))) != digest(flow(node(width=field(2))))


def test_the_digest_changes_with_an_edge_and_not_with_its_id() -> None:
    def joined(id: str, target: str) -> dict[str, Any]:
        definition = flow(node("A-1"), node("B-1"))
        definition["data"]["edges"] = [{"id": id, "source": "A-1", "target": target, "animated": id == "x"}]
        return definition

    assert digest(joined("x", "B-1")) == digest(joined("y", "B-1"))
    assert digest(joined("x", "B-1")) != digest(joined("x", "A-1"))


@pytest.mark.parametrize("definition", [{}, {"data": None}, {"data": []}])
def test_without_a_graph_there_is_no_digest(definition: dict[str, Any]) -> None:
    assert digest(definition) is None


def test_inputs_and_outputs_are_found_by_type() -> None:
    definition = flow(
        node("ChatInput-1"), node("Agent-1"), node("Webhook-1"), node("TextOutput-1"), node("ChatOutput-1")
    )
    assert inputs(definition) == [
        Component(id="ChatInput-1", type="ChatInput", display_name="ChatInput"),
        Component(id="Webhook-1", type="Webhook", display_name="Webhook"),
    ]
    assert [component.id for component in outputs(definition)] == ["TextOutput-1", "ChatOutput-1"]


def test_notes_are_no_components() -> None:
    note = {**node("ChatInput-1"), "type": "noteNode"}
    assert inputs(flow(note)) == []


@pytest.mark.parametrize(
    "nodes", [None, {}, "x", [None, 3, "x", {}, {"id": "ChatInput-1"}, {"id": 1, "data": {"type": "ChatInput"}}]]
)
def test_what_is_no_node_is_passed_over(nodes: Any) -> None:
    assert inputs({"data": {"nodes": nodes}}) == []


def test_metadata_is_read() -> None:
    said = metadata(
        {
            "name": " Daily report ",
            "description": "d",
            "tags": ["a", 1, "b"],
            "icon": "Clock",
            "icon_bg_color": "#fff",
            "folder_id": "p1",
            "endpoint_name": "daily",
            "is_component": False,
            "locked": True,
        }
    )
    assert (said.name, said.description, said.tags, said.icon) == ("Daily report", "d", ("a", "b"), "Clock")
    assert (said.icon_bg_color, said.folder_id, said.endpoint_name) == ("#fff", "p1", "daily")
    assert (said.is_component, said.locked) == (False, True)


def test_metadata_of_the_wrong_type_is_missing() -> None:
    said = metadata({"name": 3, "description": None, "tags": "a", "icon": [], "locked": "yes"})
    assert (said.name, said.description, said.tags, said.icon, said.locked) == (None, "", (), None, False)


def test_metadata_is_cut_to_what_a_workflow_holds() -> None:
    said = metadata({"name": "n" * 500, "description": "d" * 5000, "tags": ["t" * 500] * 80})
    assert (len(said.name or ""), len(said.description), len(said.tags), len(said.tags[0])) == (200, 2000, 50, 200)
