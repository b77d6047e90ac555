"""What facts about keys and people mean: is what opens the deployment strong, needed, and nobody else's?"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from cli.doctor.facts import Facts, Finding, Json, KeyInUse, Level, Unknown, named, skip
from cli.times import parse_instant

ok, warn, fail = Level.ok, Level.warn, Level.fail

STRONG_LENGTH = 40  # of a secret of letters and digits: 238 bits
OLD = timedelta(days=365)
UNUSED = timedelta(days=90)
LATELY = timedelta(days=7)
FIRST_KEY = "bootstrap"
REFUSED = frozenset({401, 403})


def key(facts: Facts) -> Iterator[Finding]:
    """The one that the doctor came with."""
    if isinstance(facts.key, Unknown):
        yield skip("key", facts.key)
        return
    if isinstance(facts.me, Unknown):
        yield _not_known(facts.me)
        return
    troubles = list(_troubles(facts.key, facts.me))
    yield from troubles or [Finding("key", ok, f"{facts.key.id} is of role {facts.me['role']}")]


def keys(facts: Facts) -> Iterator[Finding]:
    """All that the caller may see."""
    if isinstance(facts.keys, Unknown):
        yield skip("keys", facts.keys)
        return
    good = [each for each in facts.keys if each["active"] and not _is_borrowed(each, facts.key)]
    looked_at = [*_troubles_of(good, facts.now)]
    yield from looked_at or [Finding("keys", ok, f"{facts.counted('keys', good)} in order")]


def _troubles_of(good: Sequence[Json], now: datetime) -> Iterator[Finding]:
    endless = [each for each in good if _is_endless(each)]
    unused = [each for each in good if _is_unused(each, now)]
    old = [each for each in good if _is_old(each, now)]
    first = [each for each in good if _is_first(each, now)]
    others = (
        "People: spark admin create-owner, spark login. Programs: spark key create NAME --role ROLE --valid-until 90d"
    )
    yield from named("keys", endless, "have no end", "spark key update KEY --valid-until 90d")
    yield from named("keys", unused, "were not used for 90 days", "spark key revoke KEY")
    yield from named("keys", old, "have had the same secret for a year", "spark key rotate KEY")
    yield from named("keys", first, "opens everything, and is in use", others)


def second_factor(facts: Facts) -> Iterator[Finding]:
    """Of who is logged in; no list says it of others."""
    if isinstance(facts.second_factor, Unknown):
        yield skip("second factor", facts.second_factor)
    elif facts.second_factor:
        yield Finding("second factor", ok, "you have one")
    else:
        role = "?" if isinstance(facts.me, Unknown) else facts.me["role"]
        said = f"you have none, and are {role}"
        yield Finding("second factor", warn, said, "spark account mfa enable")


def _not_known(why: Unknown) -> Finding:
    """Of a key that got no answer about itself: refused, or is the API too busy or too ill to say?"""
    if why.status in REFUSED:
        return Finding("key", fail, why.reason, "Set another: spark config set NAME --api-key -")
    return skip("key", why)


def _troubles(used: KeyInUse, me: Json) -> Iterator[Finding]:
    if used.secret_length < STRONG_LENGTH:
        said = f"its secret has {used.secret_length} characters, which is short"
        yield Finding("key", warn, said, "spark key rotate; one that Spark makes has 43")
    if used.is_borrowed:
        return
    if used.id == FIRST_KEY:
        hint = "Make one with the role that is needed: spark key create NAME --role editor --valid-until 90d"
        yield Finding("key", warn, "it is the deployment's first, which opens everything", hint)
    elif me["role"] == "owner":
        yield Finding("key", warn, "it is an owner's", "For daily work editor or operator is enough.")


def _is_borrowed(key: Json, used: KeyInUse | Unknown) -> bool:
    """Is it the first key, which the doctor itself has just used?"""
    return not isinstance(used, Unknown) and used.is_borrowed and key["id"] == FIRST_KEY


def _is_endless(key: Json) -> bool:
    """The first has none by design, and is looked at by itself."""
    return key["valid_until"] is None and key["id"] != FIRST_KEY


def _is_unused(key: Json, now: datetime) -> bool:
    return key["id"] != FIRST_KEY and now - parse_instant(key["last_used_at"] or key["created_at"]) > UNUSED


def _is_old(key: Json, now: datetime) -> bool:
    """The end of the secret before, where there was one, is about when it was rotated."""
    return now - parse_instant(key["previous_until"] or key["created_at"]) > OLD


def _is_first(key: Json, now: datetime) -> bool:
    return (
        key["id"] == FIRST_KEY and key["last_used_at"] is not None and now - parse_instant(key["last_used_at"]) < LATELY
    )


CHECKS = (key, keys, second_factor)
