"""What template.yaml denies the roles of the functions in the table, held against the requests that they make on moto.

No emulator here knows dynamodb:LeadingKeys and dynamodb:Attributes, so this evaluates them as IAM is documented to:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_multi-value-conditions.html and
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from cli.local.layout import PROJECT
from cli.local.template import TABLE_ARN, load

RESOURCES = load(PROJECT)["Resources"]
EVENT = "provide-client-params.dynamodb"


class Request(NamedTuple):
    """What IAM is asked about one item of a request: the action, and the condition keys of DynamoDB."""

    action: str
    pk: str
    attributes: frozenset[str] = frozenset()


def denied(function: str, request: Request) -> bool:
    """Does a statement of the function's role deny this?"""
    context = {"dynamodb:LeadingKeys": {request.pk}, "dynamodb:Attributes": request.attributes}
    statements = (one for policy in RESOURCES[function]["Properties"]["Policies"] for one in policy["Statement"])
    return any(_denies(statement, request.action, context) for statement in statements)


@contextmanager
def acting_as(function: str, client: Any) -> Iterator[list[Request]]:
    """What `client` asks of the table meanwhile, the role of `function` asks: it is refused what that is denied.

    Gives the requests that were made.
    """
    made: list[Request] = []

    def ask(params: dict[str, Any], model: Any, **_: Any) -> None:
        for request in requests(model.name, params):
            made.append(request)
            if denied(function, request):
                said = f"{function} is denied {request}"
                raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": said}}, model.name)

    client.meta.events.register(EVENT, ask)
    try:
        yield made
    finally:
        client.meta.events.unregister(EVENT, ask)


def requests(operation: str, params: Mapping[str, Any]) -> Iterator[Request]:
    """What IAM is asked. An index is another resource, of which nothing is denied."""
    match operation:
        case "TransactWriteItems":
            for each in params["TransactItems"]:
                ((kind, item),) = each.items()
                yield from requests(f"{kind}Item", item)
        case "BatchExecuteStatement":
            yield from map(_of_statement, params["Statements"])
        case "BatchGetItem":
            (asked,) = params["RequestItems"].values()
            yield from (Request(operation, key["pk"]["S"]) for key in asked["Keys"])
        case "Query":
            if "IndexName" not in params:
                yield Request(operation, params["ExpressionAttributeValues"][":pk"]["S"])
        case _:
            item = params.get("Item") or params["Key"]
            yield Request(operation, item["pk"]["S"], frozenset(item))


def _of_statement(statement: Mapping[str, Any]) -> Request:
    """`INSERT INTO "t" VALUE {'pk': ?, …}` or `UPDATE "t" SET "a" = ? REMOVE "b" WHERE "pk" = ? AND …`."""
    text, values = statement["Statement"], statement["Parameters"]
    if text.startswith("INSERT"):
        names = re.findall(r"'(\w+)': \?", text)
        return Request("PartiQLInsert", values[names.index("pk")]["S"], frozenset(names))
    names = re.findall(r'"(\w+)" = \?', text)
    removed = re.findall(r'REMOVE "(\w+)"', text)
    return Request("PartiQLUpdate", values[names.index("pk")]["S"], frozenset([*names, *removed]))


def _denies(statement: Mapping[str, Any], action: str, context: Mapping[str, Any]) -> bool:
    named = statement["Action"]
    actions = [named] if isinstance(named, str) else named
    about = (statement["Effect"], statement.get("Resource"))
    if about != ("Deny", TABLE_ARN) or f"dynamodb:{action}" not in actions:
        return False
    return all(
        _holds(operator, wanted, context[key])
        for operator, keys in statement["Condition"].items()
        for key, wanted in keys.items()
    )


def _holds(operator: str, wanted: list[str], values: frozenset[str]) -> bool:
    """Is there a value that none of `wanted` matches? Of a key that is not there, there is none."""
    assert operator in {"ForAnyValue:StringNotLike", "ForAnyValue:StringNotEquals"}
    like = fnmatchcase if operator.endswith("Like") else str.__eq__
    return any(not any(like(value, each) for each in wanted) for value in values)
