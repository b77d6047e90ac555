"""The composition root: builds the real clients, once a process, from the settings. Owns the clock and chance.

Every function here is cached; a test that wants other settings calls `reset()`. What only some functions need is
imported where it is built: the tick's bundle has no HTTP client, and nobody else's cold start pays for the executor.
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
    from shared.mail import Mail
    from shared.otlp import Otlp
    from shared.services.attempts import Carried
    from shared.services.auditing import Denials
    from shared.services.backfilling import Backfilling
    from shared.services.barring import Barring
    from shared.services.belonging import Belonging
    from shared.services.defining import Defining
    from shared.services.employing import Employing
    from shared.services.endings import Endings
    from shared.services.enrolling import Enrolling
    from shared.services.execution import Changes, Executor
    from shared.services.exporting import Exporting
    from shared.services.firing import Firing
    from shared.services.founding import Founding
    from shared.services.granting import Granting
    from shared.services.issuing import Issuing
    from shared.services.limiting import Limiter
    from shared.services.overlapping import Turnstile
    from shared.services.parting import Parting
    from shared.services.proving import Proving
    from shared.services.recovering import Recovering
    from shared.services.reencrypting import Reencrypting
    from shared.services.scheduling import Scheduling
    from shared.services.securing import Securing
    from shared.services.signing import Signing
    from shared.services.signing_in import SigningIn
    from shared.services.ticking import Ticker
    from shared.services.trusting import Trusting
    from shared.services.vouching import Vouching
    from shared.services.welcoming import Welcoming
    from shared.services.witnessing import Witness
    from shared.store.api_keys import ApiKeyStore
    from shared.store.audit import AuditStore
    from shared.store.backfills import BackfillStore
    from shared.store.dead_letters import DeadLetterStore
    from shared.store.idempotency import IdempotencyStore
    from shared.store.identity_providers import IdentityProviderStore
    from shared.store.invitations import InvitationStore
    from shared.store.limits import LimitStore
    from shared.store.members import MemberStore
    from shared.store.organizations import OrganizationStore
    from shared.store.roles import RoleStore
    from shared.store.schedules import ScheduleStore
    from shared.store.second_factors import SecondFactorStore
    from shared.store.service_accounts import ServiceAccountStore
    from shared.store.sessions import SessionStore
    from shared.store.users import UserStore
    from shared.texts import Texts

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
PROVIDER_SECONDS = 5.0  # a login asks up to four times, and has 29
PROVIDER_BYTES = 256 * 1024
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
def api_keys() -> "ApiKeyStore":
    from shared.store.api_keys import ApiKeyStore

    return ApiKeyStore(table())


@cache
def organizations() -> "OrganizationStore":
    from shared.store.organizations import OrganizationStore

    return OrganizationStore(table())


@cache
def roles() -> "RoleStore":
    from shared.store.roles import RoleStore

    return RoleStore(table())


@cache
def service_accounts() -> "ServiceAccountStore":
    from shared.store.service_accounts import ServiceAccountStore

    return ServiceAccountStore(table())


@cache
def employing() -> "Employing":
    from shared.services.employing import Employing

    return Employing(service_accounts(), projects(), granting())


@cache
def granting() -> "Granting":
    from shared.services.granting import Granting

    return Granting(roles(), service_accounts)


@cache
def limiter() -> "Limiter":
    from shared.services.limiting import Limiter

    return Limiter(limits(), now, settings().stranger_limits)


@cache
def limits() -> "LimitStore":
    from shared.store.limits import LimitStore

    return LimitStore(table())


@cache
def issuing() -> "Issuing":
    from shared.services.issuing import Issuing
    from shared.services.owning import Owning

    return Issuing(api_keys(), projects(), granting(), Owning(api_keys(), organizations()), now)


@cache
def defining() -> "Defining":
    from shared.services.defining import Defining

    return Defining(roles(), api_keys(), members(), service_accounts(), identity_providers())


@cache
def founding() -> "Founding":
    from shared.services.founding import Founding

    return Founding(projects(), organizations())


@cache
def audit() -> "AuditStore":
    from shared.store.audit import AuditStore

    return AuditStore(table())


@cache
def denials() -> "Denials":
    from shared.services.auditing import Denials

    return Denials(audit(), now)


@cache
def witness() -> "Witness":
    from shared.services.witnessing import Witness

    return Witness(audit(), now, chance, time.sleep)


@cache
def barring() -> "Barring":
    from shared.services.barring import Barring

    return Barring(users(), witness(), now)


@cache
def reencrypting() -> "Reencrypting":
    from shared.services.reencrypting import Reencrypting

    stores = (identity_providers(), members(), second_factors(), projects(), sources())
    return Reencrypting(*stores, keeper_of_organizations(), keeper_of_users(), cipher())


@cache
def users() -> "UserStore":
    from shared.store.users import UserStore

    return UserStore(table())


@cache
def sessions() -> "SessionStore":
    from shared.store.sessions import SessionStore

    return SessionStore(table())


@cache
def members() -> "MemberStore":
    from shared.store.members import MemberStore

    return MemberStore(table())


@cache
def invitations() -> "InvitationStore":
    from shared.store.invitations import InvitationStore

    return InvitationStore(table())


@cache
def mail() -> "Mail":
    from pathlib import Path

    from shared.mail import NoMail, Outbox, Ses

    if settings().outbox:
        return Outbox(Path(settings().outbox))
    return Ses(client("sesv2"), settings().mail_from) if settings().mail_from else NoMail()


@cache
def signing() -> "Signing":
    from shared.services.signing import Signing
    from shared.store.signing_keys import SigningKeyStore

    keeper = Cipher(client("kms"), settings().kms_key_id, now, context="purpose")
    return Signing(SigningKeyStore(table()), keeper, settings().issuer, new_id, now)


@cache
def second_factors() -> "SecondFactorStore":
    from shared.store.second_factors import SecondFactorStore

    return SecondFactorStore(table())


@cache
def texts() -> "Texts":
    from pathlib import Path

    from shared.texts import NoTexts, Sns, TextOutbox

    if not settings().sms:
        return NoTexts()
    return TextOutbox(Path(settings().outbox)) if settings().outbox else Sns(client("sns"))


@cache
def keeper_of_users() -> Cipher:
    """What is encrypted for a person, nobody can decrypt as another's."""
    from shared.services.proving import PURPOSE

    return Cipher(client("kms"), settings().kms_key_id, now, context="user", purpose=PURPOSE)


@cache
def proving() -> "Proving":
    from shared.services.proving import Proving

    doors = (signing(), keeper_of_users(), texts(), limiter().text)
    return Proving(users(), second_factors(), *doors, settings().deployment, randomness.token_bytes, now)


@cache
def securing() -> "Securing":
    from shared.services.securing import Securing

    issuer = f"Spark ({settings().stage})"
    return Securing(users(), second_factors(), proving(), witness(), issuer, randomness.token_bytes, now)


@cache
def signing_in() -> "SigningIn":
    from shared.services.signing_in import SigningIn

    return SigningIn(users(), sessions(), signing(), proving(), witness(), new_id, new_secret, now, trusts)


@cache
def enrolling() -> "Enrolling":
    from shared.services.enrolling import Enrolling

    stores = (users(), members(), invitations(), organizations(), projects(), api_keys())
    return Enrolling(*stores, granting(), new_id, now)


@cache
def recovering() -> "Recovering":
    from shared.services.recovering import Recovering

    return Recovering(users(), sessions(), witness(), mail(), settings().deployment, new_secret, now)


@cache
def belonging() -> "Belonging":
    from shared.services.belonging import Belonging

    stores = (members(), invitations(), users(), organizations(), projects())
    return Belonging(*stores, granting(), mail(), limiter().letter, settings().deployment, new_secret, now)


@cache
def parting() -> "Parting":
    from shared.services.parting import Parting

    return Parting(belonging(), issuing())


@cache
def identity_providers() -> "IdentityProviderStore":
    from shared.store.identity_providers import IdentityProviderStore

    return IdentityProviderStore(table())


def trusts(provider_id: str) -> bool:
    """Is there such an identity provider, and is it switched on?"""
    provider = identity_providers().by_id(provider_id)
    return provider is not None and provider.enabled


@cache
def keeper_of_organizations() -> Cipher:
    """What is encrypted for an organization, no project of it can decrypt."""
    from shared.services.trusting import PURPOSE

    return Cipher(client("kms"), settings().kms_key_id, now, context="organization", purpose=PURPOSE)


@cache
def trusting() -> "Trusting":
    from shared.services.trusting import Trusting

    return Trusting(identity_providers(), granting(), keeper_of_organizations(), settings().outbound)


@cache
def vouching() -> "Vouching":
    from shared.oidc import OpenId
    from shared.services.vouching import Vouching
    from shared.store.logins import LoginStore

    openid = OpenId(ask_provider, settings().outbound, now)
    cipher = keeper_of_organizations()
    return Vouching(identity_providers(), LoginStore(table()), openid, cipher, new_id, new_secret, now)


def ask_provider(request: "Request") -> "Reply":
    """One exchange with an identity provider: five seconds, a quarter of a MiB. Raises FlowFailure."""
    from shared.langflow.connection import Stopper, exchange

    stopper = Stopper()
    with stopper.deadline(PROVIDER_SECONDS):
        return exchange(request, network(), stopper, PROVIDER_BYTES)


@cache
def welcoming() -> "Welcoming":
    from shared.services.welcoming import Welcoming
    from shared.store.identity_providers import IdentityStore

    stores = (users(), members(), IdentityStore(table()))
    return Welcoming(*stores, granting(), new_id, new_secret, now)


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
    """Forget every client, store and setting of this process."""
    for built in [settings, *(value for value in globals().values() if hasattr(value, "cache_clear"))]:
        built.cache_clear()
