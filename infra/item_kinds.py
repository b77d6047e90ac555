"""What kind each item of the table is, by its key, and which kinds a restore may bring back."""

import re
from collections.abc import Iterable

from shared.store import keys
from shared.store.keys import Key

ONE, MANY = "*", "**"  # stand for a part of a key: without a `#`, and with any

# What a project is set up with. Missing records come back unless somebody else is named.
CONFIGURATION: dict[str, list[Key]] = {
    "project": [keys.project(ONE)],
    "source": [keys.source(ONE, ONE)],
    "workflow": [keys.workflow(ONE, ONE)],
    "version": [Key(keys.workflow(ONE, ONE).pk, f"{keys.VERSION_PREFIX}{ONE}")],
    "schedule": [keys.record(ONE, keys.SCHEDULE, ONE)],
}
# Who may do what. Each has to be named, and none takes the place of what is there: that would undo a revocation.
ACCESS: dict[str, list[Key]] = {
    "organization": [keys.organization(ONE)],
    "owners": [keys.owners(ONE)],
    "role": [keys.role(ONE, ONE)],
    "member": [keys.member(ONE, MANY)],
    "service-account": [keys.service_account(ONE, ONE)],
    "key": [keys.api_key(ONE)],
    "user": [keys.user(ONE)],
    "second-factor": [keys.second_factor(ONE)],
    "email": [keys.email(MANY)],
    "first-owner": [keys.first_owner()],
    "identity-provider": [keys.identity_provider(ONE)],
    "identity": [keys.identity(ONE, ONE), keys.identity_of_user(ONE, ONE)],
}
# What happened. Each has to be named; what had not ended then does not go on.
HISTORY: dict[str, list[Key]] = {
    "run": [keys.run(ONE, ONE)],
    "attempt": [Key(keys.run(ONE, ONE).pk, f"{keys.ATTEMPT_PREFIX}{ONE}")],
    "backfill": [keys.record(ONE, keys.BACKFILL, ONE)],
    "dead-letter": [keys.dead_letter(ONE, ONE)],
    "audit": [Key(MANY, f"{keys.AUDIT_PREFIX}{ONE}")],
    "seal": [Key(keys.audit_seal(ONE, 0).pk, f"{keys.SEAL_PREFIX}{ONE}")],
}
# What is true for a moment. It never comes back: a session that was ended would open again, a slot or a lease hold up
# what runs now, a count or an answer of then be taken for one of today.
MOMENTARY: dict[str, list[Key]] = {
    "invitation": [keys.invitation(ONE)],
    "session": [keys.session(ONE)],
    "login": [keys.login(ONE)],
    "signing-key": [Key(keys.signing_key(0).pk, f"{keys.SIGNING_PREFIX}{ONE}")],
    "breaker": [keys.breaker(ONE, ONE)],
    "leases": [keys.leases(ONE, ONE)],
    "slot": [keys.slot(ONE, ONE)],
    "idempotency": [keys.idempotency(ONE, ONE)],
    "limit": [keys.limit(MANY)],
}
RESTORABLE = (*CONFIGURATION, *ACCESS, *HISTORY)


def kind_of(key: Key) -> str | None:
    """The kind of the item under `key`; None for one that this version does not know."""
    text = _text(key)
    return next((kind for kind, pattern in PATTERNS if pattern.fullmatch(text)), None)


def _text(key: Key) -> str:
    return f"{key.pk} {key.sk}"


def _pattern(forms: Iterable[Key]) -> re.Pattern[str]:
    parts = (
        re.escape(_text(form)).replace(re.escape(MANY), "(?s:.+)").replace(re.escape(ONE), "[^# ]+") for form in forms
    )
    return re.compile("|".join(f"(?:{part})" for part in parts))


PATTERNS = [(kind, _pattern(forms)) for kind, forms in {**CONFIGURATION, **ACCESS, **HISTORY, **MOMENTARY}.items()]
