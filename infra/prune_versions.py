"""Delete versions of a stack's functions that nobody goes back to. SnapStart is paid for each version that is there.

    python infra/prune_versions.py spark-production             # says what it would delete
    python infra/prune_versions.py spark-production --delete    # but the alias's, and the five newest of each function

What the alias sends traffic to, during a deployment two of them, stays in any case.
"""

import argparse
import sys
from collections.abc import Iterator
from typing import Any

import boto3

ALIAS = "live"
FUNCTION = "AWS::Lambda::Function"
KEPT = 5


def main(arguments: list[str]) -> None:
    """Print a line for each version that goes. Exits with what is wrong."""
    parser = argparse.ArgumentParser(description="Delete versions of a stack's functions that nobody goes back to.")
    parser.add_argument("stack")
    parser.add_argument("--keep", type=int, default=KEPT, help=f"the newest of each function that stay; {KEPT}")
    parser.add_argument("--delete", action="store_true", help="without it nothing is deleted")
    said = parser.parse_args(arguments)
    if said.keep < 2:
        parser.error("--keep: two at least, or nothing is left to go back to.")
    client = boto3.client("lambda")
    for name in functions(said.stack):
        for version in dispensable(client, name, said.keep):
            sys.stdout.write(f"{name}:{version}\n")
            if said.delete:
                client.delete_function(FunctionName=name, Qualifier=version)


def functions(stack: str) -> Iterator[str]:
    """Names of the functions of `stack`."""
    pages = boto3.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=stack)
    for page in pages:
        found = (each for each in page["StackResourceSummaries"] if each["ResourceType"] == FUNCTION)
        yield from (each["PhysicalResourceId"] for each in found)


def dispensable(client: Any, name: str, keep: int) -> list[str]:
    """Versions of a function, oldest first, but the `keep` newest and those that the alias names."""
    pages = client.get_paginator("list_versions_by_function").paginate(FunctionName=name)
    numbers = sorted(int(each["Version"]) for page in pages for each in page["Versions"] if each["Version"].isdigit())
    alias = client.get_alias(FunctionName=name, Name=ALIAS)
    routed = alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})
    used = {alias["FunctionVersion"], *routed}
    return [str(number) for number in numbers[:-keep] if str(number) not in used]


if __name__ == "__main__":
    main(sys.argv[1:])
