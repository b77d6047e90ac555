"""An OpenID provider in a process of its own: `python -m tests.oidc_provider` prints the port that it listens on.

It is oidc-provider-mock with what it lacks: it holds the verifier against the challenge (RFC 7636), for every client.
"""

import sys
from dataclasses import dataclass
from typing import Any

import oidc_provider_mock
from authlib.oauth2.rfc6749.errors import InvalidGrantError
from authlib.oauth2.rfc7636 import CodeChallenge
from oidc_provider_mock import _app as mock
from werkzeug.serving import make_server


@dataclass(kw_only=True, frozen=True)
class ChallengedCode(mock.AuthorizationCode):
    code_challenge: str | None
    code_challenge_method: str | None


class Challenging(mock.AuthorizationCodeGrant):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        CodeChallenge(required=True)(self)
        self.register_hook("after_validate_token_request", require_challenge)

    def save_authorization_code(self, code: str, request: Any) -> None:
        said = request.payload.data
        mock.storage.store_authorization_code(
            ChallengedCode(
                code=code,
                user_id=request.user.sub,
                client_id=request.client.get_client_id(),
                redirect_uri=request.payload.redirect_uri,
                scope=request.payload.scope,
                nonce=said.get("nonce"),
                code_challenge=said.get("code_challenge"),
                code_challenge_method=said.get("code_challenge_method"),
            )
        )


def require_challenge(grant: Any, result: Any) -> None:
    if not grant.request.authorization_code.code_challenge:
        raise InvalidGrantError(description="There was no code challenge.")


if __name__ == "__main__":
    mock.AuthorizationCodeGrant = Challenging  # type: ignore[misc]
    server = make_server("127.0.0.1", 0, oidc_provider_mock.app(), threaded=True)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()
