"""The deployment as its operator asks after it: what it is, how it is set, and whether its tick keeps up."""

from enum import StrEnum
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, Field

from functions.api import table
from functions.api.app import VERSION
from functions.api.auth import Caller
from functions.api.dependencies import may
from shared import wiring
from shared.domain import outbound
from shared.domain.organization import DEFAULT_ORGANIZATION
from shared.domain.receiver import read_endpoint
from shared.domain.record import Instant
from shared.domain.role import Permission
from shared.errors import Forbidden, NotExported
from shared.settings import Settings, settings

router = table.router("deployment")

Reader = Annotated[Caller, may(Permission.audit_read)]


class Letters(StrEnum):
    """How letters leave."""

    ses = "ses"
    outbox = "outbox"
    """A folder keeps them; on the local stack."""
    none = "none"


class TracesView(BaseModel):
    """Where traces of runs go, of all projects."""

    scheme: str | None
    host: str | None
    content: bool = Field(description="Whether inputs and outputs are in them, too.")
    problem: str | None = Field(description="Why none can be sent there; null: its address is no reason.")

    @classmethod
    def of(cls, said: Settings) -> "TracesView | None":
        if not said.otlp_endpoint:
            return None
        try:
            url = urlsplit(read_endpoint(said.otlp_endpoint, said.outbound))
        except NotExported as error:
            return cls(scheme=None, host=None, content=said.otlp_content, problem=str(error))
        return cls(scheme=url.scheme, host=url.hostname, content=said.otlp_content, problem=None)


class SettingsView(BaseModel):
    """Those parameters of the template that say how open the deployment is. None of them is a secret."""

    outbound_allow: list[str] = Field(description="What sources may be besides public addresses.")
    open_registration: bool
    letters: Letters
    text_messages: bool
    public_url: str | None
    cors_origins: list[str]
    requests_per_minute: int = Field(description="Of a key that has no limit of its own; 0: no limit.")
    requests_per_day: int
    refusals_per_minute: int
    traces: TracesView | None = Field(description="null: they go nowhere.")

    @classmethod
    def of(cls, said: Settings) -> "SettingsView":
        return cls(
            **said.model_dump(include=set(cls.model_fields) - {"outbound_allow", "cors_origins", "public_url"}),
            outbound_allow=outbound.entries(said.outbound_allow),
            letters=Letters.outbox if said.outbox else Letters.ses if said.mail_from else Letters.none,
            text_messages=said.sms,
            public_url=said.public_url or None,
            cors_origins=said.allowed_origins,
            traces=TracesView.of(said),
        )


class DeploymentView(BaseModel):
    """One deployment of Spark."""

    stage: str
    version: str
    oldest_due_at: Instant | None = Field(
        description="Since when that is due which has waited for the tick the longest; null: nothing waits for it."
    )
    settings: SettingsView


@router.get("")
def get_deployment(caller: Reader) -> DeploymentView:
    """What this deployment is, how it is set, and whether its tick keeps up. One read for each of the tick's shards.

    This is for the deployment's first organization alone.
    """
    if caller.organization_id != DEFAULT_ORGANIZATION or not caller.organization_wide:
        raise Forbidden("This is about all of the deployment: it needs an organization-wide key of its first one.")
    said = settings()
    return DeploymentView(
        stage=said.stage,
        version=VERSION,
        oldest_due_at=wiring.wake().oldest(wiring.now()),
        settings=SettingsView.of(said),
    )
