"""What the doctor knows of a deployment, and what a check says of it. Values only: nothing here asks anybody."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from cli.client import LOOPBACK

Json = dict[str, Any]

LOCAL = "local"  # a stage
MOST_NAMED = 3  # of records with the same trouble


@dataclass(frozen=True)
class Unknown:
    """What could not be found out, and why. The check of it is skipped, never passed."""

    reason: str
    status: int | None = None
    """The API's answer, where it was one that says no."""


@dataclass(frozen=True)
class Moot(Unknown):
    """What there is nothing to know about. The check of it is skipped, and nothing is missing."""


NOT_ASKED = Unknown("nobody asked")


class Level(StrEnum):
    """How a check ended; `skipped` is no verdict. A strict doctor fails on it, but where it is moot."""

    ok = "ok"
    warn = "warn"
    fail = "fail"
    skipped = "skipped"


@dataclass(frozen=True)
class Finding:
    """What a check says, and what to do about it."""

    check: str
    level: Level
    said: str
    hint: str = ""
    is_moot: bool = False
    """Of a skipped check: here there was nothing to look at."""


def skip(check: str, why: Unknown) -> Finding:
    """A check that could not be made."""
    return Finding(check, Level.skipped, why.reason, is_moot=isinstance(why, Moot))


def is_emulator(url: str) -> bool:
    """Does `url` lead to this machine? So do the names that emulators give to APIs."""
    host = urlsplit(url).hostname or ""
    return host in LOOPBACK or host.endswith((".localhost", ".localhost.localstack.cloud"))


def named(check: str, records: Sequence[Json], trouble: str, hint: str) -> list[Finding]:
    """A warning that names the first of `records`; nothing where there are none."""
    if not records:
        return []
    names = ", ".join(each["name"] for each in records[:MOST_NAMED])
    more = f" and {len(records) - MOST_NAMED} more" if len(records) > MOST_NAMED else ""
    return [Finding(check, Level.warn, f"{names}{more} {trouble}", hint)]


@dataclass(frozen=True)
class Certificate:
    """Of the connection that was made: until when it is valid, and who issued it."""

    until: datetime
    issuer: str


@dataclass(frozen=True)
class KeyInUse:
    """The key that the doctor came with, without its secret."""

    id: str
    secret_length: int
    is_borrowed: bool = False
    """Read from Secrets Manager for this once, as `--first-key` asks."""


@dataclass(frozen=True)
class Alarm:
    name: str
    state: str
    """As CloudWatch has it; GONE where it has none of this name."""
    said: str
    """Its description: what it means and where to look."""
    is_muted: bool = False
    """Its actions are switched off: it tells nobody."""


GONE = "GONE"


@dataclass(frozen=True)
class StackFacts:
    """What AWS says of the stack. Each part stands alone: an operator may be allowed to see some of it only."""

    name: str
    status: str
    now: datetime
    created_at: datetime
    outputs: Mapping[str, str]
    parameters: Mapping[str, str]
    alarms: Sequence[Alarm] | Unknown = NOT_ASKED
    subscriptions: Sequence[str] | Unknown = NOT_ASKED
    """The ARN of each of the alarm topic, or the word that stands for it until somebody confirms."""
    dead_messages: int | Unknown = NOT_ASKED
    log_retention: Mapping[str, int | None] | Unknown = NOT_ASKED
    """Log group → days; None: for good, 0: there is no such group."""
    is_protected: bool | Unknown = NOT_ASKED
    recovery_days: int | Unknown = NOT_ASKED
    """How many days back the table can be restored to any second; 0: it cannot."""
    expires: bool | Unknown = NOT_ASKED
    runtimes: Mapping[str, str] | Unknown = NOT_ASKED
    """Function → runtime."""
    concurrency: Mapping[str, int | None] | Unknown = NOT_ASKED
    """Function → what is set aside for it; None: nothing is, 0: it may not run."""
    triggers: Mapping[str, bool] | Unknown = NOT_ASKED
    """What starts functions → whether it is on."""
    keys: Mapping[str, str] | Unknown = NOT_ASKED
    """KMS key → its state."""

    @property
    def is_local(self) -> bool:
        """Is it on an emulator, by its address? That its stage is called so says nothing of where it is."""
        return self.parameters.get("Stage") == LOCAL and is_emulator(self.outputs.get("ApiUrl", ""))


@dataclass(frozen=True)
class Facts:
    """What there is to know of a deployment at `now`, the doctor's own time."""

    url: str
    now: datetime
    health: int | Unknown
    """The status of `/health`."""
    ready: str | Unknown | None = NOT_ASKED
    """What `/health/ready` complains of; None: of nothing."""
    certificate: Certificate | Unknown = NOT_ASKED
    ahead_seconds: float | Unknown = NOT_ASKED
    """By how much the deployment's clock is ahead of ours."""
    key: KeyInUse | Unknown = NOT_ASKED
    me: Json | Unknown = NOT_ASKED
    deployment: Json | Unknown = NOT_ASKED
    keys: Sequence[Json] | Unknown = NOT_ASKED
    projects: Sequence[Json] | Unknown = NOT_ASKED
    dead_letters: Sequence[Json] | Unknown = NOT_ASKED
    sources: Sequence[Json] | Unknown = NOT_ASKED
    schedules: Sequence[Json] | Unknown = NOT_ASKED
    second_factor: bool | Unknown = NOT_ASKED
    """Has the person who is logged in one?"""
    stack: StackFacts | Unknown = field(default_factory=lambda: Moot("say --stack NAME, with AWS credentials"))
    cut: frozenset[str] = frozenset()
    """Which of these lists are longer than what was read of them."""

    @property
    def is_local(self) -> bool:
        """Is it a local stack, by what the deployment itself says, and on this machine?"""
        return self.says_local and is_emulator(self.url)

    @property
    def says_local(self) -> bool:
        """Is its stage the one of local stacks?"""
        return not isinstance(self.deployment, Unknown) and self.deployment["stage"] == LOCAL

    def counted(self, name: str, records: Sequence[Json]) -> str:
        """How many `records` of the list `name` were looked at, and whether these are all."""
        return f"the first {len(records)}" if name in self.cut else str(len(records))
