"""Dead letters of a project."""

from shared.domain.dead_letter import DeadLetter
from shared.store import keys
from shared.store.codec import Codec
from shared.store.records import RecordStore


class DeadLetterStore(RecordStore[DeadLetter]):
    noun = "dead letter"
    kind = keys.DEAD
    codec = Codec(DeadLetter, names={"id": "record_id"})
