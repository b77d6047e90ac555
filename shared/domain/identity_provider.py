"""An identity provider: who vouches for the people of one organization (OpenID Connect), and what that makes of them.

It belongs to its organization and to nobody else: what it says of somebody counts there alone. An address that it has
not verified may be anybody's, so it makes nobody who is here already.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from shared.domain import outbound
from shared.domain.outbound import AllowList
from shared.domain.record import Instant, Stored
from shared.domain.role import Permission
from shared.domain.source import read_url
from shared.domain.token import hashed
from shared.domain.user import EmailText
from shared.domain.workflow import Name
from shared.errors import Forbidden, Invalid

PREFIX = "idp"
SCOPES = ("openid", "profile", "email")
GROUPS_CLAIM = "groups"
MAX_GROUPS = 1000  # that are looked at, of those somebody is in
MAX_MAPPED = 100
MAX_NAME = 200
EMAIL = TypeAdapter[str](EmailText)


def read_issuer(text: str) -> str:
    """`text`, letter by letter: what tokens say has to be the same. Raises ValueError: it is no web address."""
    read_url(text)
    return text


IssuerUrl = Annotated[str, StringConstraints(max_length=500), AfterValidator(read_issuer)]
Domain = Annotated[str, StringConstraints(to_lower=True, max_length=253, pattern=r"^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$")]
Scope = Annotated[str, StringConstraints(max_length=200, pattern=r"^[\x21\x23-\x5b\x5d-\x7e]+$")]
Group = Annotated[str, StringConstraints(min_length=1, max_length=200)]
RoleName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class GroupRole(BaseModel):
    """Who is in `group` there has `role` here."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    group: Group
    role: RoleName


class IdentityProvider(Stored):
    """`issuer` and `client_id` stay as they are: another provider, or another client of it, may call other people by
    the same names."""

    id: str
    organization_id: str
    name: Name
    issuer: str
    client_id: str
    encrypted_secret: str | None = Field(None, repr=False)
    scopes: tuple[str, ...] = SCOPES
    groups_claim: str = GROUPS_CLAIM
    mapping: tuple[GroupRole, ...] = ()
    default_role: str | None = None
    domains: tuple[str, ...] = ()
    enabled: bool = True
    ceiling: tuple[Permission, ...] | None = None
    """All that whoever stands for it may do; None: everything. People whom it lets in may do no more by it, or it could
    let its maker in as somebody who may."""
    trusts_addresses: bool = False
    """Where it says nothing of whether it has verified an address: has it?"""
    secret_changes: int = 0
    """How often another client secret was given: the same one encrypted anew is none."""
    created_by: str
    created_at: Instant
    updated_at: Instant

    @property
    def roles(self) -> dict[str, tuple[str, ...]]:
        """What it gives, by the field that says so; in the order of the mapping."""
        mapped = dict.fromkeys(each.role for each in self.mapping)
        return {"mapping": tuple(mapped), "default_role": (self.default_role,) if self.default_role else ()}

    def gives(self, role: str) -> bool:
        return any(role in given for given in self.roles.values())

    @property
    def permits(self) -> frozenset[Permission]:
        return frozenset(Permission) if self.ceiling is None else frozenset(self.ceiling)


class Identity(Stored):
    """Whom a provider means by a subject. Stored under both, and again under the person: one subject, one person."""

    provider_id: str
    subject: str
    """A hash of it."""
    organization_id: str
    user_id: str
    created_at: Instant

    @property
    def id(self) -> str:
        return f"{self.provider_id}/{self.subject[:16]}"


@dataclass(frozen=True)
class Vouched:
    """What a provider says of somebody who has logged in there."""

    subject: str
    email: str | None
    name: str
    groups: tuple[str, ...]
    is_verified: bool = False
    """Is `email` known to be theirs?"""


def ceiling(mine: frozenset[Permission]) -> tuple[Permission, ...] | None:
    """The ceiling that somebody who may do `mine` gives a provider."""
    return None if mine >= frozenset(Permission) else tuple(sorted(mine))


def require_callable(url: str, allowed: AllowList, pointer: str) -> None:
    """Raises Invalid: neither encrypted nor on the allow-list, or an address that this deployment does not call."""
    host, port = outbound.target(url)
    if not url.startswith("https://") and not allowed.lists(host):
        raise Invalid("The URL must begin with https://.", pointer)
    address = outbound.literal(host)
    if address is not None and not allowed.allows(host, address, port):
        raise Invalid(outbound.refusal(host), pointer)


def vouched(provider: IdentityProvider, claims: Mapping[str, Any]) -> Vouched:
    """What `claims`, which were verified, say of somebody."""
    email = _address(claims.get("email"))
    name = next((said for said in map(claims.get, ("name", "preferred_username")) if _is_name(said)), None)
    said = claims.get(provider.groups_claim)
    groups = [said] if isinstance(said, str) else said if isinstance(said, list) else []
    return Vouched(
        subject=hashed(claims["sub"]),
        email=email,
        name=str(name or (email or "").partition("@")[0] or "Somebody").strip()[:MAX_NAME],
        groups=tuple(group for group in groups[:MAX_GROUPS] if isinstance(group, str)),
        is_verified=_is_verified(provider, claims),
    )


def require_domain(provider: IdentityProvider, email: str | None) -> None:
    """Raises Forbidden: the provider vouches for addresses of other domains."""
    if provider.domains and (email or "").rpartition("@")[2] not in provider.domains:
        raise Forbidden("Your e-mail address is of no domain that this identity provider vouches for.")


def mapped_role(mapping: Iterable[GroupRole], groups: Iterable[str]) -> str | None:
    """The role of the first entry that names one of `groups`."""
    mine = set(groups)
    return next((each.role for each in mapping if each.group in mine), None)


def _address(said: Any) -> str | None:
    try:
        return EMAIL.validate_python(said, strict=True)
    except ValidationError:
        return None


def _is_verified(provider: IdentityProvider, claims: Mapping[str, Any]) -> bool:
    """Some providers say `"true"`. One that says anything else has not, whatever is thought of it."""
    if "email_verified" not in claims:
        return provider.trusts_addresses
    said = claims["email_verified"]
    return said is True or said == "true"


def _is_name(said: Any) -> bool:
    return isinstance(said, str) and bool(said.strip()) and said.isprintable()
