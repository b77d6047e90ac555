"""The single-table design, all of it. Prefixes occur here and nowhere else.

item                         pk                                   sk
organization                 ORGANIZATION#<o>                     RECORD
role of an organization      ORGANIZATION#<o>#ROLE#<id>           RECORD
owners of an organization    ORGANIZATION#<o>                     OWNERS
member, of all or a project  ORGANIZATION#<o>#MEMBER#<u>[#<p>]    RECORD
service account              ORGANIZATION#<o>#SERVICE_ACCOUNT#<id>  RECORD
invitation                   INVITATION#<id>                      RECORD
user                         USER#<id>                            RECORD
second factor of a user      USER#<id>                            SECOND_FACTOR
whose an e-mail address is   EMAIL#<address in lower case>        RECORD
session                      SESSION#<id>                         RECORD
identity provider            IDENTITY_PROVIDER#<id>               RECORD
whom it means by a subject   IDENTITY_PROVIDER#<id>#SUBJECT#<hash>  RECORD
by which subject it means a user  IDENTITY_PROVIDER#<id>#USER#<u>  RECORD
login that has begun there   LOGIN#<id>                           RECORD
who became the first owner   DEPLOYMENT                           OWNER
key that signs tokens        SIGNING                              KEY#<period, 6 digits>
project                      PROJECT#<p>                          RECORD
source, workflow, schedule   PROJECT#<p>#SOURCE#<id> …            RECORD
workflow version             PROJECT#<p>#WORKFLOW#<id>            VERSION#<n, 8 digits>
run                          PROJECT#<p>#RUN#<id>                 RECORD
attempt page of a run        PROJECT#<p>#RUN#<id>                 ATTEMPT#<n, 4 digits>
breaker, leases of a source  PROJECT#<p>#SOURCE#<id>              BREAKER, LEASES
overlap slot of a schedule   PROJECT#<p>#SCHEDULE#<id>            SLOT
backfill                     PROJECT#<p>#BACKFILL#<id>            RECORD
dead letter                  PROJECT#<p>#DEAD#<id>                RECORD
idempotency record           PROJECT#<p>#IDEMPOTENCY#<hash>       RECORD
API key                      KEY#<id>                             RECORD
audit entry of a record      the record's own pk                  AUDIT#<n, 8 digits>
audit entry of a denial      ORGANIZATION#<o>#DENIED#<caller>     AUDIT#<n, 8 digits>
audit entry of an account    ORGANIZATION#<o>#ACCOUNT#<u>         AUDIT#<n, 8 digits>
seal of the audit log        ORGANIZATION#<o>#SEALS               SEAL#<n, 8 digits>
requests of a key, counted   LIMIT#KEY#<id>                       RECORD
requests of an address       LIMIT#ADDRESS#<address>#<minute>     RECORD
attempts on an account       LIMIT#ACCOUNT#<hash>                 RECORD

Question                                       Answered by
one record                                     GetItem pk, sk
sources, workflows, schedules, … of a project  ProjectRecords: <p>#SOURCE …, id descending
backfills of a schedule                        ProjectRecords: <p>#BACKFILL#<schedule>, id descending
projects, keys, roles of an organization       ProjectRecords: ORGANIZATION#<o>#PROJECT …, id descending
members, invitations, identity providers       the same
service accounts of an organization            the same
sessions of a user                             ProjectRecords: USER#<u>#SESSION, id descending
runs of a project, newest first                ProjectRuns: project, run id descending
runs of a workflow                             WorkflowRuns: <p>#<workflow>, run id descending
runs of a schedule                             ScheduleRuns: <p>#<schedule>, run id descending (sparse)
what failed?                                   FailedRuns: project, run id descending (sparse)
what needs attention by now?                   Wake: each of 16 shards, wake_at up to now
audit entries that no seal covers yet          Wake: the shard of their organization
versions of a workflow, attempts of a run      Query on the record's own pk
audit log of an organization                   ProjectRecords: ORGANIZATION#<o>#AUDIT, entry id descending
who was refused, newest first                  ProjectRecords: REFUSALS, <minute>#<address> descending
last audit entry of a record, seals            Query on their pk, number descending

All indexes are KEYS_ONLY; a page is one index query and one BatchGetItem. Every function takes the project, so no store
can ask for an id alone.
"""

import zlib
from typing import NamedTuple

RECORD = "RECORD"
VERSION_PREFIX = "VERSION#"
ATTEMPT_PREFIX = "ATTEMPT#"
AUDIT_PREFIX = "AUDIT#"
SEAL_PREFIX = "SEAL#"

# Schedules like to fire at the top of the minute: one partition takes 1,000 writes a second, sixteen take 16,000.
WAKE_SHARDS = 16


class Index(NamedTuple):
    """Attribute names of an index's hash and range key."""

    hash: str
    range: str


PROJECT_RECORDS = "ProjectRecords"
PROJECT_RUNS = "ProjectRuns"
WORKFLOW_RUNS = "WorkflowRuns"
SCHEDULE_RUNS = "ScheduleRuns"
FAILED_RUNS = "FailedRuns"
WAKE = "Wake"

INDEXES: dict[str, Index] = {
    PROJECT_RECORDS: Index("records_of", "record_id"),
    PROJECT_RUNS: Index("runs_of_project", "run_id"),
    WORKFLOW_RUNS: Index("runs_of_workflow", "run_id"),
    SCHEDULE_RUNS: Index("runs_of_schedule", "run_id"),
    FAILED_RUNS: Index("failed_runs_of", "run_id"),
    WAKE: Index("wake_shard", "wake_at"),
}


class Key(NamedTuple):
    """The primary key of an item."""

    pk: str
    sk: str


class Owner(NamedTuple):
    """What a primary key says of its item: `kind` is `RUN`, `SOURCE`, …; `id` the record's."""

    project: str
    kind: str
    id: str


SOURCE = "SOURCE"
WORKFLOW = "WORKFLOW"
SCHEDULE = "SCHEDULE"
BACKFILL = "BACKFILL"
PROJECT = "PROJECT"
KEY = "KEY"
ROLE = "ROLE"
MEMBER = "MEMBER"
SERVICE_ACCOUNT = "SERVICE_ACCOUNT"
INVITATION = "INVITATION"
SESSION = "SESSION"
IDENTITY_PROVIDER = "IDENTITY_PROVIDER"
SIGNING_PREFIX = "KEY#"
RUN = "RUN"
DEAD = "DEAD"
IDEMPOTENCY = "IDEMPOTENCY"
AUDIT = "AUDIT"
REFUSALS = "REFUSALS"


def organization(id: str) -> Key:
    return Key(f"ORGANIZATION#{id}", RECORD)


def role(organization: str, id: str) -> Key:
    return Key(f"ORGANIZATION#{organization}#{ROLE}#{id}", RECORD)


def owners(organization: str) -> Key:
    return Key(f"ORGANIZATION#{organization}", "OWNERS")


def member(organization: str, id: str) -> Key:
    return Key(f"ORGANIZATION#{organization}#{MEMBER}#{id}", RECORD)


def service_account(organization: str, id: str) -> Key:
    return Key(f"ORGANIZATION#{organization}#{SERVICE_ACCOUNT}#{id}", RECORD)


def invitation(id: str) -> Key:
    return Key(f"{INVITATION}#{id}", RECORD)


def user(id: str) -> Key:
    return Key(f"USER#{id}", RECORD)


def second_factor(user: str) -> Key:
    return Key(f"USER#{user}", "SECOND_FACTOR")


def email(address: str) -> Key:
    return Key(f"EMAIL#{address}", RECORD)


def session(id: str) -> Key:
    return Key(f"{SESSION}#{id}", RECORD)


def identity_provider(id: str) -> Key:
    return Key(f"{IDENTITY_PROVIDER}#{id}", RECORD)


def identity(provider_id: str, subject: str) -> Key:
    return Key(f"{identity_provider(provider_id).pk}#SUBJECT#{subject}", RECORD)


def identity_of_user(provider_id: str, user: str) -> Key:
    return Key(f"{identity_provider(provider_id).pk}#USER#{user}", RECORD)


def login(id: str) -> Key:
    return Key(f"LOGIN#{id}", RECORD)


def first_owner() -> Key:
    return Key("DEPLOYMENT", "OWNER")


def signing_key(period: int) -> Key:
    return Key("SIGNING", f"{SIGNING_PREFIX}{period:06d}")


def project(project: str) -> Key:
    return Key(f"PROJECT#{project}", RECORD)


def source(project: str, id: str) -> Key:
    return record(project, SOURCE, id)


def breaker(project: str, source_id: str) -> Key:
    return Key(source(project, source_id).pk, "BREAKER")


def leases(project: str, source_id: str) -> Key:
    return Key(source(project, source_id).pk, "LEASES")


def workflow(project: str, id: str) -> Key:
    return record(project, WORKFLOW, id)


def workflow_version(project: str, workflow_id: str, number: int) -> Key:
    return Key(workflow(project, workflow_id).pk, f"{VERSION_PREFIX}{number:08d}")


def slot(project: str, schedule_id: str) -> Key:
    return Key(record(project, SCHEDULE, schedule_id).pk, "SLOT")


def run(project: str, id: str) -> Key:
    return record(project, RUN, id)


def attempt(project: str, run_id: str, number: int) -> Key:
    return Key(run(project, run_id).pk, f"{ATTEMPT_PREFIX}{number:04d}")


def dead_letter(project: str, id: str) -> Key:
    return record(project, DEAD, id)


def idempotency(project: str, id: str) -> Key:
    return record(project, IDEMPOTENCY, id)


def api_key(id: str) -> Key:
    return Key(f"KEY#{id}", RECORD)


def limit(id: str) -> Key:
    """What is counted for `id`: one of `limited_key`, `limited_address`, `limited_account`."""
    return Key(f"LIMIT#{id}", RECORD)


def limited_key(id: str) -> str:
    return f"KEY#{id}"


def limited_address(address: str, minute: int) -> str:
    """A minute of an address has an item of its own: what was refused in it is kept."""
    return f"ADDRESS#{address}#{minute:010d}"


def address_of(limited: str) -> str:
    """The way back."""
    return limited.split("#")[1]


def refusals(minute: int, address: str) -> dict[str, str]:
    """Where `ProjectRecords` lists a minute in which an address was refused. For the 200 requests a second that
    API Gateway lets through, one list is enough."""
    return {"records_of": REFUSALS, "record_id": f"{minute:010d}#{address}"}


def limited_account(hash: str) -> str:
    return f"ACCOUNT#{hash}"


def audit_entry(pk: str, number: int) -> Key:
    """An entry about what is stored under `pk`."""
    return Key(pk, f"{AUDIT_PREFIX}{number:08d}")


def denials(organization: str, caller: str) -> str:
    """The partition of the entries about what a caller was refused."""
    return f"ORGANIZATION#{organization}#DENIED#{caller}"


def account_entries(organization: str, user: str) -> str:
    """The partition of the entries about what a person did with their account, as an organization is told of it."""
    return f"ORGANIZATION#{organization}#ACCOUNT#{user}"


def audit_seal(organization: str, number: int) -> Key:
    return Key(f"ORGANIZATION#{organization}#SEALS", f"{SEAL_PREFIX}{number:08d}")


def records_of(project: str, kind: str) -> str:
    """Hash value in `ProjectRecords` of all records of a kind."""
    return f"{project}#{kind}"


def records_of_organization(organization: str, kind: str) -> str:
    """Hash value in `ProjectRecords` of what an organization has of a kind. No project's id has a `#`."""
    return f"ORGANIZATION#{organization}#{kind}"


def records_of_user(user: str, kind: str) -> str:
    """Hash value in `ProjectRecords` of what a person has of a kind."""
    return f"USER#{user}#{kind}"


def backfills_of(project: str, schedule_id: str) -> str:
    """Hash value in `ProjectRecords` of the backfills of a schedule."""
    return records_of(project, f"{BACKFILL}#{schedule_id}")


def runs_of(project: str, owner: str) -> str:
    """Hash value in `WorkflowRuns` and `ScheduleRuns` of the runs of a workflow or a schedule."""
    return f"{project}#{owner}"


def runs_owner(hash: str) -> str:
    """The way back: the id of the workflow or the schedule."""
    return hash.partition("#")[2]


def wake_shard(id: str) -> str:
    """The shard of a record on `Wake`: even, and always the same for one id."""
    return f"{zlib.crc32(id.encode()) % WAKE_SHARDS:02d}"


def wake_shards() -> list[str]:
    return [f"{number:02d}" for number in range(WAKE_SHARDS)]


def owner(key: Key) -> Owner:
    """The way back from a key of a project's record. Of an audit entry, which need not be about one: its own key."""
    if key.sk.startswith(AUDIT_PREFIX):
        return Owner(key.pk, AUDIT, key.sk)
    _, project, kind, id = key.pk.split("#", 3)
    return Owner(project, kind, id)


def record(project: str, kind: str, id: str) -> Key:
    return Key(f"PROJECT#{project}#{kind}#{id}", RECORD)
