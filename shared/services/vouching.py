"""Vouching: a login by an identity provider, from its beginning to what the provider says of who came."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from shared.domain import identity_provider as providers
from shared.domain import login as rules
from shared.domain.identity_provider import IdentityProvider, Vouched
from shared.domain.login import PREFIX, Login, Proofs
from shared.domain.token import PresentedToken, TokenKind, read_token, written
from shared.errors import Conflict, NotFound, NotSignedIn
from shared.oidc import Client, OpenId, address_of_login
from shared.secrets import Cipher
from shared.store.identity_providers import IdentityProviderStore
from shared.store.logins import LoginStore

OVER = "This login is over, was finished before, or is somebody else's. Begin again."


@dataclass(frozen=True)
class Begun:
    """Where the browser goes, and what finishes the login: for whoever began it alone."""

    url: str
    attempt: str = field(repr=False)


@dataclass(frozen=True)
class Vouching:
    providers: IdentityProviderStore
    logins: LoginStore
    openid: OpenId
    cipher: Cipher
    new_id: Callable[[str], str]
    new_secret: Callable[[], str]
    now: Callable[[], datetime]

    def begin(self, provider_id: str, redirect_uri: str, origins: Sequence[str]) -> Begun:
        """A new login, that comes back to `redirect_uri`.

        Raises:
            NotFound: there is no such provider, or it is switched off; Invalid: the URI; ProviderFailure.
        """
        rules.require_redirect(redirect_uri, provider_id, origins)
        provider = self._trusted(provider_id)
        metadata = self.openid.metadata(provider.issuer)
        secret = self.new_secret()
        login = rules.begun(self.new_id(PREFIX), provider.id, redirect_uri, secret, self.now())
        self.logins.add(login)
        url = address_of_login(metadata, provider.client_id, provider.scopes, redirect_uri, Proofs.of(secret))
        return Begun(url, written(TokenKind.login, login.id, secret))

    def finish(self, attempt: str, state: str, code: str) -> tuple[IdentityProvider, Vouched]:
        """What the provider says of who came back with `state` and `code`. Once: of several at a time, one gets there.

        Raises:
            NotSignedIn: it is not valid, was finished before, or the provider does not stand by it; ProviderFailure.
        """
        login, token = self._open(attempt, state)
        try:
            provider = self._trusted(login.provider_id)
            self.logins.spend(login)
        except (Conflict, NotFound) as error:
            raise NotSignedIn(OVER) from error
        proofs, client = Proofs.of(token.secret), self._client(provider)
        metadata = self.openid.metadata(provider.issuer)
        id_token = self.openid.redeem(metadata, client, code, proofs, login.redirect_uri)
        claims = self.openid.claims(metadata, id_token, client, proofs, login.created_at)
        return provider, providers.vouched(provider, claims)

    def _open(self, attempt: str, state: str) -> tuple[Login, PresentedToken]:
        token = read_token(TokenKind.login, attempt)
        login = self.logins.by_ulid(token.ulid) if token else None
        if token is None or login is None or not rules.is_good(login, token, state, self.now()):
            raise NotSignedIn(OVER)
        return login, token

    def _trusted(self, id: str) -> IdentityProvider:
        provider = self.providers.by_id(id)
        if provider is None or not provider.enabled:
            raise NotFound(self.providers.noun, id, "deployment")
        return provider

    def _client(self, provider: IdentityProvider) -> Client:
        secret = provider.encrypted_secret
        plain = self.cipher.decrypt(provider.organization_id, secret) if secret is not None else None
        return Client(provider.client_id, plain)
