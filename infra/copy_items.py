"""Brings back into a table what a restored copy of it has, and it has lost: docs/operations.md, Backup and restore.

    python -m infra.copy_items RESTORED OURS                             # says what it would do, and does nothing
    python -m infra.copy_items RESTORED OURS --write                     # projects, sources, workflows, schedules
    python -m infra.copy_items RESTORED OURS --prefix 'PROJECT#prj_1' --write                  # of one project alone
    python -m infra.copy_items RESTORED OURS --prefix 'PROJECT#prj_1#SCHEDULE' --undelete --write  # what was deleted
    python -m infra.copy_items RESTORED OURS --kind run --kind attempt --write                 # what is named

What comes back and how is said in `restoring`. With the user's own credentials; AWS_ENDPOINT_URL leads to an emulator.
It can be stopped and started again at any time.
"""

import argparse
import sys
from datetime import UTC, datetime

import boto3
from botocore.config import Config

from infra.item_kinds import CONFIGURATION, RESTORABLE
from infra.restoring import OVERWRITTEN, UNKNOWN, WORKERS, Outcome, Restoring, Tally, Wish


def main(*words: str) -> None:
    """The command line. Exits with 1 where something is to be said again, or could not be read."""
    parser = _parser()
    said = parser.parse_args(words or None)
    if said.overwrite and not (said.prefix or said.kind):
        parser.error("--overwrite needs --prefix or --kind: what is it that was spoilt?")
    if said.undelete and not said.prefix:
        parser.error("--undelete needs --prefix: what is it that should not have been deleted?")
    wish = Wish(
        kinds=frozenset(said.kind or CONFIGURATION),
        prefix=said.prefix,
        overwrites=said.overwrite,
        undeletes=said.undelete,
        writes=said.write,
    )
    client = boto3.client("dynamodb", config=Config(max_pool_connections=said.workers, retries={"mode": "adaptive"}))
    restoring = Restoring(client, said.source, said.target, wish, datetime.now(UTC))
    tally = restoring.all(said.workers, lambda line: sys.stderr.write(f"{line}\n"))
    sys.stdout.write("".join(f"{line}\n" for line in _lines(tally, writes=said.write)))
    if any(outcome in (Outcome.outrun, Outcome.unreadable) for _, outcome in tally):
        sys.exit(1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Brings back what a restored DynamoDB table has, and ours has lost.")
    parser.add_argument("source", help="the restored table")
    parser.add_argument("target", help="ours")
    which = f"again for each; without it {', '.join(CONFIGURATION)}. One of {', '.join(RESTORABLE)}"
    parser.add_argument("--kind", action="append", choices=RESTORABLE, metavar="KIND", help=which)
    parser.add_argument("--prefix", default="", help="of the partition key, such as PROJECT#prj_1")
    overwritten = f"put back as it was, too, what is there and differs: {', '.join(sorted(OVERWRITTEN))}"
    parser.add_argument("--overwrite", action="store_true", help=overwritten)
    parser.add_argument("--undelete", action="store_true", help="bring back configuration, too, that was deleted since")
    parser.add_argument("--write", action="store_true", help="do it; without this it is only said what would be done")
    parser.add_argument("--workers", type=int, default=WORKERS, help="how many read and write at once")
    return parser


def _lines(tally: Tally, *, writes: bool) -> list[str]:
    """A line for each kind and outcome; and whether it was done."""
    known = sorted((kind, outcome, count) for (kind, outcome), count in tally.items() if outcome is not None)
    lines = [f"{kind}: {count} {outcome}" for kind, outcome, count in known]
    if strangers := tally[UNKNOWN, None]:
        lines.append(f"{strangers} items of a kind that this version does not know: left alone")
    return [*lines, "done" if writes else "nothing was written: say --write to do it"]


if __name__ == "__main__":
    main()
