"""`Idempotency-Key`: the same request again gets the same answer, and its work is done once.

The record of a key is written before the work and decides the ids that the work gives; see `shared.domain.idempotency`.
"""

import hashlib
import hmac
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Protocol, TypeVar

from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel

from functions.api.auth import Caller
from shared import wiring
from shared.domain import idempotency as rules
from shared.domain.idempotency import IdempotencyRecord, Repeat
from shared.errors import Conflict, InFlight, Invalid, KeyReused, NotFound, SparkError, Unavailable
from shared.store.idempotency import IdempotencyStore

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

GONE = "The first request with this Idempotency-Key was done, and what it made was deleted since. Take a new key."
NOT_HASHED = frozenset({"wait"})  # how long to wait for the answer is not part of the question


class Records(Protocol[T_co]):
    """A store of what requests make."""

    def get(self, project: str, id: str, /) -> T_co: ...

    def was_stored(self, project: str, id: str, /) -> bool: ...


@dataclass(frozen=True)
class Work:
    """When the work began, and the ids of what it makes: the same ones when it is done again under the same key."""

    at: datetime
    record: IdempotencyRecord | None = None

    def id(self, prefix: str, part: int | str = 0) -> str:
        return rules.id_for(self.record, prefix, part) if self.record else wiring.new_id(prefix)


class Once:
    """Does the work of a request once per Idempotency-Key; without the header, as often as it is asked."""

    def __init__(
        self,
        request: Request,
        response: Response,
        idempotency_key: Annotated[
            str | None,
            Header(
                pattern=r"^[\x21-\x7e]{1,255}$", description="Makes it safe to send this request again for 24 hours."
            ),
        ] = None,
    ) -> None:
        self._request = request
        self._response = response
        self._key = idempotency_key

    def do(
        self, caller: Caller, body: BaseModel | None, done: Callable[[Work], T | None], work: Callable[[Work], T]
    ) -> T:
        """What `work` makes; or what it made before, if `done` finds that.

        Raises:
            KeyReused: the key belongs to a request with another body.
            InFlight: the first request is still being worked on.
        """
        if self._key is None:
            return work(Work(wiring.now()))
        store, now = wiring.idempotency(), wiring.now()
        wanted = self._new_record(caller, self._key, self._hash(self._key, body), now)
        try:
            record = store.save(None, wanted)
        except Conflict:
            return self._again(wanted, now, done, work, store)
        return self._work(record, work, store)

    def _again(
        self,
        wanted: IdempotencyRecord,
        now: datetime,
        done: Callable[[Work], T | None],
        work: Callable[[Work], T],
        store: IdempotencyStore,
    ) -> T:
        record = store.find(wanted.project_id, wanted.id)
        if record is None:  # it was removed this very moment: the first request failed
            raise InFlight("The first request with this Idempotency-Key has just failed. Try again.")
        found = done(Work(record.began_at, record)) if record.body_hash == wanted.body_hash else None
        match rules.on_repeat(record, wanted.body_hash, now, done=found is not None):
            case Repeat.replay if found is not None:
                self._response.headers["Idempotency-Replayed"] = "true"
                return found
            case Repeat.reused:
                raise KeyReused("The Idempotency-Key was used for another request. Take a new key.")
            case Repeat.resume:
                return self._work(_lease(record, now, store), work, store)
        raise InFlight("The first request with this Idempotency-Key is still being worked on.")

    def _work(self, record: IdempotencyRecord, work: Callable[[Work], T], store: IdempotencyStore) -> T:
        """A refused request leaves no trace. One that failed half-way keeps its record, so that it can be resumed."""
        try:
            return work(Work(record.began_at, record))
        except SparkError as error:
            if not isinstance(error, Unavailable):
                with suppress(Conflict):
                    store.delete(record)
            raise

    def _new_record(self, caller: Caller, key: str, body_hash: str, now: datetime) -> IdempotencyRecord:
        path = self._request.url.path
        return IdempotencyRecord(
            project_id=caller.project_id,
            id=rules.record_id(caller.id, self._request.method, path, key),
            body_hash=body_hash,
            began_at=now,
            lease_until=now + rules.LEASE,
            expires_at=now + rules.LIFETIME,
        )

    def _hash(self, key: str, body: BaseModel | None) -> str:
        """Of what the request says, not how: order and blanks of its JSON do not matter.

        Where there is a secret in it, the hash is keyed with the Idempotency-Key, which is stored nowhere: who reads
        the table cannot try what the secret might be, unless they know that, too.
        """
        query = sorted((k, v) for k, v in self._request.query_params.multi_items() if k not in NOT_HASHED)
        said = json.dumps([query, body.model_dump(mode="json") if body else None], sort_keys=True).encode()
        if body is not None and _has_secret(body):
            return hmac.new(key.encode(), said, hashlib.sha256).hexdigest()
        return hashlib.sha256(said).hexdigest()


def refuse_key(idempotency_key: Annotated[str | None, Header(include_in_schema=False)] = None) -> None:
    """Raises Invalid: a secret in the answer is shown once, and one that is all of a body cannot be told from another
    without a hash of it that is kept."""
    if idempotency_key is not None:
        raise Invalid("This request, or its answer, holds a secret: leave the header out.", "/header/idempotency-key")


HoldsSecret = Depends(refuse_key)
"""For routes that take or show a secret: they cannot answer again."""


def existing(get: Callable[[str, str], T], project: str, id: str) -> T | None:
    """What `get` finds, or None: the answer to "was it made before?"."""
    with suppress(NotFound):
        return get(project, id)
    return None


def undeleted(records: Records[T], owner: str, id: str) -> T | None:
    """The same of what can be deleted: a request that comes again brings nothing back.

    Raises:
        Conflict: it was made and is gone, so there is nothing to make the same answer of.
    """
    found = existing(records.get, owner, id)
    if found is None and records.was_stored(owner, id):
        raise Conflict(GONE)
    return found


OnlyOnce = Annotated[Once, Depends(Once)]


def _has_secret(body: BaseModel) -> bool:
    """Is a field set that no `repr` shows?"""
    return any(not field.repr and getattr(body, name) for name, field in type(body).model_fields.items())


def _lease(record: IdempotencyRecord, now: datetime, store: IdempotencyStore) -> IdempotencyRecord:
    try:
        return store.save(record, record.model_copy(update={"lease_until": now + rules.LEASE}))
    except Conflict as error:
        raise InFlight("Another request with this Idempotency-Key is being worked on.") from error
