"""The composition root: builds the real clients, once a process, from the settings. Owns the clock and chance.

Every function here is cached; a test that wants other settings calls `reset()`. What the API alone needs to know people
is in `functions/api/identity.py`. What only some functions need is imported where it is built: the tick's bundle has no
HTTP client, and nobody else's cold start pays for the executor.
"""

import random
import secrets as randomness
import string
import time
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from shared.domain.record import new_id as make_id
from shared.payloads import Payloads
from shared.queue import RunQueue
from shared.secrets import Cipher, DeploymentSecret
from shared.settings import settings
from shared.store.projects import ProjectStore
from shared.store.runs import RunStore
from shared.store.sources import SourceStore
from shared.store.table import Table
from shared.store.wake import WakeStore
from shared.store.workflows import WorkflowStore

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from httpx import Request
    from mypy_boto3_dynamodb import DynamoDBClient

    from shared.domain.act import Act
    from shared.domain.overlap import Overlap
    from shared.domain.run import Run
    from shared.domain.source import Source
    from shared.domain.tracing import Span
    from shared.langflow import LangFlow
    from shared.langflow.connection import Network, Reply
    from shared.otlp import Otlp
    from shared.services.attempts import Carried
    from shared.services.backfilling import Backfilling
    from shared.services.endings import Endings
    from shared.services.execution import Changes, Executor
    from shared.services.exporting import Exporting
    from shared.services.firing import Firing
    from shared.services.overlapping import Turnstile
    from shared.services.scheduling import Scheduling
    from shared.services.ticking import Ticker
    from shared.store.audit import AuditStore
    from shared.store.backfills import BackfillStore
    from shared.store.dead_letters import DeadLetterStore
    from shared.store.idempotency import IdempotencyStore
    from shared.store.schedules import ScheduleStore

# Ten threads share a client; AWS's default of ten connections would make the eleventh caller wait.
# Timeouts are short because every call is small and safe to repeat: conditions and turns see to that.
CONFIG = Config(
    connect_timeout=2,
    read_timeout=10,
    max_pool_connections=32,
    retries={"mode": "standard", "total_max_attempts": 4},
    user_agent_extra="spark",
)
# Links would be signed the old way in old regions, which S3 refuses for objects that KMS encrypted. And they would name
# the global host, which redirects to the region that it was not signed for; dual-stack hosts are all regional. They do
# not apply where an endpoint is set.
S3_CONFIG = CONFIG.merge(Config(signature_version="s3v4", use_dualstack_endpoint=True))
CONFIGS = {"s3": S3_CONFIG}
SYSTEM_CHANCE = random.SystemRandom()
# A batch waits for its receiver of traces, though its runs do not; and for the receiver's secret, once.
RECEIVER_SECONDS, RECEIVER_CONNECT_SECONDS = 3.0, 1.0
RECEIVER_SECRET_CONFIG = CONFIG.merge(
    Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 2})
)
RECEIVER_BYTES = 64 * 1024
LETTERS_AND_DIGITS = string.ascii_letters + string.digits


def now() -> datetime:
    return datetime.now(UTC)


def chance() -> float:
    """A random number in [0, 1). From the system: environments restored from one snapshot (SnapStart) share a seed."""
    return SYSTEM_CHANCE.random()


def new_id(prefix: str) -> str:
    return make_id(prefix, now(), randomness.token_bytes(10))


def new_secret() -> str:
    """The secret of an API key: 256 bits, in letters and digits."""
    return "".join(randomness.choice(LETTERS_AND_DIGITS) for _ in range(43))


@cache
def client(service: str) -> Any:
    """The low-level client of an AWS service. Its endpoint and region come from boto3's own variables."""
    return boto3.client(service, config=CONFIGS.get(service, CONFIG))  # type: ignore[call-overload]


@cache
def table() -> Table:
    dynamodb: DynamoDBClient = client("dynamodb")
    return Table(dynamodb, settings().table, now)


@cache
def queue() -> RunQueue:
    return RunQueue(client("sqs"), settings().run_queue_url)


@cache
def payloads() -> Payloads:
    return Payloads(client("s3"), settings().payload_bucket)


@cache
def cipher() -> Cipher:
    return Cipher(client("kms"), settings().kms_key_id, now)


@cache
def deployment_secret() -> DeploymentSecret:
    return DeploymentSecret(client("secretsmanager"), settings().bootstrap_secret_id)


@cache
def runs() -> RunStore:
    return RunStore(table())


@cache
def workflows() -> WorkflowStore:
    return WorkflowStore(table())


@cache
def sources() -> SourceStore:
    return SourceStore(table())


@cache
def schedules() -> "ScheduleStore":
    from shared.store.schedules import ScheduleStore

    return ScheduleStore(table())


@cache
def backfills() -> "BackfillStore":
    from shared.store.backfills import BackfillStore

    return BackfillStore(table())


@cache
def dead_letters() -> "DeadLetterStore":
    from shared.store.dead_letters import DeadLetterStore

    return DeadLetterStore(table())


@cache
def projects() -> ProjectStore:
    return ProjectStore(table())


@cache
def audit() -> "AuditStore":
    from shared.store.audit import AuditStore

    return AuditStore(table())


@cache
def idempotency() -> "IdempotencyStore":
    from shared.store.idempotency import IdempotencyStore

    return IdempotencyStore(table())


@cache
def wake() -> WakeStore:
    return WakeStore(table())


@cache
def network() -> "Network":
    from shared.langflow.connection import Network

    return Network(settings().outbound)


def langflow(source: "Source", correlation_id: str, seconds: float | None = None) -> "LangFlow":
    """A client for `source`, with its key decrypted; for one question that has to be answered within `seconds`."""
    from shared.langflow import LangFlow

    key = cipher().decrypt(source.project_id, source.encrypted_key) if source.encrypted_key else None
    return LangFlow(
        source.url,
        key,
        dialect=source.dialect,
        correlation_id=correlation_id,
        seconds=seconds,
        transport=network(),
    )


@cache
def turnstile() -> "Turnstile":
    from shared.services.overlapping import Turnstile

    return Turnstile(schedules(), runs(), queue(), now)


@cache
def endings() -> "Endings":
    from shared.services.endings import Endings

    return Endings(schedules(), runs(), turnstile(), now, by_spark)


def by_spark(project: str, action: str, reason: str) -> "Act":
    """What Spark does by itself, for the audit log."""
    from shared.domain.act import SPARK, Act

    return Act(action, SPARK, projects().by_id(project).organization_id, now(), detail={"reason": reason})


@cache
def executor() -> "Executor":
    from shared.services.admission import Gate
    from shared.services.attempts import Attempts
    from shared.services.execution import Executor

    wake_after = settings().wake_after
    attempts = Attempts(runs(), queue(), payloads(), langflow, now, chance, wake_after)
    stores = (runs(), workflows(), sources())
    executor = Executor(*stores, queue(), attempts, Gate(sources()), recheck, enter, ended, now, wake_after)
    if not settings().otlp_endpoint:
        return executor
    return replace(executor, attempts=replace(attempts, traceparent=traceparent), trace=export)


def recheck(runs: "Sequence[Run]") -> "dict[str, Changes | None]":
    from shared.services.rechecking import recheck

    return recheck(runs, now(), schedules=schedules(), bucket=payloads())


def enter(run: "Run", policy: "Overlap") -> bool:
    return turnstile().enter(run, policy)


def ended(run: "Run") -> None:
    endings().ended(run)


def traceparent(run: "Run") -> str:
    from shared.domain import tracing

    return tracing.traceparent(run)


def export(carried: "Sequence[Carried]", lease_until: datetime) -> None:
    exporting().export(carried, lease_until)


@cache
def exporting() -> "Exporting":
    from shared.services.exporting import Exporting

    return Exporting(send_spans, settings().otlp_content, now)


def send_spans(spans: "Sequence[Span]") -> int:
    """`Otlp.send`. The receiver is made on the way, where what goes wrong with that is a trace that is not sent."""
    return receiver().send(spans)


@cache
def receiver() -> "Otlp":
    """Raises NotExported: the deployment names none that traces may be sent to."""
    from shared.domain.receiver import read_endpoint
    from shared.otlp import Otlp

    endpoint = read_endpoint(settings().otlp_endpoint, settings().outbound)
    return Otlp(endpoint, settings().stage, receiver_headers, ask_receiver)


def receiver_headers() -> "Mapping[str, str]":
    """What lets us in, read by a client in a hurry; logins use the other one. Raises NotExported."""
    from shared.otlp import HeaderSecret

    if not settings().otlp_secret_id:
        return {}
    secrets = boto3.client("secretsmanager", config=RECEIVER_SECRET_CONFIG)
    return HeaderSecret(secrets, settings().otlp_secret_id).headers()


def ask_receiver(request: "Request") -> "Reply":
    """One exchange with a receiver of traces: three seconds, a second to connect, 64 KiB. Raises FlowFailure."""
    from shared.langflow.connection import Stopper, exchange

    stopper = Stopper()
    with stopper.deadline(RECEIVER_SECONDS):
        return exchange(request, network(), stopper, RECEIVER_BYTES, RECEIVER_CONNECT_SECONDS)


@cache
def firing() -> "Firing":
    from shared.services.firing import Firing

    return Firing(schedules(), workflows(), projects(), runs(), queue(), now, settings().wake_after)


@cache
def scheduling() -> "Scheduling":
    from shared.services.scheduling import Scheduling

    return Scheduling(schedules(), workflows(), sources(), firing(), payloads())


@cache
def backfilling() -> "Backfilling":
    from shared.services.backfilling import Backfilling

    return Backfilling(backfills(), schedules(), workflows(), projects(), runs(), queue(), now, settings().wake_after)


@cache
def ticker() -> "Ticker":
    from shared.services.sealing import Sealing
    from shared.services.ticking import Ticker
    from shared.services.waking import Waker

    waker = Waker(runs(), workflows(), queue(), endings(), now, chance, settings().wake_after)
    sealing = Sealing(audit(), now)
    return Ticker(wake(), schedules(), replace(firing(), sleep=time.sleep), backfilling(), waker, sealing, now)


def reset() -> None:
    """Forget every client, store and setting that was built here. What `functions/api/identity.py` built stays."""
    for built in [settings, *(value for value in globals().values() if hasattr(value, "cache_clear"))]:
        built.cache_clear()
