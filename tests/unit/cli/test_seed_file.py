import pytest

from cli.errors import CliError, ExitCode
from cli.seed_file import EXAMPLE, Seed, read_seed
from tests.unit.cli.conftest import Spark

SECRET = "lf-secret-that-stands-in-the-wrong-place"


def refusal(text: str) -> CliError:
    with pytest.raises(CliError) as refused:
        read_seed(text)
    assert refused.value.exit_code == ExitCode.usage
    return refused.value


def test_the_example_can_be_read_and_shows_everything(spark: Spark) -> None:
    seed = read_seed(spark("admin", "seed", "--example").stdout)
    assert spark("admin", "seed", "--example").stdout == EXAMPLE
    assert all(getattr(seed, part) for part in Seed.model_fields)
    shown = {
        name for part in (seed.projects, seed.roles, seed.members, seed.sources) for name in type(part[0]).model_fields
    }
    assert all(f"{name}:" in EXAMPLE for name in shown)


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}"])
def test_an_empty_file_wants_nothing(text: str) -> None:
    assert read_seed(text) == Seed()


@pytest.mark.parametrize(
    ("text", "pointer"),
    [
        ("projects: [{name: Lab}, {nam: Lab}]", "/projects/1/name"),
        ("projects: [{name: Lab, owner: me}]", "/projects/0/owner"),
        ("project: [{name: Lab}]", "/project"),
        ("roles: [{name: on, allow: []}]", "/roles/0/name"),  # YAML's true
        ("members: [{email: ann@example.com, role: 7}]", "/members/0/role"),
        ("sources: [{name: lab}]", "/sources/0/url"),
        (f"sources: [{{name: lab, url: 'http://a', api_key: {SECRET}}}]", "/sources/0/api_key"),
        ("sources: [{name: lab, url: 'http://a', api_key: 'env:'}]", "/sources/0/api_key"),
        ("[]", ""),
    ],
)
def test_a_mistake_is_named_by_its_place_and_not_quoted(text: str, pointer: str) -> None:
    error = refusal(text)
    assert pointer in [field.pointer for field in error.fields]
    assert SECRET not in f"{error} {error.hint} {error.fields}"


def test_nothing_is_in_the_file_twice() -> None:
    assert "more than one Lab" in refusal("projects: [{name: Lab}, {name: Lab}]").fields[0].detail
    assert refusal("members: [{email: A@x.test}, {email: a@x.test}]")
    read_seed("members: [{email: a@x.test}, {email: a@x.test, project: Lab}]")


def test_what_is_no_yaml_is_named_by_its_line() -> None:
    error = refusal(f"projects:\n  - name: '{SECRET}\n")
    assert "line" in str(error)
    assert SECRET not in f"{error} {error.hint}"


def test_a_file_has_to_be_named_and_there(spark: Spark) -> None:
    assert spark("admin", "seed").exit_code == 2
    assert spark("admin", "seed", "/nowhere/seed.yaml").exit_code == 2
