"""The composition root of what the API alone does: who calls, what they may, and how people, keys and roles come to be.

Everything is built once a process, on what `shared.wiring` has, and imported where it is built: most requests need none
of it.
"""

import secrets as randomness
import time
from functools import cache
from typing import TYPE_CHECKING

from shared import wiring
from shared.secrets import Cipher
from shared.settings import settings

if TYPE_CHECKING:
    from httpx import Request

    from shared.langflow.connection import Reply
    from shared.mail import Mail
    from shared.services.auditing import Denials
    from shared.services.barring import Barring
    from shared.services.belonging import Belonging
    from shared.services.defining import Defining
    from shared.services.employing import Employing
    from shared.services.enrolling import Enrolling
    from shared.services.founding import Founding
    from shared.services.granting import Granting
    from shared.services.issuing import Issuing
    from shared.services.limiting import Limiter
    from shared.services.parting import Parting
    from shared.services.proving import Proving
    from shared.services.recovering import Recovering
    from shared.services.reencrypting import Reencrypting
    from shared.services.securing import Securing
    from shared.services.signing import Signing
    from shared.services.signing_in import SigningIn
    from shared.services.trusting import Trusting
    from shared.services.vouching import Vouching
    from shared.services.welcoming import Welcoming
    from shared.services.witnessing import Witness
    from shared.store.api_keys import ApiKeyStore
    from shared.store.identity_providers import IdentityProviderStore
    from shared.store.invitations import InvitationStore
    from shared.store.limits import LimitStore
    from shared.store.members import MemberStore
    from shared.store.organizations import OrganizationStore
    from shared.store.roles import RoleStore
    from shared.store.second_factors import SecondFactorStore
    from shared.store.service_accounts import ServiceAccountStore
    from shared.store.sessions import SessionStore
    from shared.store.users import UserStore
    from shared.texts import Texts

PROVIDER_SECONDS = 5.0  # a login asks up to four times, and has 29
PROVIDER_BYTES = 256 * 1024


@cache
def api_keys() -> "ApiKeyStore":
    from shared.store.api_keys import ApiKeyStore

    return ApiKeyStore(wiring.table())


@cache
def organizations() -> "OrganizationStore":
    from shared.store.organizations import OrganizationStore

    return OrganizationStore(wiring.table())


@cache
def roles() -> "RoleStore":
    from shared.store.roles import RoleStore

    return RoleStore(wiring.table())


@cache
def service_accounts() -> "ServiceAccountStore":
    from shared.store.service_accounts import ServiceAccountStore

    return ServiceAccountStore(wiring.table())


@cache
def employing() -> "Employing":
    from shared.services.employing import Employing

    return Employing(service_accounts(), wiring.projects(), granting())


@cache
def granting() -> "Granting":
    from shared.services.granting import Granting

    return Granting(roles(), service_accounts)


@cache
def limiter() -> "Limiter":
    from shared.services.limiting import Limiter

    return Limiter(limits(), wiring.now, settings().stranger_limits)


@cache
def limits() -> "LimitStore":
    from shared.store.limits import LimitStore

    return LimitStore(wiring.table())


@cache
def issuing() -> "Issuing":
    from shared.services.issuing import Issuing
    from shared.services.owning import Owning

    return Issuing(api_keys(), wiring.projects(), granting(), Owning(api_keys(), organizations()), wiring.now)


@cache
def defining() -> "Defining":
    from shared.services.defining import Defining

    return Defining(roles(), api_keys(), members(), service_accounts(), identity_providers())


@cache
def founding() -> "Founding":
    from shared.services.founding import Founding

    return Founding(wiring.projects(), organizations())


@cache
def denials() -> "Denials":
    from shared.services.auditing import Denials

    return Denials(wiring.audit(), wiring.now)


@cache
def witness() -> "Witness":
    from shared.services.witnessing import Witness

    return Witness(wiring.audit(), wiring.now, wiring.chance, time.sleep)


@cache
def barring() -> "Barring":
    from shared.services.barring import Barring

    return Barring(users(), witness(), wiring.now)


@cache
def reencrypting() -> "Reencrypting":
    from shared.services.reencrypting import Reencrypting

    stores = (identity_providers(), members(), second_factors(), wiring.projects(), wiring.sources())
    return Reencrypting(*stores, keeper_of_organizations(), keeper_of_users(), wiring.cipher())


@cache
def users() -> "UserStore":
    from shared.store.users import UserStore

    return UserStore(wiring.table())


@cache
def sessions() -> "SessionStore":
    from shared.store.sessions import SessionStore

    return SessionStore(wiring.table())


@cache
def members() -> "MemberStore":
    from shared.store.members import MemberStore

    return MemberStore(wiring.table())


@cache
def invitations() -> "InvitationStore":
    from shared.store.invitations import InvitationStore

    return InvitationStore(wiring.table())


@cache
def mail() -> "Mail":
    from pathlib import Path

    from shared.mail import NoMail, Outbox, Ses

    if settings().outbox:
        return Outbox(Path(settings().outbox))
    return Ses(wiring.client("sesv2"), settings().mail_from) if settings().mail_from else NoMail()


@cache
def signing() -> "Signing":
    from shared.services.signing import Signing
    from shared.store.signing_keys import SigningKeyStore

    keeper = Cipher(wiring.client("kms"), settings().kms_key_id, wiring.now, context="purpose")
    return Signing(SigningKeyStore(wiring.table()), keeper, settings().issuer, wiring.new_id, wiring.now)


@cache
def second_factors() -> "SecondFactorStore":
    from shared.store.second_factors import SecondFactorStore

    return SecondFactorStore(wiring.table())


@cache
def texts() -> "Texts":
    from pathlib import Path

    from shared.texts import NoTexts, Sns, TextOutbox

    if not settings().sms:
        return NoTexts()
    return TextOutbox(Path(settings().outbox)) if settings().outbox else Sns(wiring.client("sns"))


@cache
def keeper_of_users() -> Cipher:
    """What is encrypted for a person, nobody can decrypt as another's."""
    from shared.services.proving import PURPOSE

    return Cipher(wiring.client("kms"), settings().kms_key_id, wiring.now, context="user", purpose=PURPOSE)


@cache
def proving() -> "Proving":
    from shared.services.proving import Proving

    doors = (signing(), keeper_of_users(), texts(), limiter().text)
    return Proving(users(), second_factors(), *doors, settings().deployment, randomness.token_bytes, wiring.now)


@cache
def securing() -> "Securing":
    from shared.services.securing import Securing

    issuer = f"Spark ({settings().stage})"
    return Securing(users(), second_factors(), proving(), witness(), issuer, randomness.token_bytes, wiring.now)


@cache
def signing_in() -> "SigningIn":
    from shared.services.signing_in import SigningIn

    makes = (wiring.new_id, wiring.new_secret, wiring.now)
    return SigningIn(users(), sessions(), signing(), proving(), witness(), *makes, trusts)


@cache
def enrolling() -> "Enrolling":
    from shared.services.enrolling import Enrolling

    stores = (users(), members(), invitations(), organizations(), wiring.projects(), api_keys())
    return Enrolling(*stores, granting(), wiring.new_id, wiring.now)


@cache
def recovering() -> "Recovering":
    from shared.services.recovering import Recovering

    return Recovering(users(), sessions(), witness(), mail(), settings().deployment, wiring.new_secret, wiring.now)


@cache
def belonging() -> "Belonging":
    from shared.services.belonging import Belonging

    stores = (members(), invitations(), users(), organizations(), wiring.projects())
    doors = (mail(), limiter().letter)
    return Belonging(*stores, granting(), *doors, settings().deployment, wiring.new_secret, wiring.now)


@cache
def parting() -> "Parting":
    from shared.services.parting import Parting

    return Parting(belonging(), issuing())


@cache
def identity_providers() -> "IdentityProviderStore":
    from shared.store.identity_providers import IdentityProviderStore

    return IdentityProviderStore(wiring.table())


def trusts(provider_id: str) -> bool:
    """Is there such an identity provider, and is it switched on?"""
    provider = identity_providers().by_id(provider_id)
    return provider is not None and provider.enabled


@cache
def keeper_of_organizations() -> Cipher:
    """What is encrypted for an organization, no project of it can decrypt."""
    from shared.services.trusting import PURPOSE

    return Cipher(wiring.client("kms"), settings().kms_key_id, wiring.now, context="organization", purpose=PURPOSE)


@cache
def trusting() -> "Trusting":
    from shared.services.trusting import Trusting

    return Trusting(identity_providers(), granting(), keeper_of_organizations(), settings().outbound)


@cache
def vouching() -> "Vouching":
    from shared.oidc import OpenId
    from shared.services.vouching import Vouching
    from shared.store.logins import LoginStore

    openid = OpenId(ask_provider, settings().outbound, wiring.now)
    stores = (identity_providers(), LoginStore(wiring.table()))
    return Vouching(*stores, openid, keeper_of_organizations(), wiring.new_id, wiring.new_secret, wiring.now)


def ask_provider(request: "Request") -> "Reply":
    """One exchange with an identity provider: five seconds, a quarter of a MiB. Raises FlowFailure."""
    from shared.langflow.connection import Stopper, exchange

    stopper = Stopper()
    with stopper.deadline(PROVIDER_SECONDS):
        return exchange(request, wiring.network(), stopper, PROVIDER_BYTES)


@cache
def welcoming() -> "Welcoming":
    from shared.services.welcoming import Welcoming
    from shared.store.identity_providers import IdentityStore

    stores = (users(), members(), IdentityStore(wiring.table()))
    return Welcoming(*stores, granting(), wiring.new_id, wiring.new_secret, wiring.now)
