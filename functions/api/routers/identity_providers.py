"""Identity providers: who vouches for the people of an organization, and which roles their groups have."""

from typing import Annotated

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field

from functions.api import BASE, etags, identity, table
from functions.api.auth import Caller
from functions.api.bodies import Patch
from functions.api.dependencies import Id, IfMatch, grantor, may
from functions.api.errors import responses
from functions.api.idempotency import OnlyOnce, Work, undeleted
from functions.api.pages import Page, Paged
from shared.domain.identity_provider import (
    GROUPS_CLAIM,
    MAX_MAPPED,
    PREFIX,
    SCOPES,
    Domain,
    GroupRole,
    IdentityProvider,
    IssuerUrl,
    RoleName,
    Scope,
)
from shared.domain.record import Instant
from shared.domain.role import Permission
from shared.domain.workflow import Name
from shared.services.trusting import ProviderChange

router = table.router("identity-providers")

Reader = Annotated[Caller, may(Permission.identity_providers_read)]
Editor = Annotated[Caller, may(Permission.identity_providers_write)]

Visible = r"^[\x20-\x7e]+$"
ClientId = Annotated[str, Field(min_length=1, max_length=200, pattern=Visible, description="What it calls us.")]
ClientSecret = Annotated[
    str, Field(min_length=1, max_length=1000, pattern=Visible, description="null: a public client, which has none.")
]
Scopes = Annotated[tuple[Scope, ...], Field(max_length=20, description="What is asked for; `openid` always is.")]
Mapping = Annotated[
    tuple[GroupRole, ...], Field(max_length=MAX_MAPPED, description="The first entry that names a group counts.")
]
DefaultRole = Annotated[
    RoleName, Field(description="Of those whose groups are in no entry; null: they are refused, members or not.")
]
Domains = Annotated[
    tuple[Domain, ...], Field(max_length=100, description="Of the e-mail addresses that it vouches for; none: all.")
]
Enabled = Annotated[bool, Field(strict=True, description="May people log in by it?")]
TrustsAddresses = Annotated[
    bool,
    Field(
        strict=True,
        description="What it means where the provider does not say `email_verified`: true, that nobody gets an address "
        "there which is not theirs, so that whoever comes with a member's becomes that member, owners included; false, "
        "that it makes no one who has an account. Takes an owner.",
    ),
]
Vouch = Annotated[
    bool,
    Field(
        strict=True,
        description="I stand for what it says with my own permissions: its `ceiling` becomes what I may do. Otherwise "
        "that stays as it is.",
    ),
]
Claim = Annotated[str, Field(min_length=1, max_length=200, description="Where the ID token names the groups.")]


class ProviderFields(BaseModel):
    """What a user says of an identity provider."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    issuer: IssuerUrl = Field(description="As its ID tokens say it, letter by letter.")
    client_id: ClientId
    client_secret: ClientSecret | None = Field(None, repr=False)
    scopes: Scopes = SCOPES
    groups_claim: Claim = GROUPS_CLAIM
    mapping: Mapping = ()
    default_role: DefaultRole | None = None
    domains: Domains = ()
    enabled: Enabled = True
    trusts_addresses: TrustsAddresses = False


class ProviderPatch(Patch):
    """What is to change; the rest stays. A `client_secret` of null takes it away. Issuer and client id stay for good:
    another one may mean other people by the same subjects."""

    name: Name = ""
    client_secret: ClientSecret | None = Field(None, repr=False)
    scopes: Scopes = SCOPES
    groups_claim: Claim = GROUPS_CLAIM
    mapping: Mapping = ()
    default_role: DefaultRole | None = None
    domains: Domains = ()
    enabled: Enabled = True
    trusts_addresses: TrustsAddresses = False
    vouch: Vouch = False


class ProviderView(BaseModel):
    """An identity provider. Its client secret is never shown."""

    id: str
    organization_id: str
    name: str
    issuer: str
    client_id: str
    has_client_secret: bool
    scopes: tuple[str, ...]
    groups_claim: str
    mapping: tuple[GroupRole, ...]
    default_role: str | None
    domains: tuple[str, ...]
    enabled: bool
    trusts_addresses: bool
    ceiling: tuple[Permission, ...] | None = Field(
        description="People whom it lets in may do no more than this by it; null: whatever their role allows."
    )
    created_by: str
    created_at: Instant
    updated_at: Instant

    @classmethod
    def of(cls, provider: IdentityProvider) -> "ProviderView":
        fields = provider.model_dump(include=set(cls.model_fields))
        return cls(**fields, has_client_secret=provider.encrypted_secret is not None)


@router.post("", status_code=201, responses=responses(409))
def create_identity_provider(body: ProviderFields, caller: Editor, once: OnlyOnce, response: Response) -> ProviderView:
    """Trust an identity provider with who is a member of the organization, and as what."""
    owner, providers = caller.organization_id, identity.identity_providers()

    def trust(work: Work) -> IdentityProvider:
        provider = IdentityProvider(
            id=work.id(PREFIX),
            organization_id=owner,
            created_by=caller.id,
            created_at=work.at,
            updated_at=work.at,
            **body.model_dump(exclude={"client_secret"}),
        )
        return identity.trusting().add(grantor(caller), provider, body.client_secret)

    provider = once.do(caller, body, lambda work: undeleted(providers, owner, work.id(PREFIX)), trust)
    response.headers["Location"] = f"{BASE}/identity-providers/{provider.id}"
    return ProviderView.of(etags.stamp(response, provider))


@router.get("", responses=responses(400))
def list_identity_providers(caller: Reader, paged: Paged) -> Page[ProviderView]:
    """The identity providers of the organization, newest first."""
    owner = caller.organization_id
    found = identity.trusting().list(grantor(caller), limit=paged.limit, after=paged.after(owner))
    return paged.answer(owner, [ProviderView.of(provider) for provider in found.items], found.next)


@router.get("/{provider_id}", responses=responses(404))
def get_identity_provider(provider_id: Id, caller: Reader, response: Response) -> ProviderView:
    """One identity provider."""
    return ProviderView.of(etags.stamp(response, identity.trusting().get(grantor(caller), provider_id)))


@router.patch("/{provider_id}", responses=responses(404, 412))
def update_identity_provider(
    provider_id: Id, body: ProviderPatch, caller: Editor, response: Response, if_match: IfMatch = None
) -> ProviderView:
    """Change what the body names. Roles follow at each one's next login; switched off, its sessions end in a minute."""
    said = body.model_dump(exclude_unset=True)
    wanted = ProviderChange(
        fields={field: getattr(body, field) for field in said if field not in ("client_secret", "vouch")},
        vouch=body.vouch,
        sets_secret="client_secret" in said,
        secret=body.client_secret,
    )
    provider = identity.trusting().change(grantor(caller), provider_id, wanted, etags.guard(if_match))
    return ProviderView.of(etags.stamp(response, provider))


@router.delete("/{provider_id}", status_code=204, responses=responses(404, 412))
def delete_identity_provider(provider_id: Id, caller: Editor, if_match: IfMatch = None) -> None:
    """Trust it no longer. The sessions that it opened end within a minute; whom it made members stay members."""
    identity.trusting().remove(grantor(caller), provider_id, etags.guard(if_match))
