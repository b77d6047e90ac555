"""What a provider may say that is not to be believed: forged ID tokens, another issuer, endpoints that lead inside."""

import base64
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import RSAAlgorithm

from functions.api import identity
from shared.domain.login import Proofs
from shared.oidc import FAILED
from tests.fakes import Clock
from tests.integration.api import sso
from tests.integration.api.people import Person
from tests.integration.api.sso import CLIENT_ID, CLIENT_SECRET, Forger, begin, let_in, trust
from tests.integration.api.wire import problem
from tests.integration.conftest import Aws

Json = dict[str, Any]
OTHER_KEY = rsa.generate_private_key(65537, 2048)
WEAK_KEY = rsa.generate_private_key(65537, 1024)


@pytest.fixture
def forger() -> Iterator[Forger]:
    with sso.forging() as forger:
        yield forger


@pytest.fixture
def okta(owner: Person, forger: Forger) -> str:
    """Its id."""
    return str(trust(owner.api, forger.issuer)["id"])


def test_one_that_is_right_opens(forger: Forger, okta: str) -> None:
    let_in(forger.login(okta))


Claims = Callable[[Json], Json]
WRONG: dict[str, Claims] = {
    "another issuer": lambda right: {**right, "iss": right["iss"] + "/"},
    "another audience": lambda right: {**right, "aud": "somebody"},
    "another audience that is a list": lambda right: {**right, "aud": ["somebody"]},
    "two audiences and no party": lambda right: {**right, "aud": [CLIENT_ID, "somebody"]},
    "another party": lambda right: {**right, "azp": "somebody"},
    "another party of two": lambda right: {**right, "aud": [CLIENT_ID, "x"], "azp": "x"},
    "another nonce": lambda right: {**right, "nonce": "n" * 43},
    "a nonce that is none": lambda right: {**right, "nonce": 7},
    "over": lambda right: {**right, "exp": right["iat"] - 61},
    "made before the login began": lambda right: {**right, "iat": right["iat"] - 90},
    "made in the future": lambda right: {**right, "iat": right["iat"] + 90},
    "not good yet": lambda right: {**right, "nbf": right["iat"] + 90},
    "an end that is no number": lambda right: {**right, "exp": "tomorrow"},
    "an end that is true": lambda right: {**right, "exp": True},
    "no subject": lambda right: {**right, "sub": ""},
    "a subject too long": lambda right: {**right, "sub": "s" * 256},
    "a subject that is a number": lambda right: {**right, "sub": 7},
    **{
        f"without {name}": lambda right, name=name: {key: value for key, value in right.items() if key != name}
        for name in ("iss", "aud", "sub", "exp", "iat", "nonce")
    },
}


@pytest.mark.parametrize("wrong", WRONG)
def test_claims_that_are_not_those_of_this_login_open_nothing(forger: Forger, okta: str, wrong: str) -> None:
    forger.tokens = lambda right: forger.signed(WRONG[wrong](right))
    problem(forger.login(okta), 401, "unauthenticated")
    forger.tokens = None
    let_in(forger.login(okta))


@pytest.mark.parametrize("audience", [[CLIENT_ID], [CLIENT_ID, "somebody"]])
def test_an_audience_of_several_names_us_as_its_party(forger: Forger, okta: str, audience: list[str]) -> None:
    forger.tokens = lambda right: forger.signed({**right, "aud": audience, "azp": CLIENT_ID})
    let_in(forger.login(okta))


def tampered(token: str) -> str:
    head, claims, signature = token.split(".")
    said = json.loads(base64.urlsafe_b64decode(claims + "=="))
    other = base64.urlsafe_b64encode(json.dumps({**said, "sub": "bob"}).encode()).decode().rstrip("=")
    return f"{head}.{other}.{signature}"


def quietly(sign: Callable[[], str]) -> str:
    """The library warns of what it is asked for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return sign()


def public_pem(forger: Forger) -> bytes:
    """What an HMAC would be made with by whoever takes the public key for a secret."""
    return forger.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


FORGED: dict[str, Callable[[Forger, Json], str]] = {
    "no algorithm": lambda forger, right: jwt.encode(right, None, "none", headers={"kid": forger.kid}),
    "a shared secret": lambda forger, right: jwt.encode(
        right, CLIENT_SECRET.ljust(64, "x"), "HS256", headers={"kid": forger.kid}
    ),
    "another key": lambda forger, right: jwt.encode(right, OTHER_KEY, "RS256", headers={"kid": forger.kid}),
    "another key id": lambda forger, right: forger.signed(right, kid="two"),
    "another kind of key": lambda forger, right: jwt.encode(
        right, ec.generate_private_key(ec.SECP256R1()), "ES256", headers={"kid": forger.kid}
    ),
    "other claims": lambda forger, right: tampered(forger.signed(right)),
    "no token": lambda forger, right: "a.b.c",
    "an empty one": lambda forger, right: "",
}


@pytest.mark.parametrize("forged", FORGED)
def test_what_the_published_keys_did_not_sign_opens_nothing(forger: Forger, okta: str, forged: str) -> None:
    forger.tokens = lambda right: FORGED[forged](forger, right)
    problem(forger.login(okta), 401, "unauthenticated")


def test_a_short_key_opens_nothing(forger: Forger, okta: str) -> None:
    forger.key = WEAK_KEY
    forger.tokens = lambda right: quietly(lambda: forger.signed(right))
    problem(forger.login(okta), 401, "unauthenticated")


@pytest.mark.parametrize(
    "change",
    [{"use": "enc"}, {"alg": "RS512"}, {"kty": "oct", "k": "AAAA"}, {"kid": "two"}, {"n": "AQAB"}, {"n": 7}],
)
def test_a_key_that_is_not_for_this_opens_nothing(forger: Forger, okta: str, change: Json) -> None:
    public = RSAAlgorithm.to_jwk(forger.key.public_key(), as_dict=True)
    forger.answers["/jwks"] = (200, {"keys": [{**public, "kid": forger.kid, **change}]})
    problem(forger.login(okta), 401, "unauthenticated")


@pytest.mark.parametrize("keys", [[], ["x", None], {}, None])
def test_no_keys_open_nothing(forger: Forger, okta: str, keys: Any) -> None:
    forger.answers["/jwks"] = (200, {"keys": keys})
    problem(forger.login(okta), 401, "unauthenticated")


def test_a_new_key_is_looked_for_once_and_a_known_one_not_again(forger: Forger, okta: str, clock: Clock) -> None:
    def asked() -> int:
        return len([path for path, *_ in forger.requests if path == "/jwks"])

    let_in(forger.login(okta))
    let_in(forger.login(okta))
    assert asked() == 1
    forger.key, forger.kid = OTHER_KEY, "two"
    let_in(forger.login(okta))
    assert asked() == 2
    forger.tokens = lambda right: forger.signed(right, kid="three")
    problem(forger.login(okta), 401, "unauthenticated")
    assert asked() == 3
    assert len([path for path, *_ in forger.requests if "well-known" in path]) == 1
    clock.forward(minutes=11)
    begin(okta)
    assert len([path for path, *_ in forger.requests if "well-known" in path]) == 2


class TestOnce:
    """Also where the provider takes a code time and again."""

    @pytest.fixture
    def back(self, forger: Forger, okta: str) -> tuple[str, Json]:
        """The attempt, and what the browser brought back."""
        start = sso.begun(okta)
        said = sso.asked_for(start["authorization_url"])
        forger.nonce = said["nonce"]
        return start["attempt"], {"state": said["state"], "code": "a-code"}

    def test_a_login_is_finished_once(self, back: tuple[str, Json]) -> None:
        let_in(sso.finish(*back))
        problem(sso.finish(*back), 401, "unauthenticated")

    def test_of_two_at_once_one_gets_there(self, back: tuple[str, Json], monkeypatch: pytest.MonkeyPatch) -> None:
        logins = identity.vouching().logins
        found = logins.by_ulid(back[0].split("_")[1])
        monkeypatch.setattr(type(logins), "by_ulid", lambda self, ulid: found)  # both have read it
        answers = [sso.finish(*back) for _ in range(2)]
        assert sorted(answer.status_code for answer in answers) == [200, 401]

    def test_another_state_is_no_answer_and_changes_nothing(self, back: tuple[str, Json]) -> None:
        problem(sso.finish(back[0], {**back[1], "state": "s" * 43}), 401, "unauthenticated")
        let_in(sso.finish(*back))

    def test_one_that_fails_at_the_provider_is_over(self, forger: Forger, back: tuple[str, Json]) -> None:
        forger.answers["/token"] = (400, {"error": "invalid_grant"})
        problem(sso.finish(*back), 401, "unauthenticated")
        forger.answers.clear()
        problem(sso.finish(*back), 401, "unauthenticated")


class TestDiscovery:
    @pytest.mark.parametrize("issuer", ["https://accounts.test", "", None, 7])
    def test_who_says_that_it_is_another_issuer_is_not_asked_on(
        self, forger: Forger, okta: str, issuer: str | None
    ) -> None:
        forger.metadata = {"issuer": issuer}
        problem(begin(okta), 502, "identity_provider_failed")

    @pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "jwks_uri"])
    @pytest.mark.parametrize(
        "url",
        [
            None,
            7,
            "/token",
            "javascript:alert(1)",
            "file:///etc/passwd",
            "http://accounts.test/token",
            "http://10.0.0.1/token",
            "https://169.254.169.254/latest",
            "https://user:pass@accounts.test/token",
            "https://accounts.test/token#x",
        ],
    )
    def test_endpoints_that_lead_inside_or_nowhere_are_not_called(
        self, forger: Forger, okta: str, name: str, url: Any
    ) -> None:
        forger.metadata = {name: url}
        problem(begin(okta), 502, "identity_provider_failed")
        assert [path for path, *_ in forger.requests] == ["/.well-known/openid-configuration"]

    @pytest.mark.parametrize(
        "answer", [(404, {"issuer": "x"}), (500, {}), (302, {}), (200, {}), (200, {"x": "y" * 300_000})]
    )
    def test_an_answer_that_is_none_is_told(self, forger: Forger, okta: str, answer: tuple[int, Json]) -> None:
        forger.answers["/.well-known/openid-configuration"] = answer
        problem(begin(okta), 502, "identity_provider_failed")

    def test_an_issuer_that_nobody_answers_at_is_told(self, owner: Person) -> None:
        gone = trust(owner.api, "http://127.0.0.1:9")["id"]
        problem(begin(gone), 502, "identity_provider_failed")

    FAILURES: ClassVar[dict[str, tuple[tuple[int, Json], str]]] = {
        "no provider": ((404, {}), "answers 404"),
        "another issuer": ((200, {"issuer": "https://inside.test"}), "another issuer"),
        "inside": ((200, {"token_endpoint": "https://10.0.0.1/token"}), "10.0.0.1"),
        "too much": ((200, {"x": "y" * 300_000}), "too large"),
    }

    @pytest.mark.parametrize("name", FAILURES)
    def test_why_is_for_the_log_and_not_for_strangers(
        self, forger: Forger, okta: str, name: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        (status, said), why = self.FAILURES[name]
        right = forger.answer("/.well-known/openid-configuration")[1]
        forger.answers["/.well-known/openid-configuration"] = (status, {**right, **said})
        answer = begin(okta)
        assert problem(answer, 502, "identity_provider_failed")["detail"] == FAILED
        assert not [told for told in (why, forger.issuer, "127.0.0.1", "10.0.0.1", "inside") if told in answer.text]
        (line,) = [record for record in caplog.records if record.getMessage() == "identity_provider.failed"]
        assert why in line.__dict__["reason"]

    def test_the_query_of_the_place_to_log_in_stays(self, forger: Forger, okta: str) -> None:
        forger.metadata = {"authorization_endpoint": f"{forger.issuer}/authorize?tenant=t"}
        said = sso.asked_for(begin(okta).json()["authorization_url"])
        assert (said["tenant"], said["client_id"]) == ("t", CLIENT_ID)


class TestTheExchange:
    def post(self, forger: Forger) -> tuple[Json, Json]:
        return next((headers, form) for path, headers, form in forger.requests if path == "/token")

    def test_our_secret_goes_where_the_provider_wants_it(self, owner: Person, forger: Forger, okta: str) -> None:
        let_in(forger.login(okta))
        headers, form = self.post(forger)
        name, _, secret = base64.b64decode(headers["Authorization"].removeprefix("Basic ")).decode().partition(":")
        assert (name, secret) == (CLIENT_ID, "a_secret_%2F_of%3A_the_client")
        assert "client_secret" not in form
        assert len(form["code_verifier"]) == 43
        assert form["redirect_uri"] == f"http://127.0.0.1:7777/{okta}"

    def test_or_into_the_body(self, forger: Forger, okta: str) -> None:
        forger.metadata = {"token_endpoint_auth_methods_supported": ["client_secret_post", "none"]}
        let_in(forger.login(okta))
        headers, form = self.post(forger)
        assert (form["client_id"], form["client_secret"]) == (CLIENT_ID, CLIENT_SECRET)
        assert "Authorization" not in headers

    def test_a_public_client_has_none(self, owner: Person, forger: Forger) -> None:
        public = trust(owner.api, forger.issuer, client_secret=None)
        assert public["has_client_secret"] is False
        let_in(forger.login(public["id"]))
        headers, form = self.post(forger)
        assert form["client_id"] == CLIENT_ID
        assert "client_secret" not in form
        assert "Authorization" not in headers

    @pytest.mark.parametrize(
        ("answer", "status"),
        [
            ((400, {"error": "invalid_grant"}), 401),
            ((401, {"error": "invalid_client", "error_description": "<b>x</b>"}), 502),
            ((400, {"error": "<script>"}), 502),
            ((200, {"access_token": "x"}), 502),
            ((200, {"id_token": 7}), 502),
            ((500, {}), 502),
        ],
    )
    def test_what_is_no_token_opens_nothing(
        self, forger: Forger, okta: str, answer: tuple[int, Json], status: int
    ) -> None:
        forger.answers["/token"] = answer
        refused = forger.login(okta)
        assert refused.status_code == status
        assert "<" not in refused.text

    def test_no_secret_is_logged_stored_or_shown(
        self,
        aws: Aws,
        forger: Forger,
        okta: str,
        caplog: pytest.LogCaptureFixture,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """Also by libraries, at LogLevel=DEBUG."""
        caplog.set_level(logging.DEBUG)
        tokens: list[str] = []

        def kept(right: Json) -> str:
            tokens.append(forger.signed(right))
            return tokens[-1]

        forger.tokens = kept
        start = sso.begun(okta)
        said = sso.asked_for(start["authorization_url"])
        forger.nonce = said["nonce"]
        answer = sso.finish(start["attempt"], {"state": said["state"], "code": "a-code-of-theirs"})
        let_in(answer)
        printed = capsys.readouterr()
        everything = caplog.text + printed.out + printed.err + answer.text + str(aws.items())
        assert "request.answered" in everything
        proofs = Proofs.of(start["attempt"].rpartition("_")[2])
        secrets = [CLIENT_SECRET, start["attempt"], proofs.verifier, proofs.state, "a-code-of-theirs", *tokens]
        assert not [secret for secret in secrets if secret in everything]
