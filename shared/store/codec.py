"""Records to items and back: one way for all of them.

Top-level fields become attributes under their own or their index's name; nested ones become JSON text, since nobody
asks the table about their inside. Absent is how None, and a default of zero or false, is stored: a run of half a
kilobyte of input must fit the kilobyte that one write unit pays for.
"""

import json
import zlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Generic, TypeVar

from shared.domain.record import Stored
from shared.errors import SchemaTooNew
from shared.store.keys import Key
from shared.store.table import Change, Item, Value, key_of

# Raised when an item's meaning changes. `decode` then learns the way up from the older one; `stored` and `step` must
# know in which schema an item was read: one of the older is to be written whole, since `Table.put_many` writes only
# what differs, and would leave old values under the new number.
SCHEMA = 1
BOOKKEEPING = frozenset({"pk", "sk", "schema", "revision"})


R = TypeVar("R", bound=Stored)


class Codec(Generic[R]):
    """How one kind of record is stored.

    Args:
        model: the record's class.
        names: attribute name of a field, where it is not the field's own.
        json: fields kept as JSON text.
        lean: models kept as JSON text without what is at its default.
        packed: fields kept as compressed JSON: long, repetitive, never looked into.
        epoch: instants kept as seconds since 1970, as DynamoDB's TTL wants them.
    """

    def __init__(
        self,
        model: type[R],
        *,
        names: Mapping[str, str] | None = None,
        json: frozenset[str] = frozenset(),
        lean: frozenset[str] = frozenset(),
        packed: frozenset[str] = frozenset(),
        epoch: frozenset[str] = frozenset(),
    ) -> None:
        self._model = model
        self._names = dict(names or {})
        self._fields = {name: field for field, name in self._names.items()}
        self._json, self._lean, self._packed, self._epoch = json, lean, packed, epoch
        self._blank = {name for name, field in model.model_fields.items() if field.default in (0, False)}

    def encode(self, record: R, key: Key, index: Mapping[str, str]) -> Item:
        """`record` as the item to store next, with the attributes of the indexes it is on."""
        item: Item = {"pk": key.pk, "sk": key.sk, "schema": SCHEMA, "revision": record.revision + 1, **index}
        return item | self._attributes(record, None)

    def stored(self, record: R, key: Key, index: Mapping[str, str]) -> Item | None:
        """The item that `record` was read from; None if it is new."""
        if record.revision == 0:
            return None
        return {**self.encode(record, key, index), "revision": record.revision}

    def step(self, before: R, after: R, key: Key, fields: set[str]) -> Change:
        """The change from `before` to `after`, which differ in `fields` alone; the others are left as they are.

        Only for `Table.put_many`, which writes no more than what differs. Encoding a record whole, twice, costs more.
        """
        old: Item = {"pk": key.pk, "sk": key.sk, "revision": before.revision, **self._attributes(before, fields)}
        new: Item = {"pk": key.pk, "sk": key.sk, "revision": before.revision + 1, **self._attributes(after, fields)}
        return Change(old, new)

    def decode(self, item: Item) -> R:
        """The record in `item`.

        Raises:
            SchemaTooNew: a newer Spark wrote it.
        """
        schema = int(item["schema"])
        if schema > SCHEMA:
            raise SchemaTooNew(
                f"{key_of(item)} has schema {schema}, this Spark knows {SCHEMA}: deploy the newer Spark."
            )
        known = self._model.model_fields
        fields = {self._fields.get(name, name): value for name, value in item.items() if name not in BOOKKEEPING}
        values = {field: self._from_value(field, value) for field, value in fields.items() if field in known}
        return self._model.model_validate({**values, "revision": item["revision"]})

    def _attributes(self, record: R, fields: set[str] | None) -> Item:
        """`fields` as they are stored; all, for None."""
        item: Item = {}
        for field, value in record.model_dump(mode="json", exclude_none=True, include=fields).items():
            if field in self._lean:
                item[field] = getattr(record, field).model_dump_json(exclude_defaults=True)
            elif value or field not in self._blank:
                item[self._names.get(field, field)] = self._to_value(field, value)
        return item

    def _to_value(self, field: str, value: Any) -> Value:
        if field in self._json:
            return _dump(value)
        if field in self._packed:
            return zlib.compress(_dump(value).encode())
        if field in self._epoch:
            return int(datetime.fromisoformat(value).timestamp())
        if not isinstance(value, str | int):
            raise TypeError(f"{self._model.__name__}.{field} is {type(value).__name__}: declare it json or packed")
        return value

    def _from_value(self, field: str, value: Value) -> Any:
        if field in self._json or field in self._lean:
            return json.loads(str(value))
        if field in self._packed:
            assert not isinstance(value, str | int)  # packed fields are stored as bytes
            return json.loads(zlib.decompress(value))
        return value


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
