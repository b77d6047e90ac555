"""Access tokens: ours are taken, and nothing else."""

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm

from shared.domain.record import new_id
from shared.errors import NotSignedIn
from shared.secrets import Cipher
from shared.services.signing import Signing
from shared.store.signing_keys import SigningKeyStore
from tests.fakes import NOON, Clock, MemoryTable

ISSUER = "https://spark.test"
USER, SESSION = "usr_1", "ses_1"
Json = dict[str, Any]


class Kms:
    """Encrypts by writing the context in front; decrypts for the same context only."""

    def encrypt(self, KeyId: str, Plaintext: bytes, EncryptionContext: Json) -> Json:  # noqa: N803
        return {"CiphertextBlob": json.dumps(EncryptionContext).encode() + b"|" + base64.b64encode(Plaintext)}

    def decrypt(self, CiphertextBlob: bytes, EncryptionContext: Json) -> Json:  # noqa: N803
        context, _, plain = CiphertextBlob.partition(b"|")
        assert json.loads(context) == EncryptionContext
        return {"Plaintext": base64.b64decode(plain)}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def table(clock: Clock) -> MemoryTable:
    return MemoryTable(clock)


@pytest.fixture
def signing(table: MemoryTable, clock: Clock) -> Signing:
    return environment(table, clock)


def environment(table: MemoryTable, clock: Clock, issuer: str = ISSUER) -> Signing:
    """What one Lambda environment knows."""
    numbers = iter(range(1000))

    def id(prefix: str) -> str:
        return new_id(prefix, NOON, str(next(numbers)).encode().rjust(10) + bytes(10))

    cipher = Cipher(Kms(), "key", clock, context="purpose")  # type: ignore[arg-type]
    return Signing(SigningKeyStore(table), cipher, issuer, id, clock)  # type: ignore[arg-type]


def claims(**changes: Any) -> Json:
    """What one of our tokens says; None leaves a claim out."""
    now = int(NOON.timestamp())
    said = {"iss": ISSUER, "aud": "spark", "sub": USER, "sid": SESSION, "iat": now, "exp": now + 900, "jti": "tok_1"}
    return {name: value for name, value in {**said, **changes}.items() if value is not None}


def signed(signing: Signing, said: Json, **header: Any) -> str:
    """Signed by our own key, whatever it says."""
    key = signing._current()
    return jwt.encode(said, signing._private_of(key), "ES256", headers={"kid": key.kid, **header})


def test_what_was_issued_is_read(signing: Signing) -> None:
    read = signing.read(signing.issue(USER, SESSION))
    assert (read.sub, read.sid, read.iss, read.aud) == (USER, SESSION, ISSUER, "spark")
    assert read.exp - read.iat == 900


def test_another_environment_reads_it_too(signing: Signing, table: MemoryTable, clock: Clock) -> None:
    assert environment(table, clock).read(signing.issue(USER, SESSION)).sub == USER


def test_the_way_of_these_tests_makes_tokens_that_would_be_taken(signing: Signing) -> None:
    """Else each of the following would be refused for another reason than it says."""
    assert signing.read(signed(signing, claims())).sub == USER


def test_alg_none_is_refused(signing: Signing) -> None:
    kid = signing._current().kid
    for name in ("none", "None", "NONE"):
        head = base64.urlsafe_b64encode(json.dumps({"alg": name, "typ": "JWT", "kid": kid}).encode())
        body = base64.urlsafe_b64encode(json.dumps(claims()).encode())
        with pytest.raises(NotSignedIn):
            signing.read(f"{head.decode().rstrip('=')}.{body.decode().rstrip('=')}.")


def test_the_public_key_is_no_shared_secret(signing: Signing) -> None:
    """HS256 with what everybody can read as its secret: in the forms in which somebody might verify with it."""
    import hashlib
    import hmac

    key = signing._current()
    public = ECAlgorithm.from_jwk(key.public_key)
    assert isinstance(public, ec.EllipticCurvePublicKey)
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for secret in (pem, pem.strip(), key.public_key.encode()):
        head = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "typ": "JWT", "kid": key.kid}).encode())
        body = base64.urlsafe_b64encode(json.dumps(claims()).encode())
        message = f"{head.decode().rstrip('=')}.{body.decode().rstrip('=')}"
        mac = base64.urlsafe_b64encode(hmac.new(secret, message.encode(), hashlib.sha256).digest())
        with pytest.raises(NotSignedIn):
            signing.read(f"{message}.{mac.decode().rstrip('=')}")


def test_a_key_of_somebody_else_is_refused_under_any_kid(signing: Signing) -> None:
    theirs = ec.generate_private_key(ec.SECP256R1())
    for kid in (signing._current().kid, "sig_unknown", "../../etc/passwd", ""):
        with pytest.raises(NotSignedIn):
            signing.read(jwt.encode(claims(), theirs, "ES256", headers={"kid": kid}))
    with pytest.raises(NotSignedIn):
        signing.read(jwt.encode(claims(), theirs, "ES256"))


def test_a_kid_that_is_not_its_own_is_refused(signing: Signing) -> None:
    with pytest.raises(NotSignedIn):
        signing.read(signed(signing, claims(), kid="sig_other"))


def test_a_key_that_comes_with_the_token_is_not_used(signing: Signing) -> None:
    theirs = ec.generate_private_key(ec.SECP256R1())
    jwk = ECAlgorithm.to_jwk(theirs.public_key(), as_dict=True)
    headers = {"kid": signing._current().kid, "jwk": jwk, "jku": "https://evil.test/jwks"}
    with pytest.raises(NotSignedIn):
        signing.read(jwt.encode(claims(), theirs, "ES256", headers=headers))


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "other"},
        {"aud": ["other"]},
        {"iss": "https://evil.test"},
        {"sub": 7},
        *({name: None} for name in ("iss", "aud", "sub", "sid", "iat", "exp", "jti")),
    ],
)
def test_a_claim_that_is_wrong_or_missing_is_refused(signing: Signing, changes: Json) -> None:
    with pytest.raises(NotSignedIn):
        signing.read(signed(signing, claims(**changes)))


def test_it_is_over_after_fifteen_minutes(signing: Signing, clock: Clock) -> None:
    token = signing.issue(USER, SESSION)
    clock.forward(minutes=14, seconds=59)
    signing.read(token)
    clock.forward(1)
    with pytest.raises(NotSignedIn, match="over"):
        signing.read(token)


def test_a_payload_that_was_changed_is_refused(signing: Signing) -> None:
    head, _, mac = signing.issue(USER, SESSION).split(".")
    body = base64.urlsafe_b64encode(json.dumps(claims(sub="usr_2")).encode()).decode().rstrip("=")
    with pytest.raises(NotSignedIn):
        signing.read(f"{head}.{body}.{mac}")


@pytest.mark.parametrize("text", ["", ".", "..", "a.b.c", "ü.ü.ü", "\0", "x" * 10_000, "{}.{}.{}"])
def test_what_is_no_token_is_refused(signing: Signing, text: str) -> None:
    with pytest.raises(NotSignedIn):
        signing.read(text)


def test_a_deployment_of_another_name_takes_none_of_ours(signing: Signing, table: MemoryTable, clock: Clock) -> None:
    with pytest.raises(NotSignedIn):
        environment(table, clock, issuer="https://other.test").read(signing.issue(USER, SESSION))


def test_of_many_who_need_the_first_key_one_makes_it(table: MemoryTable, clock: Clock) -> None:
    environments = [environment(table, clock) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        tokens = list(pool.map(lambda each: each.issue(USER, SESSION), environments))
    assert len({jwt.get_unverified_header(token)["kid"] for token in tokens}) == 1
    assert len(SigningKeyStore(table).list()) == 1  # type: ignore[arg-type]


def test_a_new_key_comes_every_thirty_days_and_the_old_one_stays_for_its_tokens(
    table: MemoryTable, clock: Clock
) -> None:
    signing = environment(table, clock)
    kids = []
    for _ in range(3):
        kids.append(jwt.get_unverified_header(signing.issue(USER, SESSION))["kid"])
        clock.forward(days=30)
    assert len(set(kids)) == 3
    assert [key["kid"] for key in signing.jwks()] == [signing._current().kid]


def test_strangers_make_us_read_our_keys_once_a_second(
    signing: Signing, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    signing.issue(USER, SESSION)
    reads: list[int] = []
    real = signing.keys.list
    monkeypatch.setattr(signing.keys, "list", lambda: reads.append(1) or real())
    theirs = ec.generate_private_key(ec.SECP256R1())
    for number in range(20):
        with pytest.raises(NotSignedIn):
            signing.read(jwt.encode(claims(), theirs, "ES256", headers={"kid": f"sig_{number}"}))
    assert len(reads) == 1
    clock.at += timedelta(seconds=1)
    with pytest.raises(NotSignedIn):
        signing.read(jwt.encode(claims(), theirs, "ES256", headers={"kid": "sig_x"}))
    assert len(reads) == 2


def test_the_private_half_is_kept_for_one_purpose(signing: Signing) -> None:
    blob = base64.b64decode(signing._current().encrypted_key)
    assert json.loads(blob.partition(b"|")[0]) == {"purpose": "access-tokens"}
    assert all("d" not in key for key in signing.jwks())


class TestChallenges:
    def test_a_challenge_says_who_has_shown_which_password_for_five_minutes(
        self, signing: Signing, clock: Clock
    ) -> None:
        challenge = signing.challenge(USER, 3)
        clock.forward(299)
        said = signing.read_challenge(challenge)
        assert (said.sub, said.gen, said.aud) == (USER, 3, "spark:second-factor")
        clock.forward(1)
        with pytest.raises(NotSignedIn):
            signing.read_challenge(challenge)

    def test_no_challenge_is_an_access_token_nor_the_other_way_round(self, signing: Signing) -> None:
        with pytest.raises(NotSignedIn):
            signing.read(signing.challenge(USER, 0))
        with pytest.raises(NotSignedIn):
            signing.read_challenge(signing.issue(USER, SESSION))

    def test_what_was_tampered_with_is_none(self, signing: Signing) -> None:
        head, body, signature = signing.challenge(USER, 0).split(".")
        said = json.loads(base64.urlsafe_b64decode(body + "=="))
        other = base64.urlsafe_b64encode(json.dumps({**said, "sub": "usr_2"}).encode()).decode().rstrip("=")
        for text in (f"{head}.{other}.{signature}", "x", f"{head}.{body}."):
            with pytest.raises(NotSignedIn):
                signing.read_challenge(text)
